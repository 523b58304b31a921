package op

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// aggregateOp has no word of its own: it is a stage that starts with the name of
// an aggregate.
var aggregateOp = Operator{
	Tier:    0,
	Form:    "AGGREGATE [as NAME], … [by FIELD, …]",
	Help:    "Makes one row of each group of equal fields; null is a group of its own. Afterwards only the fields of by and the results exist.",
	Example: "count as calls, values(eventName) as events by userIdentity.arn",
}

// Aggregate is a row of the table of aggregate functions.
type Aggregate struct {
	Name string // in lower case
	Also []string
	As   string // the name of its column when the query gives none
	Form string
	Help string

	bare  bool // may stand without brackets
	more  bool // takes numbers behind its field
	lower func(a aggArgs) ([]core.Agg, error)
}

// aggArgs is one aggregate of a stage.
type aggArgs struct {
	b     *builder
	x     *core.Expr // nil for count
	field string     // as written
	as    string
	nums  []float64
	at    syntax.Span
}

// Aggregates is the table of aggregate functions.
var Aggregates = []*Aggregate{
	{Name: "count", As: "_count", Form: "count | count(f)", Help: "rows, or rows in which f has a value", bare: true, lower: lowerCount},
	{Name: "count_distinct", As: "_count_distinct", Form: "count_distinct(f)", Help: "different values of f, exactly", lower: aggText(core.CountDistinct)},
	{Name: "values", As: "_values", Form: "values(f)", Help: "the different values of f in order, the first 100", lower: lowerValues},
	{Name: "sum", As: "_sum", Form: "sum(f)", Help: "of the numbers in f", lower: aggNumber(core.Sum)},
	{Name: "avg", As: "_avg", Form: "avg(f)", Help: "of the numbers in f", lower: aggNumber(core.Avg)},
	{Name: "min", As: "_min", Form: "min(f)", Help: "of the numbers in f", lower: aggNumber(core.Min)},
	{Name: "max", As: "_max", Form: "max(f)", Help: "of the numbers in f", lower: aggNumber(core.Max)},
	{Name: "stddev", As: "_stddev", Form: "stddev(f)", Help: "standard deviation of the numbers in f, of the whole population", lower: aggNumber(core.StdDev)},
	{Name: "median", As: "_median", Form: "median(f)", Help: "of the numbers in f", lower: lowerMedian},
	{Name: "pct", Also: []string{"pct_sampling"}, Form: "pct(f, 50, 95)", Help: "percentiles of the numbers in f, a column each", more: true, lower: lowerPct},
	{Name: "first", As: "_first", Form: "first(f)", Help: "f of the first row: the newest, unless sorted", lower: aggOrdered(core.First)},
	{Name: "last", As: "_last", Form: "last(f)", Help: "f of the last row: the oldest, unless sorted", lower: aggOrdered(core.Last)},
	{Name: "most_recent", As: "_mostrecent", Form: "most_recent(f)", Help: "f of the newest row", lower: aggTimed(core.First)},
	{Name: "least_recent", As: "_leastrecent", Form: "least_recent(f)", Help: "f of the oldest row", lower: aggTimed(core.Last)},
}

// maxValues is how many values() keeps.
const maxValues = 100

// one is an aggregate of one column.
func (a aggArgs) one(fn core.AggFn, x *core.Expr) []core.Agg {
	return []core.Agg{{Name: a.as, Fn: fn, Arg: x}}
}

func lowerCount(a aggArgs) ([]core.Agg, error) {
	if a.x == nil {
		return a.one(core.CountAll, nil), nil
	}
	return a.one(core.Count, a.x), nil
}

func aggText(fn core.AggFn) func(aggArgs) ([]core.Agg, error) {
	return func(a aggArgs) ([]core.Agg, error) { return a.one(fn, scalar(a.x)), nil }
}

func aggNumber(fn core.AggFn) func(aggArgs) ([]core.Agg, error) {
	return func(a aggArgs) ([]core.Agg, error) { return a.one(fn, toNumber(a.x)), nil }
}

