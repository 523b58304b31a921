package op

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var fillmissingOp = Operator{
	Name: "fillmissing", Tier: 2,
	Form: `fillmissing timeslice[(WIDTH)] [in FIELD], values("a", …) in FIELD, values all in FIELD [with CONSTANT for FIELD, …] [takeLast]`,
	Help: "Adds the groups that have no rows, so that their absence shows: every slice of time of the range, the values listed, or all values there are, in every combination. " +
		"Other fields of an added row are 0 or null, the constant given, or with takeLast what they were in the slice before. At most 10,000 combinations.",
	Example: "timeslice 1h | count by _timeslice, accountId | fillmissing timeslice, values all in accountId | outlier _count by accountId",
	compile: compileFillmissing,
}

// maxFilled is how many combinations fillmissing goes through.
const maxFilled = 10_000

// generator is a field of which values are made, one of: a width of slices, a
// list, or all that there are.
type generator struct {
	col    core.Col
	width  time.Duration
	values []any
	all    bool
}

// filler is the stage as read, and what runs it.
type filler struct {
	gens     []generator
	with     map[string]any // by column
	takeLast bool
	from, to time.Time
	zone     *time.Location
}

func compileFillmissing(b *builder, c *syntax.Cursor) error {
	if b.raw && !b.broken {
		return b.errorf(c.Last(), CodeValue, "fillmissing works on groups, and these rows are records\nput an aggregate before it")
	}
	f := &filler{with: map[string]any{}, from: b.env.From, to: b.env.To, zone: b.env.Zone}
	for {
		if err := b.readGenerator(c, f); err != nil {
			return err
		}
		if !c.Punct(',') {
			break
		}
	}
	if _, ok := c.Word("with"); ok {
		if err := b.readFillers(c, f); err != nil {
			return err
		}
	}
	at := c.Span()
	if _, f.takeLast = c.Word("takeLast"); f.takeLast && !slices.ContainsFunc(f.gens, generator.sliced) {
		return b.errorf(at, CodeValue, "takeLast takes from the slice before, and no slices are filled\nadd timeslice")
	}
	b.fill(f)
	return nil
}

func (g generator) sliced() bool { return g.width > 0 }

// readGenerator reads timeslice … or values …, and the field that it is for.
func (b *builder) readGenerator(c *syntax.Cursor, f *filler) error {
	at := c.Span()
	word, ok := c.Word("timeslice", "values")
	if !ok {
		return c.Hint(`write: fillmissing timeslice, values("a", "b") in field, values all in field`).Errorf(syntax.CodeExpected, "timeslice or values was expected")
	}
	var g generator
	var list []string
	var err error
	if word == "timeslice" {
		g.width, err = b.readWidth(c, at)
	} else {
		list, g.all, err = readValues(c)
	}
	if err != nil {
		return err
	}
	name := timesliceName
	if _, in := c.Word("in"); in {
		at = c.Span()
		name, err = c.Name()
	} else if word == "values" {
		err = c.Expect("in")
	}
	if err != nil {
		return err
	}
	return b.addGenerator(f, g, list, name, at)
}

func (b *builder) addGenerator(f *filler, g generator, list []string, name string, at syntax.Span) error {
	if _, err := b.field(name, at); err != nil {
		return err
	}
	c, _ := b.lookup(name)
	g.col = c.col
	if slices.ContainsFunc(f.gens, func(o generator) bool { return o.col == g.col }) {
		return b.errorf(at, CodeDuplicate, "the field %s is filled twice", name)
	}
	if g.sliced() && g.col.Type != core.Int {
		return b.errorf(at, CodeValue, "%s holds no slices of time", name)
	}
	for _, s := range list {
		v, ok := constantOf(core.Str(s), g.col.Type)
		if !ok {
			return b.errorf(at, CodeValue, "%s is no value that %s can have", strconv.Quote(s), name)
		}
		g.values = append(g.values, v)
	}
	f.gens = append(f.gens, g)
	return nil
}

