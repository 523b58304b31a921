package op

import (
	"slices"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var outlierOp = Operator{
	Name: "outlier", Tier: 2,
	Form: "outlier FIELD [by FIELD, …] [window=10] [threshold=3] [consecutive=1] [direction=+-]",
	Help: "Finds slices of time in which a number is unlike those before it. The WINDOW slices before each give a mean and a standard deviation; a value more than THRESHOLD deviations off is an indicator, CONSECUTIVE of them in a row are a violation. " +
		"Makes FIELD_mean, FIELD_std, FIELD_error, FIELD_lower, FIELD_upper, FIELD_indicator and FIELD_violation (0 or 1). Needs two slices before; a slice that the range searched cuts off at its end is never one. Slices without rows do not count: see fillmissing.",
	Example: "timeslice 1h | count by _timeslice, accountId | outlier _count by accountId window=24, threshold=4, direction=+ | where _count_violation = 1",
	compile: compileOutlier,
}

// outlier is the stage as read.
type outlier struct {
	name      string // of the field
	x         *core.Expr
	partition []*core.Expr
	window    int64
	threshold float64
	run       int64
	up, down  bool
}

// outlierWords are the options. Behind by they end the list of fields.
var outlierWords = []string{"window", "threshold", "consecutive", "direction"}

func compileOutlier(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	slice, ok := b.lookup(timesliceName)
	switch {
	case b.broken && (b.raw || !ok):
		c.Rest()
		return nil
	case b.raw:
		return b.errorf(at, CodeValue, "outlier works on groups, and these rows are records\nput timeslice and an aggregate before it: timeslice 1h | count by _timeslice")
	case !ok:
		return b.errorf(at, CodeValue, "outlier goes by %s, and the rows have none\nput timeslice before the aggregate, and %s among its by fields", timesliceName, timesliceName)
	}
	o, err := b.readOutlier(c)
	if err != nil {
		return err
	}
	b.outlier(o, slice.read())
	return nil
}

func (b *builder) readOutlier(c *syntax.Cursor) (*outlier, error) {
	f, err := c.Field()
	if err != nil {
		return nil, err
	}
	o := &outlier{name: f.Name, window: 10, threshold: 3, run: 1, up: true, down: true}
	if o.x, err = b.field(f.Name, f.Span()); err != nil {
		return nil, err
	}
	o.x = b.stored([]core.Key{{Expr: toFloat(o.x)}})[0].Expr
	for !c.Done() {
		c.Punct(',')
		if _, ok := c.Word("by"); ok {
			if o.partition, err = b.readSeries(c); err != nil {
				return nil, err
			}
			continue
		}
		if err := b.outlierOption(c, o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// readSeries reads the fields behind by, up to an option.
func (b *builder) readSeries(c *syntax.Cursor) ([]*core.Expr, error) {
	var keys []core.Key
	for {
		f, err := c.Field()
		if err != nil {
			return nil, err
		}
		x, err := b.field(f.Name, f.Span())
		if err != nil {
			return nil, err
		}
		keys = append(keys, core.Key{Expr: scalar(x)})
		mark := c.Mark()
		if !c.Punct(',') || slices.Contains(outlierWords, strings.ToLower(c.Peek().Text)) {
			c.Reset(mark)
			return keyExprs(b.stored(keys)), nil
		}
	}
}

func (b *builder) outlierOption(c *syntax.Cursor, o *outlier) (err error) {
	at := c.Span()
	word, ok := c.Word(outlierWords...)
	if !ok {
		return b.errorf(at, syntax.CodeExpected, "an option of outlier was expected here\nthere are %s", strings.Join(outlierWords, ", "))
	}
	if err = c.Expect("="); err != nil {
		return err
	}
	at = c.Span()
	switch word {
	case "window":
		if o.window, err = b.readFrame(c, maxFrame); err == nil && o.window < 2 {
			err = b.errorf(at, CodeValue, "a window of one slice has no deviation")
		}
	case "consecutive":
		o.run, err = b.readFrame(c, maxFrame)
	case "threshold":
		if o.threshold, err = c.Number(); err == nil && o.threshold < 0 {
			err = b.errorf(at, CodeValue, "a threshold is not negative")
		}
	case "direction":
		o.up, o.down = c.Punct('+'), c.Punct('-')
		if o.down && c.Punct('+') {
			o.up = true
		}
		if !o.up && !o.down {
			err = b.errorf(at, CodeValue, "a direction is +, - or +-")
		}
	}
	return err
}

// outlier adds the columns. The comparison leaves room for what sums of decimal
// fractions are off by, so that a series that never changes has no outliers.
func (b *builder) outlier(o *outlier, slice *core.Expr) {
	order := b.order
	if len(order) == 0 || order[0].Desc || !reads(order[0].Expr, slice.Name) {
		order = slices.Concat([]core.Key{{Expr: slice}}, order)
	}
	before := core.Window{Arg: o.x, From: -o.window, To: -1, Partition: o.partition, Order: order}
	over := func(fn core.WinFn) *core.Expr {
		w := before
		w.Fn = fn
		return b.window(&w)
	}
	enough := and(do(core.LeNum, core.IntOf(2), over(core.MovCount)), b.complete(slice))
	mean, std := over(core.MovAvg), over(core.MovStd)
	none := core.NullOf(core.Float)
	x := b.hide(choose(enough, mean, none), choose(enough, std, none))
	mean, std = x[0], x[1]
	wide := do(core.Mul, std, core.Num(o.threshold))
	lower, upper := do(core.Sub, mean, wide), do(core.Add, mean, wide)
	noise := do(core.Mul, maths("abs", mean), core.Num(1e-9))
	out := or(and(core.BoolOf(o.up), do(core.LtNum, do(core.Add, upper, noise), o.x)),
		and(core.BoolOf(o.down), do(core.LtNum, o.x, do(core.Sub, lower, noise))))
	indicator := b.hide(choose(out, core.IntOf(1), core.IntOf(0)))[0]
	violation := indicator
	if o.run > 1 {
		sum := b.window(&core.Window{Fn: core.MovSum, Arg: toFloat(indicator), From: 1 - o.run, Partition: o.partition, Order: order})
		violation = choose(do(core.LeNum, core.Num(float64(o.run)), sum), core.IntOf(1), core.IntOf(0))
	}
	b.set(assign{o.name + "_mean", mean}, assign{o.name + "_std", std}, assign{o.name + "_error", do(core.Sub, o.x, mean)},
		assign{o.name + "_lower", lower}, assign{o.name + "_upper", upper},
		assign{o.name + "_indicator", indicator}, assign{o.name + "_violation", violation})
}

// complete tells whether a slice ends within the range searched.
func (b *builder) complete(slice *core.Expr) *core.Expr {
	if b.env.To.IsZero() || b.slice == 0 {
		return core.BoolOf(true)
	}
	last := b.env.To.Add(-b.slice).UnixMilli()
	return do(core.LeNum, toInt(slice), core.IntOf(last))
}