// aggOrdered is the first or last by the order that the rows have.
func aggOrdered(fn core.AggFn) func(aggArgs) ([]core.Agg, error) {
	return func(a aggArgs) ([]core.Agg, error) {
		list := a.one(fn, scalar(a.x))
		list[0].Order = a.b.order
		return list, nil
	}
}

// aggTimed is the first or last by time, newest first.
func aggTimed(fn core.AggFn) func(aggArgs) ([]core.Agg, error) {
	return func(a aggArgs) ([]core.Agg, error) {
		if !a.b.raw {
			return nil, a.b.errorf(a.at, CodeValue, "groups have no time to go by\nsort them and use first or last")
		}
		list := a.one(fn, scalar(a.x))
		list[0].Order = a.b.newestFirst()
		return list, nil
	}
}

func lowerValues(a aggArgs) ([]core.Agg, error) {
	list := a.one(core.Values, toText(a.x))
	list[0].Param = maxValues
	return list, nil
}

func lowerMedian(a aggArgs) ([]core.Agg, error) {
	list := a.one(core.Pct, toNumber(a.x))
	list[0].Param = 50
	return list, nil
}

func lowerPct(a aggArgs) ([]core.Agg, error) {
	if len(a.nums) == 0 {
		a.nums = []float64{50}
	}
	var list []core.Agg
	for _, p := range a.nums {
		if p < 0 || p > 100 {
			return nil, a.b.errorf(a.at, CodeValue, "a percentile is a number from 0 to 100")
		}
		agg := core.Agg{Name: a.as, Fn: core.Pct, Arg: toNumber(a.x), Param: p}
		if a.as == "" || len(a.nums) > 1 {
			agg.Name = fmt.Sprintf("_%s_pct_%v", cmp.Or(a.as, a.field), p)
		}
		list = append(list, agg)
	}
	return list, nil
}

// scalar makes lists texts, which groups and keys need.
func scalar(x *core.Expr) *core.Expr {
	if x.Type == core.List || x.Type == core.Null {
		return toText(x)
	}
	return x
}

// startsAggregate tells whether a stage makes groups. max(a, b) as c does not.
func (b *builder) startsAggregate(toks []syntax.Token) bool {
	if len(toks) == 0 || toks[0].Kind != syntax.TokWord {
		return false
	}
	name := strings.ToLower(toks[0].Text)
	agg := b.table.aggregates[name]
	switch {
	case agg == nil:
		return false
	case len(toks) == 1 || toks[1].Text != "(" || toks[1].Kind != syntax.TokOp:
		return agg.bare
	case b.table.functions[name] != nil:
		return len(callArgs(toks)) == 1
	}
	return true
}

// callArgs cuts what stands in the brackets behind the first token at its commas.
func callArgs(toks []syntax.Token) [][]syntax.Token {
	depth, args := 0, [][]syntax.Token{nil}
	for _, t := range toks[1:] {
		if t.Kind == syntax.TokOp && (t.Text == "(" || t.Text == "[") {
			depth++
		}
		if t.Kind == syntax.TokOp && (t.Text == ")" || t.Text == "]") {
			if depth--; depth == 0 {
				break
			}
		}
		if depth == 1 && t.Kind == syntax.TokOp && t.Text == "," {
			args = append(args, nil)
			continue
		}
		args[len(args)-1] = append(args[len(args)-1], t)
	}
	return args
}

func compileAggregate(b *builder, c *syntax.Cursor) error {
	var aggs []core.Agg
	var by []*syntax.Field
	for {
		list, fields, err := b.readAggregate(c)
		if err != nil {
			return err
		}
		aggs = append(aggs, list...)
		by = append(by, fields...)
		if !c.Punct(',') {
			break
		}
	}
	more, err := readBy(c)
	if err != nil {
		return err
	}
	return b.groupBy(append(by, more...), aggs, c.Last())
}

