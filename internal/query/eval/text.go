package eval

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gatehouse/internal/query/core"
)

// textTexts are the ops from one text to another that does not depend on more.
// None makes more than four bytes of one.
var textTexts = map[core.Op]func(string) (string, bool){
	core.Lower:     sure(strings.ToLower),
	core.Upper:     sure(strings.ToUpper),
	core.Trim:      sure(func(s string) string { return strings.Trim(s, " \t\n\r") }),
	core.Base64Enc: sure(encodeBase64),
	core.Base64Dec: decodeBase64,
	core.URLEnc:    sure(encodeURL),
	core.URLDec:    decodeURL,
	core.HexEnc:    sure(encodeHex),
	core.HexDec:    decodeHex,
}

// textInts are the ops from a text to an integer.
var textInts = map[core.Op]func(string) (int64, bool){
	core.Length:   func(s string) (int64, bool) { return int64(utf8.RuneCountInString(s)), true },
	core.HexToInt: hexToInt,
	core.IPv4Num:  ipv4Num,
}

// sure is f as an op that has a value for every text.
func sure(f func(string) string) func(string) (string, bool) {
	return func(s string) (string, bool) { return f(s), true }
}

// otherText compiles the ops that give a Text.
func (c *compiler) otherText(e *core.Expr) fn[string] {
	switch e.Op {
	case core.JSONFold:
		return c.jsonFold(e)
	case core.ToText:
		return c.toText(e.Args[0])
	case core.Substr:
		return c.substr(e)
	case core.Concat:
		return c.concat(e)
	case core.Replace:
		return c.replace(e)
	case core.ExtractRe:
		return c.extractRe(e)
	case core.ReplaceRe:
		return c.replaceRe(e)
	case core.SplitPart:
		return strict2(c.text(e.Args[0]), c.text(e.Args[1]), func(s, sep string) (string, bool) { return splitPart(s, sep, e.N) })
	case core.IntToHex:
		return strict(c.int(e.Args[0]), func(n int64) (string, bool) { return strconv.FormatUint(uint64(n), 16), true })
	case core.Hash:
		return strict(c.text(e.Args[0]), sure(hashes[e.S]))
	case core.FormatTime:
		return strict(c.int(e.Args[0]), timeFormatter(e.S, e.Zone))
	}
	return grown(c.text(e.Args[0]), textTexts[e.Op])
}

// grown is strict for a function that makes up to four bytes of one.
func grown(x fn[string], f func(string) (string, bool)) fn[string] {
	return func(r *Row) (string, bool) {
		s, ok := x(r)
		if !ok || !r.fits(4*len(s)) {
			return "", false
		}
		return f(s)
	}
}

// toText writes any value.
func (c *compiler) toText(e *core.Expr) fn[string] {
	switch e.Type {
	case core.Bool:
		return strict(c.bit(e), func(b bool) (string, bool) { return strconv.FormatBool(b), true })
	case core.Int:
		return strict(c.int(e), func(n int64) (string, bool) { return strconv.FormatInt(n, 10), true })
	case core.Float:
		return strict(c.num(e), func(x float64) (string, bool) { return writeNumber(x), true })
	case core.List:
		return strict(c.list(e), func(l []string) (string, bool) { return strings.Join(l, "\n"), true })
	}
	return c.text(e)
}

func (c *compiler) substr(e *core.Expr) fn[string] {
	s, from, n := c.text(e.Args[0]), c.int(e.Args[1]), c.int(e.Args[2])
	return func(r *Row) (string, bool) {
		text, ok := s(r)
		if !ok {
			return "", false
		}
		i, ok := from(r)
		if !ok || i < 0 {
			return "", false
		}
		k, ok := n(r)
		if !ok || k < 0 {
			return "", false
		}
		return prefix(text[len(prefix(text, i)):], k), true
	}
}

