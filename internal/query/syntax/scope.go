package syntax

import (
	"fmt"
	"strings"
)

// Scope is a node of the tree that says which rows a query starts from: one of
// the types below. All its texts are compared without case.
type Scope interface {
	Span() Span
	String() string
}

type (
	// ScopeAnd holds for rows for which all of List hold; there are at least two.
	ScopeAnd struct {
		At
		List []Scope
	}

	// ScopeOr holds for rows for which one of List holds; there are at least two.
	ScopeOr struct {
		At
		List []Scope
	}

	// ScopeNot holds for rows for which X does not.
	ScopeNot struct {
		At
		X Scope
	}

	// ScopeTerm is a search word or, in quotes, a phrase, whose runs of blanks are
	// one blank each. * and ? are wildcards when Wild is set.
	ScopeTerm struct {
		At
		Text   string
		Wild   bool
		Phrase bool
	}

	// ScopeField is Name=Value or Name!=Value. Wild as above; a lone * stands for
	// any value that is not null.
	ScopeField struct {
		At
		Name   string
		Op     string // = or !=
		Value  string
		Wild   bool
		Quoted bool
	}

	// ScopeAll is * and holds for every row.
	ScopeAll struct{ At }

	// ScopeSubquery holds where what the subquery found holds.
	ScopeSubquery struct {
		At
		Sub *Subquery
	}
)

func (s *ScopeAll) String() string      { return "*" }
func (s *ScopeSubquery) String() string { return s.Sub.String() }
func (s *ScopeAnd) String() string      { return joinScope(s.List, " AND ") }
func (s *ScopeOr) String() string       { return joinScope(s.List, " OR ") }
func (s *ScopeNot) String() string      { return "NOT " + inScope(s.X) }

func (s *ScopeTerm) String() string {
	if s.Phrase || !bareTerm(s.Text) || keyword(s.Text) {
		return Quote(s.Text)
	}
	return s.Text
}

func (s *ScopeField) String() string {
	name, value := s.Name, s.Value
	if !bare(name) || keyword(name) {
		name = "%" + Quote(name)
	}
	if s.Quoted || !bareTerm(value) {
		value = Quote(value)
	}
	return name + s.Op + value
}

func joinScope(list []Scope, op string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = inScope(s)
	}
	return strings.Join(parts, op)
}

// inScope prints s as part of another.
func inScope(s Scope) string {
	switch s.(type) {
	case *ScopeAnd, *ScopeOr:
		return "(" + s.String() + ")"
	}
	return s.String()
}

// bareTerm tells whether s reads as one search word without quotes.
func bareTerm(s string) bool {
	return s != "" && run(s, termPart) == len(s) && !strings.HasPrefix(s, "//") && !strings.HasPrefix(s, "/*")
}

func keyword(s string) bool {
	return strings.EqualFold(s, "and") || strings.EqualFold(s, "or") || strings.EqualFold(s, "not")
}

// maxDepth is how deep brackets, NOT and the like may stand in one another.
const maxDepth = 100

// scopeParser reads the tokens from at to end. It stops at its first mistake.
type scopeParser struct {
	q       *Query
	at, end int
	depth   int
	err     *Error
}

// parseScope reads the scope between two tokens. An empty one in front of stages
// stands for everything, as a query that starts with its pipe means it.
func parseScope(q *Query, start, end int, stages bool) (Scope, *Error) {
	p := &scopeParser{q: q, at: start, end: end}
	if start == end {
		if !stages {
			p.fail(CodeEmpty, "write * to search everything", "the query is empty")
		}
		return &ScopeAll{}, p.err
	}
	s := p.or()
	if p.at < p.end {
		p.unexpected()
	}
	return s, p.err
}

func (p *scopeParser) fail(code, hint, format string, args ...any) {
	if p.err == nil {
		p.err = &Error{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint, Span: p.span(), Stage: p.q.outer}
	}
	p.at = p.end
}

// span is where the next token stands, or the end.
func (p *scopeParser) span() Span {
	if p.at < p.end {
		return p.q.all[p.at].Span
	}
	if p.at > 0 {
		return p.q.all[p.at-1].Span
	}
	return Span{}
}

func (p *scopeParser) peek() Token {
	if p.at < p.end {
		return p.q.all[p.at]
	}
	return Token{}
}

func (p *scopeParser) unexpected() {
	t := p.peek()
	switch {
	case t.Kind == TokEnd:
		p.fail(CodeExpected, "", "a search word is missing at the end of the scope")
	case t.is("or"):
		p.fail(CodeExpected, "write OR", "%s is no operator of the scope", t.Text)
	default:
		p.fail(CodeExpected, "", "a search word was expected, not %s", t.describe())
	}
}

