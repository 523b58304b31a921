package strictjson

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The scanner is our own: it reads text eight bytes at a time, five times as
// fast as a tokenizer that serves every purpose, and a body is mostly text. What
// it accepts is what jsontext accepts: FuzzParse holds the two together.

// parse indexes d.data, whole.
func (d *Document) parse(opt Options) error {
	if opt.Depth <= 0 {
		opt.Depth = defaultDepth
	}
	if opt.MaxNodes <= 0 {
		opt.MaxNodes = defaultNodes
	}
	if len(d.data) > math.MaxInt32 {
		return &SyntaxError{0, "document too long"}
	}
	i := d.space(0)
	if c := d.at(i); c != '{' {
		return d.unexpected(i, "not an object")
	}
	for {
		var err error
		if i, err = d.readValue(i, opt); err != nil {
			return err
		}
		if i, err = d.afterValue(i); err != nil {
			return err
		}
		if len(d.open) == 0 {
			break
		}
	}
	if i != len(d.data) {
		return &SyntaxError{i, "data after the top-level value"}
	}
	return d.distinctKeys()
}

// at returns the byte at i, 0, which begins no token, at the end.
func (d *Document) at(i int) byte {
	if i < len(d.data) {
		return d.data[i]
	}
	return 0
}

// space returns where the white space at i ends.
func (d *Document) space(i int) int {
	for i < len(d.data) && (d.data[i] == ' ' || d.data[i] == '\n' || d.data[i] == '\t' || d.data[i] == '\r') {
		i++
	}
	return i
}

func (d *Document) unexpected(i int, reason string) error {
	if i >= len(d.data) {
		reason = "unexpected end"
	}
	return &SyntaxError{min(i, len(d.data)), reason}
}

// readValue reads the scalar at i, or the opening of a container as far as the
// first value in it, and returns where to go on. A container that is empty is
// left to afterValue.
func (d *Document) readValue(i int, opt Options) (int, error) {
	for {
		kind, end, escaped, reason := d.token(i)
		if reason != "" {
			return 0, d.unexpected(end, reason)
		}
		if len(d.open) == opt.Depth && (kind == Object || kind == Array) {
			return 0, &SyntaxError{i, "nested too deeply"}
		}
		n, err := d.add(kind, span{int32(i), int32(end)}, opt)
		if err != nil {
			return 0, err
		}
		if kind != Object && kind != Array {
			d.nodes[n].escaped = escaped
			return end, nil
		}
		d.open = append(d.open, frame{n, None})
		i = d.space(end)
		if c := d.at(i); c == closing(kind) {
			return i, nil
		}
		if kind == Object {
			if i, err = d.readKey(i); err != nil {
				return 0, err
			}
		}
	}
}

func closing(k Kind) byte {
	if k == Object {
		return '}'
	}
	return ']'
}

// afterValue closes the containers that end at i, and goes on to the next
// value when there is one.
func (d *Document) afterValue(i int) (int, error) {
	for len(d.open) > 0 {
		i = d.space(i)
		top := d.open[len(d.open)-1]
		kind := d.nodes[top.node].kind
		switch c := d.at(i); {
		case c == closing(kind):
			i++
			d.nodes[top.node].end = int32(i)
			d.open = d.open[:len(d.open)-1]
		case c == ',' && top.last != None:
			i = d.space(i + 1)
			if kind == Object {
				return d.readKey(i)
			}
			return i, nil
		default:
			return 0, d.unexpected(i, "expected a comma or the end of the "+kind.String())
		}
	}
	return d.space(i), nil
}

// readKey reads a member's key and colon, and begins a node that add completes.
func (d *Document) readKey(i int) (int, error) {
	if d.at(i) != '"' {
		return 0, d.unexpected(i, "expected a key")
	}
	end, escaped, reason := d.text(i)
	if reason != "" {
		return 0, d.unexpected(end, reason)
	}
	n := node{key: span{int32(i), int32(end)}}
	if escaped {
		start := int32(len(d.keys))
		d.keys, _ = jsontext.AppendUnquote(d.keys, d.data[i:end])
		d.spans = append(d.spans, span{start, int32(len(d.keys))})
		n.unquoted = int32(len(d.spans))
	}
	d.nodes = append(d.nodes, n)
	i = d.space(end)
	if d.at(i) != ':' {
		return 0, d.unexpected(i, "expected a colon")
	}
	return d.space(i + 1), nil
}

