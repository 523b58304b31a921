package lake

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"gatehouse/internal/event"
)

// Bounds of what a catalogue lists.
const (
	MaxPaths  = 20_000 // of a segment, and of a lake
	maxIndex  = 16     // elements of an array of objects
	maxNested = 64     // objects and arrays in each other
	maxKey    = 256    // bytes of a key
)

// tree collects the paths of records as they are added. It reads JSON by
// itself, without building anything, as this happens for every record: records
// of a kind have their keys in the same order, so the child after the last one
// is nearly always the next.
//
// The text must be JSON, as parsers leave it. Of anything else a tree notes
// whatever it makes of it.
type tree struct {
	root     branch
	n        int
	overflow bool
}

type branch struct {
	step   Step
	parent *branch
	column bool // a column of the table has this name
	kinds  Kinds
	kids   []*branch
	byKey  map[string]*branch // of kids, when there are many
	next   int                // the kid that is likely to come next
}

func newTree() *tree { return new(tree) }

// add notes the paths of one record.
func (t *tree) add(record []byte) {
	s := scanner{b: record, t: t}
	s.value(&t.root, 0)
}

// catalogue lists what was noted.
func (t *tree) catalogue() *Catalogue {
	c := &Catalogue{Overflow: t.overflow}
	var walk func(b *branch, steps []Step)
	walk = func(b *branch, steps []Step) {
		if n := b.kinds.Total(); n > 0 && !b.column && len(steps) > 0 {
			c.Paths = append(c.Paths, Path{Steps: append([]Step(nil), steps...), Kinds: b.kinds, Segments: 1})
		}
		for _, kid := range b.kids {
			walk(kid, append(steps, kid.step))
		}
	}
	walk(&t.root, nil)
	c.sort()
	return c
}

// kid finds or makes the child at a key (raw) or index; nil when there are too
// many.
func (t *tree) kid(b *branch, step Step, raw []byte) *branch {
	if b.next < len(b.kids) {
		if k := b.kids[b.next]; k.is(step, raw) {
			b.next++
			return k
		}
	}
	k := b.find(step, raw)
	if k != nil {
		return k
	}
	if t.n >= MaxPaths || len(raw) > maxKey {
		t.overflow = true
		return nil
	}
	t.n++
	if raw != nil {
		step.Key = string(raw)
	}
	k = &branch{step: step, parent: b}
	f, ok := event.Lookup(k.name())
	k.column = ok && event.Columns[f].Path
	b.kids = append(b.kids, k)
	b.next = len(b.kids)
	if b.byKey != nil {
		b.byKey[step.Key] = k
	}
	return k
}

func (b *branch) name() string {
	if b.parent == nil {
		return ""
	}
	return join(b.parent.name(), b.step)
}

func (b *branch) is(step Step, raw []byte) bool {
	return b.step.Index == step.Index && b.step.Key == string(raw)
}

// find looks a child up among all. Indices are found by trying, keys by a map
// once there are more than a few.
func (b *branch) find(step Step, raw []byte) *branch {
	if step.Index < 0 && len(b.kids) > 8 {
		if b.byKey == nil {
			b.byKey = make(map[string]*branch, 2*len(b.kids))
			for _, k := range b.kids {
				if k.step.Index < 0 {
					b.byKey[k.step.Key] = k
				}
			}
		}
		return b.byKey[string(raw)]
	}
	for i, k := range b.kids {
		if k.is(step, raw) {
			b.next = i + 1
			return k
		}
	}
	return nil
}

// scanner walks one JSON text. Every method moves i forward or to the end.
type scanner struct {
	b []byte
	i int
	t *tree
}

// value reads one value that stands at the path of br, nil where none is noted.
func (s *scanner) value(br *branch, depth int) {
	c := s.peek()
	if depth > maxNested {
		s.t.overflow, br = true, nil
	}
	if br == nil || c != '{' && c != '[' {
		s.note(br, c)
		s.skip(c)
		return
	}
	br.kinds[kindOf(c)]++
	if s.i++; c == '{' {
		s.object(br, depth)
	} else {
		s.array(br, depth)
	}
}

func (s *scanner) note(br *branch, c byte) {
	if br == nil {
		return
	}
	if k := kindOf(c); k >= 0 {
		br.kinds[k]++
	}
}

// object reads the members of an object, after its brace.
func (s *scanner) object(br *branch, depth int) {
	br.next = 0
	for {
		switch s.peek() {
		case ',':
			s.i++
		case '"':
			key := s.key()
			if s.peek() == ':' {
				s.i++
			}
			kid := s.t.kid(br, Step{Index: -1}, key)
			s.value(kid, depth+1)
		case '}':
			s.i++
			return
		default: // the end, or no JSON
			s.i = len(s.b)
			return
		}
	}
}

// array reads the elements of an array, after its bracket. Only objects and
// arrays among them have paths.
func (s *scanner) array(br *branch, depth int) {
	br.next = 0
	for n := 0; ; {
		switch c := s.peek(); c {
		case ',':
			s.i++
		case ']':
			s.i++
			return
		case 0, '}', ':':
			s.i = len(s.b)
			return
		default:
			var kid *branch
			if n < maxIndex && (c == '{' || c == '[') {
				kid = s.t.kid(br, Step{Index: n}, nil)
			}
			s.value(kid, depth+1)
			n++
		}
	}
}

// peek returns the next byte that is not space, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// key reads a key with its escapes resolved.
func (s *scanner) key() []byte {
	from := s.i
	s.text()
	quoted := s.b[from:s.i]
	if len(quoted) < 2 {
		return nil
	}
	key := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(key, '\\') >= 0 || !utf8.Valid(key) {
		var plain string
		if json.Unmarshal(quoted, &plain) == nil {
			return []byte(plain)
		}
	}
	return key
}

// text moves past a string that begins here.
func (s *scanner) text() {
	for s.i++; s.i < len(s.b); s.i++ {
		n := bytes.IndexByte(s.b[s.i:], '"')
		if n < 0 {
			break
		}
		s.i += n
		slashes := 0
		for at := s.i - 1; at >= 0 && s.b[at] == '\\'; at-- {
			slashes++
		}
		if slashes%2 == 0 {
			s.i++
			return
		}
	}
	s.i = len(s.b)
}

// skip moves past a value that begins with c.
func (s *scanner) skip(c byte) {
	switch c {
	case '"':
		s.text()
	case '{', '[':
		s.skipNested()
	case 0:
	default:
		for s.i++; s.i < len(s.b); s.i++ {
			switch s.b[s.i] {
			case ',', '}', ']', ' ', '\t', '\r', '\n':
				return
			}
		}
	}
}

func (s *scanner) skipNested() {
	for depth := 0; s.i < len(s.b); {
		switch s.b[s.i] {
		case '"':
			s.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.i++; depth == 0 {
			return
		}
	}
}
