package sql

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
)

// standard spells what all engines spell alike. A dialect's own row comes first.
var standard = map[core.Op]Prim{
	core.Column: {F: func(p *Printer, e *core.Expr) (string, error) { return p.column(e.Name) }},
	core.Const:  {F: (*Printer).constant},
	core.If:     {F: (*Printer).choice},

	core.IsNull:   {T: "$1 IS NULL"},
	core.Coalesce: {T: "coalesce($*)"},

	core.EqNum:  {F: numeric("=")},
	core.LtNum:  {F: numeric("<")},
	core.LeNum:  {F: numeric("<=")},
	core.EqText: {T: "$1 = $2"},
	core.LtText: {T: "$1 < $2"},
	core.LeText: {T: "$1 <= $2"},
	core.InText: {F: (*Printer).inText},
	core.InNum:  {F: (*Printer).inNum},

	core.Add: {T: "($1 + $2)"},
	core.Sub: {T: "($1 - $2)"},
	core.Mul: {T: "($1 * $2)"},
	core.Div: {T: "($1 / $2)"},
}

// Value prints e as a value that keeps all of core's meaning.
func (p *Printer) Value(e *core.Expr) (string, error) {
	switch {
	case e.Op.Predicate():
		s, err := p.pred(e, true)
		if err != nil || p.d.Value == "" {
			return s, err
		}
		return fill(p.d.Value, []string{s}), nil
	case arithmetic(e.Op):
		s, err := p.raw(e)
		if err != nil {
			return "", err
		}
		return fill(p.d.Finite, []string{s}), nil
	}
	return p.spell(e)
}

