package eval_test

import (
	"context"
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/querytest"
)

func TestExprs(t *testing.T) { querytest.Exprs(t, values) }

func TestPlans(t *testing.T) { querytest.Plans(t, rows) }

func TestExprsInPlans(t *testing.T) { querytest.Exprs(t, querytest.OverPlans(rows)) }

// values evaluates an expression over rows, one Row for all of them.
func values(t *testing.T, e *core.Expr, cols []core.Col, rows [][]any) []any {
	t.Helper()
	f, err := eval.Compile(e, cols)
	if err != nil {
		t.Fatal(err)
	}
	var r eval.Row
	out := make([]any, len(rows))
	for i, row := range rows {
		r.Set(cells(t, row))
		out[i] = f.Value(&r).Any()
		if f.True(&r) != (out[i] == true) {
			t.Errorf("True(%v) is not %v", row, out[i])
		}
	}
	return out
}

func cells(t *testing.T, row []any) []eval.Value {
	t.Helper()
	cells := make([]eval.Value, len(row))
	for i, x := range row {
		v, err := eval.FromAny(x)
		if err != nil {
			t.Fatal(err)
		}
		cells[i] = v
	}
	return cells
}

func rows(t *testing.T, p core.Plan) [][]any {
	t.Helper()
	table, err := eval.Run(context.Background(), p, nil, eval.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	var out [][]any
	for _, row := range table.Rows {
		cells := make([]any, len(row))
		for i, v := range row {
			cells[i] = v.Any()
		}
		out = append(out, cells)
	}
	return out
}
