package querytest

import (
	"math"

	"gatehouse/internal/query/core"
)

// PlanCase is a plan and its rows, in order.
type PlanCase struct {
	Name string
	Plan core.Plan
	Want [][]any
}

func table(name string, cols []core.Col, rows ...[]any) *core.Inline {
	return &core.Inline{Name: name, Columns: cols, Rows: rows}
}

var (
	n, g, x, s = core.C("n", core.Int), core.C("g", core.Text), core.C("x", core.Float), core.C("s", core.Text)
	asc        = func(es ...*core.Expr) (keys []core.Key) {
		for _, e := range es {
			keys = append(keys, core.Key{Expr: e})
		}
		return keys
	}
)

// base is the table of most plans: n, a group, a number and a text.
func base() *core.Inline {
	return table("base", []core.Col{{Name: "n", Type: core.Int}, {Name: "g", Type: core.Text}, {Name: "x", Type: core.Float}, {Name: "s", Type: core.Text}},
		[]any{i64(1), "a", 1.0, "z"},
		[]any{i64(2), "a", nil, "Y"},
		[]any{i64(3), "b", 4.0, nil},
		[]any{i64(4), nil, 2.0, "é"},
		[]any{i64(5), nil, 8.0, "Y"},
		[]any{i64(6), "a", 10.0, "z"})
}

func named(name string, e *core.Expr) core.Named { return core.Named{Name: name, Expr: e} }

func sorted(in core.Plan, es ...*core.Expr) core.Plan { return &core.Sort{In: in, Keys: asc(es...)} }

func agg(name string, fn core.AggFn, arg *core.Expr) core.Agg {
	return core.Agg{Name: name, Fn: fn, Arg: arg}
}

// PlanCases lists all plans.
func PlanCases() []PlanCase {
	var all []PlanCase
	for _, f := range []func() []PlanCase{jsonPlanCases, rowCases, aggregateCases, windowCases, joinCases, shapeCases} {
		all = append(all, f()...)
	}
	return all
}

func project(in core.Plan, out ...core.Named) core.Plan { return &core.Project{In: in, Out: out} }