// readWidth reads (15m); the width of the stage timeslice without it.
func (b *builder) readWidth(c *syntax.Cursor, at syntax.Span) (time.Duration, error) {
	width := b.slice
	if c.Punct('(') {
		at = c.Span()
		var err error
		if width, err = c.Duration(); err != nil {
			return 0, err
		}
		if err := c.Expect(")"); err != nil {
			return 0, err
		}
	}
	if width < minSlice {
		return 0, b.errorf(at, CodeValue, "how wide the slices are is not known\nwrite: fillmissing timeslice(1h)")
	}
	return width, nil
}

// readValues reads all, or ("a", "b").
func readValues(c *syntax.Cursor) (list []string, all bool, err error) {
	if _, ok := c.Word("all"); ok {
		return nil, true, nil
	}
	if err := c.Expect("("); err != nil {
		return nil, false, err
	}
	for {
		s, err := c.String()
		if err != nil {
			return nil, false, err
		}
		if list = append(list, s); !c.Punct(',') {
			return list, false, c.Expect(")")
		}
	}
}

// readFillers reads CONSTANT for FIELD, …
func (b *builder) readFillers(c *syntax.Cursor, f *filler) error {
	for {
		e, err := c.Expr()
		if err != nil {
			return err
		}
		x, err := b.expr(e)
		if err != nil {
			return err
		}
		if err := c.Expect("for"); err != nil {
			return err
		}
		field, err := c.Field()
		if err != nil {
			return err
		}
		if _, err := b.field(field.Name, field.Span()); err != nil {
			return err
		}
		col, _ := b.lookup(field.Name)
		v, ok := constantOf(x, col.col.Type)
		if !ok {
			return b.errorf(e.Span(), CodeValue, "%s is no value that %s can have", textOf(b.src, e.Span()), field.Name)
		}
		f.with[col.col.Name] = v
		if !c.Punct(',') {
			return nil
		}
	}
}

// constantOf is a constant as a value of a column.
func constantOf(x *core.Expr, t core.Type) (any, bool) {
	if x.Op != core.Const || x.IsNullConst() {
		return nil, x.Op == core.Const
	}
	switch t {
	case core.Int, core.Float:
		f, ok := constNum(x)
		if t == core.Float {
			return f, ok
		}
		return int64(f), ok && f == float64(int64(f))
	case core.Bool:
		v, ok := constBool(x)
		return v, ok
	case core.List:
		s, ok := constText(x)
		return []string{s}, ok
	}
	s, ok := constText(x)
	return s, ok
}

// fill puts the stage that adds rows on top. Rows keep their order as far as
// columns make it.
func (b *builder) fill(f *filler) {
	var out []core.Named
	for _, c := range b.cols {
		out = append(out, core.Named{Name: c.col.Name, Expr: c.read()})
	}
	b.order = slices.DeleteFunc(slices.Clone(b.order), func(k core.Key) bool {
		return !slices.ContainsFunc(b.cols, func(c column) bool { return reads(k.Expr, c.col.Name) })
	})
	b.hidden = nil
	h := &core.Host{In: b.plan, Name: "fillmissing", MaxRows: b.env.Limits.Groups, Run: f.run}
	if !b.dynamic {
		p := &core.Project{In: b.plan, Out: out}
		h.In, h.Out = sorted(p, b.order), p.Cols()
		known := host{out: func(in []core.Col) []core.Col { return in }}
		for _, g := range f.gens {
			known.reads = append(known.reads, g.col.Name)
		}
		b.hosts[h] = known
	}
	b.plan = h
}

