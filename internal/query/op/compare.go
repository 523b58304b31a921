package op

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var compareOp = Operator{
	Name: "compare", Also: []string{"compare with"}, Tier: 2,
	Form: "compare [with] timeshift WIDTH [N [avg|min|max]] [as NAME], timeshift …",
	Help: "Puts the same groups of an earlier time beside those of now: the query runs again over the range moved back by WIDTH, and by 2, 3 … N times that; at most 7 times in all. " +
		"Each aggregate gets a column FIELD_WIDTH of each time, or one of the average, least or largest of the times that have the group. Groups of one time only have null for the others. A day is 24 hours.",
	Example: "timeslice 1h | count by _timeslice | compare timeshift 1w 4 avg as usual | where _count > 3 * _count_usual",
	compile: compileCompare,
}

// maxShifts is how many more times compare runs the query.
const maxShifts = 7

// comparison is one timeshift: the columns it makes, each of one shift or more.
type comparison struct {
	suffix string
	shifts []time.Duration
	fn     core.AggFn
}

func compileCompare(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	list, err := b.readComparisons(c)
	if err != nil {
		return err
	}
	switch {
	case b.broken:
		return nil
	case b.raw || b.keys == nil:
		return b.errorf(at, CodeValue, "compare works on groups\nput it right behind an aggregate")
	case b.nested > 0:
		return b.errorf(at, CodeUnsupported, "compare cannot stand in brackets")
	case b.compared:
		return b.errorf(at, CodeValue, "a query has one compare\nname several shifts in it: compare timeshift 1d, timeshift 1w")
	case b.env.From.IsZero() || b.env.To.IsZero():
		return b.errorf(at, CodeValue, "the range searched has no start or no end, so it cannot be moved\ngive it with --from and --to")
	}
	shifts := 1
	for _, m := range list {
		shifts += len(m.shifts)
	}
	if err := b.countScans(shifts*b.scans, at); err != nil {
		return err
	}
	return b.compare(list)
}

func (b *builder) readComparisons(c *syntax.Cursor) ([]comparison, error) {
	var list []comparison
	total := 0
	seen := map[string]bool{}
	for {
		at := c.Span()
		more, err := b.readComparison(c)
		if err != nil {
			return nil, err
		}
		for _, m := range more {
			total += len(m.shifts)
			if key := strings.ToLower(m.suffix); seen[key] {
				return nil, b.errorf(at, CodeDuplicate, "two comparisons are called %s\ngive one another name with as", m.suffix)
			}
			seen[strings.ToLower(m.suffix)] = true
		}
		if total > maxShifts {
			return nil, b.errorf(at, CodeValue, "compare would run the query %d more times, and %d are allowed", total, maxShifts)
		}
		list = append(list, more...)
		if !c.Punct(',') {
			return list, nil
		}
	}
}

// readComparison reads timeshift 1d [7 [avg]] [as name].
func (b *builder) readComparison(c *syntax.Cursor) ([]comparison, error) {
	if err := c.Expect("timeshift"); err != nil {
		return nil, err
	}
	at := c.Span()
	c.Punct('-')
	unit := c.Peek()
	width, err := c.Duration()
	if err != nil {
		return nil, err
	}
	if width < time.Second || width > 10*365*day {
		return nil, b.errorf(at, CodeValue, "a shift is a second at least, and ten years at most")
	}
	text := strings.TrimSuffix(unit.Text, unit.Num.Unit)
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, b.errorf(at, CodeValue, "%s is no time", unit.Text)
	}
	n, fn := int64(1), ""
	if c.Peek().Kind == syntax.TokNumber {
		if n, err = b.readFrame(c, maxShifts); err != nil {
			return nil, err
		}
		fn, _ = c.Word("avg", "min", "max")
	}
	name := ""
	if _, ok := c.Word("as"); ok {
		if name, err = c.Name(); err != nil {
			return nil, err
		}
	}
	return shifted(width, number, unit.Num.Unit, n, fn, name), nil
}

var compareFns = map[string]core.AggFn{"": core.Max, "avg": core.Avg, "min": core.Min, "max": core.Max}

