package syntax

import (
	"fmt"
	"strings"
	"testing"
)

// dump prints a tree with all its brackets and without its places.
func dump(n any) string {
	switch n := n.(type) {
	case *ScopeAll:
		return "ALL"
	case *ScopeTerm:
		return "term" + flags(n.Wild, "*", n.Phrase, "q") + ":" + n.Text
	case *ScopeField:
		return "field" + flags(n.Wild, "*", n.Quoted, "q") + ":" + n.Name + n.Op + n.Value
	case *ScopeNot:
		return "(not " + dump(n.X) + ")"
	case *ScopeAnd:
		return dumpList("and", n.List)
	case *ScopeOr:
		return dumpList("or", n.List)
	case *ScopeSubquery:
		return dump(n.Sub)
	case *Literal:
		return []string{"null", fmt.Sprint(n.Bool), fmt.Sprintf("%g%s", n.Number, flags(n.IsInt, "i", false, "")), fmt.Sprintf("%q", n.Text)}[n.Kind]
	case *Regex:
		return "/" + n.Source + "/"
	case *Field:
		return flags(n.Escaped, "%", false, "") + n.Name
	case *Call:
		return dumpList(n.Name, n.Args)
	case *Unary:
		return "(" + n.Op + " " + dump(n.X) + ")"
	case *Binary:
		return "(" + n.Op + " " + dump(n.L) + " " + dump(n.R) + ")"
	case *In:
		return dumpList(flags(n.Not, "not-", false, "")+"in "+dump(n.X), n.List)
	case *Ternary:
		return "(? " + dump(n.Cond) + " " + dump(n.Then) + " " + dump(n.Else) + ")"
	case *Subquery:
		return "[" + n.From + "," + n.To + ": " + dump(n.Query) + "]"
	case *Query:
		var b strings.Builder
		if n.Scope != nil {
			b.WriteString(dump(n.Scope))
		}
		for _, s := range n.Stages {
			b.WriteString(" |")
			for _, t := range s.Tokens {
				fmt.Fprintf(&b, " %d:%s", t.Kind, t.Text)
			}
		}
		return b.String()
	}
	panic(fmt.Sprintf("dump of %T", n))
}

func dumpList[T any](head string, list []T) string {
	var b strings.Builder
	b.WriteString("(" + head)
	for _, x := range list {
		b.WriteString(" " + dump(x))
	}
	return b.String() + ")"
}

func flags(a bool, ifA string, b bool, ifB string) string {
	s := ""
	if a {
		s += ifA
	}
	if b {
		s += ifB
	}
	return s
}

// parseExpr reads src as the expression of a where stage, to its end.
func parseExpr(src string) (Expr, error) {
	q, err := Parse("* | where " + src)
	if err != nil {
		return nil, err
	}
	if len(q.Stages) != 1 {
		return nil, fmt.Errorf("%d stages", len(q.Stages))
	}
	c := NewCursor(q.Stages[0], q)
	c.Word("where")
	e, err := c.Expr()
	if err != nil {
		return nil, err
	}
	return e, c.End()
}

// again checks that what a tree prints reads back as the same tree.
func again(t testing.TB, e Expr) {
	t.Helper()
	e2, err := parseExpr(e.String())
	if err != nil {
		t.Fatalf("%s does not read back: %v", e, err)
	}
	if dump(e2) != dump(e) {
		t.Fatalf("%s reads back as %s, was %s", e, dump(e2), dump(e))
	}
}
