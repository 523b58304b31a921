package parse

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A record is kept as text and read again by others: by fastjson here, by
// query engines later. They disagree on what they let pass, and one value that
// an engine refuses would end every query over its file. So a record is
// checked strictly here, and mended where what is wrong is known and harmless.

// maxDepth is what fastjson takes.
const maxDepth = 299

var (
	errJSON = errors.New("no JSON")
	errDeep = errors.New("nested deeper than 299")
	errMend = errors.New("to be mended") // JSON, but for texts or numbers in it
)

// check reports whether b is one JSON value in valid UTF-8, without lone
// surrogates.
func check(b []byte) error {
	c := checker{b: b}
	c.space()
	err := c.value(0)
	c.space()
	switch {
	case err == errJSON || err == nil && c.i < len(b):
		return fmt.Errorf("%w from byte %d on", errJSON, c.i)
	case err != nil:
		return err
	case !utf8.Valid(b):
		return errMend
	}
	return nil
}

type checker struct {
	b []byte
	i int
}

func (c *checker) space() {
	for c.i < len(c.b) && isSpace[c.b[c.i]] {
		c.i++
	}
}

// next is the next byte after space, 0 at the end.
func (c *checker) next() byte {
	c.space()
	if c.i < len(c.b) {
		return c.b[c.i]
	}
	return 0
}

var (
	isSpace = [256]bool{' ': true, '\t': true, '\r': true, '\n': true}
	isPlain = plain() // bytes of a string that need no second look
)

func plain() (t [256]bool) {
	for i := range t {
		t[i] = i >= ' ' && i != '"' && i != '\\'
	}
	return t
}

func (c *checker) value(depth int) error {
	if c.i >= len(c.b) {
		return errJSON
	}
	if depth > maxDepth {
		return errDeep
	}
	switch c.b[c.i] {
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case '"':
		return c.text()
	}
	return c.bare()
}

func (c *checker) object(depth int) error {
	if c.i++; c.next() == '}' {
		c.i++
		return nil
	}
	for {
		if c.next() != '"' {
			return errJSON
		}
		if err := c.text(); err != nil {
			return err
		}
		if c.next() != ':' {
			return errJSON
		}
		c.i++
		c.space()
		if err := c.value(depth + 1); err != nil {
			return err
		}
		if more, err := c.more('}'); !more {
			return err
		}
	}
}

func (c *checker) array(depth int) error {
	if c.i++; c.next() == ']' {
		c.i++
		return nil
	}
	for {
		c.space()
		if err := c.value(depth + 1); err != nil {
			return err
		}
		if more, err := c.more(']'); !more {
			return err
		}
	}
}

// more passes the comma before a further element, or the end.
func (c *checker) more(end byte) (bool, error) {
	switch c.next() {
	case ',':
		c.i++
		return true, nil
	case end:
		c.i++
		return false, nil
	}
	return false, errJSON
}

func (c *checker) text() error {
	for c.i++; c.i < len(c.b); c.i++ {
		switch ch := c.b[c.i]; {
		case isPlain[ch]:
		case ch == '"':
			c.i++
			return nil
		case ch != '\\':
			return errMend // a control character
		default:
			n := escape(c.b[c.i:])
			if n == 0 {
				return errMend
			}
			c.i += n - 1
		}
	}
	return errJSON
}

// escape is the length of the escape that b begins with, a surrogate pair as
// one, or 0 when it is none.
func escape(b []byte) int {
	switch {
	case len(b) < 2:
		return 0
	case b[1] != 'u':
		if strings.IndexByte(`"\/bfnrt`, b[1]) < 0 {
			return 0
		}
		return 2
	}
	r, ok := hex4(b)
	switch {
	case !ok || r&0xfc00 == 0xdc00:
		return 0
	case r&0xfc00 != 0xd800:
		return 6
	}
	if low, ok := hex4(b[6:]); ok && low&0xfc00 == 0xdc00 {
		return 12
	}
	return 0
}

// hex4 reads \uXXXX.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// bare checks a number or a word.
func (c *checker) bare() error {
	from := c.i
	for c.i < len(c.b) && !isSpace[c.b[c.i]] && strings.IndexByte(`,:[]{}"`, c.b[c.i]) < 0 {
		c.i++
	}
	switch word := c.b[from:c.i]; {
	case string(word) == "true", string(word) == "false", string(word) == "null", isNumber(word):
		return nil
	case isOddNumber(word):
		return errMend
	}
	return errJSON
}

// isNumber reports whether b is a number in JSON's grammar.
func isNumber(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("-"))
	whole := digits(b)
	if whole == 0 || whole > 1 && b[0] == '0' {
		return false
	}
	b = b[whole:]
	if len(b) > 0 && b[0] == '.' {
		n := digits(b[1:])
		if n == 0 {
			return false
		}
		b = b[1+n:]
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		b = b[1:]
		if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		n := digits(b)
		return n > 0 && n == len(b)
	}
	return len(b) == 0
}

func digits(b []byte) int {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}

// isOddNumber reports whether b is what some programs print for a number.
func isOddNumber(b []byte) bool {
	b = bytes.TrimLeft(b, "+-")
	switch strings.ToLower(string(b[:min(len(b), 10)])) {
	case "nan", "inf", "infinity":
		return true
	}
	return len(b) > 0 && len(b) < 64 && (digits(b) > 0 || b[0] == '.') && len(bytes.Trim(b, "0123456789.eE+-")) == 0
}

// mend appends src to dst with its texts as JSON has them: what is not UTF-8
// and lone surrogates become U+FFFD, control characters and stray backslashes
// are escaped, odd numbers become texts.
func mend(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == '"':
			var n int
			dst, n = mendText(dst, src[i:])
			i += n
		case isSpace[c] || strings.IndexByte(`,:[]{}`, c) >= 0:
			dst = append(dst, c)
			i++
		default:
			b := checker{b: src, i: i}
			if b.bare() == errMend {
				dst = append(append(append(dst, '"'), src[i:b.i]...), '"')
			} else {
				dst = append(dst, src[i:b.i]...)
			}
			i = max(b.i, i+1)
		}
	}
	return dst
}

// mendText mends the string that src begins with, and returns its length.
func mendText(dst, src []byte) ([]byte, int) {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 1; i < len(src); {
		c := src[i]
		n := 1
		switch {
		case c == '"':
			return append(dst, '"'), i + 1
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf && c != '\\':
			dst = append(dst, c)
		case c == '\\':
			if n = escape(src[i:]); n > 0 {
				dst = append(dst, src[i:i+n]...)
			} else if _, ok := hex4(src[i:]); ok {
				dst, n = append(dst, `\ufffd`...), 6
			} else {
				dst, n = append(dst, `\\`...), 1
			}
		default:
			var r rune
			r, n = utf8.DecodeRune(src[i:])
			dst = utf8.AppendRune(dst, r)
		}
		i += n
	}
	return dst, len(src)
}
