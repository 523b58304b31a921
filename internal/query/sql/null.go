package sql

import "gatehouse/internal/query/core"

// An expression of type Null is null in every row, and may stand where core
// wants any type. Engines want to know which: a null is printed as one of the
// type that its place is for, whatever the expression was.

// typed gives e with arguments that have a type.
func typed(e *core.Expr) *core.Expr {
	out := e
	for i, a := range e.Args {
		want := wanted(e, i)
		if a.Type != core.Null || want == core.Null {
			continue
		}
		if out == e {
			c := *e
			c.Args = append([]*core.Expr(nil), e.Args...)
			out = &c
		}
		out.Args[i] = core.NullOf(want)
	}
	return out
}

// wanted is a type that the ith argument of e may have.
func wanted(e *core.Expr, i int) core.Type {
	switch e.Op {
	case core.If, core.Coalesce:
		return e.Type
	case core.IsTrue:
		return core.Bool
	case core.EqNum, core.LtNum, core.LeNum, core.InNum, core.ToInt,
		core.Add, core.Sub, core.Mul, core.Div, core.Mod, core.Math:
		return core.Float
	case core.ToFloat, core.IntToHex, core.TimeBucket, core.FormatTime:
		return core.Int
	case core.Substr:
		if i > 0 {
			return core.Int
		}
	case core.ListHas, core.ListLen:
		if i == 0 {
			return core.List
		}
	}
	return core.Text
}

// as gives e, or the null of a type when e has none.
func as(e *core.Expr, t core.Type) *core.Expr {
	if e != nil && e.Type == core.Null {
		return core.NullOf(t)
	}
	return e
}

// ofAgg is the type that an aggregate's argument may have.
func ofAgg(fn core.AggFn) core.Type {
	switch fn {
	case core.Sum, core.Avg, core.StdDev, core.Pct:
		return core.Float
	}
	return core.Text
}

// ofWin is the same of a window's.
func ofWin(fn core.WinFn) core.Type {
	switch fn {
	case core.MovAvg, core.MovStd, core.MovSum, core.TotalSum:
		return core.Float
	}
	return core.Text
}
