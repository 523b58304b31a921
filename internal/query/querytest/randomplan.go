package querytest

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
)

// AgreePlans checks that a back end gives the rows that the oracle gives, in any
// order, for so many random plans.
func AgreePlans(t *testing.T, plans uint64, run, oracle Run) {
	for seed := range plans {
		p := NewRandom(seed, false).Plan(3)
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			want := unordered(oracle(t, p))
			if got := unordered(run(t, p)); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// unordered shows rows so that the same ones look the same: in order of their
// looks, Floats by nine digits.
func unordered(rows [][]any) string {
	list := make([]string, len(rows))
	for i, row := range rows {
		row = slices.Clone(row)
		for k, v := range row {
			if f, ok := v.(float64); ok {
				row[k] = strconv.FormatFloat(f+0, 'g', 9, 64)
			}
		}
		list[i] = show(row...) + "\n"
	}
	slices.Sort(list)
	return strings.Join(list, "")
}

// Plan makes a plan of depth nodes over a small table, whose columns are Columns
// after every node. Rows are in no order; unless it is Wild, which rows there
// are does not depend on which of equal ones comes first.
func (g *Random) Plan(depth int) core.Plan {
	in := table("random", Columns)
	for range g.IntN(6) {
		in.Rows = append(in.Rows, g.Row())
	}
	p := core.Plan(in)
	for range depth {
		p = g.node(p)
	}
	return p
}

func (g *Random) node(in core.Plan) core.Plan {
	most := 8
	if g.Wild {
		most = 9
	}
	switch g.IntN(most) {
	case 0:
		return &core.Filter{In: in, Cond: g.Expr('p', 3)}
	case 1:
		return &core.Sort{In: in, Keys: g.keys()}
	case 2:
		return g.again(in, nil)
	case 3:
		return &core.Union{Ins: []core.Plan{in, in}}
	case 4:
		return g.again(&core.Unnest{In: in, List: g.Expr('l', 2), Name: "x", Keep: g.IntN(2) == 0}, core.C("x", core.Text))
	case 5:
		return g.window(in)
	case 6:
		return g.join(in)
	case 7:
		return g.aggregate(in)
	}
	return &core.Limit{In: in, N: g.Int64N(5)}
}

func (g *Random) window(in core.Plan) core.Plan {
	w := &core.Window{In: in, Name: "x", Fn: pick(g, core.Rank, core.TotalSum), Arg: g.typed("if"[g.IntN(2)]), Partition: []*core.Expr{g.Expr('t', 1)}, Order: g.keys()}
	if g.Wild {
		w.Fn, w.N = core.WinFn(g.IntN(int(core.Rank)+1)), g.Int64N(3)
		w.From, w.To = pick[int64](g, math.MinInt64, -1, 0, 1), pick[int64](g, 1, 2, math.MaxInt64)
	}
	return g.again(w, core.C("x", w.Type()))
}

func (g *Random) keys() (keys []core.Key) {
	for range g.IntN(3) {
		keys = append(keys, core.Key{Expr: g.Expr("bift"[g.IntN(4)], 2), Desc: g.IntN(2) == 0})
	}
	return keys
}

// typed is an expression of a type, and not the null of none.
func (g *Random) typed(letter byte) *core.Expr {
	if e := g.Expr(letter, 2); e.Type != core.Null {
		return e
	}
	return core.NullOf(typeOf[letter])
}

// again projects all columns, some of them made anew, and extra where a column
// is of its type.
func (g *Random) again(in core.Plan, extra *core.Expr) core.Plan {
	letters := map[core.Type]byte{core.Bool: 'b', core.Int: 'i', core.Float: 'f', core.Text: 't', core.List: 'l'}
	p := &core.Project{In: in}
	for _, c := range Columns {
		e := core.C(c.Name, c.Type)
		switch {
		case c.Name == "ms" && !g.Wild: // stays a time
			e = g.typed('m')
		case extra != nil && extra.Type == c.Type:
			e = extra
		case c.Type != core.Null && g.IntN(2) == 0:
			e = g.typed(letters[c.Type])
		}
		p.Out = append(p.Out, named(c.Name, e))
	}
	return p
}

func (g *Random) join(in core.Plan) core.Plan {
	letter := "ift"[g.IntN(3)]
	right := project(in, named("k", g.typed(letter)))
	j := &core.Join{L: in, R: right, Kind: core.JoinKind(g.IntN(4)), On: [][2]*core.Expr{{g.Expr(letter, 1), core.C("k", typeOf[letter])}}}
	if g.IntN(2) == 0 {
		j.Cond = g.Expr('p', 2)
	}
	return g.again(j, nil)
}

// aggregate groups by some of the columns and makes the others of their groups.
func (g *Random) aggregate(in core.Plan) core.Plan {
	a := &core.Aggregate{In: in}
	by := g.IntN(len(Columns) - 1)
	for _, c := range Columns[:by] {
		a.By = append(a.By, named(c.Name, core.C(c.Name, c.Type)))
	}
	for _, c := range Columns[by:] {
		fn, arg := pick(g, core.Min, core.Max), core.C(c.Name, c.Type)
		if g.Wild {
			fn = pick(g, core.First, core.Last)
		}
		switch {
		case c.Type == core.Float && g.IntN(2) == 0:
			fn, arg = pick(g, core.Sum, core.Avg, core.StdDev, core.Pct, core.Min, core.Max), g.typed('f')
		case c.Type == core.Int && c.Name != "ms" && g.IntN(2) == 0:
			fn, arg = pick(g, core.CountAll, core.Count, core.CountDistinct, core.Sum, core.Min, core.Max), g.typed('i')
		case c.Type == core.List:
			fn, arg = core.Values, g.Expr('t', 2)
		}
		a.Aggs = append(a.Aggs, core.Agg{Name: c.Name, Fn: fn, Arg: arg, If: pick(g, nil, g.Expr('p', 2)), Param: 50, Order: append(g.keys(), core.Key{Expr: core.C("i", core.Int)})})
	}
	return a
}
