package op

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var lookupOp = Operator{
	Name: "lookup", Tier: 1,
	Form: "lookup FIELD [as NAME], …|* from PATH on FIELD=COLUMN [and|, …]",
	Help: "Adds columns of a table to the rows: those of the line whose keys equal the fields, whatever their case. " +
		"Rows without such a line stay, with null. Of lines with equal keys the last counts.",
	Example: `lookup owner, tier from "accounts.csv" on accountId=id`,
	compile: compileLookup,
}

var catOp = Operator{
	Name: "cat", Tier: 1,
	Form:    "cat PATH",
	Help:    "Gives the lines of a table instead of the rows so far.",
	Example: `cat "accounts.csv"`,
	compile: compileCat,
}

// lookupStage is the stage as read.
type lookupStage struct {
	out   []lookupOut
	all   bool
	table *Table
	path  string
	on    []lookupKey
}

type lookupOut struct {
	column, name string
	at           syntax.Span
}

type lookupKey struct {
	field  *core.Expr
	column int // of the table
}

// readTable reads a path and the table there.
func (b *builder) readTable(c *syntax.Cursor) (string, *Table, error) {
	at := c.Span()
	path, err := c.Path()
	if err != nil {
		return "", nil, err
	}
	if b.env.Lookup == nil {
		return "", nil, b.errorf(at, CodeUnsupported, "there are no tables here to look up in")
	}
	t, err := b.env.Lookup(tablePath(path))
	if err != nil {
		return "", nil, b.errorf(at, CodeValue, "table %s: %v", path, err)
	}
	return path, t, nil
}

// tablePath takes off what the vendor writes around a path.
func tablePath(path string) string {
	if scheme, rest, ok := strings.Cut(path, "://"); ok && strings.EqualFold(scheme, "path") {
		path = rest
	}
	return strings.Trim(path, `"`)
}

func compileCat(b *builder, c *syntax.Cursor) error {
	_, t, err := b.readTable(c)
	if err != nil {
		return err
	}
	b.replace(&core.Inline{Name: b.tableName(), Columns: t.Columns, Rows: t.Rows})
	return nil
}

// replace starts over with the rows of another plan, in no order.
func (b *builder) replace(p core.Plan) {
	b.cols, b.hidden, b.shown, b.order, b.keys = nil, nil, nil, nil, nil
	for _, c := range p.Cols() {
		b.have(c.Name, c)
	}
	b.plan, b.raw, b.fixed, b.chain, b.dynamic = p, false, 0, nil, false
}

// tableName is a name for a table of the request.
func (b *builder) tableName() string {
	b.names++
	return fmt.Sprintf("table%d", b.names)
}

func compileLookup(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	s, err := b.readLookup(c)
	if err != nil {
		return err
	}
	if s.table == nil {
		return b.lookupPlace(c, s)
	}
	if s.all {
		for i, col := range s.table.Columns {
			if !slices.ContainsFunc(s.on, func(k lookupKey) bool { return k.column == i }) {
				s.out = append(s.out, lookupOut{col.Name, col.Name, at})
			}
		}
	}
	return b.join(s)
}

func (b *builder) readLookup(c *syntax.Cursor) (*lookupStage, error) {
	s := &lookupStage{}
	for {
		if c.Punct('*') {
			s.all = true
		} else if err := s.readOut(c); err != nil {
			return nil, err
		}
		if !c.Punct(',') {
			break
		}
	}
	if err := c.Expect("from"); err != nil {
		return nil, err
	}
	if t := c.Peek(); t.Kind == syntax.TokURL && geoSource(t.Text) {
		return s, nil
	}
	var err error
	if s.path, s.table, err = b.readTable(c); err != nil {
		return nil, err
	}
	if err := c.Expect("on"); err != nil {
		return nil, err
	}
	for {
		if err := b.readOn(c, s); err != nil {
			return nil, err
		}
		if _, and := c.Word("and"); !and && !c.Punct(',') {
			return s, nil
		}
	}
}

func (s *lookupStage) readOut(c *syntax.Cursor) error {
	at := c.Span()
	name, err := c.Name()
	if err != nil {
		return err
	}
	o := lookupOut{name, name, at}
	if _, ok := c.Word("as"); ok {
		if o.name, err = c.Name(); err != nil {
			return err
		}
	}
	s.out = append(s.out, o)
	return nil
}

