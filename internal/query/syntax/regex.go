package syntax

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
)

// The bounds of one regular expression: bytes of its text, and instructions of
// the program it becomes, which is what it costs to run.
const (
	maxRegex        = 4 << 10
	maxInstructions = 20_000
)

// CheckRegex checks a regular expression, written for Java or RE2, and returns
// it as RE2 takes it, with the names of its groups in order; a group without a
// name has an empty one. What RE2 cannot do is named by the error, which is of
// type *Error with a span of src.
func CheckRegex(src string) (re2 string, names []string, err error) {
	if len(src) > maxRegex {
		return "", nil, &Error{Code: CodeRegex, Span: Span{0, len(src)},
			Message: fmt.Sprintf("the regular expression has %d bytes, more than %d", len(src), maxRegex)}
	}
	t := &translator{src: src}
	if bad := t.run(); bad != nil {
		return "", nil, bad
	}
	re2 = t.out.String()
	tree, perr := syntax.Parse(re2, syntax.Perl)
	if perr != nil {
		return "", nil, parseError(src, perr)
	}
	if cost(tree) > maxInstructions {
		return "", nil, &Error{Code: CodeRegex, Span: Span{0, len(src)}, Hint: "repeat less often",
			Message: "the regular expression is too large once its repetitions are written out"}
	}
	names = tree.CapNames()[1:]
	for i, n := range names {
		if n != "" && slices.Contains(names[:i], n) { // Go takes them, other engines do not
			return "", nil, &Error{Code: CodeRegex, Span: Span{0, len(src)}, Message: fmt.Sprintf("two groups have the name %s", n)}
		}
	}
	return re2, names, nil
}

// parseError says what Go says, with the hint for the commonest cause.
func parseError(src string, err error) *Error {
	e := &Error{Code: CodeRegex, Span: Span{0, len(src)}, Message: err.Error()}
	if pe, ok := err.(*syntax.Error); ok {
		e.Message = fmt.Sprintf("%s: %s", pe.Code, short(pe.Expr))
		if i := strings.Index(src, pe.Expr); i >= 0 && pe.Expr != "" {
			e.Span = Span{i, i + len(pe.Expr)}
		}
		if pe.Code == syntax.ErrMissingBracket {
			e.Hint = `a slash in [ ] is written \/ as well`
		}
	}
	return e
}

// cost estimates the instructions of re, without writing its repetitions out.
func cost(re *syntax.Regexp) int {
	const enough = maxInstructions + 1
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n = 1 + len(re.Rune)/8
	}
	for _, s := range re.Sub {
		n = min(n+cost(s), enough)
	}
	if re.Op == syntax.OpRepeat {
		n = min(n*max(re.Min, re.Max, 1), enough)
	}
	return n
}

// groups are what may follow (? in Java and not in RE2.
var groups = []struct{ open, name, hint string }{
	{"(?=", "lookahead", "match what follows as well, or add a second where stage"},
	{"(?!", "negative lookahead", "add a stage: where !(field matches /…/)"},
	{"(?<=", "lookbehind", "match what precedes as well, and capture the rest in a named group"},
	{"(?<!", "negative lookbehind", "add a stage: where !(field matches /…/)"},
	{"(?>", "an atomic group", "write (?: instead: RE2 never goes back"},
	{"(?#", "a comment", "leave it out"},
	{"(?(", "a condition", "write both cases with |"},
	{"(?P=", "a backreference", "capture both and compare them in a where stage"},
}

// escapes are what may follow a backslash in Java and not in RE2.
var escapes = map[byte]struct{ name, hint string }{
	'h': {"horizontal blank", `write [ \t]`},
	'H': {"anything but a horizontal blank", `write [^ \t]`},
	'R': {"any line break", `write (?:\r\n|\n|\r)`},
	'V': {"anything but a vertical blank", `write [^\n\r]`},
	'X': {"a whole grapheme", "write ."},
	'G': {"the end of the last match", "leave it out"},
	'Z': {"the end but for a line break", `write \n?\z`},
	'k': {"a backreference", "capture both and compare them in a where stage"},
	'e': {"the escape character", `write \x1b`},
	'c': {"a control character", `write \x and its two digits`},
	'u': {"a character by number", `write \x{…}`},
	'N': {"a character by name", `write \x{…}`},
}

// needless are the characters whose escapes say nothing outside of a class.
const needless = `/:"';<>=!@#%&~_` + "`"

// translator rewrites what differs in spelling only, and finds what differs in power.
type translator struct {
	src   string
	at    int
	out   strings.Builder
	class int  // brackets open, where most things stand for themselves
	many  bool // a quantifier has just been read
}

