package eval

import (
	"math"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
)

// otherNum compiles the ops that give a Float.
func (c *compiler) otherNum(e *core.Expr) fn[float64] {
	switch e.Op {
	case core.ToNum:
		return strict(c.text(e.Args[0]), parseNumber)
	case core.ToFloat:
		return c.toFloat(e.Args[0])
	case core.Math:
		if f := math1[e.S]; f != nil {
			return strict(c.num(e.Args[0]), func(x float64) (float64, bool) { return number(f(x)) })
		}
		return c.twoNums(e, math2[e.S])
	}
	return c.twoNums(e, arithmetic[e.Op])
}

// number keeps what is one.
func number(x float64) (float64, bool) {
	if !finite(x) {
		return 0, false
	}
	return x, true
}

func (c *compiler) twoNums(e *core.Expr, f func(x, y float64) float64) fn[float64] {
	return strict2(c.num(e.Args[0]), c.num(e.Args[1]), func(x, y float64) (float64, bool) { return number(f(x, y)) })
}

func (c *compiler) toFloat(e *core.Expr) fn[float64] {
	if e.Type != core.Bool {
		return c.num(e)
	}
	return strict(c.bit(e), func(b bool) (float64, bool) {
		if b {
			return 1, true
		}
		return 0, true
	})
}

var arithmetic = map[core.Op]func(x, y float64) float64{
	core.Add: func(x, y float64) float64 { return x + y },
	core.Sub: func(x, y float64) float64 { return x - y },
	core.Mul: func(x, y float64) float64 { return x * y },
	core.Div: func(x, y float64) float64 { return x / y }, // by zero it is not finite
	core.Mod: math.Mod,
}

var math1 = map[string]func(float64) float64{
	"abs": math.Abs, "ceil": math.Ceil, "floor": math.Floor, "sqrt": math.Sqrt, "cbrt": math.Cbrt,
	"exp": math.Exp, "expm1": math.Expm1, "log": log, "log10": math.Log10, "log1p": math.Log1p,
	"sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "asin": math.Asin, "acos": math.Acos, "atan": math.Atan,
	"sinh": math.Sinh, "cosh": math.Cosh, "tanh": math.Tanh,
}

var math2 = map[string]func(x, y float64) float64{
	"pow": math.Pow, "atan2": math.Atan2, "hypot": math.Hypot, "min": math.Min, "max": math.Max, "round": round,
}

// log is math.Log, which on some processors takes the smallest numbers, those
// below 2^-1022, for that one.
func log(x float64) float64 {
	if x > 0 && x < 0x1p-1022 {
		return math.Log(x*0x1p60) - 60*math.Ln2
	}
	return math.Log(x)
}

// round rounds half away from zero, to so many digits behind the point; fewer
// than none round to tens, hundreds and so on.
func round(x, digits float64) float64 {
	p := math.Pow(10, math.Abs(math.Trunc(digits)))
	switch {
	case digits >= 0 && finite(x*p):
		return math.Round(x*p) / p
	case digits >= 0:
		return x
	case finite(p):
		return math.Round(x/p) * p
	}
	return 0
}

// parseNumber reads [+-]?digits[.digits][e[+-]digits], and nothing around it.
func parseNumber(s string) (float64, bool) {
	rest := strings.TrimLeft(s, "+-")
	if len(s)-len(rest) > 1 {
		return 0, false
	}
	rest, ok := digits(rest)
	if ok && strings.HasPrefix(rest, ".") {
		rest, ok = digits(rest[1:])
	}
	if ok && (strings.HasPrefix(rest, "e") || strings.HasPrefix(rest, "E")) {
		rest = rest[1:]
		if strings.HasPrefix(rest, "+") || strings.HasPrefix(rest, "-") {
			rest = rest[1:]
		}
		rest, ok = digits(rest)
	}
	if !ok || rest != "" {
		return 0, false
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, err == nil
}

// digits skips at least one.
func digits(s string) (rest string, ok bool) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[i:], i > 0
}

// writeNumber writes x as core's ToText has it: whole numbers below 2^53 as
// integers, others with the fewest digits that read back, with an exponent
// below 1e-4 and from 1e16.
func writeNumber(x float64) string {
	abs := math.Abs(x)
	switch {
	case x == math.Trunc(x) && abs < 1<<53:
		return strconv.FormatInt(int64(x), 10)
	case abs >= 1e-4 && abs < 1e16:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'e', -1, 64)
}

// otherInt compiles the ops that give an Int.
func (c *compiler) otherInt(e *core.Expr) fn[int64] {
	switch e.Op {
	case core.ToInt:
		return strict(c.num(e.Args[0]), truncate)
	case core.ListLen:
		return strict(c.list(e.Args[0]), func(l []string) (int64, bool) { return int64(len(l)), true })
	case core.JSONLen:
		return c.jsonLen(e)
	case core.TimeBucket:
		return strict(c.int(e.Args[0]), bucketOf(e.N, e.Zone))
	case core.ParseTime:
		return strict(c.text(e.Args[0]), timeParser(e.S, e.Zone))
	}
	return strict(c.text(e.Args[0]), textInts[e.Op])
}

// truncate makes an integer of x, where there is one.
func truncate(x float64) (int64, bool) {
	if x < -1<<63 || x >= 1<<63 {
		return 0, false
	}
	return int64(x), true
}
