package op

import (
	"slices"
	"strings"

	"gatehouse/internal/query/syntax"
)

var fieldsOp = Operator{
	Name: "fields", Tier: 1,
	Form:    "fields [-] FIELD, …",
	Help:    "Keeps the fields listed, in this order, and forgets the others; those that start with _ stay at hand and are not shown. With - it forgets the fields listed.",
	Example: "fields eventName, sourceIPAddress",
	compile: compileFields,
}

func compileFields(b *builder, c *syntax.Cursor) error {
	drop := c.Punct('-')
	if !drop {
		c.Punct('+')
	}
	list, err := fieldList(c)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range list {
		if seen[strings.ToLower(f.Name)] {
			return b.errorf(f.Span(), CodeDuplicate, "the field %s is named twice", f.Name)
		}
		seen[strings.ToLower(f.Name)] = true
	}
	if drop {
		return b.dropFields(list)
	}
	return b.keepFields(list)
}

// keepFields makes columns of those that are paths of the record, then forgets
// all others.
func (b *builder) keepFields(list []*syntax.Field) error {
	var shown []string
	for _, f := range list {
		x, err := b.field(f.Name, f.Span())
		if err != nil {
			return err
		}
		if c, ok := b.lookup(f.Name); !ok || c.name != f.Name { // printed as written
			b.set(assign{f.Name, x})
		}
		shown = append(shown, strings.ToLower(f.Name))
	}
	b.forget(func(c column) bool { return !slices.Contains(shown, c.key()) && !strings.HasPrefix(c.name, "_") })
	b.shown, b.fixed = shown, b.n
	return nil
}

func (b *builder) dropFields(list []*syntax.Field) error {
	for _, f := range list {
		if _, err := b.field(f.Name, f.Span()); err != nil {
			return err
		}
		key := strings.ToLower(f.Name)
		if b.raw && b.fixed == 0 { // what is shown by itself can be hidden
			for _, c := range b.display() {
				b.show(c.name)
			}
			b.shown = keysOf(b.display())
			b.fixed = b.n
		}
		b.forget(func(c column) bool { return c.key() == key })
	}
	return nil
}

func keysOf(cols []column) []string {
	var keys []string
	for _, c := range cols {
		keys = append(keys, c.key())
	}
	return keys
}

// forget takes columns from sight. Those that the order needs stay in the plan.
func (b *builder) forget(which func(column) bool) {
	var cols []column
	for _, c := range b.cols {
		if !which(c) {
			cols = append(cols, c)
			continue
		}
		b.hidden = append(b.hidden, c.col)
		b.shown = slices.DeleteFunc(b.shown, func(key string) bool { return key == c.key() })
	}
	b.cols = cols
}
