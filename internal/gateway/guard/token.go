package guard

import "unicode/utf8"

// A tokenWalk goes through a JSON string, and finds where in the document a byte
// of its unescaped text stands. Offsets must rise.
type tokenWalk struct {
	doc []byte
	at  int // in doc
	end int // of the text, before the closing quote
	n   int // bytes of text before at
}

func newTokenWalk(doc []byte, start, end int) *tokenWalk {
	return &tokenWalk{doc: doc, at: start + 1, end: end - 1}
}

// to returns where the text's byte n stands.
func (w *tokenWalk) to(n int) int {
	for w.at < w.end && w.n < n {
		size, text := unescape(w.doc[w.at:w.end])
		w.at += size
		w.n += len(text.bytes())
	}
	return w.at
}

// char is one character of a JSON string, in up to four bytes.
type char struct {
	b [utf8.UTFMax]byte
	n int
}

func (c *char) bytes() []byte { return c.b[:c.n] }

// unescape reads the first character of a JSON string's inside, and says how
// long it is there. What is no JSON is taken byte by byte: answers are read as
// they are. A lone half of a surrogate pair becomes three bytes that are no UTF-8.
func unescape(s []byte) (size int, c char) {
	if s[0] != '\\' || len(s) < 2 {
		c.b[0], c.n = s[0], 1
		return 1, c
	}
	if s[1] != 'u' {
		c.b[0], c.n = s[1], 1
		for i, e := range [...]byte{'b', 'f', 'n', 'r', 't'} {
			if s[1] == e {
				c.b[0] = "\b\f\n\r\t"[i]
			}
		}
		return 2, c
	}
	r, ok := hex4(s)
	if !ok {
		c.b[0], c.n = '\\', 1
		return 1, c
	}
	if low, ok := hex4(s[6:]); ok && 0xd800 <= r && r < 0xdc00 && 0xdc00 <= low && low < 0xe000 {
		c.n = utf8.EncodeRune(c.b[:], (r-0xd800)<<10|(low-0xdc00)+0x10000)
		return 12, c
	}
	if 0xd800 <= r && r < 0xe000 {
		c.b, c.n = [4]byte{0xe0 | byte(r>>12), 0x80 | byte(r>>6)&0x3f, 0x80 | byte(r)&0x3f}, 3
		return 6, c
	}
	c.n = utf8.EncodeRune(c.b[:], r)
	return 6, c
}

// hex4 reads \uXXXX.
func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	return hexNumber(s[2:6])
}

// hexNumber reads hexadecimal digits, at least one and at most six.
func hexNumber(s []byte) (rune, bool) {
	if len(s) == 0 || len(s) > 6 {
		return 0, false
	}
	r := rune(0)
	for _, b := range s {
		d := hexDigit[b]
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

var hexDigit = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = int8(10+i), int8(10+i)
	}
	return t
}()

// appendUnescaped appends the text of a JSON string's inside.
func appendUnescaped(dst, s []byte) []byte {
	for len(s) > 0 {
		n := 0
		for n < len(s) && s[n] != '\\' {
			n++
		}
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		size, c := unescape(s)
		dst = append(dst, c.bytes()...)
		s = s[size:]
	}
	return dst
}