func rowCases() []PlanCase {
	big := core.Do(core.LtNum, core.Num(1.5), x)
	return []PlanCase{
		{"Filter drops null", project(sorted(&core.Filter{In: base(), Cond: big}, n), named("n", n)), [][]any{{i64(3)}, {i64(4)}, {i64(5)}, {i64(6)}}},
		{"Filter keeps null under Not", project(sorted(&core.Filter{In: base(), Cond: core.Do(core.Not, big)}, n), named("n", n)), [][]any{{i64(1)}, {i64(2)}}},
		{"Project renames over itself", project(sorted(project(base(), named("n", n), named("s", g), named("g", s)), n), named("g", g), named("s", s)),
			[][]any{{"z", "a"}, {"Y", "a"}, {nil, "b"}, {"é", nil}, {"Y", nil}, {"z", "a"}}},
		{"Filter after Project sees the new column", project(sorted(&core.Filter{In: project(base(), named("n", n), named("g", core.Do(core.Coalesce, g, core.Str("none")))), Cond: core.Do(core.EqText, g, core.Str("none"))}, n), named("n", n)), [][]any{{i64(4)}, {i64(5)}}},
		{"Sort nulls last", project(sorted(base(), s, n), named("n", n)), [][]any{{i64(2)}, {i64(5)}, {i64(1)}, {i64(6)}, {i64(4)}, {i64(3)}}},
		{"Sort descending nulls last", project(&core.Sort{In: base(), Keys: []core.Key{{Expr: x, Desc: true}}}, named("n", n)), [][]any{{i64(6)}, {i64(5)}, {i64(3)}, {i64(4)}, {i64(1)}, {i64(2)}}},
		{"Sort by what is projected away", project(&core.Limit{N: 2, In: sorted(project(base(), named("k", x), named("n", n)), core.C("k", core.Float))}, named("n", n)), [][]any{{i64(1)}, {i64(4)}}},
		{"Sort by constants and nulls of no type", project(&core.Limit{N: 2, In: sorted(base(), core.Str("x"), core.Num(1), core.NullOf(core.Null), n)}, named("n", n)), [][]any{{i64(1)}, {i64(2)}}},
		{"Limit of Sort by nothing", project(&core.Limit{N: 9, In: sorted(core.Plan(&core.Filter{In: base(), Cond: core.Do(core.EqNum, n, core.IntOf(3))}))}, named("n", n)), [][]any{{i64(3)}}},
		{"nulls of no type", project(&core.Limit{N: 1, In: base()}, named("a", core.Do(core.EqNum, n, core.NullOf(core.Null))), named("b", core.Do(core.Contains, core.Str("x"), core.NullOf(core.Null))),
			named("c", core.Do(core.ListLen, core.NullOf(core.Null))), named("d", core.Do(core.Add, core.NullOf(core.Null), x)), named("e", core.Do(core.Coalesce, x, core.NullOf(core.Null), core.Num(2)))), [][]any{{false, false, nil, nil, 1.0}}},
		{"Limit", project(&core.Limit{N: 2, In: sorted(base(), n)}, named("n", n)), [][]any{{i64(1)}, {i64(2)}}},
		{"Limit none", &core.Limit{N: 0, In: base()}, nil},
		{"Limit of Limit", project(&core.Limit{N: 5, In: &core.Limit{N: 1, In: sorted(base(), n)}}, named("n", n)), [][]any{{i64(1)}}},
		{"Filter after Limit", project(&core.Filter{In: &core.Limit{N: 3, In: sorted(base(), n)}, Cond: big}, named("n", n)), [][]any{{i64(3)}}},
		{"empty table", table("none", []core.Col{{Name: "n", Type: core.Int}}), nil},
		{"types", table("types", []core.Col{{Name: "b", Type: core.Bool}, {Name: "i", Type: core.Int}, {Name: "f", Type: core.Float}, {Name: "t", Type: core.Text}, {Name: "l", Type: core.List}, {Name: "z", Type: core.Null}},
			[]any{true, i64(math.MinInt64), -0.5, "a\x01'\"\n", []string{"x\n", ""}, nil}, []any{nil, nil, nil, nil, nil, nil}),
			[][]any{{true, i64(math.MinInt64), -0.5, "a\x01'\"\n", []string{"x\n", ""}, nil}, {nil, nil, nil, nil, nil, nil}}},
	}
}