func (f *filler) run(cols []core.Col, rows [][]any) ([]core.Col, [][]any, []string, error) {
	at := make([]int, len(f.gens)) // the generators' columns
	values := make([][]any, len(f.gens))
	total := 1
	for i, g := range f.gens {
		at[i] = slices.IndexFunc(cols, func(c core.Col) bool { return c.Name == g.col.Name })
		values[i] = f.valuesOf(g, rows, at[i])
		total = min(total*len(values[i]), maxFilled+1)
	}
	var warnings []string
	if total > maxFilled {
		warnings = append(warnings, fmt.Sprintf("fillmissing goes through the first %d combinations only", maxFilled))
	}
	have := map[string][]any{}
	for _, row := range rows {
		have[tuple(row, at)] = row
	}
	combination := make([]int, len(f.gens))
	for range min(total, maxFilled) {
		row := f.row(cols)
		for i, n := range combination {
			row[at[i]] = values[i][n]
		}
		if key := tuple(row, at); have[key] == nil {
			if f.takeLast {
				f.takeFrom(cols, row, at, values, combination, have)
			}
			have[key] = row
			rows = append(rows, row)
		}
		next(combination, values)
	}
	return cols, rows, warnings, nil
}

// next counts the combinations up, the last field fastest.
func next(combination []int, values [][]any) {
	for i := len(combination) - 1; i >= 0; i-- {
		if combination[i]++; combination[i] < len(values[i]) {
			return
		}
		combination[i] = 0
	}
}

// tuple is the values of some columns of a row as one text.
func tuple(row []any, at []int) string {
	var b strings.Builder
	for _, i := range at {
		fmt.Fprintf(&b, "%#v\x00", row[i])
	}
	return b.String()
}

// row is an added row without its keys.
func (f *filler) row(cols []core.Col) []any {
	row := make([]any, len(cols))
	for i, c := range cols {
		v, ok := f.with[c.Name]
		switch {
		case ok:
			row[i] = v
		case c.Type == core.Int:
			row[i] = int64(0)
		case c.Type == core.Float:
			row[i] = 0.0
		case c.Type == core.Bool:
			row[i] = false
		}
	}
	return row
}

// takeFrom fills a row with what the row of the slice before it has, of the same
// other keys, but for fields that a constant is given for.
func (f *filler) takeFrom(cols []core.Col, row []any, at []int, values [][]any, combination []int, have map[string][]any) {
	slice := slices.IndexFunc(f.gens, generator.sliced)
	if combination[slice] == 0 {
		return
	}
	own := row[at[slice]]
	row[at[slice]] = values[slice][combination[slice]-1]
	before := have[tuple(row, at)]
	row[at[slice]] = own
	for i := range before {
		if _, given := f.with[cols[i].Name]; !given && !slices.Contains(at, i) {
			row[i] = before[i]
		}
	}
}

// valuesOf are the values of a generator. Slices go over the range searched, or
// over what the rows have when it is open.
func (f *filler) valuesOf(g generator, rows [][]any, at int) []any {
	if !g.sliced() && !g.all {
		return g.values
	}
	var list []any
	seen := map[string]bool{}
	low, high := int64(math.MaxInt64), int64(0)
	for _, row := range rows {
		if key := tuple(row, []int{at}); !seen[key] {
			seen[key] = true
			list = append(list, row[at])
		}
		if ms, ok := row[at].(int64); ok {
			low, high = min(low, ms), max(high, ms+1)
		}
	}
	if g.all {
		return list
	}
	return slicesOf(millis(f.from, low), millis(f.to, high), g.width, f.zone)
}

// slicesOf are the starts of the slices that a range has a part in.
func slicesOf(from, to int64, width time.Duration, zone *time.Location) []any {
	if from >= to {
		return nil
	}
	var list []any
	for t := sliceStart(from, width, zone); t < to && len(list) <= maxFilled; {
		list = append(list, t)
		after := t + width.Milliseconds()
		for sliceStart(after, width, zone) <= t { // the clock was put back
			after += (15 * time.Minute).Milliseconds()
		}
		t = sliceStart(after, width, zone)
	}
	return list
}

// sliceStart is core.TimeBucket.
func sliceStart(ms int64, width time.Duration, zone *time.Location) int64 {
	offset := func(ms int64) int64 {
		_, seconds := time.UnixMilli(ms).In(zone).Zone()
		return int64(seconds) * 1000
	}
	n := width.Milliseconds()
	local := ms + offset(ms)
	local -= (local%n + n) % n
	return local - offset(local-offset(ms))
}
