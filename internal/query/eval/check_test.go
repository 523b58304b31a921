package eval_test

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/querytest"
)

var (
	number, word, yes = core.C("i", core.Int), core.C("s", core.Text), core.BoolOf(true)
	two               = &core.Regex{Source: "(a)(b)", Go: regexp.MustCompile("(a)(b)")}
)

// with sets what an expression has beside its arguments.
func with(e *core.Expr, set func(*core.Expr)) *core.Expr {
	set(e)
	return e
}

func TestCompileRefuses(t *testing.T) {
	deep := word
	for range 3000 {
		deep = core.Do(core.Lower, deep)
	}
	wide := word
	for range 30 {
		wide = core.Do(core.Concat, wide, wide)
	}
	for want, e := range map[string]*core.Expr{
		"missing":                           nil,
		"there is no op":                    {Op: core.NumOps},
		`Column: there is no "x"`:           core.C("x", core.Text),
		`"i" is of type int, not text`:      core.C("i", core.Text),
		`there is no "I"`:                   core.C("I", core.Int), // names as the input has them
		"EqText: argument 2 is of type int": core.Do(core.EqText, word, number),
		"Add: argument 1 is of type int":    core.Do(core.Add, number, core.Num(1)),
		"Not: argument 1 is Column":         core.Do(core.Not, core.C("b", core.Bool)),
		"Not: argument 1 is Const":          core.Do(core.Not, core.NullOf(core.Bool)),
		"Lower: 2 arguments, want 1":        core.Do(core.Lower, word, word),
		"If: 2 arguments, want 3":           {Op: core.If, Type: core.Text, Args: []*core.Expr{yes, word}},
		"Concat: 0 arguments":               core.Do(core.Concat),
		"If: a value is of type int":        core.Do(core.If, yes, word, number),
		"Length: its type is text":          {Op: core.Length, Type: core.Text, Args: []*core.Expr{word}},
		"Const: +Inf is no number":          core.Num(math.Inf(1)),
		"no constant is a list":             {Op: core.Const, Type: core.List},
		"JSONGet: its type is list":         {Op: core.JSONGet, Type: core.List, Args: []*core.Expr{word}},
		`no function is called "sign"`:      with(core.Do(core.Math, core.Num(1)), func(e *core.Expr) { e.S = "sign" }),
		"pow of 1 arguments":                with(core.Do(core.Math, core.Num(1)), func(e *core.Expr) { e.S = "pow" }),
		"its regular expression is missing": core.Do(core.MatchRe, word),
		"(a)(b) has no group 3":             with(core.Do(core.ExtractRe, word), func(e *core.Expr) { e.Re, e.N = two, 3 }),
		"ExtractRe: group -1":               with(core.Do(core.ExtractRe, word), func(e *core.Expr) { e.Re, e.N = two, -1 }),
		"(a)(b) has no group 9":             with(core.Do(core.ReplaceRe, word), func(e *core.Expr) { e.Re, e.Rep = two, []core.RepPart{{Group: 9}} }),
		"SplitPart: its N is 0":             core.Do(core.SplitPart, word, word),
		"TimeBucket: its N is 0":            core.Do(core.TimeBucket, number),
		`no hash is called "crc"`:           with(core.Do(core.Hash, word), func(e *core.Expr) { e.S = "crc" }),
		`a time pattern has no "YYYY"`:      with(core.Do(core.FormatTime, number), func(e *core.Expr) { e.S = "YYYY" }),
		`a time pattern has no "SS"`:        with(core.Do(core.FormatTime, number), func(e *core.Expr) { e.S = "SS" }),
		"is not closed":                     with(core.Do(core.FormatTime, number), func(e *core.Expr) { e.S = "'at" }),
		"times cannot be read by 1":         with(core.Do(core.ParseTime, word), func(e *core.Expr) { e.S = "D" }),
		"nest deeper than 2000":             deep,
		"more than 1048576 nodes":           wide,
	} {
		f, err := eval.Compile(e, querytest.Columns)
		if err == nil || f != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func inline(cols ...core.Col) *core.Inline { return &core.Inline{Name: "t", Columns: cols} }

func TestCheckRefuses(t *testing.T) {
	in := inline(querytest.Columns...)
	other := inline(core.Col{Name: "k", Type: core.Text}, core.Col{Name: "I", Type: core.Int})
	is := core.Col{Name: "i", Type: core.Int}
	agg := func(a core.Agg) core.Plan { a.Name = "n"; return &core.Aggregate{In: in, Aggs: []core.Agg{a}} }
	win := func(w core.Window) core.Plan { w.In, w.Name = in, "n"; return &w }
	key := []core.Key{{Expr: number}}
	for want, p := range map[string]core.Plan{
		"a plan is missing":                     nil,
		"missing":                               &core.Filter{Cond: yes},
		"is missing":                            (*core.Scan)(nil),
		"filter: Column of type bool":           &core.Filter{In: in, Cond: core.C("b", core.Bool)},
		"scan: MatchRe: its regular":            &core.Scan{Filter: core.Do(core.MatchRe, core.C("any", core.Text))},
		"scan: Column: \"any\" is of":           &core.Scan{Columns: []core.Col{{Name: "any", Type: core.Int}}, Filter: core.Do(core.IsNull, core.C("any", core.Text))},
		"scan: an expression is":                &core.Scan{Filter: core.Do(core.Not, nil)},
		"inline: two columns":                   inline(is, core.Col{Name: "I", Type: core.Text}),
		"or none":                               inline(core.Col{Type: core.Text}),
		"of no type":                            inline(core.Col{Name: "x", Type: 99}),
		"inline: row 2: 0 values":               &core.Inline{Columns: []core.Col{is}, Rows: [][]any{{nil}, {}}},
		"the value of type text":                &core.Inline{Columns: []core.Col{is}, Rows: [][]any{{"x"}}},
		"int is not among":                      &core.Inline{Columns: []core.Col{is}, Rows: [][]any{{1}}},
		"NaN is no value":                       &core.Inline{Columns: []core.Col{is}, Rows: [][]any{{math.NaN()}}},
		`project: "n": Column`:                  &core.Project{In: in, Out: []core.Named{{Name: "n", Expr: core.C("x", core.Int)}}},
		`project: two columns have the name`:    &core.Project{In: in, Out: []core.Named{{Name: "n", Expr: word}, {Name: "N", Expr: word}}},
		`project: "e": an expression`:           &core.Project{In: in, Out: []core.Named{{Name: "e"}}},
		`aggregate: "n": there is no such`:      agg(core.Agg{Fn: 99}),
		`aggregate: "n": an expression`:         agg(core.Agg{Fn: core.Sum}),
		`"n": Column is of type text, want`:     agg(core.Agg{Fn: core.Sum, Arg: word}),
		`Column is of type list, want [bool`:    agg(core.Agg{Fn: core.Min, Arg: core.C("l", core.List)}),
		`the percentile 101`:                    agg(core.Agg{Fn: core.Pct, Arg: number, Param: 101}),
		`the percentile NaN`:                    agg(core.Agg{Fn: core.Pct, Arg: number, Param: math.NaN()}),
		`at most 0 values`:                      agg(core.Agg{Fn: core.Values, Arg: word}),
		`of no order`:                           agg(core.Agg{Fn: core.First, Arg: word}),
		`"n": Column of type bool is no`:        agg(core.Agg{Fn: core.CountAll, If: core.C("b", core.Bool)}),
		`window: there is no such`:              win(core.Window{Fn: 99}),
		`window: an expression`:                 win(core.Window{Fn: core.Lag, Order: key}),
		`from 1 to 0`:                           win(core.Window{Fn: core.MovAvg, Arg: number, From: 1}),
		`sort: Column is of type list`:          &core.Sort{In: in, Keys: []core.Key{{Expr: core.C("l", core.List)}}},
		`limit: of -1 rows`:                     &core.Limit{In: in, N: -1},
		`join: there is no such kind`:           &core.Join{L: in, R: other, Kind: 9},
		`join: two columns`:                     &core.Join{L: in, R: other},
		`join: on int and text`:                 &core.Join{L: in, R: other, Kind: core.Semi, On: [][2]*core.Expr{{number, core.C("k", core.Text)}}},
		`join: Column is of type bool`:          &core.Join{L: in, R: other, Kind: core.Semi, On: [][2]*core.Expr{{core.C("b", core.Bool), core.C("k", core.Text)}}},
		`union: of nothing`:                     &core.Union{},
		`union: of 8 and of 2 columns`:          &core.Union{Ins: []core.Plan{in, other}},
		`union: of "I" of type int and "i"`:     &core.Union{Ins: []core.Plan{inline(core.Col{Name: "I", Type: core.Int}), inline(is)}},
		`unnest: Column is of type text`:        &core.Unnest{In: in, List: word, Name: "e"},
		`unnest: two columns have the name "l"`: &core.Unnest{In: in, List: core.C("l", core.List), Name: "l"},
		`host: it cannot run`:                   &core.Host{In: in},
	} {
		if err := eval.Check(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestCheckBelowAnOpenHost: what only a Host's Run knows is checked when it has
// run, what stands below it before.
func TestCheckBelowAnOpenHost(t *testing.T) {
	run := func([]core.Col, [][]any) ([]core.Col, [][]any, []string, error) { return nil, nil, nil, nil }
	open := &core.Host{In: inline(querytest.Columns...), Run: run}
	above := &core.Filter{In: &core.Union{Ins: []core.Plan{open, inline()}}, Cond: core.Do(core.IsNull, core.C("x", core.Text))}
	if err := eval.Check(above); err != nil {
		t.Error(err)
	}
	open.In = &core.Limit{In: open.In, N: -1}
	if err := eval.Check(above); err == nil {
		t.Error("nothing is wrong below the host")
	}
}