// jsonPlanCases read several paths of one document in one node and in several.
func jsonPlanCases() []PlanCase {
	docs := table("docs", []core.Col{{Name: "a", Type: core.Text}, {Name: "n", Type: core.Int}},
		[]any{`{"k":"x","v":{"w":1},"l":["p","q"]}`, i64(1)}, []any{`{"k":"y","v":{"w":2}}`, i64(2)}, []any{"no json", i64(3)}, []any{nil, i64(4)}, []any{`{"k":"x","v":{"w":30}}`, i64(5)})
	k, w, l, none := get(core.Text, key("k")), get(core.Int, key("v"), key("w")), get(core.Text, key("l"), index(1)), get(core.Text, key("none"))
	isX := core.Do(core.EqText, k, core.Str("x"))
	small := core.Do(core.LtNum, w, core.IntOf(20))
	count := []core.Agg{{Name: "c", Fn: core.CountAll}, {Name: "m", Fn: core.Max, Arg: w, If: core.Do(core.IsNull, none)}}
	return []PlanCase{
		{"JSON paths of one node", sorted(project(docs, named("n", n), named("k", k), named("w", w), named("l", l), named("again", k)), n),
			[][]any{{i64(1), "x", i64(1), "q", "x"}, {i64(2), "y", i64(2), nil, "y"}, {i64(3), nil, nil, nil, nil}, {i64(4), nil, nil, nil, nil}, {i64(5), "x", i64(30), nil, "x"}}},
		{"JSON ops over one document", sorted(project(docs, named("n", n), named("len", core.Do(core.JSONLen, core.C("a", core.Text))), named("has", core.Do(core.JSONHas, core.C("a", core.Text), core.Str("p")))), n),
			[][]any{{i64(1), nil, false}, {i64(2), nil, false}, {i64(3), nil, false}, {i64(4), nil, false}, {i64(5), nil, false}}},
		{"JSON paths of Filter and Project", project(&core.Filter{In: docs, Cond: core.Do(core.And, isX, small)}, named("n", n), named("k", k), named("l", l), named("none", none)), [][]any{{i64(1), "x", "q", nil}}},
		{"JSON paths under Not", sorted(project(&core.Filter{In: docs, Cond: core.Do(core.Not, core.Do(core.And, isX, small))}, named("n", n)), n), [][]any{{i64(2)}, {i64(3)}, {i64(4)}, {i64(5)}}},
		{"JSON paths of Aggregate", sorted(&core.Aggregate{In: docs, By: []core.Named{named("k", k)}, Aggs: count}, core.C("k", core.Text)), [][]any{{"x", i64(2), i64(30)}, {"y", i64(1), i64(2)}, {nil, i64(2), nil}}},
		{"JSON path beyond the node that made it ready", project(&core.Filter{In: &core.Window{In: &core.Filter{In: docs, Cond: core.Do(core.And, isX, small)}, Name: "r", Fn: core.RowNumber, Order: asc(k, w)}, Cond: core.Do(core.Or, isX, core.Do(core.IsNull, none))}, named("n", n), named("r", core.C("r", core.Int)), named("l", l)), [][]any{{i64(1), i64(1), "q"}}},
		{"JSON path of a renamed document", project(&core.Filter{In: project(docs, named("n", n), named("a", core.Do(core.Replace, core.C("a", core.Text), core.Str("x"), core.Str("z")))), Cond: core.Do(core.And, core.Do(core.EqText, k, core.Str("z")), small)}, named("n", n), named("k", k), named("l", l)), [][]any{{i64(1), "z", "q"}}},
	}
}

