package op

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// renamedFields are the vendor's names for columns of ours.
var renamedFields = map[string]string{"_view": "_index"}

// field is the value that a name means where it stands: a column that a stage
// made, a column of the table of events, or a path of the record.
func (b *builder) field(name string, at syntax.Span) (*core.Expr, error) {
	b.reads(name)
	if ours := renamedFields[strings.ToLower(name)]; ours != "" {
		name = ours
	}
	if c, ok := b.lookup(name); ok {
		return c.read(), nil
	}
	switch {
	case b.broken && !b.raw, b.told[textOf(b.src, at)]:
		return core.NullOf(core.Text), nil
	case !b.raw:
		return nil, b.unknown(name, at, "no earlier stage gives a field "+name)
	case b.fixed > 0:
		return nil, b.unknown(name, at, "stage "+strconv.Itoa(b.fixed)+" left the field "+name+" out")
	}
	return b.recordField(name), nil
}

func (b *builder) reads(name string) {
	i := &b.info[len(b.info)-1]
	if !slices.ContainsFunc(i.Reads, func(r string) bool { return strings.EqualFold(r, name) }) {
		i.Reads = append(i.Reads, name)
	}
}

// unknown is the mistake of a name that means nothing.
func (b *builder) unknown(name string, at syntax.Span, what string) error {
	var have, own []string
	for _, c := range b.cols {
		have = append(have, c.name)
		if c.made || b.fixed > 0 && !strings.HasPrefix(c.name, "_") {
			own = append(own, c.name)
		}
	}
	if s := syntax.Suggest(name, have); s != "" {
		return b.errorf(at, CodeField, "%s\ndid you mean %s?", what, s)
	}
	if len(own) > 12 {
		own = append(own[:12:12], "…")
	}
	return b.errorf(at, CodeField, "%s\nthere are: %s", what, strings.Join(own, ", "))
}

// recordField is the value in the record at a name that is no column.
func (b *builder) recordField(name string) *core.Expr {
	path := name
	if rest, ok := cutPrefixFold(name, "fields."); ok {
		if c, ok := b.lookup(rest); ok && !c.made {
			return c.read()
		}
		path = rest
	}
	doc, ok := b.lookup(rawColumn)
	if !ok || doc.col.Type != core.Text {
		return core.NullOf(core.Text)
	}
	if b.env.Catalogue == nil {
		return &core.Expr{Op: core.JSONFold, Type: core.Text, Args: []*core.Expr{doc.read()}, S: path}
	}
	paths := b.env.Catalogue.Resolve(path)
	if len(paths) == 0 {
		b.warnAbsent(name)
		return core.NullOf(core.Text)
	}
	return pathsOf(doc.read(), paths)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// pathsOf is the first value that is there of several spellings. They are
// numbers only when all spellings are.
func pathsOf(doc *core.Expr, paths []Path) *core.Expr {
	t := paths[0].Type
	for _, p := range paths {
		if p.Type != t || !t.Number() {
			t = core.Text
		}
	}
	var list []*core.Expr
	for _, p := range paths {
		list = append(list, jsonGet(doc, p.Steps, t))
	}
	if len(list) == 1 {
		return list[0]
	}
	return do(core.Coalesce, list...)
}

func jsonGet(doc *core.Expr, steps []core.Step, t core.Type) *core.Expr {
	return &core.Expr{Op: core.JSONGet, Type: t, Args: []*core.Expr{doc}, Path: steps}
}

func (b *builder) warnAbsent(name string) {
	var have []string
	for _, c := range b.cols {
		have = append(have, c.name)
	}
	if s := syntax.Suggest(name, append(have, b.env.Catalogue.Names()...)); s != "" {
		b.doubt(Warning{b.n, fmt.Sprintf("no record has a field %s; did you mean %s?", name, s), true})
		return
	}
	b.doubt(Warning{b.n, "no record has a field " + name, true})
}

// Steps reads a name such as users[2].address.street as a path. A bracket that
// holds no index is part of its key.
func Steps(name string) []core.Step {
	var steps []core.Step
	for _, part := range strings.Split(name, ".") {
		key := part
		var indexes []core.Step
		for strings.HasSuffix(key, "]") {
			open := strings.LastIndexByte(key, '[')
			if open < 0 {
				break
			}
			i, err := strconv.Atoi(key[open+1 : len(key)-1])
			if err != nil || i < 0 {
				break
			}
			indexes = append(indexes, core.Step{Index: i})
			key = key[:open]
		}
		slices.Reverse(indexes)
		if key != "" || len(indexes) == 0 {
			steps = append(steps, core.Step{Key: key, Index: -1})
		}
		steps = append(steps, indexes...)
	}
	return steps
}

// existing is the value that a name has already, without the record's paths, or
// nil. A parse that does not match leaves it.
func (b *builder) existing(name string) *core.Expr {
	if c, ok := b.lookup(name); ok {
		return c.read()
	}
	return nil
}
