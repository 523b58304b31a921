package eval

import (
	"strings"
	"unicode/utf8"
)

// A document is a JSON text that was read once, strictly (RFC 8259): the places
// of its values in the text, in order. Values are substrings of the text, so
// they live as long as it does and cost nothing; only strings with escapes are
// made anew.
type document struct {
	text  string
	nodes []node // none when the text is no JSON
}

// A node is one value: its first byte and the one after its last, and the
// number of the node that follows it and all it holds. Members of an object
// are two nodes each, the key and the value.
type node struct {
	start, end, next uint32
	escapes          bool // of a string: it holds some
}

// The bounds of a document. What is beyond is no JSON.
const (
	maxNesting  = 500
	maxDocument = MaxText
	keepNodes   = 1 << 16 // how many a Row keeps room for
)

// forget lets go of the text, and keeps the memory for the next.
func (d *document) forget() {
	d.text, d.nodes = "", d.nodes[:0]
	if cap(d.nodes) > keepNodes {
		d.nodes = nil
	}
}

// parse reads s.
func (d *document) parse(s string) {
	d.text, d.nodes = s, d.nodes[:0]
	if len(s) > maxDocument {
		return
	}
	p := reader{document: d}
	p.space()
	if !p.value(0) || p.space() != len(s) {
		d.nodes = d.nodes[:0]
	}
}

// reader reads a document.
type reader struct {
	*document
	at int
}

// space skips white space and returns where it is.
func (p *reader) space() int {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return p.at
		}
	}
	return p.at
}

// peek is the byte ahead, 0 at the end: no JSON has a byte 0 outside of strings.
func (p *reader) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *reader) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

func (p *reader) value(depth int) bool {
	i := len(p.nodes)
	p.nodes = append(p.nodes, node{start: uint32(p.at)})
	ok := false
	switch c := p.peek(); {
	case c == '"':
		ok = p.str(i)
	case c == '{':
		ok = depth < maxNesting && p.object(depth+1)
	case c == '[':
		ok = depth < maxNesting && p.array(depth+1)
	case c == '-' || c >= '0' && c <= '9':
		ok = p.number()
	default:
		ok = p.word("true") || p.word("false") || p.word("null")
	}
	p.nodes[i].end, p.nodes[i].next = uint32(p.at), uint32(len(p.nodes))
	return ok
}

func (p *reader) word(w string) bool {
	if !strings.HasPrefix(p.text[p.at:], w) {
		return false
	}
	p.at += len(w)
	return true
}

func (p *reader) object(depth int) bool {
	p.at++
	if p.space(); p.take('}') {
		return true
	}
	for {
		i := len(p.nodes)
		p.nodes = append(p.nodes, node{start: uint32(p.at), next: uint32(i + 1)})
		if p.peek() != '"' || !p.str(i) {
			return false
		}
		p.nodes[i].end = uint32(p.at)
		if p.space(); !p.take(':') {
			return false
		}
		if p.space(); !p.value(depth) {
			return false
		}
		if p.space(); p.take('}') {
			return true
		}
		if !p.take(',') {
			return false
		}
		p.space()
	}
}

