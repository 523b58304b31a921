package lake

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Catalogue lists the paths that records have besides those that columns of
// event.Columns answer for: to complete names, to find them whatever their
// case, to know what a value will be, and to know that nothing has a name.
//
// It must not be changed once it is in use, and may then be used by several
// goroutines.
type Catalogue struct {
	Paths []Path // by spelling
	// Overflow: there were more paths than a catalogue lists, so that one it
	// does not list may still occur.
	Overflow bool

	once    sync.Once
	byName  map[string][]int // exact
	byLower map[string][]int
}

// A Path is where in records a value is found, and of what kinds it was.
type Path struct {
	Steps    []Step
	Kinds    Kinds
	Segments int // in how many it occurs
}

// A Step goes into an object by a key, or into an array by an index. Index is
// -1 when it is a key.
type Step struct {
	Key   string
	Index int
}

// Kinds counts values by kind, in the order of the Kind constants.
type Kinds [5]int64

// A Kind is a kind of JSON value. Null is none: it is as if absent.
type Kind int

// The kinds of JSON values.
const (
	Number Kind = iota
	Boolean
	Text
	Object
	Array
)

func (k Kind) String() string {
	return [...]string{"number", "bool", "text", "object", "array"}[k]
}

// kindOf tells a value's kind by its first byte, -1 for null and for no value.
func kindOf(c byte) Kind {
	switch {
	case c == '"':
		return Text
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == 't' || c == 'f':
		return Boolean
	case c == '-' || c >= '0' && c <= '9':
		return Number
	}
	return -1
}

// Total is the number of values.
func (k Kinds) Total() int64 {
	var n int64
	for _, c := range k {
		n += c
	}
	return n
}

// Name is the path as queries spell it: keys joined by dots, indices in
// brackets. Keys that hold dots are not told apart; Steps does.
func (p Path) Name() string {
	name := ""
	for _, s := range p.Steps {
		name = join(name, s)
	}
	return name
}

func join(name string, s Step) string {
	switch {
	case s.Index >= 0:
		return name + "[" + strconv.Itoa(s.Index) + "]"
	case name == "":
		return s.Key
	}
	return name + "." + s.Key
}

// sort orders the paths by their spelling.
func (c *Catalogue) sort() {
	type spelled struct {
		text string
		path Path
	}
	all := make([]spelled, len(c.Paths))
	for i, p := range c.Paths {
		all[i] = spelled{spell(p.Steps), p}
	}
	slices.SortFunc(all, func(a, b spelled) int { return strings.Compare(a.text, b.text) })
	for i, s := range all {
		c.Paths[i] = s.path
	}
}

// Resolve returns the paths of that name, those that are seen most first: those
// spelled exactly so if there are any, or else those that differ in case. There
// may be several: {"a.b": 1} and {"a": {"b": 1}} have the same name.
func (c *Catalogue) Resolve(name string) []Path {
	c.once.Do(c.index)
	at := c.byName[name]
	if at == nil {
		at = c.byLower[strings.ToLower(name)]
	}
	found := make([]Path, len(at))
	for i, n := range at {
		found[i] = c.Paths[n]
	}
	slices.SortStableFunc(found, func(a, b Path) int { return cmp.Compare(b.Kinds.Total(), a.Kinds.Total()) })
	return found
}

func (c *Catalogue) index() {
	c.byName, c.byLower = map[string][]int{}, map[string][]int{}
	for i, p := range c.Paths {
		name := p.Name()
		c.byName[name] = append(c.byName[name], i)
		lower := strings.ToLower(name)
		c.byLower[lower] = append(c.byLower[lower], i)
	}
}

// Names returns the distinct names that begin with prefix, whatever its case,
// in order.
func (c *Catalogue) Names(prefix string) []string {
	prefix = strings.ToLower(prefix)
	var names []string
	for _, p := range c.Paths {
		if name := p.Name(); strings.HasPrefix(strings.ToLower(name), prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Merge returns a catalogue of the records of both.
func (c *Catalogue) Merge(o *Catalogue) *Catalogue {
	s := newSums(c)
	s.add(o)
	return s.catalogue()
}

// sums is a catalogue that is counted up and down as segments come and go.
type sums struct {
	paths    map[string]Path // by spelled path
	overflow bool
}

func newSums(c *Catalogue) *sums {
	s := &sums{map[string]Path{}, false}
	s.add(c)
	return s
}

func (s *sums) add(c *Catalogue) {
	s.overflow = s.overflow || c.Overflow
	for _, p := range c.Paths {
		key := spell(p.Steps)
		sum, ok := s.paths[key]
		if !ok && len(s.paths) >= MaxPaths {
			s.overflow = true
			continue
		}
		sum.Steps, sum.Segments = p.Steps, sum.Segments+p.Segments
		for k, n := range p.Kinds {
			sum.Kinds[k] += n
		}
		s.paths[key] = sum
	}
}

// remove is the reverse of add. What did not fit then is not missed.
func (s *sums) remove(c *Catalogue) {
	for _, p := range c.Paths {
		key := spell(p.Steps)
		sum, ok := s.paths[key]
		if !ok {
			continue
		}
		sum.Segments -= p.Segments
		for k, n := range p.Kinds {
			sum.Kinds[k] = max(0, sum.Kinds[k]-n)
		}
		if s.paths[key] = sum; sum.Segments <= 0 {
			delete(s.paths, key)
		}
	}
}

func (s *sums) catalogue() *Catalogue {
	c := &Catalogue{Paths: make([]Path, 0, len(s.paths)), Overflow: s.overflow}
	for _, key := range slices.Sorted(maps.Keys(s.paths)) {
		c.Paths = append(c.Paths, s.paths[key])
	}
	return c
}
