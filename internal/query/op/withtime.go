package op

import "gatehouse/internal/query/syntax"

var withtimeOp = Operator{
	Name: "withtime", Tier: 2,
	Form:    "withtime FIELD",
	Help:    "Makes FIELD_withtime, of which most_recent and least_recent take the value of the newest or oldest record. They take any other field as well.",
	Example: "withtime eventName | most_recent(eventName_withtime) as last_call by accountId",
	compile: compileWithtime,
}

func compileWithtime(b *builder, c *syntax.Cursor) error {
	if !b.raw && !b.broken {
		return b.errorf(c.Last(), CodeValue, "withtime works on records, and these rows are groups")
	}
	f, err := c.Field()
	if err != nil {
		return err
	}
	x, err := b.field(f.Name, f.Span())
	if err != nil {
		return err
	}
	b.set(assign{f.Name + "_withtime", x})
	return nil
}
