package eval

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A field of a time pattern: a letter of SimpleDateFormat so many times, or a
// literal when letter is 0.
type field struct {
	letter byte
	count  int
	lit    string
}

// purpose is what a pattern is for: not all can be read that can be written.
type purpose int

const (
	forFormat purpose = iota
	forParse
)

// letters are those that a pattern may have. A number is written with at least
// as many digits as there are letters; read lets it be read too.
var letters = map[byte]struct {
	number   func(time.Time) int // nil: a text, see append
	least    int                 // of what may be read
	most     int
	set      func(*parsed, int)
	readable bool
}{
	'y': {time.Time.Year, 1, 9999, func(p *parsed, n int) { p.year = n }, true},
	'M': {func(t time.Time) int { return int(t.Month()) }, 1, 12, func(p *parsed, n int) { p.month = n }, true},
	'd': {time.Time.Day, 1, 31, func(p *parsed, n int) { p.day = n }, true},
	'D': {number: time.Time.YearDay},
	'H': {time.Time.Hour, 0, 23, func(p *parsed, n int) { p.hour = n }, true},
	'h': {func(t time.Time) int { return (t.Hour()+11)%12 + 1 }, 1, 12, func(p *parsed, n int) { p.hour, p.halves = n%12, true }, true},
	'm': {time.Time.Minute, 0, 59, func(p *parsed, n int) { p.minute = n }, true},
	's': {time.Time.Second, 0, 59, func(p *parsed, n int) { p.sec = n }, true},
	'S': {number: func(t time.Time) int { return t.Nanosecond() / 1e6 }, readable: true}, // see readFraction
	'u': {number: func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }},
	'a': {readable: true},
	'E': {readable: true},
	'z': {readable: true},
	'Z': {readable: true},
	'X': {readable: true},
}

// The bounds of a pattern.
const (
	maxPattern = 256
	maxCount   = 16
)

// parsePattern reads a pattern. Letters that are not in the table are errors, as
// Java has it; what stands between single quotes is literal, and two of them are
// one.
func parsePattern(s string, use purpose) ([]field, error) {
	if len(s) > maxPattern {
		return nil, fmt.Errorf("a time pattern of %d bytes", len(s))
	}
	var fields []field
	for s != "" {
		f, rest, err := nextField(s)
		if err != nil {
			return nil, err
		}
		if use == forParse && (f.letter != 0 && !letters[f.letter].readable || f.count > 4) {
			return nil, fmt.Errorf("times cannot be read by %d times the letter %c", f.count, f.letter)
		}
		fields, s = append(fields, f), rest
	}
	return fields, nil
}

func nextField(s string) (f field, rest string, err error) {
	c := s[0]
	switch {
	case strings.HasPrefix(s, "''"):
		return field{lit: "'"}, s[2:], nil
	case c == '\'':
		return quoted(s)
	case (c|0x20) < 'a' || (c|0x20) > 'z':
		return field{lit: s[:1]}, s[1:], nil
	}
	n := len(s) - len(strings.TrimLeft(s, s[:1]))
	if _, ok := letters[c]; !ok || n > maxCount || c == 'S' && n != 3 && n != 6 && n != 9 {
		return f, "", fmt.Errorf("a time pattern has no %q", s[:n])
	}
	return field{letter: c, count: n}, s[n:], nil
}

// quoted reads '…', where ” stands for one quote.
func quoted(s string) (f field, rest string, err error) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			f.lit += s[i : i+1]
		case i+1 < len(s) && s[i+1] == '\'':
			f.lit += "'"
			i++
		default:
			return f, s[i+1:], nil
		}
	}
	return f, "", fmt.Errorf("a quote in the time pattern is not closed")
}

// numeric says that f is written in digits.
func (f field) numeric() bool {
	return letters[f.letter].number != nil && !(f.letter == 'M' && f.count > 2)
}

func (f field) append(b []byte, t time.Time) []byte {
	switch {
	case f.letter == 0:
		return append(b, f.lit...)
	case f.letter == 'y' && f.count == 2:
		return padded(b, t.Year()%100, 2)
	case f.letter == 'S': // digits of a fraction
		return append(padded(b, t.Nanosecond()/1e6, 3), "000000"[:f.count-3]...)
	case f.numeric():
		return padded(b, letters[f.letter].number(t), f.count)
	}
	return t.AppendFormat(b, layouts[f.letter][min(f.count, 4)])
}

