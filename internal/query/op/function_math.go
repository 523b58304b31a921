package op

import "gatehouse/internal/query/core"

// mathFunctions work on numbers.
var mathFunctions = append([]*Function{
	{Name: "round", Min: 1, Max: 2, Form: "round(x[, digits])", Help: "half away from zero",
		lower: func(a args) (*core.Expr, error) {
			digits := core.Num(0)
			if a.len() == 2 {
				digits = a.float(1)
			}
			return maths("round", a.float(0), digits), nil
		}},
	math2("max", "the larger"), math2("min", "the smaller"), math2("pow", "x to the power of y"),
	math2("atan2", "the angle of the point (y, x)"), math2("hypot", "the length of (x, y)"),
	{Name: "toDegrees", Min: 1, Max: 1, Form: "toDegrees(x)", Help: "radians to degrees",
		lower: func(a args) (*core.Expr, error) { return do(core.Mul, a.float(0), core.Num(180/pi)), nil }},
	{Name: "toRadians", Min: 1, Max: 1, Form: "toRadians(x)", Help: "degrees to radians",
		lower: func(a args) (*core.Expr, error) { return do(core.Mul, a.float(0), core.Num(pi/180)), nil }},
	{Name: "haversine", Min: 4, Max: 4, Form: "haversine(lat1, lon1, lat2, lon2)", Help: "kilometres between two places", lower: lowerHaversine},
}, math1("abs", "ceil", "floor", "sqrt", "cbrt", "exp", "expm1", "log", "log10", "log1p",
	"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")...)

const pi = 3.14159265358979323846

func maths(name string, x ...*core.Expr) *core.Expr {
	e := do(core.Math, x...)
	e.S = name
	return e
}

func math1(names ...string) []*Function {
	var list []*Function
	for _, name := range names {
		list = append(list, &Function{Name: name, Min: 1, Max: 1, Form: name + "(x)", Help: "the function of that name; null where it has no value",
			lower: func(a args) (*core.Expr, error) { return maths(name, a.float(0)), nil }})
	}
	return list
}

func math2(name, help string) *Function {
	return &Function{Name: name, Min: 2, Max: 2, Form: name + "(x, y)", Help: help,
		lower: func(a args) (*core.Expr, error) { return maths(name, a.float(0), a.float(1)), nil }}
}

// lowerHaversine is 2 r asin √(sin²(Δφ/2) + cos φ1 cos φ2 sin²(Δλ/2)).
func lowerHaversine(a args) (*core.Expr, error) {
	const radius = 6371.0
	rad := func(e *core.Expr) *core.Expr { return do(core.Mul, e, core.Num(pi/180)) }
	half := func(x, y *core.Expr) *core.Expr {
		s := maths("sin", do(core.Div, rad(do(core.Sub, x, y)), core.Num(2)))
		return do(core.Mul, s, s)
	}
	lat1, lon1, lat2, lon2 := a.float(0), a.float(1), a.float(2), a.float(3)
	cosines := do(core.Mul, maths("cos", rad(lat1)), maths("cos", rad(lat2)))
	h := do(core.Add, half(lat2, lat1), do(core.Mul, cosines, half(lon2, lon1)))
	root := maths("min", maths("sqrt", h), core.Num(1))
	return do(core.Mul, maths("asin", root), core.Num(2*radius)), nil
}