// readOn reads field=column.
func (b *builder) readOn(c *syntax.Cursor, s *lookupStage) error {
	f, err := c.Field()
	if err != nil {
		return err
	}
	x, err := b.field(f.Name, f.Span())
	if err != nil {
		return err
	}
	if err := c.Expect("="); err != nil {
		return err
	}
	at := c.Span()
	name, err := c.Name()
	if err != nil {
		return err
	}
	i, err := b.tableColumn(s, name, at)
	s.on = append(s.on, lookupKey{do(core.Lower, toText(x)), i})
	return err
}

func (b *builder) tableColumn(s *lookupStage, name string, at syntax.Span) (int, error) {
	var have []string
	for i, c := range s.table.Columns {
		if strings.EqualFold(c.Name, name) {
			return i, nil
		}
		have = append(have, c.Name)
	}
	hint := "there are: " + strings.Join(have, ", ")
	if near := syntax.Suggest(name, have); near != "" {
		hint = "did you mean " + near + "?"
	}
	return 0, b.errorf(at, CodeField, "table %s has no column %s\n%s", s.path, name, hint)
}

// join puts the table beside the rows. Its keys are made lower-case and unique
// here, since the whole of it is here.
func (b *builder) join(s *lookupStage) error {
	from, err := b.lookupColumns(s)
	if err != nil {
		return err
	}
	var keys []core.Key
	for _, k := range s.on {
		keys = append(keys, core.Key{Expr: k.field})
	}
	keys = b.stored(keys)
	have := taken(b.plan)
	right := &core.Inline{Name: b.tableName()}
	add := func(name string, t core.Type) *core.Expr {
		n := unique(hiddenPrefix+name, have)
		have = append(have, core.Named{Name: n})
		right.Columns = append(right.Columns, core.Col{Name: n, Type: t})
		return core.C(n, t)
	}
	join := &core.Join{L: b.plan, R: right, Kind: core.Left}
	for _, k := range keys {
		join.On = append(join.On, [2]*core.Expr{k.Expr, add("key", core.Text)})
	}
	var made []assign
	for i, o := range s.out {
		made = append(made, assign{o.name, add("out", s.table.Columns[from[i]].Type)})
	}
	var repeated bool
	if right.Rows, repeated = linesByKey(s, from); repeated {
		b.warn("table %s has several lines of the same keys; the last of them counts", s.path)
	}
	b.plan = join
	b.hidden = append(b.hidden, right.Columns...)
	b.set(made...)
	return nil
}

// lookupColumns are the columns of the table that are wanted.
func (b *builder) lookupColumns(s *lookupStage) ([]int, error) {
	var from []int
	for n, o := range s.out {
		i, err := b.tableColumn(s, o.column, o.at)
		if err != nil {
			return nil, err
		}
		same := func(other lookupOut) bool { return strings.EqualFold(other.name, o.name) }
		if slices.ContainsFunc(s.out[:n], same) {
			return nil, b.errorf(o.at, CodeDuplicate, "two fields are called %s", o.name)
		}
		from = append(from, i)
	}
	return from, nil
}

// linesByKey are the lines by their keys, each once: keys in lower case, then the
// columns of from. A line without a key is never found.
func linesByKey(s *lookupStage, from []int) (rows [][]any, repeated bool) {
	at := map[string]int{}
	for _, line := range s.table.Rows {
		var row []any
		key := ""
		for _, k := range s.on {
			v, ok := cellText(line[k.column])
			if !ok {
				row = nil
				break
			}
			v = strings.ToLower(v)
			row, key = append(row, v), key+v+"\x00"
		}
		if row == nil {
			continue
		}
		for _, i := range from {
			row = append(row, line[i])
		}
		if i, ok := at[key]; ok {
			rows[i], repeated = row, true
			continue
		}
		at[key] = len(rows)
		rows = append(rows, row)
	}
	return rows, repeated
}

// cellText is a cell as core.ToText gives it; false for null.
func cellText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return constText(core.IntOf(v))
	case float64:
		return constText(core.Num(v))
	case bool:
		return constText(core.BoolOf(v))
	}
	return "", false
}
