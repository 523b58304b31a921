package syntax

import (
	"strconv"
	"strings"
)

// The levels of an expression, loosest first.
const (
	levelTernary = iota
	levelOr
	levelAnd
	levelNot
	levelCompare
	levelAdd
	levelMultiply
	levelUnary
	levelPrimary
)

// levels of the operators with two sides.
var levels = map[string]int{
	"or": levelOr, "and": levelAnd,
	"=": levelCompare, "!=": levelCompare, "<": levelCompare, "<=": levelCompare, ">": levelCompare, ">=": levelCompare,
	"matches": levelCompare, "contains": levelCompare,
	"+": levelAdd, "-": levelAdd,
	"*": levelMultiply, "/": levelMultiply, "%": levelMultiply,
}

func level(e Expr) int {
	switch e := e.(type) {
	case *Ternary:
		return levelTernary
	case *Binary:
		return levels[e.Op]
	case *In:
		return levelCompare
	case *Unary:
		if e.Op == "not" {
			return levelNot
		}
		return levelUnary
	}
	return levelPrimary
}

// at prints e, in brackets when it binds looser than least.
func at(least int, e Expr) string {
	if level(e) < least {
		return "(" + e.String() + ")"
	}
	return e.String()
}

func (e *Literal) String() string {
	switch {
	case e.Kind == String:
		return Quote(e.Text)
	case e.Kind == Bool:
		return strconv.FormatBool(e.Bool)
	case e.Kind == Null:
		return "null"
	case e.Text != "":
		return e.Text
	case e.IsInt:
		return strconv.FormatInt(e.Int, 10)
	}
	return strconv.FormatFloat(e.Number, 'g', -1, 64)
}

// String escapes slashes that have no backslash: the expression may come from a
// string.
func (e *Regex) String() string {
	var b strings.Builder
	b.WriteByte('/')
	for i := 0; i < len(e.Source); i++ {
		switch c := e.Source[i]; {
		case c == '/':
			b.WriteString(`\/`)
		case c == '\\' && i+1 < len(e.Source):
			i++
			b.WriteByte(c)
			b.WriteByte(e.Source[i])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('/')
	return b.String()
}

func (e *Field) String() string {
	if !e.Escaped && bareField(e.Name) {
		return e.Name
	}
	return "%" + Quote(e.Name)
}

// bareField tells whether name reads as a field without an escape.
func bareField(name string) bool {
	switch strings.ToLower(name) {
	case "true", "false", "null", "not":
		return false
	}
	return bare(name)
}

// bare tells whether s is a whole name of letters, digits, _ and dots.
func bare(s string) bool {
	return s != "" && wordStart(rune(s[0])) && run(s, wordPart) == len(s) && len(s) <= maxWord &&
		!strings.HasSuffix(s, ".") && !strings.Contains(s, "..")
}

func (e *Call) String() string { return e.Name + list(e.Args) }

func list(es []Expr) string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.String()
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func (e *Unary) String() string {
	if e.Op == "not" {
		return "not " + at(levelNot, e.X)
	}
	return e.Op + at(levelUnary, e.X)
}

func (e *Binary) String() string {
	l := levels[e.Op]
	left := l
	if l == levelCompare { // comparisons do not chain
		left++
	}
	return at(left, e.L) + " " + e.Op + " " + at(l+1, e.R)
}

func (e *In) String() string {
	op := " in "
	if e.Not {
		op = " not in "
	}
	return at(levelAdd, e.X) + op + list(e.List)
}

func (e *Ternary) String() string {
	return at(levelOr, e.Cond) + " ? " + e.Then.String() + " : " + e.Else.String()
}

func (e *Subquery) String() string {
	var b strings.Builder
	b.WriteString("[subquery")
	if e.From != "" {
		b.WriteString(" from=(" + e.From + ")")
	}
	if e.To != "" {
		b.WriteString(" to=(" + e.To + ")")
	}
	return b.String() + " : " + e.Query.String() + "]"
}

// String prints the query without its comments, a stage a line.
func (q *Query) String() string {
	var b strings.Builder
	if q.Scope != nil {
		b.WriteString(q.Scope.String())
	}
	for i, s := range q.Stages {
		if i > 0 || q.Scope != nil {
			b.WriteString("\n| ")
		}
		b.WriteString(s.String())
	}
	return b.String()
}

// String prints the stage's tokens, with a blank where there was something
// between them: what touches may be one path.
func (s *Stage) String() string {
	var b strings.Builder
	for i, t := range s.Tokens {
		if i > 0 && s.Tokens[i-1].Span.End < t.Span.Start {
			b.WriteByte(' ')
		}
		b.WriteString(t.String())
	}
	return b.String()
}