func (t *translator) run() *Error {
	for t.at < len(t.src) {
		n, text, err := t.step(t.src[t.at:])
		if err != nil {
			return err
		}
		t.at += n
		t.out.WriteString(text)
	}
	return nil
}

// step reads what s starts with: how long it is, and what is written for it.
func (t *translator) step(s string) (int, string, *Error) {
	many := t.many
	t.many = false
	switch c := s[0]; {
	case strings.HasPrefix(s, `\Q`) && t.class == 0:
		return t.literal(s)
	case c == '\\' && len(s) > 1:
		return t.escape(s)
	case t.class > 0:
		return t.inClass(s)
	case c == '[':
		return t.openClass(s)
	case strings.HasPrefix(s, "(?"):
		return t.group(s)
	case strings.IndexByte("*+?{", c) >= 0:
		n := quantifier(s)
		if n == 1 && c == '+' && many {
			return 0, "", t.refuse(1, "possessive quantifiers", "leave the second + out: RE2 never goes back")
		}
		t.many = n > 0 && !many // behind it, one ? makes it lazy and one + possessive
		n = max(n, 1)
		return n, s[:n], nil
	}
	return 1, s[:1], nil
}

func (t *translator) refuse(n int, name, hint string) *Error {
	return &Error{Code: CodeRegex, Span: Span{t.at, t.at + n}, Hint: hint,
		Message: fmt.Sprintf("RE2 does not have %s, %s", name, t.src[t.at:t.at+n])}
}

// literal copies \Q…\E, in which nothing has a meaning.
func (t *translator) literal(s string) (int, string, *Error) {
	if i := strings.Index(s, `\E`); i >= 0 {
		return i + 2, s[:i+2], nil
	}
	return len(s), s, nil
}

func (t *translator) escape(s string) (int, string, *Error) {
	c := s[1]
	if e, ok := escapes[c]; ok {
		return 0, "", t.refuse(2, e.name, e.hint)
	}
	if c >= '1' && c <= '9' {
		return 0, "", t.refuse(2, "backreferences", "capture both and compare them in a where stage")
	}
	if (c == 'p' || c == 'P' || c == 'x') && len(s) > 2 && s[2] == '{' {
		if i := strings.IndexByte(s, '}'); i > 0 {
			return i + 1, s[:i+1], nil
		}
	}
	if t.class == 0 && strings.IndexByte(needless, c) >= 0 || c == '/' || c == '_' {
		return 2, s[1:2], nil
	}
	return 2, s[:2], nil
}

func (t *translator) openClass(s string) (int, string, *Error) {
	t.class = 1
	n := 1
	if strings.HasPrefix(s[n:], "^") {
		n++
	}
	if strings.HasPrefix(s[n:], "]") { // the first stands for itself
		n++
	}
	return n, s[:n], nil
}

// inClass reads on in [ ]. Java has classes in classes; of these RE2 knows
// [:alpha:] only.
func (t *translator) inClass(s string) (int, string, *Error) {
	switch {
	case strings.HasPrefix(s, "[:"):
		if i := strings.Index(s, ":]"); i > 0 {
			return i + 2, s[:i+2], nil
		}
	case strings.HasPrefix(s, "&&"):
		return 0, "", t.refuse(2, "classes that intersect", `write the class out, or write \& for the sign itself`)
	case s[0] == ']':
		t.class = 0
	}
	return 1, s[:1], nil
}

func (t *translator) group(s string) (int, string, *Error) {
	for _, g := range groups {
		if strings.HasPrefix(s, g.open) {
			return 0, "", t.refuse(len(g.open), g.name, g.hint)
		}
	}
	if strings.HasPrefix(s, "(?<") {
		return 3, "(?P<", nil
	}
	n := 2 + run(s[2:], func(r rune) bool { return r == '-' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	if strings.HasPrefix(s, "(?P<") {
		return 4, s[:4], nil
	}
	for _, f := range s[2:n] {
		if strings.ContainsRune("xdu", f) {
			return 0, "", t.refuse(n, fmt.Sprintf("the flag %c", f), "leave it out")
		}
	}
	return n, s[:n], nil
}

// quantifier returns the length of the one that s starts with, 0 for a brace that
// is only a brace.
func quantifier(s string) int {
	if s[0] != '{' {
		return 1
	}
	n := 1 + run(s[1:], func(r rune) bool { return r >= '0' && r <= '9' || r == ',' })
	if n > 1 && n < len(s) && s[n] == '}' && s[1] != ',' {
		return n + 1
	}
	return 0
}
