package op

import (
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var sortOp = Operator{
	Name: "sort", Also: []string{"order"}, Tier: 1,
	Form:    "sort [by] [+|-]FIELD [asc|desc], …",
	Help:    "Orders the rows, largest first unless + or asc is said. Texts go by their bytes, numbers by value, null comes last. Equal rows keep the order they had.",
	Example: "sort by _count, eventName asc",
	compile: compileSort,
}

var limitOp = Operator{
	Name: "limit", Tier: 1,
	Form:    "limit N",
	Help:    "Keeps the first rows: the newest, unless they are sorted.",
	Example: "sort by _count | limit 10",
	compile: compileLimit,
}

// maxLimit is the most rows that limit and top give.
const maxLimit = 10_000

func compileSort(b *builder, c *syntax.Cursor) error {
	c.Word("by")
	keys, err := b.readKeys(c)
	if err != nil {
		return err
	}
	b.sort(keys...)
	return nil
}

// readKeys reads [+|-]f [asc|desc], …
func (b *builder) readKeys(c *syntax.Cursor) ([]core.Key, error) {
	var keys []core.Key
	for {
		sign, _ := c.Op("+", "-")
		f, err := c.Field()
		if err != nil {
			return nil, err
		}
		x, err := b.field(f.Name, f.Span())
		if err != nil {
			return nil, err
		}
		word, _ := c.Word("asc", "desc")
		keys = append(keys, core.Key{Expr: scalar(x), Desc: sign != "+" && word != "asc" || word == "desc"})
		if !c.Punct(',') {
			return b.stored(keys), nil
		}
	}
}

// stored makes columns of keys that are more than a column, so that the order
// can be carried along.
func (b *builder) stored(keys []core.Key) []core.Key {
	for i, k := range keys {
		if k.Expr.Op != core.Column {
			keys[i].Expr = b.hide(k.Expr)[0]
		}
	}
	return keys
}

func compileLimit(b *builder, c *syntax.Cursor) error {
	n, err := b.readCount(c)
	if err != nil {
		return err
	}
	b.limit(n)
	return nil
}

// readCount reads how many rows to keep.
func (b *builder) readCount(c *syntax.Cursor) (int64, error) {
	at := c.Span()
	n, err := c.Int()
	if err != nil {
		return 0, err
	}
	if n < 1 || n > maxLimit {
		return 0, b.errorf(at, CodeValue, "the number of rows is 1 to %d", maxLimit)
	}
	return n, nil
}