// is takes the keyword w when it comes next.
func (p *scopeParser) is(w string) bool {
	t := p.peek()
	if t.Kind != TokTerm || !strings.EqualFold(t.Text, w) || p.assigned() {
		return false
	}
	p.at++
	return true
}

// assigned tells whether = or != follows the next token, which is a name then.
func (p *scopeParser) assigned() bool {
	if p.at+1 >= p.end {
		return false
	}
	next := p.q.all[p.at+1]
	return next.is("=") || next.is("!=")
}

func (p *scopeParser) or() Scope {
	start := p.span()
	list := []Scope{p.and()}
	for p.is("or") {
		list = append(list, p.and())
	}
	if len(list) == 1 {
		return list[0]
	}
	return &ScopeOr{At{start.to(list[len(list)-1].Span())}, list}
}

func (p *scopeParser) and() Scope {
	start := p.span()
	list := []Scope{p.not()}
	for p.at < p.end {
		t := p.peek()
		if t.is(")") || t.Kind == TokTerm && strings.EqualFold(t.Text, "or") && !p.assigned() {
			break
		}
		p.is("and")
		list = append(list, p.not())
	}
	if len(list) == 1 {
		return list[0]
	}
	return &ScopeAnd{At{start.to(list[len(list)-1].Span())}, list}
}

func (p *scopeParser) not() Scope {
	start := p.span()
	if p.depth++; p.depth > maxDepth {
		p.fail(CodeTooDeep, "", "brackets and NOT stand more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	bang := p.peek().is("!")
	if bang {
		p.at++
	}
	if bang || p.is("not") {
		x := p.not()
		return &ScopeNot{At{start.to(x.Span())}, x}
	}
	return p.prim()
}

func (p *scopeParser) prim() Scope {
	t := p.peek()
	at := At{t.Span}
	switch {
	case t.is("("):
		return p.brackets(t)
	case t.is("[") && t.pair > 0:
		sub, err := parseSubquery(p.q, p.at)
		if err != nil {
			p.err, p.at = err, p.end
			return &ScopeAll{at}
		}
		p.at = t.pair + 1
		return &ScopeSubquery{At{sub.Pos}, sub}
	case (t.Kind == TokTerm || t.Kind == TokName) && p.assigned():
		return p.field(t)
	case t.Kind == TokString:
		return p.phrase(t)
	case t.Kind == TokTerm && t.Text == "*":
		p.at++
		return &ScopeAll{at}
	case t.Kind == TokTerm && !keyword(t.Text):
		p.at++
		return &ScopeTerm{At: at, Text: t.Text, Wild: strings.ContainsAny(t.Text, "*?")}
	}
	p.unexpected()
	return &ScopeAll{at}
}

func (p *scopeParser) brackets(open Token) Scope {
	p.at++
	s := p.or()
	if p.err == nil && !p.peek().is(")") {
		p.fail(CodeUnclosed, "", "%s was expected here, to close what is open", ")")
	}
	p.at = min(p.at+1, p.end)
	return s
}

func (p *scopeParser) phrase(t Token) Scope {
	text := strings.Join(strings.FieldsFunc(t.Text, blank), " ")
	if text == "" {
		p.fail(CodeEmpty, "write * to search everything", "the phrase is empty")
	} else {
		p.at++
	}
	return &ScopeTerm{At: At{t.Span}, Text: text, Phrase: true}
}

func (p *scopeParser) field(name Token) Scope {
	if name.Kind == TokTerm && !bare(name.Text) {
		p.fail(CodeName, fmt.Sprintf("put all of it in quotes to search for it, or write %%%s for a field", Quote(name.Text)),
			"%s is not the name of a field", name.describe())
		return &ScopeAll{At{name.Span}}
	}
	op := p.q.all[p.at+1]
	p.at += 2
	v := p.peek()
	if v.Kind != TokString && v.Kind != TokTerm {
		p.fail(CodeExpected, `write the value behind it, or * for any: name="value"`, "%s%s has no value", name.describe(), op.Text)
		return &ScopeAll{At{name.Span}}
	}
	p.at++
	return &ScopeField{At: At{name.Span.to(v.Span)}, Name: name.Text, Op: op.Text, Value: v.Text,
		Wild: v.Kind == TokTerm && strings.ContainsAny(v.Text, "*?"), Quoted: v.Kind == TokString}
}
