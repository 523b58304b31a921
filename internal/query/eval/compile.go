package eval

import (
	"gatehouse/internal/query/core"
)

// compiler makes closures of expressions that have been checked. Expressions
// may be shared, so it makes one closure of each.
type compiler struct {
	cols map[string]int
	made map[made]any
}

type made struct {
	e    *core.Expr
	kind any
}

func newCompiler(cols []core.Col) *compiler {
	c := &compiler{cols: map[string]int{}, made: map[made]any{}}
	for i, col := range cols {
		c.cols[col.Name] = i
	}
	return c
}

// kind is what the leaves and the choices of one Go type need to know of it.
type kind[T any] struct {
	is    core.Type
	cell  func(*Value) T
	konst func(*core.Expr) T
	json  func(*document, int) (T, bool)
}

var (
	bits  = kind[bool]{core.Bool, func(v *Value) bool { return v.N != 0 }, func(e *core.Expr) bool { return e.N != 0 }, (*document).bit}
	ints  = kind[int64]{core.Int, func(v *Value) int64 { return v.N }, func(e *core.Expr) int64 { return e.N }, (*document).int}
	nums  = kind[float64]{core.Float, func(v *Value) float64 { return v.F }, func(e *core.Expr) float64 { return e.F }, (*document).num}
	texts = kind[string]{core.Text, func(v *Value) string { return v.S }, func(e *core.Expr) string { return e.S }, (*document).value}
	lists = kind[[]string]{core.List, func(v *Value) []string { return v.L }, nil, nil}
)

func (c *compiler) bit(e *core.Expr) fn[bool]      { return compile(c, e, &bits, c.otherBit) }
func (c *compiler) int(e *core.Expr) fn[int64]     { return compile(c, e, &ints, c.otherInt) }
func (c *compiler) text(e *core.Expr) fn[string]   { return compile(c, e, &texts, c.otherText) }
func (c *compiler) list(e *core.Expr) fn[[]string] { return compile(c, e, &lists, c.otherList) }

// num is a number as a float64, of an Int the nearest.
func (c *compiler) num(e *core.Expr) fn[float64] {
	if e.Type != core.Int {
		return compile(c, e, &nums, c.otherNum)
	}
	x := c.int(e)
	return func(r *Row) (float64, bool) {
		n, ok := x(r)
		return float64(n), ok
	}
}

// compile compiles an expression of one type; other compiles the ops that give
// no other.
func compile[T any](c *compiler, e *core.Expr, k *kind[T], other func(*core.Expr) fn[T]) fn[T] {
	key := made{e, k}
	if f, ok := c.made[key]; ok {
		return f.(fn[T])
	}
	f := common(c, e, k, other)
	c.made[key] = f
	return f
}

// pred compiles an expression of which only true counts: a predicate, or a Bool
// that may be null.
func (c *compiler) pred(e *core.Expr) boolFn {
	key := made{e: e}
	if f, ok := c.made[key]; ok {
		return f.(boolFn)
	}
	f := c.logic(e)
	c.made[key] = f
	return f
}

// common compiles what all types have.
func common[T any](c *compiler, e *core.Expr, k *kind[T], other func(*core.Expr) fn[T]) fn[T] {
	switch {
	case e.Type == core.Null || e.IsNullConst():
		return nothing
	case e.Op == core.Const:
		x := k.konst(e)
		return func(*Row) (T, bool) { return x, true }
	case e.Op == core.Column:
		return column(c.cols[e.Name], k)
	case e.Op == core.If:
		return choose(c.pred(e.Args[0]), compile(c, e.Args[1], k, other), compile(c, e.Args[2], k, other))
	case e.Op == core.Coalesce:
		return coalesce(c, e.Args, k, other)
	case e.Op == core.JSONGet:
		return jsonGet(c.text(e.Args[0]), e.Path, k.json)
	}
	return other(e)
}

func nothing[T any](*Row) (zero T, ok bool) { return zero, false }

func column[T any](i int, k *kind[T]) fn[T] {
	is, cell := k.is, k.cell
	return func(r *Row) (zero T, ok bool) {
		v := r.at(i)
		if v.Type != is {
			return zero, false
		}
		return cell(v), true
	}
}

func choose[T any](cond boolFn, a, b fn[T]) fn[T] {
	return func(r *Row) (T, bool) {
		if cond(r) {
			return a(r)
		}
		return b(r)
	}
}

func coalesce[T any](c *compiler, args []*core.Expr, k *kind[T], other func(*core.Expr) fn[T]) fn[T] {
	fns := make([]fn[T], len(args))
	for i, a := range args {
		fns[i] = compile(c, a, k, other)
	}
	return func(r *Row) (zero T, ok bool) {
		for _, f := range fns {
			if x, ok := f(r); ok {
				return x, true
			}
		}
		return zero, false
	}
}

// strict applies f to the value of x, where it is not null.
func strict[A, T any](x fn[A], f func(A) (T, bool)) fn[T] {
	return func(r *Row) (zero T, ok bool) {
		if a, ok := x(r); ok {
			return f(a)
		}
		return zero, false
	}
}

// strict2 applies f to the values of x and y, where neither is null.
func strict2[A, B, T any](x fn[A], y fn[B], f func(A, B) (T, bool)) fn[T] {
	return func(r *Row) (zero T, ok bool) {
		a, ok := x(r)
		if !ok {
			return zero, false
		}
		b, ok := y(r)
		if !ok {
			return zero, false
		}
		return f(a, b)
	}
}

// otherBit: what of type Bool is not common is a predicate, or null for none.
func (c *compiler) otherBit(e *core.Expr) fn[bool] {
	p := c.pred(e)
	return func(r *Row) (bool, bool) { return p(r), true }
}

func (c *compiler) otherList(e *core.Expr) fn[[]string] { return c.findAll(e) }