func aggregateCases() []PlanCase {
	empty := &core.Filter{In: base(), Cond: core.BoolOf(false)}
	every := []core.Agg{agg("rows", core.CountAll, nil), agg("count", core.Count, x), agg("distinct", core.CountDistinct, s), agg("sum", core.Sum, x), agg("isum", core.Sum, n),
		agg("avg", core.Avg, x), agg("min", core.Min, s), agg("max", core.Max, x), agg("std", core.StdDev, x),
		{Name: "pct", Fn: core.Pct, Arg: x, Param: 50}, {Name: "values", Fn: core.Values, Arg: s, Param: 100}}
	some := core.Do(core.LtNum, x, core.Num(5))
	over := func(fn core.AggFn, e *core.Expr) core.Plan {
		return &core.Aggregate{In: table("huge", []core.Col{{Name: "x", Type: core.Float}, {Name: "n", Type: core.Int}}, []any{1e308, i64(math.MaxInt64)}, []any{1e308, i64(1)}, []any{-1e308, i64(1)}, []any{1e308, i64(1)}), Aggs: []core.Agg{agg("v", fn, e)}}
	}
	return []PlanCase{
		{"Aggregate by group", sorted(&core.Aggregate{In: base(), By: []core.Named{named("g", g)}, Aggs: every}, g), [][]any{
			{"a", i64(3), i64(2), i64(2), 11.0, i64(9), 5.5, "Y", 10.0, 4.5, 5.5, []string{"Y", "z"}},
			{"b", i64(1), i64(1), i64(0), 4.0, i64(3), 4.0, nil, 4.0, 0.0, 4.0, []string{}},
			{nil, i64(2), i64(2), i64(2), 10.0, i64(9), 5.0, "Y", 8.0, 3.0, 5.0, []string{"Y", "é"}}}},
		{"Aggregate of no rows", &core.Aggregate{In: empty, Aggs: every}, [][]any{{i64(0), i64(0), i64(0), nil, nil, nil, nil, nil, nil, nil, []string{}}}},
		{"Aggregate of no rows by group", &core.Aggregate{In: empty, By: []core.Named{named("g", g)}, Aggs: every}, nil},
		{"Aggregate by alone", sorted(&core.Aggregate{In: base(), By: []core.Named{named("g", g)}}, g), [][]any{{"a"}, {"b"}, {nil}}},
		{"Aggregate with If", sorted(&core.Aggregate{In: base(), By: []core.Named{named("g", g)}, Aggs: []core.Agg{{Name: "c", Fn: core.CountAll, If: some}, {Name: "d", Fn: core.Sum, Arg: x, If: some}, {Name: "e", Fn: core.Values, Arg: s, Param: 9, If: some}, {Name: "f", Fn: core.StdDev, Arg: x, If: some}, {Name: "h", Fn: core.Avg, Arg: x, If: some}}}, g),
			[][]any{{"a", i64(1), 1.0, []string{"z"}, 0.0, 1.0}, {"b", i64(1), 4.0, []string{}, 0.0, 4.0}, {nil, i64(1), 2.0, []string{"é"}, 0.0, 2.0}}},
		{"Aggregate by computed name", sorted(&core.Aggregate{In: base(), By: []core.Named{named("g", core.Do(core.Coalesce, g, core.Str("a")))}, Aggs: []core.Agg{agg("c", core.CountAll, nil)}}, g), [][]any{{"a", i64(5)}, {"b", i64(1)}}},
		{"First and Last", sorted(&core.Aggregate{In: base(), By: []core.Named{named("g", g)}, Aggs: []core.Agg{{Name: "f", Fn: core.First, Arg: s, Order: asc(x)}, {Name: "l", Fn: core.Last, Arg: s, Order: asc(x)}, {Name: "d", Fn: core.First, Arg: n, Order: []core.Key{{Expr: n, Desc: true}}}}}, g),
			[][]any{{"a", "z", "Y", i64(6)}, {"b", nil, nil, i64(3)}, {nil, "é", "Y", i64(5)}}},
		{"Values cut", &core.Aggregate{In: base(), Aggs: []core.Agg{{Name: "v", Fn: core.Values, Arg: s, Param: 2}}}, [][]any{{[]string{"Y", "z"}}}},
		{"Pct between ranks", &core.Aggregate{In: base(), Aggs: []core.Agg{{Name: "v", Fn: core.Pct, Arg: x, Param: 90}, {Name: "w", Fn: core.Pct, Arg: n, Param: 0}, {Name: "m", Fn: core.Pct, Arg: n, Param: 100}}}, [][]any{{9.2, 1.0, 6.0}}},
		{"Sum that is not finite", over(core.Sum, core.Do(core.Coalesce, core.Do(core.Div, x, core.Num(1)))), [][]any{{nil}}},
		{"Sum of ints beyond 64 bits", over(core.Sum, n), [][]any{{nil}}},
		{"StdDev that is not finite", over(core.StdDev, x), [][]any{{nil}}},
		{"Min and Max of ints", &core.Aggregate{In: base(), Aggs: []core.Agg{agg("a", core.Min, n), agg("b", core.Max, n)}}, [][]any{{i64(1), i64(6)}}},
		{"Filter after Aggregate", sorted(&core.Filter{In: &core.Aggregate{In: base(), By: []core.Named{named("g", g)}, Aggs: []core.Agg{agg("c", core.CountAll, nil)}}, Cond: core.Do(core.LtNum, core.IntOf(1), core.C("c", core.Int))}, g), [][]any{{"a", i64(3)}, {nil, i64(2)}}},
	}
}

