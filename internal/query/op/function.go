package op

import (
	"fmt"
	"slices"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// Function is a row of the tables of functions.
type Function struct {
	Name     string // as it is printed; looked up whatever its case
	Also     []string
	Min, Max int // arguments; Max -1 is any number
	Form     string
	Help     string

	cast  bool // a stage of it alone rewrites its field: | num(x)
	regex bool // an argument may be a regular expression
	lower func(a args) (*core.Expr, error)
}

// Functions are the rows of all tables of functions, in the order of the tables.
func Functions() []*Function {
	return slices.Concat(basicFunctions, textFunctions, mathFunctions, netFunctions, timeFunctions, formatFunctions)
}

func (f *Function) count() string {
	switch {
	case f.Max < 0:
		return fmt.Sprintf("%d arguments or more", f.Min)
	case f.Min == f.Max && f.Min == 1:
		return "1 argument"
	case f.Min == f.Max:
		return fmt.Sprintf("%d arguments", f.Min)
	}
	return fmt.Sprintf("%d to %d arguments", f.Min, f.Max)
}

// args are the arguments of a call, lowered; a regular expression is nil in x.
type args struct {
	b    *builder
	call *syntax.Call
	x    []*core.Expr
}

func (a args) len() int               { return len(a.x) }
func (a args) text(i int) *core.Expr  { return toText(a.x[i]) }
func (a args) float(i int) *core.Expr { return toFloat(a.x[i]) }
func (a args) int(i int) *core.Expr   { return toInt(a.x[i]) }
func (a args) at(i int) syntax.Span   { return a.call.Args[i].Span() }

// constant is a text that must be known before the query runs.
func (a args) constant(i int, what string) (string, error) {
	s, ok := constText(a.x[i])
	if !ok {
		return "", a.b.errorf(a.at(i), CodeValue, "%s has to be a constant", what)
	}
	return s, nil
}

// number is a whole number that must be known before the query runs.
func (a args) number(i int, what string, low, high int64) (int64, error) {
	f, ok := constNum(a.x[i])
	n := int64(f)
	if !ok || float64(n) != f || n < low || n > high {
		return 0, a.b.errorf(a.at(i), CodeValue, "%s has to be a whole number from %d to %d", what, low, high)
	}
	return n, nil
}

func isNull(x *core.Expr) *core.Expr { return do(core.IsNull, x) }

// of1 lowers a function of one text to one primitive.
func ofText(op core.Op) func(a args) (*core.Expr, error) {
	return func(a args) (*core.Expr, error) { return do(op, a.text(0)), nil }
}

// basicFunctions choose, cast and test for null.
var basicFunctions = []*Function{
	{Name: "if", Min: 3, Max: 3, Form: "if(condition, then, else)", Help: "one of two values",
		lower: func(a args) (*core.Expr, error) { return choose(toPred(a.x[0]), a.x[1], a.x[2]), nil }},
	{Name: "isNull", Min: 1, Max: 1, Form: "isNull(x)", Help: "true when x has no value",
		lower: func(a args) (*core.Expr, error) { return isNull(a.text(0)), nil }},
	{Name: "isEmpty", Min: 1, Max: 1, Form: "isEmpty(x)", Help: `true when x is null or ""`,
		lower: func(a args) (*core.Expr, error) {
			return do(core.EqText, coalesce(a.text(0), core.Str("")), core.Str("")), nil
		}},
	{Name: "isBlank", Min: 1, Max: 1, Form: "isBlank(x)", Help: "true when x is null, empty or white space",
		lower: func(a args) (*core.Expr, error) {
			return do(core.EqText, do(core.Trim, coalesce(a.text(0), core.Str(""))), core.Str("")), nil
		}},
	{Name: "isNumeric", Min: 1, Max: 1, Form: "isNumeric(x)", Help: "true when x is a number or a text that reads as one; also 0x hexadecimal, and a trailing L",
		lower: func(a args) (*core.Expr, error) {
			if a.x[0].Type.Number() {
				return not(isNull(a.x[0])), nil
			}
			return matchRe(a.x[0], mustRegex(`^[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[lL]?)$`)), nil
		}},
	{Name: "num", Also: []string{"number", "toDouble", "toFloat"}, Min: 1, Max: 1, Form: "num(x)", Help: "x as a number, null when it is none", cast: true,
		lower: func(a args) (*core.Expr, error) { return toNumber(a.x[0]), nil }},
	{Name: "toLong", Also: []string{"toInt"}, Min: 1, Max: 1, Form: "toLong(x)", Help: "x as a whole number, cut towards zero", cast: true,
		lower: func(a args) (*core.Expr, error) { return a.int(0), nil }},
	{Name: "toString", Min: 1, Max: 1, Form: "toString(x)", Help: "x as a text", cast: true,
		lower: func(a args) (*core.Expr, error) { return a.text(0), nil }},
}

func mustRegex(src string) *core.Regex {
	re, err := regex(src)
	if err != nil {
		panic(err)
	}
	return re
}
