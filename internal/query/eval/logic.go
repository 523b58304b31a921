package eval

import (
	"cmp"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
)

// logic compiles what pred remembers.
func (c *compiler) logic(e *core.Expr) boolFn {
	switch e.Op {
	case core.Const, core.Column, core.If, core.Coalesce, core.JSONGet:
		return isTrue(c.bit(e))
	case core.IsTrue:
		return c.pred(e.Args[0])
	case core.IsNull:
		return c.isNull(e.Args[0])
	case core.And:
		return all(c.preds(e.Args))
	case core.Or:
		return some(c.preds(e.Args))
	case core.Not:
		p := c.pred(e.Args[0])
		return func(r *Row) bool { return !p(r) }
	case core.EqNum, core.LtNum, core.LeNum:
		return c.compareNums(e)
	case core.InNum:
		return c.inNum(e)
	case core.InText:
		return c.inText(e)
	case core.MatchRe:
		return c.matchRe(e)
	case core.ListHas:
		return isTrue(strict2(c.list(e.Args[0]), c.text(e.Args[1]), func(l []string, s string) (bool, bool) { return slices.Contains(l, s), true }))
	case core.JSONHas:
		return c.jsonHas(e)
	case core.IsIPv6:
		return isTrue(strict(c.text(e.Args[0]), isIPv6))
	}
	return c.compareTexts(e)
}

func (c *compiler) preds(args []*core.Expr) []boolFn {
	fns := make([]boolFn, len(args))
	for i, a := range args {
		fns[i] = c.pred(a)
	}
	return fns
}

func isTrue(x fn[bool]) boolFn {
	return func(r *Row) bool {
		b, ok := x(r)
		return b && ok
	}
}

func all(fns []boolFn) boolFn {
	if len(fns) == 2 {
		a, b := fns[0], fns[1]
		return func(r *Row) bool { return a(r) && b(r) }
	}
	return func(r *Row) bool {
		for _, f := range fns {
			if !f(r) {
				return false
			}
		}
		return true
	}
}

func some(fns []boolFn) boolFn {
	if len(fns) == 2 {
		a, b := fns[0], fns[1]
		return func(r *Row) bool { return a(r) || b(r) }
	}
	return func(r *Row) bool {
		for _, f := range fns {
			if f(r) {
				return true
			}
		}
		return false
	}
}

func (c *compiler) isNull(e *core.Expr) boolFn {
	switch {
	case e.Type == core.Null:
		return func(*Row) bool { return true }
	case e.Op == core.Column:
		i, t := c.cols[e.Name], e.Type
		return func(r *Row) bool { return r.at(i).Type != t }
	case e.Type == core.Bool:
		return absent(c.bit(e))
	case e.Type == core.Int:
		return absent(c.int(e))
	case e.Type == core.Float:
		return absent(c.num(e))
	case e.Type == core.Text:
		return absent(c.text(e))
	}
	return absent(c.list(e))
}

func absent[T any](x fn[T]) boolFn {
	return func(r *Row) bool {
		_, ok := x(r)
		return !ok
	}
}

// orders are the comparisons: what an order of a and b says of them.
var orders = map[core.Op]func(order int) bool{
	core.EqNum: func(o int) bool { return o == 0 },
	core.LtNum: func(o int) bool { return o < 0 },
	core.LeNum: func(o int) bool { return o <= 0 },
}

// compareNums compares integers as such, and as floats as soon as one is one.
func (c *compiler) compareNums(e *core.Expr) boolFn {
	a, b := e.Args[0], e.Args[1]
	holds := orders[e.Op]
	if a.Type == core.Int && b.Type == core.Int {
		return isTrue(strict2(c.int(a), c.int(b), func(x, y int64) (bool, bool) { return holds(cmp.Compare(x, y)), true }))
	}
	return isTrue(strict2(c.num(a), c.num(b), func(x, y float64) (bool, bool) { return holds(cmp.Compare(x, y)), true }))
}

func (c *compiler) inNum(e *core.Expr) boolFn {
	x, set := c.num(e.Args[0]), make(map[float64]bool, len(e.Nums))
	for _, n := range e.Nums {
		set[n] = true
	}
	return func(r *Row) bool {
		n, ok := x(r)
		return ok && set[n]
	}
}

func (c *compiler) inText(e *core.Expr) boolFn {
	x, set := c.text(e.Args[0]), make(map[string]bool, len(e.Set))
	for _, s := range e.Set {
		set[s] = true
	}
	return func(r *Row) bool {
		s, ok := x(r)
		return ok && set[s]
	}
}

// pairs are the predicates of two texts.
var pairs = map[core.Op]func(a, b string) bool{
	core.EqText:    func(a, b string) bool { return a == b },
	core.LtText:    func(a, b string) bool { return a < b },
	core.LeText:    func(a, b string) bool { return a <= b },
	core.Contains:  strings.Contains,
	core.HasPrefix: strings.HasPrefix,
	core.HasSuffix: strings.HasSuffix,
	core.Glob:      glob,
}

func (c *compiler) compareTexts(e *core.Expr) boolFn {
	a, b, holds := e.Args[0], e.Args[1], pairs[e.Op]
	if b.Op == core.Const && !b.IsNullConst() && a.Op == core.Column {
		return columnIs(c.cols[a.Name], e.Op, b.S)
	}
	x, y := c.text(a), c.text(b)
	return func(r *Row) bool {
		s, ok := x(r)
		if !ok {
			return false
		}
		t, ok := y(r)
		return ok && holds(s, t)
	}
}

// columnIs is what most predicates are: a column and a constant.
func columnIs(i int, op core.Op, s string) boolFn {
	if op == core.EqText {
		return func(r *Row) bool {
			v := r.at(i)
			return v.Type == core.Text && v.S == s
		}
	}
	holds := pairs[op]
	return func(r *Row) bool {
		v := r.at(i)
		return v.Type == core.Text && holds(v.S, s)
	}
}

// glob matches the whole of s with a pattern in which * is any text. Where the
// pieces between stars may stand, the first place is as good as any.
func glob(s, pattern string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, head)
	for ok {
		var piece string
		if piece, rest, star = strings.Cut(rest, "*"); !star {
			return strings.HasSuffix(s, piece)
		}
		var i int
		if i = strings.Index(s, piece); i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
	return false
}
