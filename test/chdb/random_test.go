package chdb_test

import (
	"context"
	"testing"

	"gatehouse/internal/query"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/querytest"
	"gatehouse/internal/query/sql"
)

// seeds of expressions made at random; most have more than one primitive.
const seedCount = 400

// TestRandom asks expressions made at random of ClickHouse and of closures.
func TestRandom(t *testing.T) {
	e := open(t, "?files=/none")
	for seed := range uint64(seedCount) {
		g := querytest.NewRandom(seed, false)
		x := g.Expr("pbiftl"[g.IntN(6)], 1+g.IntN(3))
		if apart(x) {
			continue
		}
		in := &core.Inline{Name: "rnd", Columns: append([]core.Col{{Name: "n_", Type: core.Int}}, querytest.Columns...)}
		for i := range int64(6) {
			in.Rows = append(in.Rows, append([]any{i}, g.Row()...))
		}
		number := core.C("n_", core.Int)
		p := &core.Sort{Keys: []core.Key{{Expr: number}}, In: &core.Project{In: in, Out: []core.Named{{Name: "n_", Expr: number}, {Name: "v", Expr: x}}}}
		rows, err := query.Run(t.Context(), e, query.Job{Plan: p})
		var got [][]any
		if err == nil {
			got, err = rows.All()
		}
		if err != nil {
			t.Errorf("seed %d: %s: %.300v", seed, dump(x), err)
			continue
		}
		for i, want := range closures(t, p) {
			if !querytest.Same(got[i][1], want[1]) {
				t.Errorf("seed %d: %s of %#v: ClickHouse says %#v, closures %#v", seed, dump(x), in.Rows[i], got[i][1], want[1])
				break
			}
		}
	}
}

// apart finds what ClickHouse cannot do alike: it has no remainder of floats that
// is exact where the quotient is large (the rows in querytest pass), and all
// matches of an expression that can match nothing are refused.
func apart(x *core.Expr) (found bool) {
	core.Walk(x, func(e *core.Expr) {
		found = found || e.Op == core.Mod || e.Op == core.FindAllRe && refused(e)
	})
	return found
}

// refused says that the printer will not print e for ClickHouse.
func refused(e *core.Expr) bool {
	in := &core.Inline{Name: "rnd", Columns: querytest.Columns}
	_, err := sql.Print(&core.Project{In: in, Out: []core.Named{{Name: "v", Expr: e}}}, &sql.ClickHouse)
	return err != nil
}

func closures(t *testing.T, p core.Plan) [][]any {
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

// dump names an expression's ops.
func dump(e *core.Expr) string {
	s := eval.Name(e.Op)
	switch {
	case e.Op == core.Column:
		return e.Name
	case e.Op == core.Const && !e.IsNullConst():
		return "const"
	case e.S != "":
		s += "'" + e.S + "'"
	}
	s += "("
	for _, a := range e.Args {
		s += dump(a) + " "
	}
	return s + ")"
}
