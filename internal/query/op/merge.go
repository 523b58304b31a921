package op

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var mergeOp = Operator{
	Name: "merge", Tier: 2,
	Form: `merge [FIELD [takeFirst|takeLast|takeDistinct|join with "TEXT"] [as NAME], …]`,
	Help: "Makes one row of all rows or, within transactionize, of each group: of each field the oldest value, the newest, the different ones, or all of them, one a line unless a text to join with is given. " +
		"Without fields, of _raw.",
	Example: `transactionize requestId (merge eventName takeDistinct, _messagetime takeFirst as start)`,
	compile: func(b *builder, c *syntax.Cursor) error { return b.merge(c, nil) },
}

// mergeField is how one field of the rows becomes one.
type mergeField struct {
	name string
	x    *core.Expr
	how  string
	sep  string
}

// merging is what a merge runs: the columns that make groups, with the first of
// them their number, and the fields behind them.
type merging struct {
	group  int
	in     []core.Named
	out    []core.Col
	fields []mergeField
}

func compileMergeFields(b *builder, c *syntax.Cursor) ([]mergeField, error) {
	if c.Done() {
		return []mergeField{{name: rawColumn, how: "join", sep: "\n"}, {name: event.MessageTime.String(), how: "takeFirst"}}, nil
	}
	var list []mergeField
	for {
		at := c.Span()
		m, err := readMergeField(b, c)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(o mergeField) bool { return strings.EqualFold(o.name, m.name) }) {
			return nil, b.errorf(at, CodeDuplicate, "two fields are called %s\ngive one another name with as", m.name)
		}
		if list = append(list, m); !c.Punct(',') {
			return list, nil
		}
	}
}

func readMergeField(b *builder, c *syntax.Cursor) (mergeField, error) {
	f, err := c.Field()
	if err != nil {
		return mergeField{}, err
	}
	m := mergeField{name: f.Name, how: "join", sep: "\n"}
	if m.x, err = b.field(f.Name, f.Span()); err != nil {
		return m, err
	}
	if word, ok := c.Word("takeFirst", "takeLast", "takeDistinct", "join"); ok {
		m.how = word
	}
	if _, ok := c.Word("with"); ok && m.how == "join" {
		if m.sep, err = c.String(); err != nil {
			return m, err
		}
		m.sep = anchorEscapes.Replace(m.sep)
	}
	take := m.how == "takeFirst" || m.how == "takeLast"
	if strings.EqualFold(f.Name, event.MessageTime.String()) && !take {
		return m, b.errorf(f.Span(), CodeValue, "%s is one time\nwrite: %s takeFirst, or takeLast", f.Name, f.Name)
	}
	if m.x = scalar(m.x); !take {
		m.x = toText(m.x)
	}
	if _, ok := c.Word("as"); ok {
		m.name, err = c.Name()
	}
	return m, err
}

// readInnerMerge reads (merge …), in the brackets of transactionize.
func (b *builder) readInnerMerge(c *syntax.Cursor, t *connection) error {
	at := c.Span()
	q, err := c.Pipeline()
	if err != nil {
		return err
	}
	first := q.Stages[0].Tokens
	if len(q.Stages) > 1 || len(first) == 0 || !strings.EqualFold(first[0].Text, "merge") {
		return b.errorf(at, CodeUnsupported, "only merge can stand in these brackets\nput other stages behind, and %s among their by fields", t.prefix)
	}
	inner := syntax.NewCursor(q.Stages[0], q)
	inner.Next()
	var group []column
	for _, col := range t.added {
		i := slices.IndexFunc(b.cols, func(c column) bool { return c.col == col })
		group = append(group, b.cols[i])
	}
	if err := b.merge(inner, group); err != nil {
		return err
	}
	return inner.End()
}

// merge compiles the stage, over groups of rows or, with no columns for them,
// over all rows.
func (b *builder) merge(c *syntax.Cursor, group []column) error {
	fields, err := compileMergeFields(b, c)
	if err != nil {
		return err
	}
	m := &merging{group: len(group), fields: fields}
	for _, g := range group {
		m.add(g.name, g.read())
	}
	for i := range fields {
		f := &fields[i]
		if f.x == nil { // of merge alone
			if f.x, err = b.field(f.name, c.Last()); err != nil {
				return err
			}
		}
		m.add(f.name, f.x)
	}
	order := b.order
	if b.raw && len(group) == 0 {
		order = b.oldestFirst()
	}
	h := &core.Host{In: b.ordered(m.in, order), Name: "merge", Out: m.out, MaxRows: b.env.Limits.Rows, Run: m.run}
	b.cols, b.hidden, b.shown, b.order, b.keys = nil, nil, nil, nil, nil
	for i, col := range m.out {
		if i < len(group) {
			b.have(group[i].name, col)
			continue
		}
		b.have(fields[i-len(group)].name, col)
	}
	if len(group) > 0 {
		b.order = []core.Key{{Expr: core.C(m.out[0].Name, m.out[0].Type)}}
	}
	b.plan, b.raw, b.fixed, b.chain, b.dynamic = h, false, 0, nil, false
	return nil
}

// add takes one more column.
func (m *merging) add(name string, x *core.Expr) {
	n := core.Named{Name: unique(name, m.in), Expr: x}
	m.in = append(m.in, n)
	m.out = append(m.out, core.Col{Name: n.Name, Type: x.Type})
}

// ordered is a plan of the columns of out in an order that may need others.
func (b *builder) ordered(out []core.Named, order []core.Key) core.Plan {
	p := &core.Project{In: b.plan, Out: slices.Clone(out)}
	var keys []core.Key
	for _, k := range order {
		n := core.Named{Name: unique(hiddenPrefix+"order", p.Out), Expr: k.Expr}
		p.Out = append(p.Out, n)
		keys = append(keys, core.Key{Expr: core.C(n.Name, k.Expr.Type), Desc: k.Desc})
	}
	return sorted(p, keys)
}

// run merges rows that follow each other. A row of no group stays alone.
func (m *merging) run(cols []core.Col, rows [][]any) ([]core.Col, [][]any, []string, error) {
	rows = pick(cols, rows, m.in)
	if textBytes(rows) > maxConnected {
		return nil, nil, nil, fmt.Errorf("the rows have more than %d MiB of text; merge fewer fields", maxConnected>>20)
	}
	var out [][]any
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && (m.group == 0 || rows[start][0] != nil && rows[end][0] == rows[start][0]) {
			end++
		}
		row := slices.Clone(rows[start][:m.group])
		for i, f := range m.fields {
			v, err := f.merge(rows[start:end], m.group+i)
			if err != nil {
				return nil, nil, nil, err
			}
			row = append(row, v)
		}
		out = append(out, row)
		start = end
	}
	return m.out, out, nil, nil
}

// merge is one value for those of a column. Nulls do not count.
func (f *mergeField) merge(rows [][]any, at int) (any, error) {
	var list []any
	seen := map[any]bool{} // of texts and numbers
	for _, row := range rows {
		if v := row[at]; v != nil && (f.how != "takeDistinct" || !seen[v]) {
			seen[v] = true
			list = append(list, v)
		}
	}
	switch {
	case len(list) == 0:
		return nil, nil
	case f.how == "takeFirst":
		return list[0], nil
	case f.how == "takeLast":
		return list[len(list)-1], nil
	case len(list)*len(f.sep) > maxConnected:
		return nil, fmt.Errorf("the text to join %d values with makes them too long", len(list))
	}
	var texts []string
	for _, v := range list {
		texts = append(texts, fmt.Sprint(v))
	}
	return strings.Join(texts, f.sep), nil
}
