package op

import (
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var frequentOp = Operator{
	Name: "count_frequent", Tier: 3,
	Form:    "count_frequent FIELD, …",
	Help:    "Counts the rows of each combination of fields, most first, as _approxcount; at most 10,000 of them. The counts are exact.",
	Example: "count_frequent sourceIPAddress, eventName | limit 20",
	compile: compileFrequent,
}

func compileFrequent(b *builder, c *syntax.Cursor) error {
	list, err := fieldList(c)
	if err != nil {
		return err
	}
	const name = "_approxcount"
	if err := b.groupBy(list, []core.Agg{{Name: name, Fn: core.CountAll}}, c.Last()); err != nil {
		return err
	}
	count, _ := b.lookup(name)
	b.sort(core.Key{Expr: count.read(), Desc: true})
	b.limit(maxLimit)
	return nil
}
