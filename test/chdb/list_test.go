package chdb_test

import (
	"reflect"
	"testing"

	"gatehouse/internal/query/core"
)

// TestNullLists holds that the array which stands for a null list is one
// wherever rows or values are missing.
func TestNullLists(t *testing.T) {
	l, k, n := core.C("l", core.List), core.C("k", core.Text), core.C("n", core.Text)
	left := &core.Inline{Name: "lefts", Columns: []core.Col{{Name: "n", Type: core.Text}}, Rows: [][]any{{"a"}, {"b"}, {"c"}}}
	right := &core.Inline{Name: "rights", Columns: []core.Col{{Name: "k", Type: core.Text}, {Name: "l", Type: core.List}}, Rows: [][]any{{"a", []string{"x"}}, {"b", nil}}}
	joined := &core.Join{L: left, R: right, Kind: core.Left, On: [][2]*core.Expr{{n, k}}}
	plan := &core.Sort{Keys: []core.Key{{Expr: n}}, In: &core.Project{In: joined, Out: []core.Named{{Name: "n", Expr: n}, {Name: "l", Expr: l},
		{Name: "null", Expr: core.Do(core.IsNull, l)}, {Name: "or", Expr: core.Do(core.Coalesce, l, core.NullOf(core.List), l)},
		{Name: "if", Expr: core.Do(core.If, core.Do(core.EqText, n, core.Str("a")), core.NullOf(core.List), l)}}}}
	want := [][]any{{"a", []string{"x"}, false, []string{"x"}, nil}, {"b", nil, true, nil, nil}, {"c", nil, true, nil, nil}}
	if got := runOn(open(t, "?files=/none"))(t, plan); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(closures(t, plan), want) {
		t.Errorf("got %#v, closures %#v", got, closures(t, plan))
	}
}
