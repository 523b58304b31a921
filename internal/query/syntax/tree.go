package syntax

import "strings"

// Expr is a node of an expression: one of the types below.
type Expr interface {
	Span() Span
	String() string
}

// At is the place of a node, which it is embedded in.
type At struct{ Pos Span }

// Span is where the node stands in the query.
func (a At) Span() Span { return a.Pos }

// LiteralKind is the type of a literal.
type LiteralKind uint8

const (
	Null LiteralKind = iota
	Bool
	Number
	String
)

type (
	// Literal is a constant.
	Literal struct {
		At
		Kind LiteralKind
		Text string // a string's value, a number as written
		Bool bool

		Number float64 // with its suffix applied; times are in milliseconds
		Int    int64   // the same exactly, when IsInt
		IsInt  bool
		Unit   string // the suffix as written
	}

	// Regex is /Source/, checked: Go is what runs and Names are its groups.
	Regex struct {
		At
		Source string
		Go     string
		Names  []string
	}

	// Field is a name. Of %"a b" it is what stands in the quotes.
	Field struct {
		At
		Name    string
		Escaped bool
	}

	// Call is a function with its arguments, the name as written.
	Call struct {
		At
		Name string
		Args []Expr
	}

	// Unary is - or not.
	Unary struct {
		At
		Op string
		X  Expr
	}

	// Binary is or, and, =, !=, <, <=, >, >=, matches, contains, +, -, *, / or %.
	Binary struct {
		At
		Op   string
		L, R Expr
	}

	// In is X in (List).
	In struct {
		At
		X    Expr
		List []Expr
		Not  bool
	}

	// Ternary is Cond ? Then : Else.
	Ternary struct {
		At
		Cond, Then, Else Expr
	}

	// Subquery is [subquery from=(…) to=(…) : scope | stages]. From and To are as
	// written, without their brackets.
	Subquery struct {
		At
		From, To string
		Query    *Query
	}
)

// WalkExpr calls visit for e and what is in it, outside first. What is in a node
// for which visit returns false is passed over, and so are subqueries' stages.
func WalkExpr(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	for _, x := range parts(e) {
		WalkExpr(x, visit)
	}
}

func parts(e Expr) []Expr {
	switch e := e.(type) {
	case *Call:
		return e.Args
	case *Unary:
		return []Expr{e.X}
	case *Binary:
		return []Expr{e.L, e.R}
	case *In:
		return append([]Expr{e.X}, e.List...)
	case *Ternary:
		return []Expr{e.Cond, e.Then, e.Else}
	}
	return nil
}

// FieldNames returns the fields that e reads, each once, as first written.
func FieldNames(e Expr) []string {
	var names []string
	seen := map[string]bool{}
	WalkExpr(e, func(x Expr) bool {
		if f, ok := x.(*Field); ok && !seen[strings.ToLower(f.Name)] {
			seen[strings.ToLower(f.Name)] = true
			names = append(names, f.Name)
		}
		return true
	})
	return names
}
