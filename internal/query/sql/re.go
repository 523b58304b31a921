package sql

import (
	"regexp/syntax"

	"gatehouse/internal/query/core"
)

// maxGroup is the highest group that RE2's own interfaces number.
const maxGroup = 9

// lone gives the expression and the number that its group n has in it: the
// source as it is where engines can count so far, else written anew with that
// group alone.
func lone(source string, n int64) (string, int64) {
	if n <= maxGroup {
		return source, n
	}
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return source, n
	}
	return only(re, int(n)).String(), 1
}

// only removes all groups but the nth.
func only(re *syntax.Regexp, n int) *syntax.Regexp {
	if re.Op == syntax.OpCapture && re.Cap != n {
		return only(re.Sub[0], n)
	}
	c := *re
	c.Name = ""
	c.Sub = make([]*syntax.Regexp, len(re.Sub))
	for i, sub := range re.Sub {
		c.Sub[i] = only(sub, n)
	}
	return &c
}

// prefilter lists the literals worth testing before the expression. Only a
// column is cheap enough to be named several times.
func prefilter(e *core.Expr) []string {
	if e.Args[0].Op != core.Column || e.Re == nil {
		return nil
	}
	return e.Re.All
}