func windowCases() []PlanCase {
	win := func(w core.Window) core.Plan {
		w.In, w.Name = base(), "w"
		if w.Order == nil {
			w.Order = asc(n)
		}
		return project(sorted(&w, n), named("w", core.C("w", w.Type())))
	}
	by := []*core.Expr{g}
	col := func(vs ...any) (rows [][]any) {
		for _, v := range vs {
			rows = append(rows, []any{v})
		}
		return rows
	}
	return []PlanCase{
		{"RowNumber", win(core.Window{Fn: core.RowNumber, Partition: by}), col(i64(1), i64(2), i64(1), i64(1), i64(2), i64(3))},
		{"Rank", win(core.Window{Fn: core.Rank, Order: asc(s)}), col(i64(3), i64(1), i64(6), i64(5), i64(1), i64(3))},
		{"Lag", win(core.Window{Fn: core.Lag, Arg: x, N: 2, Partition: by}), col(nil, nil, nil, nil, nil, 1.0)},
		{"Lag text", win(core.Window{Fn: core.Lag, Arg: s, N: 1}), col(nil, "z", "Y", nil, "é", "Y")},
		{"MovAvg before", win(core.Window{Fn: core.MovAvg, Arg: x, From: -3, To: -1}), col(nil, 1.0, 1.0, 2.5, 3.0, 14.0/3)},
		{"MovStd", win(core.Window{Fn: core.MovStd, Arg: x, From: -1, To: 0}), col(0.0, 0.0, 0.0, 1.0, 3.0, 1.0)},
		{"MovCount", win(core.Window{Fn: core.MovCount, Arg: x, From: math.MinInt64, To: 0}), col(i64(1), i64(1), i64(2), i64(3), i64(4), i64(5))},
		{"MovSum", win(core.Window{Fn: core.MovSum, Arg: x, From: math.MinInt64, To: -1}), col(nil, 1.0, 1.0, 5.0, 7.0, 15.0)},
		{"MovSum of ints", win(core.Window{Fn: core.MovSum, Arg: n, From: 0, To: 1}), col(3.0, 5.0, 7.0, 9.0, 11.0, 6.0)},
		{"MovMin", win(core.Window{Fn: core.MovMin, Arg: n, From: -1, To: 1}), col(i64(1), i64(1), i64(2), i64(3), i64(4), i64(5))},
		{"MovMax", win(core.Window{Fn: core.MovMax, Arg: s, From: -1, To: 0}), col("z", "z", "Y", "é", "é", "z")},
		{"TotalSum", win(core.Window{Fn: core.TotalSum, Arg: x, Partition: by}), col(11.0, 11.0, 4.0, 10.0, 10.0, 11.0)},
		{"Window after Filter", project(sorted(&core.Window{In: &core.Filter{In: base(), Cond: core.Do(core.Not, core.Do(core.IsNull, g))}, Name: "w", Fn: core.RowNumber, Order: asc(n)}, n), named("w", core.C("w", core.Int))), col(i64(1), i64(2), i64(3), i64(4))},
		{"Filter on a window", project(&core.Filter{In: &core.Window{In: base(), Name: "w", Fn: core.RowNumber, Order: asc(n)}, Cond: core.Do(core.EqNum, core.C("w", core.Int), core.IntOf(6))}, named("n", n)), col(i64(6))},
	}
}