// shifted names the columns: 1d, 2d, 3d; 3d_avg; or as said.
func shifted(width time.Duration, number float64, unit string, n int64, fn, name string) []comparison {
	var shifts []time.Duration
	var labels []string
	for i := int64(1); i <= n; i++ {
		shifts = append(shifts, time.Duration(i)*width)
		labels = append(labels, strconv.FormatFloat(float64(i)*number, 'f', -1, 64)+unit)
	}
	if fn != "" {
		if name == "" {
			name = labels[n-1] + "_" + fn
		}
		return []comparison{{name, shifts, compareFns[fn]}}
	}
	var list []comparison
	for i, label := range labels {
		switch {
		case name != "" && n == 1:
			label = name
		case name != "":
			label = name + "_" + label
		}
		list = append(list, comparison{label, shifts[i : i+1], core.Max})
	}
	return list
}

// moved compiles the stages before this one again, over the range moved back.
func (b *builder) moved(back time.Duration) (*builder, error) {
	env := *b.env
	env.Now, env.From, env.To = env.Now.Add(-back), env.From.Add(-back), env.To.Add(-back)
	c := startBuilder(b.q, &env, b.table)
	c.hosts, c.ran = b.hosts, b.ran
	if err := c.scope(b.q.Scope); err != nil {
		return nil, err
	}
	for _, s := range b.q.Stages[:b.n-1] {
		if err := c.run(s, b.q); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// compare puts the rows of all times one under the other, each with the columns
// of its own time filled, and groups them again.
func (b *builder) compare(list []comparison) error {
	var keys, values []column
	for _, c := range b.cols {
		if slices.Contains(b.keys, c.key()) {
			keys = append(keys, c)
		} else {
			values = append(values, c)
		}
	}
	if len(keys) < len(b.keys) {
		return b.errorf(b.at, CodeValue, "the fields of by are what compare goes by, and some were left out\nput compare before fields")
	}
	u := &core.Union{Ins: []core.Plan{b.comparable(0, keys, values, len(list), 0)}}
	for i, m := range list {
		for _, back := range m.shifts {
			old, err := b.moved(back)
			if err != nil {
				return err
			}
			u.Ins = append(u.Ins, old.comparable(back, keys, values, len(list), i+1))
		}
	}
	b.plan, b.compared = u, true
	var by []keyed
	for i, k := range keys {
		by = append(by, keyed{k.name, core.C(u.Cols()[i].Name, u.Cols()[i].Type)})
	}
	b.aggregate(by, comparedValues(u.Cols()[len(keys):], values, list))
	return nil
}

// comparable are the rows with the columns that all times have: the keys, moved
// to the time of now, and the values of each comparison, null but for those of
// column which.
func (b *builder) comparable(back time.Duration, keys, values []column, comparisons, which int) core.Plan {
	var out []core.Named
	add := func(x *core.Expr) {
		out = append(out, core.Named{Name: fmt.Sprintf("#%d", len(out)+1), Expr: x})
	}
	for _, k := range keys {
		c, _ := b.lookup(k.name)
		x := c.read()
		if (c.name == b.timeslice || c.name == b.timeslice+"_end") && back != 0 {
			x = toInt(do(core.Add, toFloat(x), core.Num(float64(back.Milliseconds()))))
		}
		add(x)
	}
	for _, v := range values {
		c, _ := b.lookup(v.name)
		x := scalar(c.read())
		for i := range comparisons + 1 {
			if i == which {
				add(x)
			} else {
				add(core.NullOf(x.Type))
			}
		}
	}
	return &core.Project{In: b.plan, Out: out}
}

// comparedValues are the columns behind the keys, named.
func comparedValues(cols []core.Col, values []column, list []comparison) []core.Agg {
	var aggs []core.Agg
	for i, v := range values {
		for j := range len(list) + 1 {
			col := cols[i*(len(list)+1)+j]
			a := core.Agg{Name: v.name, Fn: core.Max, Arg: core.C(col.Name, col.Type)}
			if j > 0 {
				a.Name, a.Fn = v.name+"_"+list[j-1].suffix, list[j-1].fn
			}
			if a.Fn == core.Avg {
				a.Arg = toNumber(a.Arg)
			}
			aggs = append(aggs, a)
		}
	}
	return aggs
}
