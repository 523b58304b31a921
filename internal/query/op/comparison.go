package op

import (
	"strings"

	"gatehouse/internal/query/core"
)

// equal is x = y:
//
//	null       with anything   false
//	Bool       with Bool       the same; true, "true" and 1 are constants of one kind
//	a number   with a number   the same number
//	a number   with a text     the same number, when the text is one
//	text       with text       the same bytes
//
// A number literal is a number; "1" in quotes is a text, and still the number 1
// beside a number.
func equal(x, y *core.Expr) *core.Expr {
	if x.IsNullConst() || y.IsNullConst() {
		return core.BoolOf(false)
	}
	if x.Op == core.Const && y.Op != core.Const {
		x, y = y, x
	}
	switch {
	case x.Type == core.Bool || y.Type == core.Bool:
		return equalBool(x, y)
	case x.Type.Number() || y.Type.Number():
		return numeric(core.EqNum, x, y)
	}
	return do(core.EqText, toText(x), toText(y))
}

// numeric compares as numbers; what is none compares false.
func numeric(op core.Op, x, y *core.Expr) *core.Expr {
	x, y = toNumber(x), toNumber(y)
	if x.IsNullConst() || y.IsNullConst() {
		return core.BoolOf(false)
	}
	x, y = sameNumber(x, y), sameNumber(y, x)
	return do(op, x, y)
}

// sameNumber makes the constant x an Int beside an Int when it is whole, so that
// an engine may compare without converting a column.
func sameNumber(x, y *core.Expr) *core.Expr {
	if f, ok := constNum(x); ok && x.Type == core.Float && y.Type == core.Int && f == float64(int64(f)) && f < 1<<53 && f > -1<<53 {
		return core.IntOf(int64(f))
	}
	return x
}

var truths = map[string]bool{"true": true, "1": true, "false": false, "0": false}

func equalBool(x, y *core.Expr) *core.Expr {
	if x.Type != core.Bool {
		x, y = y, x
	}
	if s, ok := constText(y); ok {
		v, known := truths[strings.ToLower(s)]
		switch {
		case !known:
			return core.BoolOf(false)
		case v:
			return toPred(x)
		case isPredicate(x):
			return not(x)
		}
		return and(not(toPred(x)), not(do(core.IsNull, x)))
	}
	if y.Type.Number() {
		return do(core.EqNum, toFloat(x), toFloat(y))
	}
	return do(core.EqText, toText(x), toText(y))
}

// order is x < y, or x <= y with orEqual. Two texts compare as numbers when both
// look like one.
func order(x, y *core.Expr, orEqual bool) *core.Expr {
	asNum, asText := core.LtNum, core.LtText
	if orEqual {
		asNum, asText = core.LeNum, core.LeText
	}
	switch {
	case x.IsNullConst() || y.IsNullConst():
		return core.BoolOf(false)
	case x.Type.Number() || y.Type.Number() || x.Type == core.Bool || y.Type == core.Bool:
		return numeric(asNum, x, y)
	}
	x, y = toText(x), toText(y)
	nx, ny := toNumber(x), toNumber(y)
	if nx.IsNullConst() || ny.IsNullConst() {
		return do(asText, x, y)
	}
	var none []*core.Expr // of the two, those that may be no number
	for _, n := range []*core.Expr{nx, ny} {
		if n.Op != core.Const {
			none = append(none, do(core.IsNull, n))
		}
	}
	return or(do(asNum, nx, ny), and(or(none...), do(asText, x, y)))
}

// compare lowers a comparison by its sign.
func compare(op string, x, y *core.Expr) *core.Expr {
	switch op {
	case "=":
		return equal(x, y)
	case "!=":
		return not(equal(x, y))
	case "<":
		return order(x, y, false)
	case "<=":
		return order(x, y, true)
	case ">":
		return order(y, x, false)
	}
	return order(y, x, true)
}

// member is x in (list). Constants of one kind become a set.
func member(x *core.Expr, list []*core.Expr) *core.Expr {
	var texts []string
	var nums []float64
	for _, e := range list {
		if e.Op != core.Const || e.IsNullConst() || e.Type == core.Bool {
			return memberEach(x, list)
		}
		if f, ok := constNum(e); ok && (e.Type.Number() || x.Type.Number()) {
			nums = append(nums, f)
		} else if e.Type == core.Text {
			texts = append(texts, e.S)
		}
	}
	switch {
	case x.Type == core.Bool || x.Op == core.Const:
		return memberEach(x, list)
	case x.Type.Number():
		texts = nil
	}
	return or(inTexts(x, texts), inNums(x, nums))
}

func memberEach(x *core.Expr, list []*core.Expr) *core.Expr {
	var out []*core.Expr
	for _, e := range list {
		out = append(out, equal(x, e))
	}
	return or(out...)
}

func inTexts(x *core.Expr, set []string) *core.Expr {
	if len(set) == 0 {
		return core.BoolOf(false)
	}
	return inText(toText(x), set...)
}

func inNums(x *core.Expr, set []float64) *core.Expr {
	if len(set) == 0 {
		return core.BoolOf(false)
	}
	e := do(core.InNum, toNumber(x))
	e.Nums = set
	return e
}