func joinCases() []PlanCase {
	other := table("other", []core.Col{{Name: "k", Type: core.Text}, {Name: "v", Type: core.Int}},
		[]any{"a", i64(2)}, []any{"a", i64(5)}, []any{nil, i64(4)}, []any{"c", i64(3)})
	k, v := core.C("k", core.Text), core.C("v", core.Int)
	on := [][2]*core.Expr{{g, k}}
	join := func(kind core.JoinKind, on [][2]*core.Expr, cond *core.Expr, out ...core.Named) core.Plan {
		keys := make([]*core.Expr, len(out))
		for i, o := range out {
			keys[i] = core.C(o.Name, o.Expr.Type)
		}
		return sorted(project(&core.Join{L: base(), R: other, Kind: kind, On: on, Cond: cond}, out...), keys...)
	}
	later := core.Do(core.LtNum, n, v)
	self := &core.Filter{In: base(), Cond: core.Do(core.EqText, g, core.Str("a"))}
	return []PlanCase{
		{"Join inner", join(core.Inner, on, nil, named("n", n), named("v", v)), [][]any{{i64(1), i64(2)}, {i64(1), i64(5)}, {i64(2), i64(2)}, {i64(2), i64(5)}, {i64(6), i64(2)}, {i64(6), i64(5)}}},
		{"Join inner with condition", join(core.Inner, on, later, named("n", n), named("v", v)), [][]any{{i64(1), i64(2)}, {i64(1), i64(5)}, {i64(2), i64(5)}}},
		{"Join left", join(core.Left, on, later, named("n", n), named("v", v)), [][]any{{i64(1), i64(2)}, {i64(1), i64(5)}, {i64(2), i64(5)}, {i64(3), nil}, {i64(4), nil}, {i64(5), nil}, {i64(6), nil}}},
		{"Join semi", join(core.Semi, on, nil, named("n", n)), [][]any{{i64(1)}, {i64(2)}, {i64(6)}}},
		{"Join anti", join(core.Anti, on, nil, named("n", n)), [][]any{{i64(3)}, {i64(4)}, {i64(5)}}},
		{"Join on two", join(core.Inner, [][2]*core.Expr{{g, k}, {n, v}}, nil, named("n", n)), [][]any{{i64(2)}}},
		{"Join on condition alone", join(core.Inner, nil, core.Do(core.EqNum, n, v), named("n", n), named("k", k)), [][]any{{i64(2), "a"}, {i64(3), "c"}, {i64(4), nil}, {i64(5), "a"}}},
		{"Join with itself", sorted(project(&core.Join{Kind: core.Inner, L: project(self, named("n", n)), R: project(self, named("m", n)), On: [][2]*core.Expr{{n, core.C("m", core.Int)}}}, named("m", core.C("m", core.Int))), core.C("m", core.Int)), [][]any{{i64(1)}, {i64(2)}, {i64(6)}}},
	}
}

func shapeCases() []PlanCase {
	lists := table("lists", []core.Col{{Name: "n", Type: core.Int}, {Name: "l", Type: core.List}},
		[]any{i64(1), []string{"a", "b"}}, []any{i64(2), []string{}}, []any{i64(3), nil})
	l, e := core.C("l", core.List), core.C("e", core.Text)
	out := []core.Named{named("n", n), named("e", e)}
	return []PlanCase{
		{"Union", sorted(&core.Union{Ins: []core.Plan{project(base(), named("n", n)), table("more", []core.Col{{Name: "n", Type: core.Int}}, []any{i64(1)}, []any{nil})}}, n),
			[][]any{{i64(1)}, {i64(1)}, {i64(2)}, {i64(3)}, {i64(4)}, {i64(5)}, {i64(6)}, {nil}}},
		{"Unnest", sorted(project(&core.Unnest{In: lists, List: l, Name: "e"}, out...), n, e), [][]any{{i64(1), "a"}, {i64(1), "b"}}},
		{"Unnest keeps", sorted(project(&core.Unnest{In: lists, List: l, Name: "e", Keep: true}, out...), n, e), [][]any{{i64(1), "a"}, {i64(1), "b"}, {i64(2), nil}, {i64(3), nil}}},
		{"Filter after Unnest", project(&core.Filter{In: &core.Unnest{In: lists, List: l, Name: "e"}, Cond: core.Do(core.EqText, e, core.Str("b"))}, out...), [][]any{{i64(1), "b"}}},
	}
}
