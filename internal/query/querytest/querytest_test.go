package querytest

import (
	"testing"

	"gatehouse/internal/query/core"
)

// TestCoverage holds that every primitive, aggregate and window function has a
// row.
func TestCoverage(t *testing.T) {
	ops := map[core.Op]bool{core.JSONFold: true} // closures only: their own tests
	for _, c := range ExprCases() {
		core.Walk(c.Expr, func(e *core.Expr) { ops[e.Op] = true })
		for i, r := range c.Rows {
			if len(r) != len(c.Cols())+1 {
				t.Errorf("%s: row %d has %d values for %d columns and a result", c.Name, i+1, len(r), len(c.Cols()))
			}
		}
	}
	for op := core.Op(0); op < core.NumOps; op++ {
		if !ops[op] {
			t.Errorf("op %d has no row", op)
		}
	}
	aggs, wins := map[core.AggFn]bool{}, map[core.WinFn]bool{}
	for _, c := range PlanCases() {
		visit(c.Plan, func(n core.Plan) {
			switch n := n.(type) {
			case *core.Aggregate:
				for _, a := range n.Aggs {
					aggs[a.Fn] = true
				}
			case *core.Window:
				wins[n.Fn] = true
			}
		})
	}
	if len(aggs) != int(core.Last)+1 || len(wins) != int(core.Rank)+1 {
		t.Errorf("%d of %d aggregates and %d of %d window functions have a row", len(aggs), core.Last+1, len(wins), core.Rank+1)
	}
}

func visit(n core.Plan, f func(core.Plan)) {
	f(n)
	for _, in := range n.Inputs() {
		visit(in, f)
	}
}
