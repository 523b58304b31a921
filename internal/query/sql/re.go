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

// prefilter lists the literals worth testing before the expression. Only a
// column is cheap enough to be named several times.
func prefilter(e *core.Expr) []string {
	if e.Args[0].Op != core.Column || e.Re == nil {
		return nil
	}
	return e.Re.All
}
