package sql

import (
	"fmt"
	"strings"
)

// Patterns of time are written in the letters of Java's SimpleDateFormat; SQL
// engines know strftime. A run of one letter is one row of a dialect's table.

// duckLetters spells runs of letters for DuckDB's strftime and strptime.
var duckLetters = map[string]string{
	"yyyy": "%Y", "yyy": "%Y", "y": "%Y", "yy": "%y", "u": "%u",
	"MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m",
	"dd": "%d", "d": "%-d", "DDD": "%j", "D": "%-j",
	"HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I",
	"mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S",
	"SSS": "%g", "SSSSSS": "%f", "SSSSSSSSS": "%n",
	"a": "%p", "EEE": "%a", "EE": "%a", "E": "%a", "EEEE": "%A",
}

// offsets spells the letters of a zone's offset with the places that the
// dialect fills in.
var offsets = map[string]string{"Z": "{off}", "X": "{off:}", "XX": "{off}", "XXX": "{off:}", "z": "{off:}"}

// strftime translates a pattern for printing. zoned says that it holds places
// for an offset.
func strftime(pattern string, utc bool, letters map[string]string) (format string, zoned bool, err error) {
	format, err = translate(pattern, func(run string) (string, bool) {
		if off, ok := offsets[run]; ok {
			switch {
			case utc && run == "z":
				return "UTC", true
			case utc && run != "Z":
				return "Z", true
			}
			zoned = true
			return off, true
		}
		s, ok := letters[run]
		return s, ok
	})
	return format, zoned, err
}

// strptime translates a pattern for reading. zoned says that texts hold their
// own offset.
func strptime(pattern string, letters map[string]string) (format string, zoned bool, err error) {
	format, err = translate(pattern, func(run string) (string, bool) {
		if _, ok := offsets[run]; ok {
			zoned = true
			return "%z", true
		}
		s, ok := letters[run]
		return strings.Replace(s, "%-", "%", 1), ok
	})
	return format, zoned, err
}

// translate walks a pattern: runs of one letter, texts in single quotes (two
// for one), and all else as it stands.
func translate(pattern string, letters func(run string) (string, bool)) (string, error) {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, n, err := quotedText(pattern[i:])
			if err != nil {
				return "", err
			}
			b.WriteString(strings.ReplaceAll(text, "%", "%%"))
			i += n
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			n := len(pattern[i:]) - len(strings.TrimLeft(pattern[i:], string(c)))
			s, ok := letters(pattern[i : i+n])
			if !ok {
				return "", fmt.Errorf("the time pattern %q holds %q, which is not known here", pattern, pattern[i:i+n])
			}
			b.WriteString(s)
			i += n
		case c == '%':
			b.WriteString("%%")
			i++
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}

// quotedText reads 'text' at the start of s, and how long it was.
func quotedText(s string) (string, int, error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case i == 1: // '' stands for one quote
			return "'", 2, nil
		default:
			return b.String(), i + 1, nil
		}
	}
	return "", 0, fmt.Errorf("a quote in the time pattern is not closed")
}
