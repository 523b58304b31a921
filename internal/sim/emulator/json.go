package emulator

import (
	"strconv"
	"unicode/utf8"
)

// The bodies are written by append, member by member, in the order the service
// has them: a reader can hold the code against a recording, and nothing is
// reflected on.

// appendString appends s as a JSON string, escaping no more than RFC 8259 asks.
func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

// appendEscaped is appendString without the quotes.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(dst, s[from:]...)
}

// field appends `prefix` and then s as a string: a member whose name, comma
// and colon the caller spells out.
func field[T string | []byte](dst []byte, prefix string, s T) []byte {
	return appendString(append(dst, prefix...), s)
}

// number appends prefix and then n.
func number(dst []byte, prefix string, n int64) []byte {
	return strconv.AppendInt(append(dst, prefix...), n, 10)
}

// decimal appends f with six digits after the point.
func decimal(dst []byte, f float64) []byte { return strconv.AppendFloat(dst, f, 'f', 6, 64) }

// validUTF8 replaces what is not UTF-8, for texts that come from files.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
