package op

import (
	"math"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var binOp = Operator{
	Name: "bin", Tier: 3,
	Form:    "bin FIELD width=N [min=N] [max=N] [as NAME]",
	Help:    "Puts a number into a range of that width: _bin_lower and _bin_upper are its ends and _bin_label prints them. What is less than min or not less than max goes to the first or last range.",
	Example: "bin input.inputTokenCount width=1000 max=20000 | count by _bin_label, _bin_lower | sort + _bin_lower",
	compile: compileBin,
}

// binning is the stage as read.
type binning struct{ width, low, high float64 }

func compileBin(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	f, err := c.Field()
	if err != nil {
		return err
	}
	x, err := b.field(f.Name, f.Span())
	if err != nil {
		return err
	}
	n := binning{low: math.Inf(-1), high: math.Inf(1)}
	name := "_bin_label"
	for !c.Done() {
		c.Punct(',')
		if _, ok := c.Word("as"); ok {
			if name, err = c.Name(); err != nil {
				return err
			}
			continue
		}
		if err := n.readOption(c); err != nil {
			return err
		}
	}
	if n.width <= 0 || n.low >= n.high {
		return b.errorf(at, CodeValue, "bin needs a width above 0, and a min below its max\nwrite: bin %s width=100", f.Name)
	}
	b.bin(toFloat(x), n, name)
	return nil
}

func (n *binning) readOption(c *syntax.Cursor) error {
	word, ok := c.Word("width", "min", "max")
	if !ok {
		return c.Errorf(syntax.CodeExpected, "width, min or max was expected")
	}
	if err := c.Expect("="); err != nil {
		return err
	}
	v, err := c.Number()
	switch word {
	case "width":
		n.width = v
	case "min":
		n.low = v
	default:
		n.high = v
	}
	return err
}

// bin counts ranges from min, or from 0.
func (b *builder) bin(x *core.Expr, n binning, name string) {
	base := 0.0
	if !math.IsInf(n.low, 0) {
		base = n.low
	}
	index := maths("floor", do(core.Div, do(core.Sub, x, core.Num(base)), core.Num(n.width)))
	if !math.IsInf(n.low, 0) {
		index = maths("max", index, core.Num(0))
	}
	if !math.IsInf(n.high, 0) {
		index = maths("min", index, core.Num(math.Ceil((n.high-base)/n.width)-1))
	}
	lower := b.hide(do(core.Add, do(core.Mul, index, core.Num(n.width)), core.Num(base)))[0]
	upper := b.hide(do(core.Add, lower, core.Num(n.width)))[0]
	label := do(core.Concat, core.Str("["), toText(lower), core.Str(", "), toText(upper), core.Str(")"))
	b.set(assign{name, label}, assign{"_bin_lower", lower}, assign{"_bin_upper", upper})
}
