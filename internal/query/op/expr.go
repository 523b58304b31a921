package op

import (
	"slices"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// maxSize is how many primitives an expression may come to. Some functions use
// an argument several times, so that calls in calls could grow without end.
const maxSize = 20_000

// expr lowers an expression to a value or a predicate.
func (b *builder) expr(e syntax.Expr) (*core.Expr, error) {
	x, err := b.lower(e)
	if err == nil && b.size(x) > maxSize {
		return nil, b.errorf(e.Span(), syntax.CodeTooDeep, "the expression comes to more than %d steps\ngive parts of it names in stages of their own", maxSize)
	}
	return x, err
}

// size counts the primitives of e, shared ones as often as they are used.
func (b *builder) size(e *core.Expr) int {
	if n := b.sizes[e]; n > 0 {
		return n
	}
	n := 1
	for _, a := range e.Args {
		n += b.size(a)
	}
	b.sizes[e] = n
	return n
}

func (b *builder) lower(e syntax.Expr) (*core.Expr, error) {
	switch e := e.(type) {
	case *syntax.Literal:
		return literal(e), nil
	case *syntax.Field:
		return b.field(e.Name, e.Span())
	case *syntax.Call:
		return b.call(e)
	case *syntax.Unary:
		return b.unary(e)
	case *syntax.Binary:
		return b.binary(e)
	case *syntax.In:
		return b.in(e)
	case *syntax.Ternary:
		return b.choice(e.Cond, e.Then, e.Else)
	case *syntax.Subquery:
		return b.subquery(e, false)
	}
	return nil, b.errorf(e.Span(), CodeValue, "a regular expression is no value\nwrite: field matches /…/")
}

// exprs lowers several of them.
func (b *builder) exprs(list ...syntax.Expr) ([]*core.Expr, error) {
	out := make([]*core.Expr, len(list))
	for i, e := range list {
		var err error
		if out[i], err = b.expr(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// pred lowers a condition.
func (b *builder) pred(e syntax.Expr) (*core.Expr, error) {
	x, err := b.expr(e)
	if err != nil {
		return nil, err
	}
	return toPred(x), nil
}

func literal(e *syntax.Literal) *core.Expr {
	switch e.Kind {
	case syntax.Bool:
		return core.BoolOf(e.Bool)
	case syntax.String:
		return core.Str(e.Text)
	case syntax.Number:
		if e.IsInt {
			return core.IntOf(e.Int)
		}
		return core.Num(e.Number)
	}
	return core.NullOf(core.Null)
}

func (b *builder) unary(e *syntax.Unary) (*core.Expr, error) {
	x, err := b.expr(e.X)
	if err != nil {
		return nil, err
	}
	if e.Op == "not" {
		return not(toPred(x)), nil
	}
	if x.Op == core.Const && x.Type == core.Int {
		return core.IntOf(-x.N), nil
	}
	if f, ok := constNum(x); ok {
		return core.Num(-f), nil
	}
	return do(core.Mul, toFloat(x), core.Num(-1)), nil
}

var arithmetic = map[string]core.Op{"+": core.Add, "-": core.Sub, "*": core.Mul, "/": core.Div, "%": core.Mod}

func (b *builder) binary(e *syntax.Binary) (*core.Expr, error) {
	if e.Op == "matches" {
		return b.matches(e)
	}
	args, err := b.exprs(e.L, e.R)
	if err != nil {
		return nil, err
	}
	x, y := args[0], args[1]
	switch e.Op {
	case "and":
		return and(toPred(x), toPred(y)), nil
	case "or":
		return or(toPred(x), toPred(y)), nil
	case "contains":
		return contains(x, y), nil
	}
	if op, ok := arithmetic[e.Op]; ok {
		return do(op, toFloat(x), toFloat(y)), nil
	}
	b.doubtNull(e)
	if e.Op == "=" || e.Op == "!=" {
		b.doubtText(e.L, e.R)
		b.doubtText(e.R, e.L)
	}
	return compare(e.Op, x, y), nil
}

// doubtNull warns of a comparison with the constant null, which is never true.
func (b *builder) doubtNull(e *syntax.Binary) {
	for _, side := range []syntax.Expr{e.L, e.R} {
		if l, ok := side.(*syntax.Literal); ok && l.Kind == syntax.Null {
			b.warn("nothing equals null; write isNull(…)")
		}
	}
}

func (b *builder) matches(e *syntax.Binary) (*core.Expr, error) {
	x, err := b.expr(e.L)
	if err != nil {
		return nil, err
	}
	switch p := e.R.(type) {
	case *syntax.Regex:
		re, err := regex(p.Go)
		if err != nil {
			return nil, b.errorf(p.Span(), syntax.CodeRegex, "%v", err)
		}
		return matchRe(x, re), nil
	case *syntax.Literal:
		if p.Kind == syntax.String {
			b.doubtGlob(e.L, p.Text)
			return glob(x, p.Text), nil
		}
	}
	pattern, err := b.expr(e.R)
	if err != nil {
		return nil, err
	}
	return do(core.Glob, toText(x), toText(pattern)), nil
}

// contains is a cased search; the empty text is in the empty text only.
func contains(x, y *core.Expr) *core.Expr {
	x, y = toText(x), toText(y)
	if y.Op == core.Const {
		if y.S == "" || y.IsNullConst() {
			return do(core.EqText, x, y)
		}
		return do(core.Contains, x, y)
	}
	empty := core.Str("")
	return and(do(core.Contains, x, y), or(not(do(core.EqText, y, empty)), do(core.EqText, x, empty)))
}

func (b *builder) in(e *syntax.In) (*core.Expr, error) {
	args, err := b.exprs(append([]syntax.Expr{e.X}, e.List...)...)
	if err != nil {
		return nil, err
	}
	for _, value := range e.List {
		b.doubtText(e.X, value)
	}
	m := member(args[0], args[1:])
	if e.Not {
		m = not(m)
	}
	return m, nil
}

func (b *builder) choice(cond, then, otherwise syntax.Expr) (*core.Expr, error) {
	c, err := b.pred(cond)
	if err != nil {
		return nil, err
	}
	args, err := b.exprs(then, otherwise)
	if err != nil {
		return nil, err
	}
	return choose(c, args[0], args[1]), nil
}

// call lowers a function.
func (b *builder) call(e *syntax.Call) (*core.Expr, error) {
	f := b.table.functions[strings.ToLower(e.Name)]
	if f == nil {
		return nil, b.unknownFunction(e)
	}
	if n := len(e.Args); n < f.Min || f.Max >= 0 && n > f.Max {
		return nil, b.errorf(e.Span(), CodeValue, "%s takes %s, not %d\nwrite: %s", f.Name, f.count(), n, f.Form)
	}
	a := args{b: b, call: e, x: make([]*core.Expr, len(e.Args))}
	for i, arg := range e.Args {
		if _, ok := arg.(*syntax.Regex); ok && f.regex {
			continue
		}
		var err error
		if a.x[i], err = b.expr(arg); err != nil {
			return nil, err
		}
	}
	return f.lower(a)
}

func (b *builder) unknownFunction(e *syntax.Call) error {
	at := syntax.Span{Start: e.Span().Start, End: e.Span().Start + len(e.Name)}
	var names []string
	for _, f := range b.table.functions {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	if b.table.aggregates[strings.ToLower(e.Name)] != nil {
		return b.errorf(at, CodeFunction, "%s makes groups and cannot stand in an expression\ngive it a stage of its own: | %s as name by field", e.Name, textOf(b.src, e.Span()))
	}
	if hint := elsewhereFunctions[strings.ToLower(e.Name)]; hint != "" {
		return b.errorf(at, CodeFunction, "there is no function %s\n%s", e.Name, hint)
	}
	for _, a := range Aggregates {
		names = append(names, a.Name)
	}
	if s := syntax.Suggest(e.Name, names); s != "" {
		return b.errorf(at, CodeFunction, "there is no function %s\ndid you mean %s?", e.Name, s)
	}
	return b.errorf(at, CodeFunction, "there is no function %s", e.Name)
}

func textOf(src string, s syntax.Span) string { return src[s.Start:s.End] }
