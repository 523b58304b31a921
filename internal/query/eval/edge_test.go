package eval_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/querytest"
)

// edges are further rows of the kind that querytest has: what this back end could
// get wrong in a way of its own.
func edges() []querytest.ExprCase {
	a, b, x, y := core.C("a", core.Text), core.C("b", core.Text), core.C("a", core.Float), core.C("b", core.Float)
	log := with(core.Do(core.Math, x), func(e *core.Expr) { e.S = "log" })
	round := with(core.Do(core.Math, x, y), func(e *core.Expr) { e.S = "round" })
	return []querytest.ExprCase{
		{Name: "null is no empty text", Expr: core.Do(core.EqText, a, core.Str("")), Rows: [][]any{{nil, false}, {"", true}}},
		{Name: "a column beside a null", Expr: core.Do(core.HasPrefix, a, core.NullOf(core.Text)), Rows: [][]any{{"", false}}},
		{Name: "Glob takes no text twice", Expr: core.Do(core.Glob, a, b), Rows: [][]any{{"ab", "*ab*b*", false}, {"aba", "ab*ba", false}, {"abba", "ab*ba", true}, {"a", "a*a", false}, {"axbxc", "a**c", true}, {"aXbc", "*b*c*", true}}},
		{Name: "round cuts its digits", Expr: round, Rows: [][]any{{1.25, 1.9, 1.3}, {1250.0, -2.9, 1300.0}, {-1.25, 1.0, -1.3}, {1e300, 20.0, 1e300}, {5.0, -400.0, 0.0}}},
		{Name: "log of the least Float", Expr: log, Rows: [][]any{{5e-324, -744.4400719213812}, {0x1p-1022, -708.3964185322641}, {0.0, nil}}},
		{Name: "Base64Dec in lines", Expr: core.Do(core.Base64Dec, a), Rows: [][]any{{"Y\nQ", nil}, {"YWI\r\n", nil}, {"YQ=", nil}, {"YWJj=", nil}, {"YQ===", nil}, {"=", nil}, {"====", nil}, {"Y=Q=", nil}}},
		{Name: "IsIPv6 of a zone", Expr: core.Do(core.IsIPv6, a), Rows: [][]any{{"fe80::1%eth0", false}}},
		{Name: "JSONGet of half a pair", Expr: &core.Expr{Op: core.JSONGet, Type: core.Text, Args: []*core.Expr{a}}, Rows: [][]any{{`"\u0041\udc00"`, "A\ufffd"}, {`"\ud83d\u0041"`, "\ufffdA"}, {` "x" `, "x"}}},
		{Name: "JSONGet typed of others", Expr: &core.Expr{Op: core.JSONGet, Type: core.Int, Args: []*core.Expr{a}}, Rows: [][]any{{"7", int64(7)}, {"7.5", nil}, {`"7"`, nil}, {"true", nil}, {"[7]", nil}, {"9223372036854775808", nil}}},
		{Name: "InNum of zeros", Expr: with(core.Do(core.InNum, x), func(e *core.Expr) { e.Nums = []float64{0} }), Rows: [][]any{{math.Copysign(0, -1), true}}},
	}
}

func TestEdges(t *testing.T) {
	for _, c := range edges() {
		got := values(t, c.Expr, c.Cols(), c.Inputs())
		for i, row := range c.Rows {
			if want := row[len(row)-1]; !querytest.Same(got[i], want) {
				t.Errorf("%s, %#v: got %#v, want %#v", c.Name, row[:len(row)-1], got[i], want)
			}
		}
	}
}

// TestKeys: what is equal groups and joins, whatever its type or sign.
func TestKeys(t *testing.T) {
	x, n := core.Col{Name: "x", Type: core.Float}, core.Col{Name: "n", Type: core.Int}
	floats := &core.Inline{Columns: []core.Col{x}, Rows: [][]any{{0.0}, {math.Copysign(0, -1)}, {1.0}, {1.5}, {nil}}}
	ints := &core.Inline{Columns: []core.Col{n}, Rows: [][]any{{int64(0)}, {int64(1)}, {nil}}}
	lists := &core.Inline{Columns: []core.Col{{Name: "l", Type: core.List}}, Rows: [][]any{{[]string{"a", "b"}}, {[]string{"ab", ""}}, {[]string{"a", "b"}}, {[]string{}}, {nil}}}
	fx, fn := core.C("x", core.Float), core.C("n", core.Int)
	count := func(in core.Plan, e *core.Expr) core.Plan {
		return &core.Aggregate{In: in, Aggs: []core.Agg{{Name: "c", Fn: core.CountDistinct, Arg: e}}}
	}
	by := &core.Aggregate{In: lists, By: []core.Named{{Name: "l", Expr: core.C("l", core.List)}}, Aggs: []core.Agg{{Name: "c", Fn: core.CountAll}}}
	for _, c := range []struct {
		plan core.Plan
		want string
	}{
		{count(floats, fx), "[[3]]"},
		{count(lists, core.C("l", core.List)), "[[3]]"},
		{by, "[[[a b] 2] [[ab ] 1] [[] 1] [<nil> 1]]"},
		{&core.Join{L: ints, R: floats, On: [][2]*core.Expr{{fn, fx}}}, "[[0 0] [0 -0] [1 1]]"},
	} {
		if got := fmt.Sprint(rows(t, c.plan)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// TestShortRow: columns that a row lacks are null, as are values of other types.
func TestShortRow(t *testing.T) {
	f, err := eval.Compile(core.Do(core.Concat, core.C("s", core.Text), core.C("doc", core.Text)), querytest.Columns)
	if err != nil {
		t.Fatal(err)
	}
	var r eval.Row
	for _, n := range []int{0, 3, len(querytest.Columns)} {
		row := make([]eval.Value, n)
		for i := range row {
			row[i] = eval.IntValue(1)
		}
		if r.Set(row); !f.Value(&r).IsNull() {
			t.Errorf("%d values: got %v", n, f.Value(&r))
		}
	}
	if s, ok := f.Text(&r); ok || strings.TrimSpace(s) != "" {
		t.Errorf("got %q", s)
	}
}
