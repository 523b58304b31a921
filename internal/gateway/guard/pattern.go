package guard

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// A pattern is run only near one of its literals: strings of which every match
// has at least one. They are looked for together, for all patterns and keywords
// at once, so that a text in which none stands costs no regular expression.
type pattern struct {
	re       *regexp.Regexp
	literals []string   // empty: run everywhere
	others   [][]string // sets of others of which every match has one each, too
	reach    int        // bytes that a match spans at most
	size     int        // instructions
}

// leastRarity is how rare literals must be to be worth looking for, and
// mostLiterals how many a pattern may ask for.
const (
	leastRarity  = 3
	mostLiterals = 500
)

// compilePattern compiles RE2 so that it matches folded text, or, when exact,
// text as it was sent.
func compilePattern(text string, exact bool) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("longer than %d bytes", maxPattern)
	}
	tree, err := syntax.Parse(text, syntax.Perl&^syntax.OneLine)
	if err != nil {
		return nil, err
	}
	if err := checkTree(tree); err != nil {
		return nil, err
	}
	if !exact {
		tree = foldTree(tree)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if len(prog.Inst) > maxProgram {
		return nil, fmt.Errorf("compiles to %d instructions; %d are allowed", len(prog.Inst), maxProgram)
	}
	re, err := regexp.Compile(tree.String())
	if err != nil {
		return nil, err
	}
	if re.MatchString("") {
		return nil, errors.New("matches the empty text")
	}
	p := &pattern{re: re, reach: min(longest(tree), maxReach), size: len(prog.Inst)}
	if lits := required(tree); rarity(lits) >= leastRarity {
		p.literals = lits
		p.others = besides(tree, lits)
	}
	return p, nil
}

func checkTree(t *syntax.Regexp) error {
	if t.Op == syntax.OpBeginText || t.Op == syntax.OpEndText {
		return errors.New(`\A and \z are not used; ^ and $ are the ends of a line`)
	}
	for _, sub := range t.Sub {
		if err := checkTree(sub); err != nil {
			return err
		}
	}
	return nil
}

// foldTree rewrites the letters of a pattern as Fold would write them.
func foldTree(t *syntax.Regexp) *syntax.Regexp {
	for i, sub := range t.Sub {
		t.Sub[i] = foldTree(sub)
	}
	switch t.Op {
	case syntax.OpLiteral:
		return foldLiteral(t)
	case syntax.OpCharClass:
		t.Rune = foldClass(t.Rune)
	}
	return t
}

var spaces = []rune{'\n', '\n', ' ', ' '}

// foldLiteral returns the folded runes in place of t, with a class for a space.
func foldLiteral(t *syntax.Regexp) *syntax.Regexp {
	out := &syntax.Regexp{Op: syntax.OpConcat, Flags: t.Flags &^ syntax.FoldCase}
	word := []rune{}
	flush := func() {
		if len(word) > 0 {
			out.Sub = append(out.Sub, &syntax.Regexp{Op: syntax.OpLiteral, Flags: out.Flags, Rune: word})
			word = nil
		}
	}
	for _, r := range t.Rune {
		if r == ' ' {
			flush()
			out.Sub = append(out.Sub, &syntax.Regexp{Op: syntax.OpCharClass, Flags: out.Flags, Rune: spaces})
			continue
		}
		if r == '\n' {
			word = append(word, r)
			continue
		}
		word = append(word, []rune(string(Fold(nil, []byte(string(r)))))...)
	}
	flush()
	switch len(out.Sub) {
	case 0:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case 1:
		return out.Sub[0]
	}
	return out
}

// foldClass adds to a class what its characters fold to. A negated class keeps
// its meaning: what it shuts out stays out.
func foldClass(class []rune) []rune {
	if len(class) == 0 || class[len(class)-1] == utf8.MaxRune {
		return class
	}
	out := append([]rune(nil), class...)
	for i := 0; i < len(class); i += 2 {
		for r := class[i]; r <= class[i+1] && r < rune(len(common)); r++ {
			f := []rune(string(Fold(nil, []byte(string(r)))))
			if len(f) == 1 && f[0] != r {
				out = append(out, f[0], f[0])
			}
			if r == ' ' {
				out = append(out, '\n', '\n')
			}
		}
	}
	return canonical(out)
}

// canonical sorts and joins the ranges of a class, by way of the parser.
func canonical(class []rune) []rune {
	text := "["
	for i := 0; i < len(class); i += 2 {
		text += fmt.Sprintf(`\x{%x}-\x{%x}`, class[i], class[i+1])
	}
	t, err := syntax.Parse(text+"]", syntax.Perl)
	if err != nil {
		return class
	}
	switch t.Op {
	case syntax.OpCharClass:
		return t.Rune
	case syntax.OpLiteral: // of one character
		return []rune{t.Rune[0], t.Rune[0]}
	}
	return class
}