// values prints all arguments of e.
func (p *Printer) values(args []*core.Expr) ([]string, error) {
	out := make([]string, len(args))
	for i, a := range args {
		s, err := p.Value(a)
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

// spell prints e by its row, whatever it is.
func (p *Printer) spell(e *core.Expr) (string, error) {
	e = typed(e)
	row, ok := p.d.Ops[e.Op]
	if !ok {
		row, ok = p.standard[e.Op]
	}
	switch {
	case !ok:
		return "", fmt.Errorf("op %d has no spelling", e.Op)
	case row.F != nil:
		return row.F(p, e)
	}
	args, err := p.values(e.Args)
	if err != nil {
		return "", err
	}
	text, err := p.d.Text(e.S)
	if err != nil {
		return "", err
	}
	return fill(row.T, args, "$S", text, "$N", strconv.FormatInt(e.N, 10)), nil
}

// pred prints a predicate. Where exact is false, null may stand for false.
func (p *Printer) pred(e *core.Expr, exact bool) (string, error) {
	switch e.Op {
	case core.And:
		return p.joined(e.Args, " AND ", "TRUE", exact)
	case core.Or:
		return p.joined(e.Args, " OR ", "FALSE", exact)
	case core.Not:
		s, err := p.pred(e.Args[0], true)
		return "(NOT " + s + ")", err
	case core.Const: // BoolOf
		return strings.ToUpper(strconv.FormatBool(e.N == 1 && !e.IsNullConst())), nil
	case core.IsTrue:
		return p.isTrue(e.Args[0], exact)
	}
	if !e.Op.Predicate() {
		return "", fmt.Errorf("op %d of type %v stands where a predicate must", e.Op, e.Type)
	}
	s, err := p.spell(e)
	if err != nil || !exact || e.Op == core.IsNull {
		return s, err
	}
	return fill(p.d.Exact, []string{s}), nil
}

func (p *Printer) isTrue(x *core.Expr, exact bool) (string, error) {
	if x.Op.Predicate() {
		return p.pred(x, exact)
	}
	s, err := p.Value(as(x, core.Bool))
	if err != nil || !exact {
		return s, err
	}
	return fill(p.d.Exact, []string{s}), nil
}

func (p *Printer) joined(args []*core.Expr, word, none string, exact bool) (string, error) {
	if len(args) == 0 {
		return none, nil
	}
	parts := make([]string, len(args))
	for i, a := range args {
		s, err := p.pred(a, exact)
		if err != nil {
			return "", err
		}
		parts[i] = s
	}
	return "(" + strings.Join(parts, word) + ")", nil
}

// arithmetic says that an op's spelling may give what is not finite.
func arithmetic(o core.Op) bool { return o >= core.Add && o <= core.Math }

// raw prints arithmetic whose result may not be finite. What is not finite
// stays so through sums, products and numerators, so one test at the end of a
// chain is enough; each test names its argument twice.
func (p *Printer) raw(e *core.Expr) (string, error) {
	if !arithmetic(e.Op) {
		return p.Value(e)
	}
	e = typed(e)
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		print := p.Value
		if e.Op <= core.Mul || e.Op == core.Div && i == 0 {
			print = p.raw
		}
		s, err := print(a)
		if err != nil {
			return "", err
		}
		args[i] = s
	}
	row, ok := p.d.Ops[e.Op]
	if !ok {
		row = p.standard[e.Op]
	}
	if e.Op == core.Math {
		if row.T, ok = p.d.Math[e.S]; !ok {
			return "", fmt.Errorf("math function %q has no spelling", e.S)
		}
	}
	return fill(row.T, args), nil
}

func (p *Printer) column(name string) (string, error) {
	s, err := p.d.Ident(name)
	if err != nil || p.table == nil {
		return s, err
	}
	return p.table(name) + "." + s, nil
}

func (p *Printer) choice(e *core.Expr) (string, error) {
	cond, err := p.pred(e.Args[0], false)
	if err != nil {
		return "", err
	}
	args, err := p.values(e.Args[1:])
	if err != nil {
		return "", err
	}
	return "CASE WHEN " + cond + " THEN " + args[0] + " ELSE " + args[1] + " END", nil
}

func (p *Printer) constant(e *core.Expr) (string, error) {
	if e.IsNullConst() {
		return "CAST(NULL AS " + p.d.Types[e.Type] + ")", nil
	}
	switch e.Type {
	case core.Bool:
		return strings.ToUpper(strconv.FormatBool(e.N == 1)), nil
	case core.Int:
		return "CAST(" + strconv.FormatInt(e.N, 10) + " AS " + p.d.Types[core.Int] + ")", nil
	case core.Float:
		return float(e.F)
	case core.Text:
		return p.d.Text(e.S)
	}
	return "", fmt.Errorf("a constant of type %v", e.Type)
}

// float prints f with an exponent, which makes it a double in every engine;
// without one some read a decimal.
func float(f float64) (string, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return "", fmt.Errorf("the constant %v is not finite", f)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	if f < 0 {
		s = "(" + s + ")"
	}
	return s, nil
}

// numeric prints a comparison of numbers.
func numeric(op string) func(*Printer, *core.Expr) (string, error) {
	return func(p *Printer, e *core.Expr) (string, error) {
		a, err := p.number(e.Args[0], e.Args[1])
		if err != nil {
			return "", err
		}
		b, err := p.number(e.Args[1], e.Args[0])
		return a + " " + op + " " + b, err
	}
}

// number prints one side of a comparison. A constant beside an Int is printed
// as one where it is whole, so that the engine compares integers, by statistics
// where it has them.
func (p *Printer) number(e, beside *core.Expr) (string, error) {
	if e.Op == core.Const && !e.IsNullConst() {
		switch {
		case e.Type == core.Int:
			return strconv.FormatInt(e.N, 10), nil
		case beside.Type == core.Int && whole(e.F):
			return strconv.FormatInt(int64(e.F), 10), nil
		}
	}
	return p.Value(e)
}

// whole says that f is an integer that a double holds exactly.
func whole(f float64) bool { return f == math.Trunc(f) && math.Abs(f) < 1<<53 }

func (p *Printer) inText(e *core.Expr) (string, error) {
	items := make([]string, len(e.Set))
	for i, s := range e.Set {
		q, err := p.d.Text(s)
		if err != nil {
			return "", err
		}
		items[i] = q
	}
	return p.in(e.Args[0], items)
}

func (p *Printer) inNum(e *core.Expr) (string, error) {
	items := make([]string, len(e.Nums))
	for i, f := range e.Nums {
		s, err := p.number(&core.Expr{Op: core.Const, Type: core.Float, F: f}, e.Args[0])
		if err != nil {
			return "", err
		}
		items[i] = s
	}
	return p.in(e.Args[0], items)
}

func (p *Printer) in(x *core.Expr, items []string) (string, error) {
	if len(items) == 0 {
		return "FALSE", nil
	}
	s, err := p.Value(x)
	return s + " IN (" + strings.Join(items, ", ") + ")", err
}
