package op

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/query/syntax"
)

// aliasOp has no word of its own: it is what a stage is that starts with none.
var aliasOp = Operator{
	Tier:    0,
	Form:    "EXPRESSION as FIELD",
	Help:    "Makes a field of an expression: another field, arithmetic, a function, if(…). The name of an existing field replaces it. A cast alone, such as num(x), rewrites its field.",
	Example: `if(commandLine matches /aws[ ,]bedrock[ ,]delete/, "delete", "") as action`,
}

func compileAlias(b *builder, c *syntax.Cursor) error {
	if err := b.mustBeExpression(c); err != nil {
		return err
	}
	e, err := c.Expr()
	if err != nil {
		return err
	}
	if call, ok := e.(*syntax.Call); ok && b.table.functions[strings.ToLower(call.Name)] == nil {
		return b.unknownFunction(call)
	}
	name, ok := b.inPlace(e)
	if !ok || !c.Done() {
		if c.Done() {
			return b.nameless(e)
		}
		if err := c.Expect("as"); err != nil {
			return err
		}
		if name, err = c.Name(); err != nil {
			return err
		}
	}
	if f, ok := e.(*syntax.Field); ok && goesOnAsAggregate(c.Peek()) {
		return b.unknownAggregate(f.Name, f.Span())
	}
	x, err := b.expr(e)
	if err != nil {
		return err
	}
	if x.Type == 0 { // the constant null
		x = toText(x)
	}
	b.set(assign{name, x})
	return nil
}

// goesOnAsAggregate tells whether a stage that made a field goes on as if it had
// been meant to count.
func goesOnAsAggregate(t syntax.Token) bool {
	return isBy(t) || t.Kind == syntax.TokOp && t.Text == ","
}

// nameless is the mistake of an expression alone: one in it, or else that its
// value goes nowhere.
func (b *builder) nameless(e syntax.Expr) error {
	x, err := b.expr(e)
	if err != nil {
		return err
	}
	text := textOf(b.src, e.Span())
	if isPredicate(x) {
		return b.errorf(e.Span(), CodeValue, "the stage does nothing with its condition\nwrite: where %s", text)
	}
	return b.errorf(e.Span(), CodeValue, "the stage gives its value no name\nwrite: %s as name", text)
}

// inPlace is the field that a cast without a name rewrites.
func (b *builder) inPlace(e syntax.Expr) (string, bool) {
	call, ok := e.(*syntax.Call)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	f := b.table.functions[strings.ToLower(call.Name)]
	field, ok := call.Args[0].(*syntax.Field)
	if !ok || f == nil || !f.cast {
		return "", false
	}
	return field.Name, true
}

// mustBeExpression reports a first word that is neither operator nor field: a
// field is followed by as or by an operator of expressions.
func (b *builder) mustBeExpression(c *syntax.Cursor) error {
	start := c.Mark()
	word, ok := c.Word()
	at, next := c.Last(), c.Peek()
	c.Reset(start)
	switch {
	case !ok || next.Kind == syntax.TokOp:
		return nil
	case next.Kind == syntax.TokWord && slices.Contains([]string{"as", "and", "or", "not", "in", "matches", "contains"}, strings.ToLower(next.Text)):
		return nil
	case slices.Contains([]string{"not", "true", "false", "null"}, strings.ToLower(word)):
		return nil
	case next.Kind == syntax.TokEnd && b.isField(word):
		return b.errorf(at, CodeValue, "the stage does nothing with the field %s\nwrite: where %s, or %s as name", word, word, word)
	}
	if agg := b.table.aggregates[strings.ToLower(word)]; agg != nil {
		return b.errorf(at, CodeOperator, "%s needs a field in brackets\nwrite: %s", word, agg.Form)
	}
	hint, known := elsewhere[strings.ToLower(word)]
	if s := syntax.Suggest(word, b.table.words()); s != "" && !known {
		hint = fmt.Sprintf("did you mean %s?", s)
	}
	return b.errorf(at, CodeOperator, "there is no operator %s\n%s", word, hint)
}

func (b *builder) isField(name string) bool {
	_, ok := b.lookup(name)
	return ok || b.raw && b.fixed == 0 && b.env.Catalogue != nil && len(b.env.Catalogue.Resolve(name)) > 0
}
