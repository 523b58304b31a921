package strictjson

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// value returns the node of n, nil when n is None, a key or out of range.
func (d *Document) value(n Node) *node {
	if n < 0 || int(n) >= len(d.nodes) {
		return nil
	}
	return &d.nodes[n]
}

// keyOwner returns the member whose key n names, nil when n names no key.
func (d *Document) keyOwner(n Node) *node {
	if n >= None {
		return nil
	}
	return d.value(-2 - n)
}

// KeyNode returns a node that stands for the key of member n: a String to
// Kind, Span, String and AppendString. None when n is no member.
func (d *Document) KeyNode(n Node) Node {
	if v := d.value(n); v == nil || v.key.end == 0 {
		return None
	}
	return -2 - n
}

// Get returns the member of object n with exactly this key, else None.
func (d *Document) Get(n Node, key string) Node {
	if d.Kind(n) != Object {
		return None
	}
	for c := d.First(n); c != None; c = d.Next(c) {
		if string(d.KeyBytes(c)) == key {
			return c
		}
	}
	return None
}

// Kind returns what n is, Missing when it is not there.
func (d *Document) Kind(n Node) Kind {
	if v := d.value(n); v != nil {
		return v.kind
	}
	if d.keyOwner(n) != nil {
		return String
	}
	return Missing
}

// Len returns the number of members or elements of n.
func (d *Document) Len(n Node) int {
	if v := d.value(n); v != nil {
		return int(v.count)
	}
	return 0
}

// First returns the first member or element of n, else None.
func (d *Document) First(n Node) Node {
	if v := d.value(n); v != nil && v.count > 0 {
		return n + 1
	}
	return None
}

// Next returns the sibling behind n, else None.
func (d *Document) Next(n Node) Node {
	if v := d.value(n); v != nil {
		return v.next
	}
	return None
}

// Key returns the key of member n, unescaped; empty when n is no member.
func (d *Document) Key(n Node) string { return string(d.KeyBytes(n)) }

// KeyBytes is Key without a copy: the bytes are the Document's.
func (d *Document) KeyBytes(n Node) []byte {
	v := d.value(n)
	switch {
	case v == nil || v.key.end == 0:
		return nil
	case v.unquoted > 0:
		s := d.spans[v.unquoted-1]
		return d.keys[s.start:s.end]
	}
	return d.data[v.key.start+1 : v.key.end-1]
}

// Span returns where n stands in the data, quotes and brackets included.
func (d *Document) Span(n Node) (start, end int) {
	if v := d.value(n); v != nil {
		return int(v.start), int(v.end)
	}
	if v := d.keyOwner(n); v != nil {
		return int(v.key.start), int(v.key.end)
	}
	return 0, 0
}

// Raw returns the bytes of n as they stand in the data.
func (d *Document) Raw(n Node) []byte {
	start, end := d.Span(n)
	return d.data[start:end]
}

// Data returns the bytes that were parsed.
func (d *Document) Data() []byte { return d.data }

// String returns the text of n, unescaped. It is false unless n is a string.
func (d *Document) String(n Node) (string, bool) {
	b, ok := d.Bytes(n)
	return string(b), ok
}

// Bytes is String with a copy only where the text had escapes: the bytes are
// the Document's.
func (d *Document) Bytes(n Node) ([]byte, bool) {
	if v := d.value(n); v != nil && v.kind == String && !v.escaped {
		return d.data[v.start+1 : v.end-1], true
	}
	return d.AppendString(nil, n)
}

// AppendString appends the text of n, unescaped. It is false unless n is a string.
func (d *Document) AppendString(dst []byte, n Node) ([]byte, bool) {
	v := d.value(n)
	switch {
	case v == nil && d.keyOwner(n) != nil:
		return append(dst, d.KeyBytes(-2-n)...), true
	case v == nil || v.kind != String:
		return dst, false
	case !v.escaped:
		return append(dst, d.data[v.start+1:v.end-1]...), true
	}
	dst, err := jsontext.AppendUnquote(dst, d.data[v.start:v.end])
	return dst, err == nil
}

// Is reports whether n is the string s.
func (d *Document) Is(n Node, s string) bool {
	v := d.value(n)
	if v == nil || v.kind != String {
		return false
	}
	if !v.escaped {
		return string(d.data[v.start+1:v.end-1]) == s
	}
	t, _ := d.String(n)
	return t == s
}

// Int returns n as an integer. It is false unless n is written as a plain
// integer that fits: 1.0, 1e3 and -0 are not.
func (d *Document) Int(n Node) (int64, bool) {
	if d.Kind(n) != Number {
		return 0, false
	}
	raw := d.Raw(n)
	if bytes.Equal(raw, minusZero) {
		return 0, false
	}
	v, err := strconv.ParseInt(string(raw), 10, 64)
	return v, err == nil
}

var minusZero = []byte("-0")

// Edit replaces the bytes from Start up to End of a document by With.
type Edit struct {
	Start, End int
	With       string
}

// Splice appends the document with the edits made. The edits must be sorted
// and must not overlap.
func (d *Document) Splice(dst []byte, edits ...Edit) []byte {
	at := 0
	for _, e := range edits {
		dst = append(dst, d.data[at:e.Start]...)
		dst = append(dst, e.With...)
		at = e.End
	}
	return append(dst, d.data[at:]...)
}
