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
	Example: `if(commandLine matches /aws bedrock delete/, "delete", "") as action`,
}

func compileAlias(b *builder, c *syntax.Cursor) error {
	if err := b.mustBeExpression(c); err != nil {
		return err
	}
	e, err := c.Expr()
	if err != nil {
		return err
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

// elsewhere are operators of other languages, and what is written here instead.
var elsewhere = map[string]string{
	"head": "write: limit 10", "take": "write: limit 10", "tail": "write: sort + _messagetime | limit 10",
	"search": "put search words in front of the first pipe, or write: where field matches \"*word*\"",
	"filter": "write: where condition", "grep": "write: where field matches /…/",
	"stats": "write the aggregate alone: count by field", "summarize": "write the aggregate alone: count by field",
	"group": "write an aggregate first: count by field",
	"eval":  "write: expression as field", "extend": "write: expression as field", "let": "write: expression as field",
	"rename": "write: old as new", "select": "write: fields a, b", "table": "write: fields a, b", "project": "write: fields a, b",
	"rex": "write: parse regex \"…(?<name>…)…\"", "regex": "write: parse regex \"…(?<name>…)…\"",
	"distinct": "write: dedup by field, or count by field", "uniq": "write: dedup by field",
	"bucket": "write: timeslice 1h", "spath": "paths of a record are fields: %\"a.b\"",
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
	hint := elsewhere[strings.ToLower(word)]
	if s := syntax.Suggest(word, b.table.words()); s != "" && hint == "" {
		hint = fmt.Sprintf("did you mean %s?", s)
	}
	return b.errorf(at, CodeOperator, "there is no operator %s\n%s", word, hint)
}

func (b *builder) isField(name string) bool {
	_, ok := b.lookup(name)
	return ok || b.raw && b.fixed == 0 && b.env.Catalogue != nil && len(b.env.Catalogue.Resolve(name)) > 0
}