// layouts are Go's words for the letters that are texts, by how often they are
// repeated.
var layouts = map[byte][5]string{
	'M': {3: "Jan", 4: "January"},
	'a': {"", "PM", "PM", "PM", "PM"},
	'E': {"", "Mon", "Mon", "Mon", "Monday"},
	'z': {"", "MST", "MST", "MST", "MST"},
	'Z': {"", "-0700", "-0700", "-0700", "-0700"},
	'X': {"", "Z07", "Z0700", "Z07:00", "Z07:00"},
}

func padded(b []byte, n, width int) []byte {
	digits := strconv.Itoa(n)
	for range width - len(digits) {
		b = append(b, '0')
	}
	return append(b, digits...)
}

// read takes f from the head of what is left. A number that stands right before
// another has as many digits as its letters.
func (f field) read(p *parsed, adjacent bool) bool {
	switch {
	case f.letter == 0:
		return p.skip(f.lit)
	case f.letter == 'S':
		return p.readFraction()
	case f.numeric():
		return f.readNumber(p, adjacent)
	case f.letter == 'M':
		i := p.word(months)
		p.month = i + 1
		return i >= 0
	case f.letter == 'E':
		return p.word(weekdays) >= 0
	case f.letter == 'a':
		i := p.word([]string{"AM", "PM"})
		p.afternoon = i == 1
		return i >= 0
	}
	return p.readZone()
}

func (f field) readNumber(p *parsed, adjacent bool) bool {
	most := 9
	if adjacent {
		most = f.count
	}
	n := 0
	for n < len(p.rest) && n < most && p.rest[n] >= '0' && p.rest[n] <= '9' {
		n++
	}
	x, err := strconv.Atoi(p.rest[:n])
	l := letters[f.letter]
	if f.letter == 'y' && f.count == 2 && n == 2 { // as POSIX has it
		x += 1900
		if x < 1969 {
			x += 100
		}
	}
	if err != nil || x < l.least || x > l.most {
		return false
	}
	p.rest = p.rest[n:]
	l.set(p, x)
	return true
}

// readFraction takes one to three digits of a fraction of a second.
func (p *parsed) readFraction() bool {
	p.ms = 0
	n := 0
	for weight := 100; weight > 0 && n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9'; weight /= 10 {
		p.ms += weight * int(p.rest[n]-'0')
		n++
	}
	p.rest = p.rest[n:]
	return n > 0
}

func (p *parsed) skip(lit string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, lit)
	return ok
}

var (
	months   = names12(func(i int) string { return time.Month(i + 1).String() }, 12)
	weekdays = names12(func(i int) string { return time.Weekday(i).String() }, 7)
)

// names12 are n names in full, and their first three letters behind.
func names12(name func(int) string, n int) []string {
	list := make([]string, 2*n)
	for i := range n {
		list[i], list[n+i] = name(i), name(i)[:3]
	}
	return list
}

// word takes one of the words, in any case, and gives its number. Words that are
// listed twice, in full and short, have the same.
func (p *parsed) word(list []string) int {
	i := slices.IndexFunc(list, func(w string) bool {
		return len(p.rest) >= len(w) && strings.EqualFold(p.rest[:len(w)], w)
	})
	if i < 0 {
		return -1
	}
	p.rest = p.rest[len(list[i]):]
	if len(list) > 2 {
		i %= len(list) / 2
	}
	return i
}

// readZone takes Z, UTC, GMT or an offset in any of its forms.
func (p *parsed) readZone() bool {
	p.zone = time.UTC
	named := p.skip("Z") || p.skip("UTC") || p.skip("GMT")
	if p.rest == "" || p.rest[0] != '+' && p.rest[0] != '-' {
		return named
	}
	for _, layout := range []string{"-07:00", "-0700", "-07"} {
		if len(p.rest) < len(layout) {
			continue
		}
		if t, err := time.Parse(layout, p.rest[:len(layout)]); err == nil {
			_, offset := t.Zone()
			p.zone, p.rest = time.FixedZone("", offset), p.rest[len(layout):]
			return true
		}
	}
	return false
}
