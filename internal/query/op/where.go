package op

import "gatehouse/internal/query/syntax"

var whereOp = Operator{
	Name: "where", Tier: 0,
	Form:    "where CONDITION",
	Help:    "Keeps the rows for which the condition holds. A condition is true or false, never null: null equals nothing.",
	Example: `where eventName = "PutObject" and !(userAgent matches /aws-cli/)`,
	compile: compileWhere,
}

func compileWhere(b *builder, c *syntax.Cursor) error {
	e, err := c.Expr()
	if err != nil {
		return err
	}
	p, err := b.pred(e)
	if err != nil {
		return err
	}
	b.filter(p)
	return nil
}