// groupBy makes the groups, once all names are known to differ.
func (b *builder) groupBy(by []*syntax.Field, aggs []core.Agg, at syntax.Span) error {
	var keys []keyed
	seen := map[string]bool{}
	for _, f := range by {
		x, err := b.field(f.Name, f.Span())
		if err != nil {
			return err
		}
		if seen[strings.ToLower(f.Name)] {
			return b.errorf(f.Span(), CodeDuplicate, "the field %s is named twice", f.Name)
		}
		seen[strings.ToLower(f.Name)] = true
		keys = append(keys, keyed{f.Name, scalar(x)})
	}
	for _, a := range aggs {
		if key := strings.ToLower(a.Name); seen[key] {
			return b.errorf(at, CodeDuplicate, "two columns would be called %s\ngive one another name with as", a.Name)
		}
		seen[strings.ToLower(a.Name)] = true
	}
	b.aggregate(keys, aggs)
	return nil
}

// readBy reads by f, g or group by f, g. Nothing is fine.
func readBy(c *syntax.Cursor) ([]*syntax.Field, error) {
	if _, ok := c.Word("group"); ok {
		if err := c.Expect("by"); err != nil {
			return nil, err
		}
	} else if _, ok := c.Word("by"); !ok {
		return nil, nil
	}
	return fieldList(c)
}

// fieldList reads fields with commas between.
func fieldList(c *syntax.Cursor) ([]*syntax.Field, error) {
	var list []*syntax.Field
	for {
		f, err := c.Field()
		if err != nil {
			return nil, err
		}
		list = append(list, f)
		if !c.Punct(',') {
			return list, nil
		}
	}
}

// readAggregate reads one aggregate. The old form count f, g without by gives
// the fields as keys.
func (b *builder) readAggregate(c *syntax.Cursor) ([]core.Agg, []*syntax.Field, error) {
	at := c.Span()
	word, _ := c.Word()
	agg := b.table.aggregates[strings.ToLower(word)]
	if agg == nil {
		return nil, nil, b.unknownAggregate(word, at)
	}
	a := aggArgs{b: b, at: at}
	if err := b.readArgs(c, agg, &a); err != nil {
		return nil, nil, err
	}
	a.as = agg.As
	if _, ok := c.Word("as"); ok {
		name, err := c.Name()
		if err != nil {
			return nil, nil, err
		}
		a.as = name
	}
	list, err := agg.lower(a)
	if err != nil {
		return nil, nil, err
	}
	if next := c.Peek(); agg.Name == "count" && (next.Kind == syntax.TokName || next.Kind == syntax.TokWord) && !isBy(next) {
		fields, err := fieldList(c)
		return list, fields, err
	}
	return list, nil, nil
}

// isBy tells whether t goes on with the stage, so that it is no field of count f.
func isBy(t syntax.Token) bool {
	return t.Kind == syntax.TokWord && slices.Contains([]string{"by", "group", "for"}, strings.ToLower(t.Text))
}

func (b *builder) unknownAggregate(word string, at syntax.Span) error {
	var names []string
	for _, a := range Aggregates {
		names = append(names, a.Name)
	}
	if hint := elsewhereFunctions[strings.ToLower(word)]; hint != "" {
		return b.errorf(at, CodeFunction, "there is no aggregate %s\n%s", word, hint)
	}
	if s := syntax.Suggest(word, names); s != "" {
		return b.errorf(at, CodeFunction, "there is no aggregate %s\ndid you mean %s?", word, s)
	}
	return b.errorf(at, CodeFunction, "an aggregate was expected here\nthere are %s", strings.Join(names, ", "))
}

// readArgs reads (f), (f, 95, 99), (*) or nothing.
func (b *builder) readArgs(c *syntax.Cursor, agg *Aggregate, a *aggArgs) error {
	if !c.Punct('(') {
		if agg.bare {
			return nil
		}
		return b.errorf(a.at, syntax.CodeExpected, "%s needs a field in brackets\nwrite: %s", agg.Name, agg.Form)
	}
	if agg.bare && (c.Punct('*') || c.Peek().Text == ")") {
		return c.Expect(")")
	}
	e, err := c.Expr()
	if err != nil {
		return err
	}
	if a.x, err = b.expr(e); err != nil {
		return err
	}
	if f, ok := e.(*syntax.Field); ok {
		a.field = f.Name
	}
	for agg.more && c.Punct(',') {
		n, err := c.Number()
		if err != nil {
			return err
		}
		a.nums = append(a.nums, n)
	}
	a.nums = slices.Compact(a.nums)
	return c.Expect(")")
}
