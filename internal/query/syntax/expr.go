package syntax

import "strings"

// maxOperators is how many operators one expression may have: what runs it works
// from the tree, which they make deep.
const maxOperators = 500

// Expr reads an expression.
func (c *Cursor) Expr() (Expr, error) {
	c.operators = 0
	e := c.ternary()
	if c.err != nil {
		return nil, c.err
	}
	return e, nil
}

// ExprList reads one expression or more with commas between.
func (c *Cursor) ExprList() ([]Expr, error) {
	var list []Expr
	for {
		e, err := c.Expr()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		if !c.Punct(',') {
			return list, nil
		}
	}
}

// enter counts a level of depth. The functions below may then go on: after a
// mistake there are no more tokens.
func (c *Cursor) enter() {
	if c.depth++; c.depth > maxDepth {
		c.Errorf(CodeTooDeep, "the expression is more than %d levels deep", maxDepth)
	}
}

func (c *Cursor) leave() { c.depth-- }

func (c *Cursor) ternary() Expr {
	c.enter()
	defer c.leave()
	cond := c.or()
	if !c.Punct('?') {
		return cond
	}
	then := c.ternary()
	c.need(':')
	otherwise := c.ternary()
	return &Ternary{At{cond.Span().to(otherwise.Span())}, cond, then, otherwise}
}

// need is Expect for punctuation.
func (c *Cursor) need(r rune) { _ = c.Expect(string(r)) }

func (c *Cursor) binary(op string, l, r Expr) Expr {
	if c.operators++; c.operators > maxOperators {
		c.Errorf(CodeTooDeep, "the expression has more than %d operators", maxOperators)
	}
	return &Binary{At{l.Span().to(r.Span())}, op, l, r}
}

// operator takes the next token when it is one of ops, be it written as a word
// or as a sign.
func (c *Cursor) operator(ops ...string) (string, bool) {
	if op, ok := c.Op(ops...); ok {
		return op, true
	}
	t := c.Peek()
	for _, op := range ops {
		if t.word(op) {
			c.Next()
			return op, true
		}
	}
	return "", false
}

// chain reads operators of one level from the left.
func (c *Cursor) chain(side func() Expr, ops ...string) Expr {
	e := side()
	for {
		op, ok := c.operator(ops...)
		if !ok {
			return e
		}
		e = c.binary(op, e, side())
	}
}

func (c *Cursor) or() Expr  { return c.chain(c.and, "or") }
func (c *Cursor) and() Expr { return c.chain(c.not, "and") }
func (c *Cursor) add() Expr { return c.chain(c.multiply, "+", "-") }

func (c *Cursor) multiply() Expr { return c.chain(c.unary, "*", "/", "%") }

func (c *Cursor) not() Expr {
	start := c.Span()
	if !c.Punct('!') && !c.notAhead() {
		return c.compare()
	}
	c.enter()
	defer c.leave()
	x := c.not()
	return &Unary{At{start.to(x.Span())}, "not", x}
}

// notAhead takes the word not where a value is due; not( is no function either.
func (c *Cursor) notAhead() bool {
	_, ok := c.Word("not")
	return ok
}

var comparisons = []string{"=", "!=", "<", "<=", ">", ">=", "matches", "contains"}

func (c *Cursor) compare() Expr {
	l := c.add()
	e := l
	if op, ok := c.operator(comparisons...); ok {
		e = c.binary(op, l, c.add())
	} else if in, not := c.inAhead(); in {
		e = c.in(l, not)
	}
	if op, ok := c.operator(comparisons...); ok {
		c.back()
		c.Hint("compare twice and join the results with and").Errorf(CodeExpected, "comparisons do not chain, and here is a second %s", op)
	}
	return e
}

// inAhead takes in or not in.
func (c *Cursor) inAhead() (in, not bool) {
	mark := c.Mark()
	_, not = c.Word("not")
	if _, in = c.Word("in"); in {
		return true, not
	}
	if t := c.Peek(); not && (t.word("matches") || t.word("contains")) {
		c.Hint("write !(… "+strings.ToLower(t.Text)+" …)").Errorf(CodeExpected, "not cannot stand before %s", t.Text)
		return false, false
	}
	c.Reset(mark)
	return false, false
}

func (c *Cursor) in(x Expr, not bool) Expr {
	c.need('(')
	list := []Expr{c.ternary()}
	for c.Punct(',') {
		list = append(list, c.ternary())
	}
	c.need(')')
	return &In{At{x.Span().to(c.Last())}, x, list, not}
}

func (c *Cursor) unary() Expr {
	start := c.Span()
	if !c.Punct('-') {
		return c.prim()
	}
	c.enter()
	defer c.leave()
	x := c.unary()
	return &Unary{At{start.to(x.Span())}, "-", x}
}

func (c *Cursor) prim() Expr {
	t := c.Peek()
	at := At{t.Span}
	switch {
	case t.is("("):
		c.Next()
		e := c.ternary()
		c.closing(t)
		return e
	case t.is("["):
		if sub, err := c.Subquery(); err == nil {
			return sub
		}
		return &Literal{At: at}
	case t.Kind == TokWord || t.Kind == TokName:
		return c.named(t)
	}
	switch t.Kind {
	case TokString:
		c.Next()
		return &Literal{At: at, Kind: String, Text: t.Text}
	case TokNumber:
		c.Next()
		return &Literal{At: at, Kind: Number, Text: t.Text, Number: t.Num.Number, Int: t.Num.Int, IsInt: t.Num.IsInt, Unit: t.Num.Unit}
	case TokRegex:
		if re, err := c.Regex(); err == nil {
			return re
		}
	case TokChar:
		c.Hint("use double quotes").Errorf(CodeExpected, "single quotes do not hold a string")
	default:
		c.unexpected("a value")
	}
	return &Literal{At: at}
}

// closing reads the bracket that closes open.
func (c *Cursor) closing(open Token) {
	if !c.Punct(')') && c.err == nil {
		line, col := position(c.q.Src, open.Span.Start)
		c.Errorf(CodeExpected, ") was expected, not %s, to close ( of line %d, column %d", c.Peek().describe(), line, col)
	}
}

// named reads what starts with a name: a constant, a function or a field.
func (c *Cursor) named(t Token) Expr {
	c.Next()
	at := At{t.Span}
	if t.Kind == TokName {
		return &Field{at, t.Text, true}
	}
	if c.Punct('(') {
		call := &Call{Name: t.Text}
		if !c.Peek().is(")") {
			call.Args = append(call.Args, c.ternary())
			for c.Punct(',') {
				call.Args = append(call.Args, c.ternary())
			}
		}
		if !c.Punct(')') {
			c.unexpected(", or )")
		}
		call.Pos = t.Span.to(c.Last())
		return call
	}
	switch strings.ToLower(t.Text) {
	case "null":
		return &Literal{At: at}
	case "true", "false":
		return &Literal{At: at, Kind: Bool, Bool: t.word("true")}
	}
	if next := c.Peek(); next.is("[") && next.Span.Start == t.Span.End {
		c.Hint(`write %"`+t.Text+`[…]"`).Errorf(CodeName, "a name with an index needs an escape")
	}
	return &Field{At: at, Name: t.Text}
}
