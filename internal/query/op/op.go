package op

import (
	"strings"

	"gatehouse/internal/query/syntax"
)

// Operator is one kind of stage.
type Operator struct {
	Name    string   // its first one or two words, in lower case
	Also    []string // other spellings
	Tier    int      // 0 seeds, 1 every hunt, 2 anomaly hunts, 3 nice
	Form    string   // how it is written
	Help    string
	Example string

	parses  bool // it belongs to a run of parse stages, see builder.parsed
	compile func(b *builder, c *syntax.Cursor) error
}

// Operators is the table of all kinds of stages, in the order people meet them.
var Operators = []*Operator{
	&whereOp,
	&aliasOp,
	&aggregateOp,
	&parseRegexOp,
	&timesliceOp,
	&transactionOp,
	&fieldsOp,
	&sortOp,
	&limitOp,
	&topOp,
	&topkOp,
	&dedupOp,
	&parseOp,
	&jsonOp,
	&transposeOp,
	&lookupOp,
	&catOp,
	&geoipOp,
	&outlierOp,
	&compareOp,
	&smoothOp,
	&rollingstdOp,
	&backshiftOp,
	&diffOp,
	&accumOp,
	&totalOp,
	&composeOp,
	&joinOp,
	&withtimeOp,
	&fillmissingOp,
	&transactionizeOp,
	&mergeOp,
	&threatlookupOp,
	&saveOp,
	&splitOp,
	&csvOp,
	&kvOp,
	&binOp,
	&frequentOp,
}

// table is what a builder knows of the language. It is a value so that operators
// with stages in them can look up operators.
type table struct {
	operators  []*Operator
	functions  map[string]*Function
	aggregates map[string]*Aggregate
}

func newTable() *table {
	t := &table{operators: Operators, functions: map[string]*Function{}, aggregates: map[string]*Aggregate{}}
	for _, f := range Functions() {
		for _, name := range append(f.Also, f.Name) {
			t.functions[strings.ToLower(name)] = f
		}
	}
	for _, a := range Aggregates {
		for _, name := range append(a.Also, a.Name) {
			t.aggregates[name] = a
		}
	}
	return t
}

// operator finds the operator that a stage starts with, and how many words name it.
func (t *table) operator(toks []syntax.Token) (*Operator, int) {
	for words := min(2, len(toks)); words > 0; words-- {
		name := ""
		for _, tok := range toks[:words] {
			if tok.Kind != syntax.TokWord {
				name = ""
				break
			}
			name = strings.TrimSpace(name + " " + strings.ToLower(tok.Text))
		}
		if op := t.named(name); op != nil && !isAlias(toks, words) {
			return op, words
		}
	}
	return nil, 0
}

// isAlias tells whether the first word is a field in spite of its name: limit as n.
func isAlias(toks []syntax.Token, words int) bool {
	return len(toks) == words+2 && toks[words].Kind == syntax.TokWord && strings.EqualFold(toks[words].Text, "as")
}

func (t *table) named(name string) *Operator {
	if name == "" {
		return nil
	}
	for _, op := range t.operators {
		if op.Name == name {
			return op
		}
		for _, also := range op.Also {
			if also == name {
				return op
			}
		}
	}
	return nil
}

// words are all words a stage may start with, for suggestions.
func (t *table) words() []string {
	var list []string
	for _, op := range t.operators {
		list = append(append(list, op.Name), op.Also...)
	}
	for name := range t.aggregates {
		list = append(list, name)
	}
	for _, f := range t.functions {
		list = append(list, f.Name)
	}
	return list
}

// stage compiles one stage.
func (b *builder) stage(s *syntax.Stage, q *syntax.Query) error {
	c := syntax.NewCursor(s, q)
	op, words := b.table.operator(s.Tokens)
	switch {
	case op == nil && b.startsAggregate(s.Tokens):
		op = &Operator{compile: compileAggregate}
	case op == nil:
		op = &Operator{compile: compileAlias}
	}
	for range words {
		c.Next()
	}
	if !op.parses {
		b.chain = nil
	}
	if err := op.compile(b, c); err != nil {
		return err
	}
	return end(c)
}
