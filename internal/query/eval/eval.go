// Package eval runs core in the process: an expression becomes a closure over a
// row, a plan becomes a walk over rows in memory.
//
// It has two users. The live detector asks some hundreds of predicates of each
// event, so a [Func] is closures of plain Go types with what can be known
// beforehand decided beforehand: [Compile] once, then [Row.Set] and
// [Func.True] for each event, which allocate nothing as long as a predicate
// reads columns only. A Row remembers the JSON documents it has parsed, so that
// all the functions that ask the record for a path share one parse.
//
// The tests of the engines use [Run] as their oracle. It is the plainest
// reading of core's words: every node is a loop over all rows of its input,
// which are in memory and few. It is no third engine.
//
// [Check] says whether a plan is one: types agree, names exist, predicates
// stand where predicates are due. Compile and Run check what they are given, so
// that nothing they return can panic, whatever the rows.
//
// Where an op or a node could outgrow memory there is a bound: [MaxText] for
// a text, [Budget] for rows.
package eval

import (
	"gatehouse/internal/query/core"
)

// A Func is a compiled expression. It has no state and may be used by several
// goroutines, each with a Row of its own.
type Func struct {
	Type core.Type // Null when it is null in every row

	pred boolFn
	bit  fn[bool]
	int  fn[int64]
	num  fn[float64]
	text fn[string]
	list fn[[]string]
}

// fn gives a value, and false for null.
type fn[T any] func(*Row) (T, bool)

// boolFn is a predicate, or an expression of which only true counts.
type boolFn func(*Row) bool

// Compile makes a function of e, over rows whose values are those of cols, in
// order. An error says where e is not well formed.
func Compile(e *core.Expr, cols []core.Col) (*Func, error) {
	if err := checkExpr(e, cols); err != nil {
		return nil, err
	}
	c := newCompiler(cols)
	f := &Func{Type: e.Type}
	switch e.Type {
	case core.Bool:
		f.bit, f.pred = c.bit(e), c.pred(e)
	case core.Int:
		f.int = c.int(e)
	case core.Float:
		f.num = c.num(e)
	case core.Text:
		f.text = c.text(e)
	case core.List:
		f.list = c.list(e)
	}
	return f, nil
}

// True says that the value is true: not false, not null, not of another type.
func (f *Func) True(r *Row) bool { return f.pred != nil && f.pred(r) }

// Text is the value of a Text function, false for null.
func (f *Func) Text(r *Row) (string, bool) {
	if f.text == nil {
		return "", false
	}
	return f.text(r)
}

// Value is the value, of Type or null.
func (f *Func) Value(r *Row) Value {
	v, ok := Value{Type: f.Type}, false
	switch f.Type {
	case core.Bool:
		var b bool
		b, ok = f.bit(r)
		v = BoolValue(b)
	case core.Int:
		v.N, ok = f.int(r)
	case core.Float:
		v.F, ok = f.num(r)
	case core.Text:
		v.S, ok = f.text(r)
	case core.List:
		v.L, ok = f.list(r)
	}
	if !ok {
		return Value{}
	}
	return v
}
