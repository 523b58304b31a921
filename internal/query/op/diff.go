package op

import (
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var diffOp = Operator{
	Name: "diff", Tier: 2,
	Form:    "diff FIELD [by FIELD, …] [as NAME]",
	Help:    "How much a number differs from the one before it, in the order of the rows. Rows without a number are passed over and have null, as the first has. The result is _diff.",
	Example: "timeslice 1h | count by _timeslice | sort _timeslice asc | diff _count as growth",
	compile: func(b *builder, c *syntax.Cursor) error { return b.overRows(c, &diffRow) },
}

var accumOp = Operator{
	Name: "accum", Tier: 2,
	Form:    "accum FIELD [by FIELD, …] [as NAME]",
	Help:    "The sum of a number over this row and all before it, in the order of the rows. Rows without a number add nothing. The result is _accum.",
	Example: "timeslice 1h | count by _timeslice | sort _timeslice asc | accum _count as so_far",
	compile: func(b *builder, c *syntax.Cursor) error { return b.overRows(c, &accumRow) },
}

var totalOp = Operator{
	Name: "total", Tier: 2,
	Form:    "total FIELD [by FIELD, …] [as NAME]",
	Help:    "The sum of a number over all rows, on every row. The result is _total.",
	Example: "count by eventName | total _count as all_calls | 100 * _count / all_calls as percent",
	compile: func(b *builder, c *syntax.Cursor) error { return b.overRows(c, &totalRow) },
}

var (
	diffRow  = rowOp{"_diff", 0, difference}
	accumRow = rowOp{"_accum", 0, func(b *builder, s overStage) *core.Expr {
		return b.window(&core.Window{Fn: core.MovSum, Arg: toFloat(s.x), From: firstRow, Partition: s.partition, Order: b.order})
	}}
	totalRow = rowOp{"_total", 0, func(b *builder, s overStage) *core.Expr {
		return b.window(&core.Window{Fn: core.TotalSum, Arg: toFloat(s.x), Partition: s.partition, Order: b.order})
	}}
)

// difference takes the value before among rows that have a number: they are a
// partition of their own.
func difference(b *builder, s overStage) *core.Expr {
	x := toFloat(s.x)
	partition := append(s.partition[:len(s.partition):len(s.partition)], isNull(x))
	before := b.window(&core.Window{Fn: core.Lag, Arg: x, N: 1, Partition: partition, Order: b.order})
	return do(core.Sub, x, before)
}
