package op

import (
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var dedupOp = Operator{
	Name: "dedup", Tier: 1,
	Form:    "dedup [consecutive] [N] [by FIELD, …]",
	Help:    "Keeps the first N rows (1) of each combination of fields, in the order that the rows have; without by, of each text. With consecutive, of each run of equal rows. Null is a value like others.",
	Example: "dedup 1 by userIdentity.arn, eventName",
	compile: compileDedup,
}

// maxRun bounds how many rows of a run are kept, since each is looked back at.
const maxRun = 20

func compileDedup(b *builder, c *syntax.Cursor) error {
	_, consecutive := c.Word("consecutive")
	n, at := int64(1), c.Span()
	if c.Peek().Kind == syntax.TokNumber {
		var err error
		if n, err = b.readCount(c); err != nil {
			return err
		}
	}
	keys, err := b.dedupKeys(c)
	if err != nil {
		return err
	}
	if !consecutive {
		row := b.window(&core.Window{Fn: core.RowNumber, Partition: keys, Order: b.order})
		b.filter(do(core.LeNum, row, core.IntOf(n)))
		return nil
	}
	if n > maxRun {
		return b.errorf(at, CodeValue, "dedup consecutive keeps at most %d rows of a run", maxRun)
	}
	b.dedupRuns(keys, n)
	return nil
}

func (b *builder) dedupKeys(c *syntax.Cursor) ([]*core.Expr, error) {
	keys, err := b.readGroups(c)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	if raw, ok := b.lookup(rawColumn); ok {
		b.reads(rawColumn)
		return []*core.Expr{raw.read()}, nil
	}
	var all []core.Key
	for _, col := range b.display() {
		all = append(all, core.Key{Expr: scalar(col.read())})
	}
	return keyExprs(b.stored(all)), nil
}

// dedupRuns drops a row when each of the n before it has its keys.
func (b *builder) dedupRuns(keys []*core.Expr, n int64) {
	row := b.window(&core.Window{Fn: core.RowNumber, Order: b.order})
	same := []*core.Expr{do(core.LtNum, core.IntOf(n), row)}
	for _, k := range keys {
		for back := int64(1); back <= n; back++ {
			before := b.window(&core.Window{Fn: core.Lag, Arg: k, N: back, Order: b.order})
			same = append(same, or(equal(k, before), and(isNull(k), isNull(before))))
		}
	}
	b.filter(not(and(same...)))
}
