package op

import (
	"math"
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var smoothOp = Operator{
	Name: "smooth", Tier: 2,
	Form:    "smooth FIELD[, ROWS] [by FIELD, …] [as NAME]",
	Help:    "The average of a number over this row and those before it, ROWS in all (10), in the order of the rows: sort them by time first. At the start there are fewer. The result is _smooth.",
	Example: "timeslice 1h | count by _timeslice | sort _timeslice asc | smooth _count, 6",
	compile: func(b *builder, c *syntax.Cursor) error { return b.overRows(c, &smoothRow) },
}

var rollingstdOp = Operator{
	Name: "rollingstd", Tier: 2,
	Form:    "rollingstd FIELD[, ROWS] [by FIELD, …] [as NAME]",
	Help:    "The standard deviation of a number over this row and those before it, ROWS in all (10), in the order of the rows. Of one row it is 0. The result is _rollingstd.",
	Example: "timeslice 1h | count by _timeslice | sort _timeslice asc | rollingstd _count, 6",
	compile: func(b *builder, c *syntax.Cursor) error { return b.overRows(c, &rollingstdRow) },
}

var backshiftOp = Operator{
	Name: "backshift", Tier: 2,
	Form:    "backshift FIELD[, ROWS] [by FIELD, …] [as NAME]",
	Help:    "What the field was ROWS (1) before this row, in the order of the rows; null at the start. The result is _backshift.",
	Example: "timeslice 1d | count by _timeslice | sort _timeslice asc | backshift _count, 7 as week_before",
	compile: func(b *builder, c *syntax.Cursor) error { return b.overRows(c, &backshiftRow) },
}

// maxFrame is how many rows a moving window has at most.
const maxFrame = 1000

// rowOp is what differs between operators that make one field of a field and the
// rows around it.
type rowOp struct {
	as     string // the name of the result when the query gives none
	rows   int64  // by default; 0 when the operator takes no number
	window func(b *builder, s overStage) *core.Expr
}

// overStage is such a stage as read.
type overStage struct {
	x         *core.Expr
	rows      int64
	partition []*core.Expr
}

var (
	smoothRow     = rowOp{"_smooth", 10, func(b *builder, s overStage) *core.Expr { return b.trailing(core.MovAvg, s) }}
	rollingstdRow = rowOp{"_rollingstd", 10, func(b *builder, s overStage) *core.Expr { return b.trailing(core.MovStd, s) }}
	backshiftRow  = rowOp{"_backshift", 1, func(b *builder, s overStage) *core.Expr {
		return b.window(&core.Window{Fn: core.Lag, Arg: scalar(s.x), N: s.rows, Partition: s.partition, Order: b.order})
	}}
)

// trailing is a function of this row and those before it.
func (b *builder) trailing(fn core.WinFn, s overStage) *core.Expr {
	return b.window(&core.Window{Fn: fn, Arg: toFloat(s.x), From: 1 - s.rows, To: 0, Partition: s.partition, Order: b.order})
}

// overRows compiles FIELD[, ROWS] with by and as behind it in either order.
func (b *builder) overRows(c *syntax.Cursor, op *rowOp) error {
	f, err := c.Field()
	if err != nil {
		return err
	}
	s := overStage{rows: op.rows}
	if s.x, err = b.field(f.Name, f.Span()); err != nil {
		return err
	}
	if op.rows > 0 && c.Punct(',') {
		if s.rows, err = b.readFrame(c, maxFrame); err != nil {
			return err
		}
	}
	as := op.as
	for !c.Done() {
		if _, ok := c.Word("as"); ok {
			if as, err = c.Name(); err != nil {
				return err
			}
			continue
		}
		if err := b.needBy(c); err != nil {
			return err
		}
		if s.partition, err = b.readGroups(c); err != nil {
			return err
		}
	}
	b.set(assign{as, op.window(b, s)})
	return nil
}

// needBy reports anything but by or group by.
func (b *builder) needBy(c *syntax.Cursor) error {
	if t := c.Peek(); t.Kind != syntax.TokWord || !strings.EqualFold(t.Text, "by") && !strings.EqualFold(t.Text, "group") {
		return c.End()
	}
	return nil
}

// readFrame reads a number from 1 to most.
func (b *builder) readFrame(c *syntax.Cursor, most int64) (int64, error) {
	at := c.Span()
	n, err := c.Int()
	if err != nil {
		return 0, err
	}
	if n < 1 || n > most {
		return 0, b.errorf(at, CodeValue, "the number is 1 to %d here", most)
	}
	return n, nil
}

// firstRow is the start of a window that has no start.
const firstRow = math.MinInt64
