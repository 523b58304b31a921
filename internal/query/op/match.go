package op

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"gatehouse/internal/query/core"
)

// regex makes core's form of an expression that was checked: groups numbered,
// and the literals that every match holds.
func regex(src string) (*core.Regex, error) {
	source := unnamed(src)
	compiled, err := regexp.Compile(source)
	if err != nil {
		return nil, err
	}
	return &core.Regex{Source: source, Go: compiled, All: literals(source)}, nil
}

// unnamed takes the names from the groups.
func unnamed(src string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(src); {
		n := 1
		switch rest := src[i:]; {
		case strings.HasPrefix(rest, `\Q`) && !class:
			n = len(rest)
			if end := strings.Index(rest, `\E`); end >= 0 {
				n = end + 2
			}
		case rest[0] == '\\':
			n = min(2, len(rest))
		case class:
			class = rest[0] != ']'
			if end := strings.Index(rest, ":]"); strings.HasPrefix(rest, "[:") && end > 0 {
				n = end + 2
			}
		case rest[0] == '[':
			class = true
			n += len(rest[1:]) - len(strings.TrimPrefix(strings.TrimPrefix(rest[1:], "^"), "]"))
		case strings.HasPrefix(rest, "(?P<"):
			b.WriteByte('(')
			i += strings.IndexByte(rest, '>') + 1
			continue
		}
		b.WriteString(src[i : i+n])
		i += n
	}
	return b.String()
}

// literals returns the texts that every match holds, longest first: at most
// four, of two bytes or more.
func literals(source string) []string {
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil
	}
	var found []string
	w := &literalWalk{}
	w.walk(tree)
	w.cut()
	for _, s := range w.found {
		if len(s) > 1 && !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, func(a, b string) int { return len(b) - len(a) })
	found = found[:min(len(found), 4)]
	return found
}

// literalWalk collects the literals of a tree from left to right. Adjacent ones
// are one.
type literalWalk struct {
	run   []rune
	found []string
}

func (w *literalWalk) cut() {
	if len(w.run) > 0 {
		w.found = append(w.found, string(w.run))
	}
	w.run = nil
}

func (w *literalWalk) walk(re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		w.literal(re)
	case syntax.OpConcat, syntax.OpCapture:
		for _, s := range re.Sub {
			w.walk(s)
		}
	case syntax.OpPlus:
		w.apart(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			w.apart(re.Sub[0])
			return
		}
		w.cut()
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		// what stands around them touches
	default:
		w.cut()
	}
}

// apart walks what may be repeated, so that its ends touch nothing.
func (w *literalWalk) apart(re *syntax.Regexp) {
	w.cut()
	w.walk(re)
	w.cut()
}

func (w *literalWalk) literal(re *syntax.Regexp) {
	for _, r := range re.Rune {
		if re.Flags&syntax.FoldCase != 0 && unicode.SimpleFold(r) != r {
			w.cut()
			continue
		}
		w.run = append(w.run, r)
	}
}

// matchRe is a search of x for the expression.
func matchRe(x *core.Expr, re *core.Regex) *core.Expr {
	e := do(core.MatchRe, toText(x))
	e.Re = re
	return e
}

// glob is x matches "pattern": * is any text, the whole of x, cased. A pattern
// that is known becomes the cheapest primitive.
func glob(x *core.Expr, pattern string) *core.Expr {
	x = toText(x)
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	inner := slices.DeleteFunc(slices.Clone(parts[min(1, last):last]), func(s string) bool { return s == "" })
	switch {
	case last == 0:
		return do(core.EqText, x, core.Str(pattern))
	case len(inner) == 0:
		return ends(x, parts[0], parts[last])
	case len(inner) == 1 && parts[0] == "" && parts[last] == "":
		return do(core.Contains, x, core.Str(inner[0]))
	}
	return matchRe(x, globRegex(parts))
}

// ends is prefix*suffix, which may not overlap.
func ends(x *core.Expr, prefix, suffix string) *core.Expr {
	var list []*core.Expr
	if prefix != "" {
		list = append(list, do(core.HasPrefix, x, core.Str(prefix)))
	}
	if suffix != "" {
		list = append(list, do(core.HasSuffix, x, core.Str(suffix)))
	}
	if len(list) == 2 {
		return matchRe(x, globRegex([]string{prefix, suffix}))
	}
	if len(list) == 0 { // * alone
		return not(do(core.IsNull, x))
	}
	return list[0]
}

func globRegex(parts []string) *core.Regex {
	var b strings.Builder
	b.WriteString("(?s)^")
	for i, p := range parts {
		if i > 0 {
			b.WriteString(".*")
		}
		b.WriteString(regexp.QuoteMeta(p))
	}
	b.WriteString("$")
	re, err := regex(b.String())
	if err != nil { // quoted parts always compile
		panic(err)
	}
	return re
}
