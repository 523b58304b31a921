package op

import (
	"math"
	"regexp"
	"strconv"

	"gatehouse/internal/query/core"
)

// looksNumeric is the form of texts that core.ToNum takes.
var looksNumeric = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// do applies an op and folds what a constant null decides: a predicate is false,
// any other strict op null.
func do(op core.Op, list ...*core.Expr) *core.Expr {
	e := core.Do(op, list...)
	switch op {
	case core.If, core.Coalesce, core.And, core.Or, core.Not, core.IsTrue:
		return e
	case core.IsNull:
		if list[0].Op == core.Const {
			return core.BoolOf(list[0].IsNullConst())
		}
		return e
	}
	for _, x := range list {
		if x.IsNullConst() && op.Predicate() {
			return core.BoolOf(false)
		} else if x.IsNullConst() {
			return core.NullOf(e.Type)
		}
	}
	return e
}

// constNum is the number that a constant stands for.
func constNum(e *core.Expr) (float64, bool) {
	if e.Op != core.Const || e.IsNullConst() {
		return 0, false
	}
	switch e.Type {
	case core.Int:
		return float64(e.N), true
	case core.Float:
		return e.F, true
	case core.Text:
		if looksNumeric.MatchString(e.S) {
			f, err := strconv.ParseFloat(e.S, 64)
			return f, err == nil
		}
	}
	return 0, false
}

// constText is the text of a constant, as ToText gives it.
func constText(e *core.Expr) (string, bool) {
	if e.Op != core.Const || e.IsNullConst() {
		return "", false
	}
	switch e.Type {
	case core.Text:
		return e.S, true
	case core.Int:
		return strconv.FormatInt(e.N, 10), true
	case core.Bool:
		return strconv.FormatBool(e.N != 0), true
	case core.Float:
		if e.F == math.Trunc(e.F) && math.Abs(e.F) < 1<<53 {
			return strconv.FormatInt(int64(e.F), 10), true
		}
	}
	return "", false
}

// toText makes any value a text.
func toText(e *core.Expr) *core.Expr {
	if e.Type == core.Text {
		return e
	}
	if e.IsNullConst() {
		return core.NullOf(core.Text)
	}
	if s, ok := constText(e); ok {
		return core.Str(s)
	}
	return do(core.ToText, e)
}

// toNumber makes any value an Int or Float; what is no number is null.
func toNumber(e *core.Expr) *core.Expr {
	switch {
	case e.Type.Number():
		return e
	case e.IsNullConst():
		return core.NullOf(core.Float)
	case e.Type == core.Bool:
		return do(core.ToFloat, e)
	}
	if e.Op == core.Const {
		if f, ok := constNum(e); ok {
			return core.Num(f)
		}
		return core.NullOf(core.Float)
	}
	return do(core.ToNum, toText(e))
}

// toFloat makes any value a Float.
func toFloat(e *core.Expr) *core.Expr {
	n := toNumber(e)
	if n.Type == core.Float {
		return n
	}
	if f, ok := constNum(n); ok {
		return core.Num(f)
	}
	if n.IsNullConst() {
		return core.NullOf(core.Float)
	}
	return do(core.ToFloat, n)
}

// toInt makes any value an Int, towards zero.
func toInt(e *core.Expr) *core.Expr {
	n := toNumber(e)
	if n.Type == core.Int {
		return n
	}
	if n.IsNullConst() {
		return core.NullOf(core.Int)
	}
	if f, ok := constNum(n); ok && math.Abs(f) < 1<<53 {
		return core.IntOf(int64(f))
	}
	return do(core.ToInt, n)
}

// isPredicate tells whether e may stand in And, Or and Not as it is.
func isPredicate(e *core.Expr) bool {
	return e.Op.Predicate() || e.Op == core.Const && e.Type == core.Bool && !e.IsNullConst()
}

// toPred makes any value a condition: true, a number that is not 0, or the text
// true or of such a number.
func toPred(e *core.Expr) *core.Expr {
	switch {
	case isPredicate(e):
		return e
	case e.IsNullConst():
		return core.BoolOf(false)
	case e.Type == core.Bool:
		return do(core.IsTrue, e)
	case e.Type.Number():
		return not(do(core.EqNum, coalesce(e, zero(e.Type)), zero(e.Type)))
	}
	t := toText(e)
	if t.Op == core.Const {
		return core.BoolOf(t.S == "true" || t.S == "1")
	}
	return inText(do(core.Lower, t), "true", "1")
}

func zero(t core.Type) *core.Expr {
	if t == core.Int {
		return core.IntOf(0)
	}
	return core.Num(0)
}

func inText(x *core.Expr, set ...string) *core.Expr {
	e := do(core.InText, x)
	e.Set = set
	return e
}

func constBool(e *core.Expr) (value, ok bool) {
	if e.Op == core.Const && e.Type == core.Bool && !e.IsNullConst() {
		return e.N != 0, true
	}
	return false, false
}

// and joins predicates, without those that are always true.
func and(list ...*core.Expr) *core.Expr { return junction(core.And, false, list) }

// or joins predicates, without those that are never true.
func or(list ...*core.Expr) *core.Expr { return junction(core.Or, true, list) }

func junction(op core.Op, decides bool, list []*core.Expr) *core.Expr {
	var out []*core.Expr
	for _, e := range list {
		if v, ok := constBool(e); ok {
			if v == decides {
				return e
			}
			continue
		}
		if e.Op == op {
			out = append(out, e.Args...)
			continue
		}
		out = append(out, e)
	}
	switch len(out) {
	case 0:
		return core.BoolOf(!decides)
	case 1:
		return out[0]
	}
	return do(op, out...)
}

func not(e *core.Expr) *core.Expr {
	if v, ok := constBool(e); ok {
		return core.BoolOf(!v)
	}
	if e.Op == core.Not {
		return e.Args[0]
	}
	return do(core.Not, e)
}

// unify gives two values one type: a null takes the other's, numbers are Floats
// when one is, and all else is text.
func unify(x, y *core.Expr) (*core.Expr, *core.Expr) {
	switch {
	case x.Type == y.Type && x.Type != core.Null:
		return x, y
	case x.IsNullConst() && y.IsNullConst():
		return core.NullOf(core.Text), core.NullOf(core.Text)
	case x.IsNullConst():
		return core.NullOf(y.Type), y
	case y.IsNullConst():
		return x, core.NullOf(x.Type)
	case x.Type.Number() && y.Type.Number():
		return toFloat(x), toFloat(y)
	}
	return toText(x), toText(y)
}

// choose is if(cond, x, y).
func choose(cond, x, y *core.Expr) *core.Expr {
	x, y = unify(x, y)
	if v, ok := constBool(cond); ok && v {
		return x
	} else if ok {
		return y
	}
	return do(core.If, cond, x, y)
}

// coalesce is the first of values of any types that is not null.
func coalesce(x, y *core.Expr) *core.Expr {
	x, y = unify(x, y)
	switch {
	case x.IsNullConst():
		return y
	case x.Op == core.Const || y.IsNullConst():
		return x
	}
	return do(core.Coalesce, x, y)
}
