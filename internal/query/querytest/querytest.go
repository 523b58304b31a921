// Package querytest states in rows what the primitives and plan nodes of core
// mean, and runs the rows against a back end: DuckDB, ClickHouse, closures.
//
// A row of exprs.go is an expression over the columns a, b, c, inputs for them
// and the value that core's words give. A row of plans.go is a plan over Inline
// tables and the rows it must give. A back end that runs plans runs both, by
// OverPlans; one that evaluates expressions runs the first.
//
// The package is for tests only.
package querytest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
)

// Eval evaluates e for each row of inputs. Values are nil, bool, int64, float64,
// string or []string.
type Eval func(t *testing.T, e *core.Expr, cols []core.Col, rows [][]any) []any

// Run runs a plan and gives its rows in order.
type Run func(t *testing.T, p core.Plan) [][]any

// Exprs checks every row of every primitive.
func Exprs(t *testing.T, eval Eval) {
	for _, c := range ExprCases() {
		t.Run(c.Name, func(t *testing.T) {
			got := eval(t, c.Expr, c.Cols(), c.Inputs())
			if len(got) != len(c.Rows) {
				t.Fatalf("%d values for %d rows", len(got), len(c.Rows))
			}
			for i, row := range c.Rows {
				if want := row[len(row)-1]; !Same(got[i], want) {
					t.Errorf("%s of %s: got %s, want %s", c.Name, show(row[:len(row)-1]...), show(got[i]), show(want))
				}
			}
		})
	}
}

// Plans checks every plan.
func Plans(t *testing.T, run Run) {
	for _, c := range PlanCases() {
		t.Run(c.Name, func(t *testing.T) {
			got := run(t, c.Plan)
			if !slices.EqualFunc(got, c.Want, func(a, b []any) bool { return slices.EqualFunc(a, b, Same) }) {
				t.Errorf("got\n%swant\n%s", lines(got), lines(c.Want))
			}
		})
	}
}

// OverPlans evaluates expressions by running plans. A predicate is asked three
// times: for its value, as a condition, and negated as a condition, since back
// ends may treat null otherwise in each place.
func OverPlans(run Run) Eval {
	return func(t *testing.T, e *core.Expr, cols []core.Col, rows [][]any) []any {
		number := core.C("n_", core.Int)
		table := &core.Inline{Name: "inputs", Columns: append([]core.Col{{Name: "n_", Type: core.Int}}, cols...)}
		for i, r := range rows {
			table.Rows = append(table.Rows, append([]any{int64(i)}, r...))
		}
		byNumber := []core.Key{{Expr: number}}
		values := run(t, &core.Sort{Keys: byNumber, In: &core.Project{In: table, Out: []core.Named{{Name: "n_", Expr: number}, {Name: "v", Expr: e}}}})
		out := make([]any, len(values))
		for i, v := range values {
			out[i] = v[1]
		}
		if e.Op.Predicate() {
			agree(t, run, table, e, out, true)
			agree(t, run, table, core.Do(core.Not, e), out, false)
		}
		return out
	}
}

// agree checks that the condition keeps the rows whose value was want.
func agree(t *testing.T, run Run, table *core.Inline, cond *core.Expr, values []any, want bool) {
	t.Helper()
	number := core.C("n_", core.Int)
	kept := map[any]bool{}
	for _, row := range run(t, &core.Project{In: &core.Filter{In: table, Cond: cond}, Out: []core.Named{{Name: "n_", Expr: number}}}) {
		kept[row[0]] = true
	}
	for i, v := range values {
		if kept[int64(i)] != (v == want) {
			t.Errorf("row %s: the value is %s, and as a condition for %v it keeps the row: %v", show(table.Rows[i][1:]...), show(v), want, kept[int64(i)])
		}
	}
}

// Same compares values; Floats by their first ten digits, since sums may be
// taken in any order.
func Same(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.Abs(a-b) <= 1e-10*math.Max(math.Abs(a), math.Abs(b)))
	case []string:
		b, ok := b.([]string)
		return ok && slices.Equal(a, b)
	}
	if _, list := b.([]string); list {
		return false
	}
	return a == b
}

func show(vs ...any) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = fmt.Sprintf("%#v", v)
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func lines(rows [][]any) string {
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(show(r...) + "\n")
	}
	return b.String()
}
