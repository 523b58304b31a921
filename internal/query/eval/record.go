package eval

import (
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
)

// jsonGet gives the value at path in the document that doc is, as read takes it.
func jsonGet[T any](doc fn[string], path []core.Step, read func(*document, int) (T, bool)) fn[T] {
	return func(r *Row) (zero T, ok bool) {
		s, ok := doc(r)
		if !ok {
			return zero, false
		}
		d := r.document(s)
		at := d.root()
		for _, step := range path {
			if at < 0 {
				return zero, false
			}
			at = d.child(at, step.Key, step.Index)
		}
		if at < 0 {
			return zero, false
		}
		return read(d, at)
	}
}

// root is the node of the whole, -1 when the text is no JSON.
func (d *document) root() int {
	if len(d.nodes) == 0 {
		return -1
	}
	return 0
}

// The values of a JSONGet that is typed; one of another type is null.

func (d *document) bit(i int) (bool, bool) {
	c := d.kind(i)
	return c == 't', c == 't' || c == 'f'
}

func (d *document) int(i int) (int64, bool) {
	n, err := strconv.ParseInt(d.written(i), 10, 64)
	return n, err == nil
}

func (d *document) num(i int) (float64, bool) {
	if c := d.kind(i); c == '"' || c > '9' {
		return 0, false
	}
	x, err := strconv.ParseFloat(d.written(i), 64)
	return x, err == nil
}

// jsonFold finds a name as people write it: dots between keys, [n] behind an
// array, in any case. A name in its own case comes first; keys that hold dots
// themselves come last.
func (c *compiler) jsonFold(e *core.Expr) fn[string] {
	doc, name := c.text(e.Args[0]), e.S
	return func(r *Row) (string, bool) {
		s, ok := doc(r)
		if !ok {
			return "", false
		}
		d := r.document(s)
		if d.root() < 0 {
			return "", false
		}
		at := d.find(0, name, false)
		if at < 0 {
			at = d.find(0, name, true)
		}
		if at < 0 {
			return "", false
		}
		return d.value(at)
	}
}

// find gives the node that name leads to from node i, -1 for none: a value that
// is not null. It tries keys whole up to each dot, so it visits a node at most
// once for each way its keys spell a part of name, of which there is one.
func (d *document) find(i int, name string, fold bool) int {
	switch {
	case name == "" && d.kind(i) != 'n':
		return i
	case name == "":
		return -1
	case d.kind(i) == '[':
		return d.findIn(i, name, fold)
	case d.kind(i) != '{':
		return -1
	}
	end := int(d.nodes[i].next)
	whole := -1
	for k := i + 1; k < end; k = int(d.nodes[k+1].next) {
		rest, dotted, ok := cutKey(name, d.str(k), fold)
		if !ok {
			continue
		}
		at := d.find(k+1, rest, fold)
		if at >= 0 && !dotted {
			return at
		}
		if at >= 0 && whole < 0 {
			whole = at
		}
	}
	return whole
}

// cutKey takes a key from the head of a name. Dotted says that the key itself
// holds dots.
func cutKey(name, key string, fold bool) (rest string, dotted, ok bool) {
	if len(name) < len(key) || key == "" {
		return "", false, false
	}
	head, rest := name[:len(key)], name[len(key):]
	if head != key && !(fold && strings.EqualFold(head, key)) {
		return "", false, false
	}
	switch {
	case strings.HasPrefix(rest, "."):
		rest = rest[1:]
		ok = rest != ""
	default:
		ok = rest == "" || rest[0] == '['
	}
	return rest, strings.Contains(key, "."), ok
}

// findIn goes on from an array, where name must begin with [n].
func (d *document) findIn(i int, name string, fold bool) int {
	if name[0] != '[' {
		return -1
	}
	digits, rest, ok := strings.Cut(name[1:], "]")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil {
		return -1
	}
	at := d.child(i, "", int(n))
	if at < 0 {
		return -1
	}
	return d.find(at, strings.TrimPrefix(rest, "."), fold)
}

// jsonLen compiles JSONLen.
func (c *compiler) jsonLen(e *core.Expr) fn[int64] {
	doc := c.text(e.Args[0])
	return func(r *Row) (int64, bool) {
		s, ok := doc(r)
		if !ok {
			return 0, false
		}
		d := r.document(s)
		if d.root() < 0 {
			return 0, false
		}
		n := d.length(0)
		return int64(n), n >= 0
	}
}

// jsonHas compiles JSONHas.
func (c *compiler) jsonHas(e *core.Expr) boolFn {
	doc, value := c.text(e.Args[0]), c.text(e.Args[1])
	return func(r *Row) bool {
		s, ok := doc(r)
		if !ok {
			return false
		}
		v, ok := value(r)
		if !ok {
			return false
		}
		d := r.document(s)
		return d.root() == 0 && d.has(v)
	}
}

// has says that the document is an array with v among its strings, numbers and
// booleans.
func (d *document) has(v string) bool {
	if d.kind(0) != '[' {
		return false
	}
	for i := 1; i < len(d.nodes); i = int(d.nodes[i].next) {
		switch d.kind(i) {
		case '"':
			if d.isKey(i, v) {
				return true
			}
		case '[', '{', 'n':
		default:
			if d.written(i) == v {
				return true
			}
		}
	}
	return false
}
