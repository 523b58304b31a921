package normalise

import (
	"strings"

	"github.com/valyala/fastjson"

	"gatehouse/internal/event"
)

// branch is a node of the tree of the names of columns, split at their dots and
// in lower case. Walking a record beside it finds what the record has at the
// names of columns in one pass, however many columns there are.
type branch struct {
	field event.Field
	is    bool // a column ends here
	name  string
	next  map[string]*branch
}

// columns makes the tree of the columns that stand for the record's own paths.
func columns() *branch {
	root := &branch{}
	for f := range event.NumFields {
		col := event.Columns[f]
		if !col.Path {
			continue
		}
		root.add(strings.Split(col.Name, "."), f)
		if strings.Contains(col.Name, ".") {
			root.add([]string{col.Name}, f) // a member that is called so as a whole
		}
	}
	return root
}

func (b *branch) add(way []string, f event.Field) {
	for _, name := range way {
		if b.next == nil {
			b.next = make(map[string]*branch)
		}
		low := strings.ToLower(name)
		if b.next[low] == nil {
			b.next[low] = &branch{name: name}
		}
		b = b.next[low]
	}
	b.field, b.is = f, true
}

// maxName is above the longest name of a column.
const maxName = 64

// fill gives each column that has no value yet the record's own: of the member
// that is spelled like the column, or else of one that differs in case.
func (b *branch) fill(n *Normaliser, doc *fastjson.Value) {
	if doc.Type() != fastjson.TypeObject {
		return
	}
	o, _ := doc.Object()
	other := false // members in another case were seen
	o.Visit(func(key []byte, v *fastjson.Value) {
		if sub := b.under(key); sub != nil {
			if string(key) != sub.name {
				other = true
				return
			}
			sub.take(n, v)
		}
	})
	if !other {
		return
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		if sub := b.under(key); sub != nil && string(key) != sub.name {
			sub.take(n, v)
		}
	})
}

// under finds the branch for a member.
func (b *branch) under(key []byte) *branch {
	var low [maxName]byte
	if len(key) > maxName {
		return nil
	}
	for i, c := range key {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	return b.next[string(low[:len(key)])]
}

func (b *branch) take(n *Normaliser, v *fastjson.Value) {
	if b.is {
		if c := (cell{n, b.field}); !c.filled() {
			c.value(v)
		}
	}
	if b.next != nil {
		b.fill(n, v)
	}
}