// longest returns how many bytes a match of t may span, maxReach for no bound.
func longest(t *syntax.Regexp) int {
	n := 0
	switch t.Op {
	case syntax.OpLiteral:
		n = len(string(t.Rune))
		if t.Flags&syntax.FoldCase != 0 {
			n = utf8.UTFMax * len(t.Rune)
		}
	case syntax.OpCharClass:
		n = utf8.RuneLen(max(t.Rune[len(t.Rune)-1], 0))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus:
		n = maxReach
	case syntax.OpRepeat:
		n = t.Max * longest(t.Sub[0])
		if t.Max < 0 {
			n = maxReach
		}
	case syntax.OpAlternate:
		for _, sub := range t.Sub {
			n = max(n, longest(sub))
		}
	default:
		for _, sub := range t.Sub {
			n = min(n+longest(sub), maxReach)
		}
	}
	return min(n, maxReach)
}

// required returns strings of which every match of t has at least one; nil when
// none are known.
func required(t *syntax.Regexp) []string {
	if all, ok := exactly(t); ok {
		return all
	}
	switch t.Op {
	case syntax.OpCapture, syntax.OpPlus:
		return required(t.Sub[0])
	case syntax.OpRepeat:
		if t.Min > 0 {
			return required(t.Sub[0])
		}
	case syntax.OpConcat:
		return requiredOfConcat(t.Sub)
	case syntax.OpAlternate:
		var all []string
		for _, sub := range t.Sub {
			lits := required(sub)
			if len(lits) == 0 || len(all)+len(lits) > mostLiterals {
				return nil
			}
			all = append(all, lits...)
		}
		return all
	}
	return nil
}

// requiredOfConcat returns the rarest of what the parts require, and of what
// neighbours of few possible texts require together.
func requiredOfConcat(parts []*syntax.Regexp) []string {
	var best, run []string
	take := func(lits []string) {
		if rarity(lits) > rarity(best) {
			best = lits
		}
	}
	for _, sub := range parts {
		few, ok := exactly(sub)
		if !ok {
			take(run)
			run = nil
			take(required(sub))
			continue
		}
		if next := product(run, few); len(next) <= mostExact {
			run = next
			continue
		}
		take(run)
		run = few
	}
	take(run)
	return best
}

// mostOthers bounds the further sets of literals that a pattern is looked for by,
// and rarityOfOthers is how rare they must be to be worth it.
const (
	mostOthers     = 3
	rarityOfOthers = 4
)

// besides returns what parts of t require, each by itself, but for what a match
// that has one of first has anyway.
func besides(t *syntax.Regexp, first []string) (sets [][]string) {
	if t.Op != syntax.OpConcat {
		return nil
	}
	for _, sub := range t.Sub {
		lits := required(sub)
		if rarity(lits) >= rarityOfOthers && len(sets) < mostOthers && !within(lits, first) {
			sets = append(sets, lits)
		}
	}
	return sets
}

// within reports whether each of lits is part of one of others.
func within(lits, others []string) bool {
	return !slices.ContainsFunc(lits, func(l string) bool {
		return !slices.ContainsFunc(others, func(o string) bool { return strings.Contains(o, l) })
	})
}

// mostExact bounds how many texts a part of a pattern may stand for.
const mostExact = 64

// exactly returns all texts that t matches, when they are few. A space stands
// for a line break too, as it does in the automaton.
func exactly(t *syntax.Regexp) (all []string, ok bool) {
	switch t.Op {
	case syntax.OpEmptyMatch, syntax.OpWordBoundary, syntax.OpNoWordBoundary, syntax.OpBeginLine, syntax.OpEndLine:
		return []string{""}, true
	case syntax.OpLiteral:
		return []string{string(t.Rune)}, t.Flags&syntax.FoldCase == 0
	case syntax.OpCharClass:
		return exactClass(t.Rune)
	case syntax.OpCapture:
		return exactly(t.Sub[0])
	case syntax.OpQuest:
		all, ok = exactly(t.Sub[0])
		return append([]string{""}, all...), ok
	case syntax.OpConcat:
		all = []string{""}
		for _, sub := range t.Sub {
			few, ok := exactly(sub)
			if all = product(all, few); !ok || len(all) > mostExact {
				return nil, false
			}
		}
		return all, true
	case syntax.OpAlternate:
		for _, sub := range t.Sub {
			few, ok := exactly(sub)
			if all = append(all, few...); !ok || len(all) > mostExact {
				return nil, false
			}
		}
		return all, true
	}
	return nil, false
}

func exactClass(class []rune) (all []string, ok bool) {
	if slices.Equal(class, spaces) {
		return []string{" "}, true
	}
	for i := 0; i < len(class); i += 2 {
		for r := class[i]; r <= class[i+1]; r++ {
			if all = append(all, string(r)); len(all) > 4 {
				return nil, false
			}
		}
	}
	return all, len(all) > 0
}

func product(a, b []string) []string {
	if a == nil {
		return b
	}
	if len(a)*len(b) > mostExact {
		return make([]string, mostExact+1) // too many: never used
	}
	var out []string
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return out
}

// rarity says how seldom ordinary text has one of lits: by the length of the
// commonest, where signs count for more than letters.
func rarity(lits []string) int {
	least := 0
	for i, l := range lits {
		n := 0
		for _, c := range []byte(l) {
			n++
			if c < utf8.RuneSelf && !alnum(c) && c != ' ' {
				n += 2
			}
		}
		if i == 0 || n < least {
			least = n
		}
	}
	return least
}
