package op

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var transposeOp = Operator{
	Name: "transpose", Tier: 1,
	Form: "transpose row FIELD, … column FIELD, … [as NAME, …, *]",
	Help: "Turns the values of a field into columns: one row of each value of the row fields, one column of each value of the column fields, filled with the aggregate. " +
		"At most 300 columns, in order of name; holes are null. Later stages know the columns that as lists.",
	Example: "timeslice 1h | count by _timeslice, eventName | transpose row _timeslice column eventName",
	compile: compileTranspose,
}

// maxTransposed is how many columns a transpose makes of values.
const maxTransposed = 300

// transposed is the stage as read.
type transposed struct {
	rows, cols []column
	value      column
	names      []string // asked for; nil takes all
	rest       bool     // and all others
}

func compileTranspose(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	if b.raw {
		return b.errorf(at, CodeValue, "transpose works on groups, and these rows are records\nput an aggregate before it")
	}
	t, err := b.readTranspose(c)
	if err != nil {
		return err
	}
	var others []string
	for _, col := range b.display() {
		if !slices.Contains(t.rows, col) && !slices.Contains(t.cols, col) {
			t.value = col
			others = append(others, col.name)
		}
	}
	if len(others) != 1 {
		return b.errorf(at, CodeValue, "transpose needs one field besides those of its rows and columns, and there are %d%s\nchoose with fields",
			len(others), ifTrue(len(others) > 0, ": "+strings.Join(others, ", ")))
	}
	b.transpose(t)
	return nil
}

func (b *builder) readTranspose(c *syntax.Cursor) (*transposed, error) {
	t := &transposed{rest: true}
	var err error
	if t.rows, err = b.readColumns(c, "row"); err != nil {
		return nil, err
	}
	if t.cols, err = b.readColumns(c, "column"); err != nil {
		return nil, err
	}
	if _, ok := c.Word("as"); !ok {
		return t, nil
	}
	t.rest = false
	for {
		if c.Punct('*') {
			t.rest = true
			return t, nil
		}
		at := c.Span()
		name, err := c.Name()
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(t.names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return nil, b.errorf(at, CodeDuplicate, "the column %s is named twice", name)
		}
		t.names = append(t.names, name)
		if !c.Punct(',') {
			return t, nil
		}
	}
}

// readColumns reads WORD f, g, which have to be columns.
func (b *builder) readColumns(c *syntax.Cursor, word string) ([]column, error) {
	if err := c.Expect(word); err != nil {
		return nil, err
	}
	fields, err := fieldList(c)
	if err != nil {
		return nil, err
	}
	var out []column
	for _, f := range fields {
		if _, err := b.field(f.Name, f.Span()); err != nil {
			return nil, err
		}
		col, ok := b.lookup(f.Name)
		if !ok && !b.broken {
			return nil, b.unknown(f.Name, f.Span(), "no earlier stage gives a field "+f.Name)
		}
		out = append(out, col)
	}
	return out, nil
}

// transpose puts the stage that pivots on top of the rows in their order.
func (b *builder) transpose(t *transposed) {
	var out []core.Named
	var cols []core.Col
	var order []core.Key
	for _, c := range slices.Concat(t.rows, t.cols, []column{t.value}) {
		n := core.Named{Name: unique(c.name, out), Expr: c.read()}
		out = append(out, n)
		if len(out) <= len(t.rows) {
			cols = append(cols, core.Col{Name: n.Name, Type: n.Expr.Type})
			order = append(order, core.Key{Expr: core.C(n.Name, n.Expr.Type)})
		}
	}
	p := &pivot{value: out[len(out)-1], names: t.names, rest: t.rest}
	p.rows, p.cols = out[:len(t.rows)], out[len(t.rows):len(out)-1]
	for _, name := range t.names {
		cols = append(cols, core.Col{Name: name, Type: t.value.col.Type})
	}
	h := &core.Host{In: sorted(&core.Project{In: b.plan, Out: out}, order), Name: "transpose", MaxRows: b.env.Limits.Groups, Run: p.run}
	if !t.rest {
		h.Out = cols
	}
	b.cols, b.hidden, b.shown, b.fixed = nil, nil, nil, 0
	for _, c := range cols {
		b.have(c.Name, c)
	}
	b.keys = keysOf(t.rows)
	b.plan, b.order, b.dynamic = h, order, t.rest
}

// pivot is what a transpose runs: the columns of its input by what they are for.
type pivot struct {
	rows, cols []core.Named
	value      core.Named
	names      []string
	rest       bool
}

func (p *pivot) run(cols []core.Col, rows [][]any) ([]core.Col, [][]any, []string, error) {
	rows = pick(cols, rows, slices.Concat(p.rows, p.cols, []core.Named{p.value}))
	names, warnings := p.columns(rows)
	var out []core.Col
	for _, r := range p.rows {
		out = append(out, core.Col{Name: r.Name, Type: r.Expr.Type})
	}
	index := map[string]int{}
	for _, name := range names {
		index[strings.ToLower(name)] = len(out)
		out = append(out, core.Col{Name: name, Type: p.value.Expr.Type})
	}
	var res [][]any
	at := map[string]int{}
	for _, row := range rows {
		key := fmt.Sprintf("%#v", row[:len(p.rows)]) // not %q, which takes an integer for a character
		i, ok := at[key]
		if !ok {
			i = len(res)
			at[key] = i
			res = append(res, append(slices.Clone(row[:len(p.rows)]), make([]any, len(names))...))
		}
		if j, ok := index[strings.ToLower(p.name(row))]; ok && res[i][j] == nil {
			res[i][j] = row[len(row)-1]
		}
	}
	return out, res, warnings, nil
}

// pick gives the rows with the named columns only, in their order: an engine
// keeps names, and no order of columns.
func pick(cols []core.Col, rows [][]any, want []core.Named) [][]any {
	var index []int
	for _, w := range want {
		index = append(index, slices.IndexFunc(cols, func(c core.Col) bool { return c.Name == w.Name }))
	}
	out := make([][]any, len(rows))
	for i, row := range rows {
		out[i] = make([]any, len(index))
		for j, at := range index {
			out[i][j] = row[at]
		}
	}
	return out
}

// name is the column that a row's value goes to.
func (p *pivot) name(row []any) string {
	var parts []string
	for _, v := range row[len(p.rows) : len(row)-1] {
		if v != nil {
			parts = append(parts, fmt.Sprint(v))
		}
	}
	if len(parts) == 0 {
		return "(none)"
	}
	return strings.Join(parts, "_")
}

// columns are those asked for and, with rest, the others that the rows have, by
// name. Names that differ in case only are one.
func (p *pivot) columns(rows [][]any) ([]string, []string) {
	if !p.rest {
		return p.names, nil
	}
	seen := map[string]bool{}
	for _, c := range p.rows {
		seen[strings.ToLower(c.Name)] = true
	}
	for _, n := range p.names {
		seen[strings.ToLower(n)] = true
	}
	var found, warnings []string
	for _, row := range rows {
		if n := p.name(row); !seen[strings.ToLower(n)] {
			seen[strings.ToLower(n)] = true
			found = append(found, n)
		}
	}
	slices.Sort(found)
	if len(found) > maxTransposed {
		warnings = append(warnings, fmt.Sprintf("transpose found %d values for columns and shows the first %d", len(found), maxTransposed))
		found = found[:maxTransposed]
	}
	return slices.Concat(p.names, found), warnings
}