// prefix is the first n code points of s.
func prefix(s string, n int64) string {
	if n >= int64(len(s)) {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func (c *compiler) concat(e *core.Expr) fn[string] {
	fns := make([]fn[string], len(e.Args))
	for i, a := range e.Args {
		fns[i] = c.text(a)
	}
	return func(r *Row) (string, bool) {
		parts, n := make([]string, 0, 16), 0
		for _, f := range fns {
			s, ok := f(r)
			if n += len(s); !ok || !r.fits(n) {
				return "", false
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ""), true
	}
}

func (c *compiler) replace(e *core.Expr) fn[string] {
	text, old, new := c.text(e.Args[0]), c.text(e.Args[1]), c.text(e.Args[2])
	return func(r *Row) (string, bool) {
		s, ok := text(r)
		if !ok {
			return "", false
		}
		from, ok := old(r)
		if !ok {
			return "", false
		}
		to, ok := new(r)
		if !ok || from == "" {
			return s, ok
		}
		if longer := len(to) - len(from); longer > 0 && !r.fits(len(s)+strings.Count(s, from)*longer) {
			return "", false
		}
		return strings.ReplaceAll(s, from, to), true
	}
}

// splitPart is the nth piece of s, from 1. Without a separator there is one.
func splitPart(s, sep string, n int64) (string, bool) {
	if sep == "" {
		return s, n == 1
	}
	for ; n > 1; n-- {
		_, rest, more := strings.Cut(s, sep)
		if !more {
			return "", false
		}
		s = rest
	}
	piece, _, _ := strings.Cut(s, sep)
	return piece, true
}

// holdsAll says that s holds every literal that a regular expression needs, the
// longest first, which is the rarest.
func holdsAll(literals []string) func(s string) bool {
	literals = slices.SortedFunc(slices.Values(literals), func(a, b string) int { return len(b) - len(a) })
	return func(s string) bool {
		for _, l := range literals {
			if !strings.Contains(s, l) {
				return false
			}
		}
		return true
	}
}

func (c *compiler) matchRe(e *core.Expr) boolFn {
	x, may, re := c.text(e.Args[0]), holdsAll(e.Re.All), e.Re.Go
	return func(r *Row) bool {
		s, ok := x(r)
		return ok && may(s) && re.MatchString(s)
	}
}

func (c *compiler) extractRe(e *core.Expr) fn[string] {
	may, re, group := holdsAll(e.Re.All), e.Re.Go, 2*int(e.N)
	return strict(c.text(e.Args[0]), func(s string) (string, bool) {
		if !may(s) {
			return "", false
		}
		at := re.FindStringSubmatchIndex(s)
		if at == nil {
			return "", false
		}
		return part(s, at, group), true
	})
}

// part is the group of a match that starts at at[i]; one that took no part is "".
func part(s string, at []int, i int) string {
	if at[i] < 0 {
		return ""
	}
	return s[at[i]:at[i+1]]
}

// maxMatches bounds the matches in one text. More are ErrText.
const maxMatches = 1 << 20

// matches are all matches in s, none when it cannot have any.
func matches(r *Row, re *core.Regex, may func(string) bool, s string) ([][]int, bool) {
	if !may(s) {
		return nil, true
	}
	found := re.Go.FindAllStringSubmatchIndex(s, maxMatches+1)
	if len(found) > maxMatches {
		r.err = ErrText
		return nil, false
	}
	return found, true
}

// findAll compiles FindAllRe.
func (c *compiler) findAll(e *core.Expr) fn[[]string] {
	x, may, group := c.text(e.Args[0]), holdsAll(e.Re.All), 2*int(e.N)
	return func(r *Row) ([]string, bool) {
		s, ok := x(r)
		if !ok {
			return nil, false
		}
		found, ok := matches(r, e.Re, may, s)
		list := make([]string, 0, len(found))
		for _, at := range found {
			if at[0] < at[1] {
				list = append(list, part(s, at, group))
			}
		}
		return list, ok
	}
}

func (c *compiler) replaceRe(e *core.Expr) fn[string] {
	x, may := c.text(e.Args[0]), holdsAll(e.Re.All)
	return func(r *Row) (string, bool) {
		s, ok := x(r)
		if !ok {
			return "", false
		}
		found, ok := matches(r, e.Re, may, s)
		if len(found) == 0 {
			return s, ok
		}
		var b strings.Builder
		last := 0
		for _, at := range found {
			b.WriteString(s[last:at[0]])
			if !expand(r, &b, s, at, e.Rep) {
				return "", false
			}
			last = at[1]
		}
		b.WriteString(s[last:])
		return b.String(), true
	}
}

// expand writes a replacement, as long as there is room.
func expand(r *Row, b *strings.Builder, s string, at []int, rep []core.RepPart) bool {
	for _, p := range rep {
		text := p.Lit
		if p.Group >= 0 {
			text = part(s, at, 2*p.Group)
		}
		if !r.fits(b.Len() + len(text)) {
			return false
		}
		b.WriteString(text)
	}
	return true
}
