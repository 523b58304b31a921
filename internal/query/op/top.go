package op

import (
	"strings"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var topOp = Operator{
	Name: "top", Tier: 1,
	Form:    "top N FIELD, … [by AGGREGATE|FIELD]",
	Help:    "The N values of a field with the most rows, or with the largest aggregate. With the name of an existing field it keeps the rows in which that is largest.",
	Example: "top 10 userIdentity.arn by sum(input.inputTokenCount)",
	compile: compileTop,
}

var topkOp = Operator{
	Name: "topk", Tier: 1,
	Form:    "topk(N, FIELD, …) [by FIELD, …]",
	Help:    "Keeps the N rows with the largest values, of each group when by is said, and adds _rank from 1.",
	Example: "count as calls by accountId, eventName | topk(3, calls) by accountId",
	compile: compileTopk,
}

func compileTop(b *builder, c *syntax.Cursor) error {
	n, err := b.readCount(c)
	if err != nil {
		return err
	}
	fields, err := fieldList(c)
	if err != nil {
		return err
	}
	aggs := []core.Agg{{Name: "_count", Fn: core.CountAll}}
	if _, ok := c.Word("by"); ok {
		if b.atField(c) {
			return b.topRows(c, n, fields)
		}
		if aggs, _, err = b.readAggregate(c); err != nil {
			return err
		}
	}
	if err := b.groupBy(fields, aggs, c.Last()); err != nil {
		return err
	}
	largest, _ := b.lookup(aggs[0].Name)
	b.sort(core.Key{Expr: scalar(largest.read()), Desc: true})
	b.limit(n)
	return nil
}

// atField tells whether a field that exists comes next, not an aggregate.
func (b *builder) atField(c *syntax.Cursor) bool {
	m := c.Mark()
	f, err := c.Field()
	more := c.Peek()
	c.Reset(m)
	if err != nil || more.Kind == syntax.TokOp && more.Text == "(" {
		return false
	}
	agg := b.table.aggregates[strings.ToLower(f.Name)]
	return agg == nil || b.isField(f.Name)
}

// topRows keeps the rows in which a field is largest.
func (b *builder) topRows(c *syntax.Cursor, n int64, fields []*syntax.Field) error {
	keys, err := b.readKeys(c)
	if err != nil {
		return err
	}
	for _, f := range fields { // they must exist
		if _, err := b.field(f.Name, f.Span()); err != nil {
			return err
		}
	}
	b.sort(keys...)
	b.limit(n)
	return nil
}

func compileTopk(b *builder, c *syntax.Cursor) error {
	if err := c.Expect("("); err != nil {
		return err
	}
	n, err := b.readCount(c)
	if err != nil {
		return err
	}
	if err := c.Expect(","); err != nil {
		return err
	}
	keys, err := b.readKeys(c)
	if err != nil {
		return err
	}
	if err := c.Expect(")"); err != nil {
		return err
	}
	groups, err := b.readGroups(c)
	if err != nil {
		return err
	}
	var order []core.Key
	for _, g := range groups {
		order = append(order, core.Key{Expr: g})
	}
	b.sort(keys...)
	rank := b.window(&core.Window{Fn: core.RowNumber, Partition: groups, Order: b.order})
	b.filter(do(core.LeNum, rank, core.IntOf(n)))
	b.set(assign{"_rank", rank})
	b.sort(order...)
	return nil
}

// readGroups reads an optional by f, g as columns.
func (b *builder) readGroups(c *syntax.Cursor) ([]*core.Expr, error) {
	fields, err := readBy(c)
	if err != nil {
		return nil, err
	}
	var keys []core.Key
	for _, f := range fields {
		x, err := b.field(f.Name, f.Span())
		if err != nil {
			return nil, err
		}
		keys = append(keys, core.Key{Expr: scalar(x)})
	}
	return keyExprs(b.stored(keys)), nil
}