func (p *reader) array(depth int) bool {
	p.at++
	if p.space(); p.take(']') {
		return true
	}
	for {
		if p.space(); !p.value(depth) {
			return false
		}
		if p.space(); p.take(']') {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
}

// plain are the bytes that stand for themselves in a string.
var plain = func() (t [256]bool) {
	for c := ' '; c < 256; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// str reads a string for node i.
func (p *reader) str(i int) bool {
	s, at := p.text, p.at+1
	for {
		for at < len(s) && plain[s[at]] {
			at++
		}
		if at == len(s) || s[at] != '\\' {
			break
		}
		n := escape(s[at:])
		if n == 0 {
			return false
		}
		p.nodes[i].escapes = true
		at += n
	}
	p.at = at
	return p.take('"')
}

// escape is the length of the escape that s begins with, 0 when it is none.
func escape(s string) int {
	switch {
	case len(s) < 2:
		return 0
	case strings.IndexByte(`"\/bfnrt`, s[1]) >= 0:
		return 2
	case s[1] == 'u' && unit(s) >= 0:
		return 6
	}
	return 0
}

// unit is the UTF-16 unit of the \uXXXX that s begins with, -1 when it is none.
func unit(s string) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var r rune
	for i := 2; i < 6; i++ {
		d := hexDigit(s[i])
		if d < 0 {
			return -1
		}
		r = r<<4 | rune(d)
	}
	return r
}

func (p *reader) number() bool {
	p.take('-')
	if !p.take('0') && !p.digits() {
		return false
	}
	if p.take('.') && !p.digits() {
		return false
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		return p.digits()
	}
	return true
}

func (p *reader) digits() bool {
	from := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > from
}

// kind is the first byte of node i.
func (d *document) kind(i int) byte { return d.text[d.nodes[i].start] }

// written is node i as the text has it.
func (d *document) written(i int) string { return d.text[d.nodes[i].start:d.nodes[i].end] }

// str is the string that node i stands for.
func (d *document) str(i int) string {
	n := d.nodes[i]
	s := d.text[n.start+1 : n.end-1]
	if !n.escapes {
		return s
	}
	return string(unescape(make([]byte, 0, len(s)), s))
}

// shorts are the escapes of one letter, and what they stand for.
const shorts, meant = `bfnrt"\/`, "\b\f\n\r\t\"\\/"

// unescape appends what s stands for. Half of a surrogate pair without the other
// becomes U+FFFD.
func unescape(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst, s = append(dst, s[:i]...), s[i:]
		if k := strings.IndexByte(shorts, s[1]); k >= 0 {
			dst, s = append(dst, meant[k]), s[2:]
			continue
		}
		r := unit(s)
		s = s[6:]
		if low := unit(s); r >= 0xd800 && r < 0xdc00 && low >= 0xdc00 && low < 0xe000 {
			r, s = (r-0xd800)<<10+(low-0xdc00)+0x10000, s[6:]
		}
		dst = utf8.AppendRune(dst, r)
	}
}

// child is the node at one step below node i, -1 when there is none. Of keys
// that are repeated the first counts.
func (d *document) child(i int, key string, index int) int {
	switch end := int(d.nodes[i].next); {
	case key == "" && index >= 0:
		if d.kind(i) != '[' {
			return -1
		}
		for i++; i < end; i = int(d.nodes[i].next) {
			if index == 0 {
				return i
			}
			index--
		}
	case d.kind(i) == '{':
		for i++; i < end; i = int(d.nodes[i+1].next) {
			if d.isKey(i, key) {
				return i + 1
			}
		}
	}
	return -1
}

func (d *document) isKey(i int, key string) bool {
	if n := d.nodes[i]; !n.escapes {
		return d.text[n.start+1:n.end-1] == key
	}
	return d.str(i) == key
}

// length is how many elements array i has, -1 when it is none.
func (d *document) length(i int) int {
	if d.kind(i) != '[' {
		return -1
	}
	n := 0
	for end := int(d.nodes[i].next); i+1 < end; n++ {
		i = int(d.nodes[i+1].next) - 1
	}
	return n
}

// value is the text of node i as core has it: null gives false.
func (d *document) value(i int) (string, bool) {
	switch d.kind(i) {
	case 'n':
		return "", false
	case '"':
		return d.str(i), true
	case '{', '[':
		n := d.nodes[i]
		return string(d.write(make([]byte, 0, n.end-n.start), i)), true
	}
	return d.written(i), true
}

// write appends node i without spaces, its strings with the fewest escapes.
func (d *document) write(dst []byte, i int) []byte {
	n := d.nodes[i]
	switch d.text[n.start] {
	case '"':
		return d.quote(dst, i)
	case '[':
		dst = append(dst, '[')
		for i++; i < int(n.next); i = int(d.nodes[i].next) {
			dst = append(d.write(dst, i), ',')
		}
		return close(dst, ']')
	case '{':
		dst = append(dst, '{')
		for i++; i < int(n.next); i = int(d.nodes[i+1].next) {
			dst = append(d.quote(dst, i), ':')
			dst = append(d.write(dst, i+1), ',')
		}
		return close(dst, '}')
	}
	return append(dst, d.written(i)...)
}

// close puts the bracket in the place of the last comma.
func close(dst []byte, bracket byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, bracket)
}

func (d *document) quote(dst []byte, i int) []byte {
	if !d.nodes[i].escapes {
		return append(dst, d.written(i)...)
	}
	dst = append(dst, '"')
	for _, c := range []byte(d.str(i)) {
		switch k := strings.IndexByte(meant, c); {
		case k >= 0 && c != '/':
			dst = append(dst, '\\', shorts[k])
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
