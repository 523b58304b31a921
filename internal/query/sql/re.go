package sql

import (
	"regexp/syntax"
	"slices"
	"strings"

	"gatehouse/internal/query/core"
)

// maxLiterals bounds how many literals take the place of an expression: each is
// one pass over the text.
const maxLiterals = 6

// finite lists the texts of which every match holds one and that are matches
// themselves, when the expression means a few literals and nothing more; else
// nil.
func finite(source string) []string {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil
	}
	var lits []string
	for _, lit := range slices.Compact(slices.Sorted(slices.Values(language(re)))) {
		if lit == "" { // it matches everything; leave it to the engine
			return nil
		}
		if !slices.ContainsFunc(lits, func(shorter string) bool { return strings.HasPrefix(lit, shorter) }) {
			lits = append(lits, lit)
		}
	}
	return lits
}

// language lists all texts that re matches, or nil when they are too many.
func language(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []string{string(re.Rune)}
		}
	case syntax.OpCharClass:
		return class(re.Rune)
	case syntax.OpCapture:
		return language(re.Sub[0])
	case syntax.OpQuest:
		if some := language(re.Sub[0]); some != nil {
			return atMost(append(some, ""))
		}
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			some := language(sub)
			if some == nil {
				return nil
			}
			all = append(all, some...)
		}
		return atMost(all)
	case syntax.OpConcat:
		return product(re.Sub)
	}
	return nil
}

func product(subs []*syntax.Regexp) []string {
	all := []string{""}
	for _, sub := range subs {
		var next []string
		for _, tail := range language(sub) {
			for _, head := range all {
				next = append(next, head+tail)
			}
		}
		if all = atMost(next); all == nil {
			return nil
		}
	}
	return all
}

// class lists the characters of a class given as pairs of bounds.
func class(pairs []rune) []string {
	var all []string
	for i := 0; i+1 < len(pairs); i += 2 {
		for r := pairs[i]; r <= pairs[i+1]; r++ {
			if all = atMost(append(all, string(r))); all == nil {
				return nil
			}
		}
	}
	return all
}

func atMost(lits []string) []string {
	if len(lits) > maxLiterals {
		return nil
	}
	return lits
}

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

// onlyGroup gives the expression with its group n alone, as its first.
func onlyGroup(source string, n int) (string, error) {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return "", err
	}
	return only(re, n).String(), nil
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

// takesPart says that group n has a text in every match: it stands in no
// alternative and in nothing that may be left out.
func takesPart(source string, n int) bool {
	re, err := syntax.Parse(source, syntax.Perl)
	return err == nil && (n == 0 || always(re, n))
}

func always(re *syntax.Regexp, n int) bool {
	switch re.Op {
	case syntax.OpCapture:
		return re.Cap == n || always(re.Sub[0], n)
	case syntax.OpConcat:
		return slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return always(sub, n) })
	case syntax.OpPlus:
		return always(re.Sub[0], n)
	}
	return false
}

// mayBeEmpty says that a match may have no characters. Where that is not sure, it
// says so too.
func mayBeEmpty(source string) bool {
	re, err := syntax.Parse(source, syntax.Perl)
	return err != nil || empty(re)
}

func empty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch, syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyCharNotNL, syntax.OpAnyChar:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return empty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || empty(re.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !empty(sub) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, empty)
	}
	return true // repeated any number of times, or an assertion
}

// prefilter lists the literals worth testing before the expression.
func (p *Printer) prefilter(e *core.Expr) []string {
	if e.Re == nil || !p.cheap(e.Args[0]) {
		return nil
	}
	return e.Re.All
}

// cheap says that x may be named several times. A column that some stage works
// out is not: engines move conditions down to where that is done, and do it
// there once for each time that the column is named.
func (p *Printer) cheap(x *core.Expr) bool {
	return x.Op == core.Column && !p.computed[x.Name]
}

// computed lists the names of columns that projections work out.
func computed(nodes map[core.Plan]bool) map[string]bool {
	names := map[string]bool{}
	for n := range nodes {
		if n, ok := n.(*core.Project); ok {
			for _, c := range n.Out {
				if c.Expr.Op != core.Column {
					names[c.Name] = true
				}
			}
		}
	}
	return names
}