// token reads the scalar at i, or one opening bracket. On a reason, end is
// where the fault is.
func (d *Document) token(i int) (kind Kind, end int, escaped bool, reason string) {
	switch c := d.at(i); {
	case c == '{':
		return Object, i + 1, false, ""
	case c == '[':
		return Array, i + 1, false, ""
	case c == '"':
		end, escaped, reason = d.text(i)
		return String, end, escaped, reason
	case c == '-' || '0' <= c && c <= '9':
		end, reason = d.number(i)
		return Number, end, false, reason
	case bytes.HasPrefix(d.data[min(i, len(d.data)):], []byte("true")):
		return True, i + 4, false, ""
	case bytes.HasPrefix(d.data[min(i, len(d.data)):], []byte("false")):
		return False, i + 5, false, ""
	case bytes.HasPrefix(d.data[min(i, len(d.data)):], []byte("null")):
		return Null, i + 4, false, ""
	}
	return Missing, i, false, "expected a value"
}

// Eight bytes at once: ones has each byte 1, highs each byte 0x80.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, with the high bit of a byte, a quote, a backslash, a control
// byte or a byte beyond ASCII in x. The lowest mark is exact, which is the one
// that is used.
func special(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return (x | (x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// text returns the end of the string whose opening quote is at i.
func (d *Document) text(i int) (end int, escaped bool, reason string) {
	b := d.data
	for i++; ; {
		for i+8 <= len(b) {
			m := special(binary.LittleEndian.Uint64(b[i:]))
			if m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return i, false, "unexpected end"
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped, ""
		case c == '\\':
			n, reason := escape(b[i:])
			if reason != "" {
				return i, false, reason
			}
			escaped = true
			i += n
		case c < 0x20:
			return i, false, "control character in a string"
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				return i, false, "invalid UTF-8"
			}
			i += size
		}
	}
}

// escape returns the length of the escape that b begins with; a surrogate pair
// is one escape, half of one is none.
func escape(b []byte) (n int, reason string) {
	if len(b) < 2 {
		return 0, "unexpected end"
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, ""
	case 'u':
	default:
		return 0, "invalid escape"
	}
	r, ok := hex4(b)
	switch {
	case !ok:
		return 0, "invalid escape"
	case r < 0xd800 || r > 0xdfff:
		return 6, ""
	case r > 0xdbff:
		return 0, "lone surrogate"
	}
	if low, ok := hex4(b[6:]); ok && 0xdc00 <= low && low <= 0xdfff {
		return 12, ""
	}
	return 0, "lone surrogate"
}

// hex4 reads \uXXXX.
func hex4(b []byte) (r uint32, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | uint32(c)
	}
	return r, true
}

// number returns the end of the number at i, which a float64 must be able to hold.
func (d *Document) number(i int) (end int, reason string) {
	start := i
	if d.at(i) == '-' {
		i++
	}
	whole := d.digits(i)
	if whole == i || d.data[i] == '0' && whole > i+1 {
		return i, "malformed number"
	}
	i = whole
	if d.at(i) == '.' {
		if i = d.digits(i + 1); d.data[i-1] == '.' {
			return i, "malformed number"
		}
	}
	exponent := d.at(i) == 'e' || d.at(i) == 'E'
	if exponent {
		if i++; d.at(i) == '+' || d.at(i) == '-' {
			i++
		}
		from := i
		if i = d.digits(i); i == from {
			return i, "malformed number"
		}
	}
	if exponent || i-start > 300 { // it takes that many digits to overflow without one
		if _, err := strconv.ParseFloat(string(d.data[start:i]), 64); err != nil {
			return start, "number out of range"
		}
	}
	return i, ""
}

func (d *Document) digits(i int) int {
	for i < len(d.data) && '0' <= d.data[i] && d.data[i] <= '9' {
		i++
	}
	return i
}
