package eval_test

import (
	"math"
	"testing"
	"unicode/utf8"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/querytest"
)

// ruleless are the ops that are not null when an argument is, and are no
// predicates.
var ruleless = map[core.Op]bool{core.If: true, core.Coalesce: true, core.Const: true, core.Column: true}

// checkValue holds what core says of every value, and of null.
func checkValue(t *testing.T, e *core.Expr, row []eval.Value) {
	t.Helper()
	value := func(e *core.Expr) eval.Value {
		f, err := eval.Compile(e, querytest.Columns)
		if err != nil {
			t.Fatal(err)
		}
		var r eval.Row
		r.Set(row)
		return f.Value(&r)
	}
	v := value(e)
	switch {
	case !v.IsNull() && v.Type != e.Type:
		t.Errorf("%s: a value of type %v for %v", eval.Name(e.Op), v.Type, e.Type)
	case v.Type == core.Text && !utf8.ValidString(v.S):
		t.Errorf("%s gives %q", eval.Name(e.Op), v.S)
	case v.Type == core.Float && (math.IsNaN(v.F) || math.IsInf(v.F, 0)):
		t.Errorf("%s gives %v", eval.Name(e.Op), v.F)
	case e.Op.Predicate() && v.IsNull():
		t.Errorf("predicate %s is null", eval.Name(e.Op))
	}
	if ruleless[e.Op] || e.Op == core.IsNull || e.Op == core.And || e.Op == core.Or || e.Op == core.Not {
		return
	}
	for _, a := range e.Args {
		if x := value(a); x.IsNull() && !v.IsNull() && !(v.Type == core.Bool && v.N == 0) {
			t.Errorf("%s of null is %v", eval.Name(e.Op), v.Any())
		}
	}
}

// checkRandom makes one expression and asks it of some rows.
func checkRandom(t *testing.T, seed uint64) {
	g := querytest.NewRandom(seed, true)
	e := g.Expr("pbiftl"[g.IntN(6)], 4)
	for range 4 {
		checkValue(t, e, cells(t, g.Row()))
	}
}

func TestRandomExpressions(t *testing.T) {
	for seed := range uint64(20_000) {
		if checkRandom(t, seed); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzExpressions(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkRandom)
}
