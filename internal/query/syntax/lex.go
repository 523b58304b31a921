package syntax

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a query, in characters where they count text.
const (
	maxQuery  = 15_000
	maxWord   = 2_300
	maxStages = 200
)

// lexer cuts a query into tokens. Its rules differ between scope and stages, so
// it follows the pipes and brackets that lead from one to the other.
type lexer struct {
	src  string
	at   int
	toks []Token
	errs Errors

	scope   bool    // the rules of a scope hold
	operand bool    // in a stage: a value is due, so / and % open one
	open    []frame // brackets not closed yet
	gaps    []int   // where comments began: they excuse an empty stage
}

// frame is an open bracket.
type frame struct {
	tok    int // its token
	scope  bool
	header bool // of a subquery, before the colon behind which its own scope starts
}

func lex(src string) *lexer {
	l := &lexer{src: src, scope: true}
	for l.skip(); l.at < len(l.src); l.skip() {
		if l.scope {
			l.scopeToken()
		} else {
			l.stageToken()
		}
	}
	for _, f := range l.open {
		l.unclosed(f)
	}
	return l
}

// skip passes blanks and comments.
func (l *lexer) skip() {
	for l.at < len(l.src) {
		r, n := utf8.DecodeRuneInString(l.src[l.at:])
		rest := l.src[l.at:]
		switch {
		case blank(r):
			l.at += n
		case strings.HasPrefix(rest, "//"):
			l.gaps = append(l.gaps, l.at)
			if n = strings.IndexByte(rest, '\n'); n < 0 {
				n = len(rest)
			}
			l.at += n
		case strings.HasPrefix(rest, "/*"):
			l.gaps = append(l.gaps, l.at)
			n = strings.Index(rest[2:], "*/")
			if n < 0 {
				l.fail(CodeUnclosed, Span{l.at, l.at + 2}, "end the comment with */", "the comment is never closed")
				n = len(rest) - 4
			}
			l.at += n + 4
		default:
			return
		}
	}
}

// blank tells whether r separates tokens. Text from web pages brings blanks that
// unicode.IsSpace does not count.
func blank(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' || r == '\u200B' }

func (l *lexer) fail(code string, s Span, hint, format string, args ...any) {
	l.errs = append(l.errs, &Error{Code: code, Span: s, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// add appends the token that starts at start and ends here.
func (l *lexer) add(k Kind, text string, start int) {
	l.toks = append(l.toks, Token{Kind: k, Text: text, Span: Span{start, l.at}, pair: -1})
}

// stageOps are the operators of stages, longest first, and the form they are
// given on in.
var stageOps = []struct{ text, norm string }{
	{"||", "or"}, {"&&", "and"}, {"==", "="}, {"!=", "!="}, {"<>", "!="}, {"<=", "<="}, {">=", ">="},
	{"|", "|"}, {"=", "="}, {"<", "<"}, {">", ">"}, {"!", "!"}, {"+", "+"}, {"-", "-"}, {"*", "*"}, {"/", "/"},
	{"%", "%"}, {"(", "("}, {")", ")"}, {"[", "["}, {"]", "]"}, {",", ","}, {"?", "?"}, {":", ":"}, {";", ";"},
}

// valueDue are the words behind which a value is due, when they do not stand
// where a value is due themselves.
var valueDue = []string{"where", "and", "or", "not", "in", "matches", "contains", "by", "as", "on", "with", "from"}

func (l *lexer) stageToken() {
	start := l.at
	r, n := utf8.DecodeRuneInString(l.src[l.at:])
	switch {
	case quote(r):
		l.stringToken()
	case r == '\'':
		l.charToken()
	case r == '%' && l.name():
	case r == '/' && l.operand:
		l.regex()
	case r >= '0' && r <= '9' || r == '.' && digitAt(l.src, l.at+1):
		l.number()
	case wordStart(r):
		l.word()
	default:
		for _, op := range stageOps {
			if strings.HasPrefix(l.src[l.at:], op.text) {
				l.at += len(op.text)
				l.operator(op.norm, start)
				return
			}
		}
		l.at += n
		l.fail(CodeCharacter, Span{start, l.at}, `a field with such a name is written %"name", text "text"`,
			"%s means nothing here", short(fmt.Sprintf("%q", r)))
	}
}

func wordStart(r rune) bool { return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func wordPart(r rune) bool { return wordStart(r) || r == '.' || r >= '0' && r <= '9' }

func digitAt(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }

// run returns the length of the characters at the start of s for which is holds.
func run(s string, is func(rune) bool) int {
	if i := strings.IndexFunc(s, func(r rune) bool { return !is(r) }); i >= 0 {
		return i
	}
	return len(s)
}

// word reads a bare name or keyword, dots included.
func (l *lexer) word() {
	start := l.at
	l.at += run(l.src[l.at:], wordPart)
	text := l.src[start:l.at]
	if strings.HasPrefix(l.src[l.at:], "://") {
		l.url(start)
		return
	}
	first := l.stageStart()
	l.add(TokWord, text, start)
	switch {
	case len(text) > maxWord:
		l.fail(CodeTooLong, Span{start, l.at}, "", "the name is longer than %d characters", maxWord)
	case strings.HasSuffix(text, ".") || strings.Contains(text, ".."):
		l.fail(CodeName, Span{start, l.at}, fmt.Sprintf("write %%%q", text), "a name has no empty part between its dots")
	}
	w := strings.ToLower(text)
	l.operand = slices.Contains(valueDue, w) && (!l.operand || w == "not" || first && w == "where")
}

// stageStart tells whether the next token is the first of its stage.
func (l *lexer) stageStart() bool {
	return len(l.toks) == 0 || l.toks[len(l.toks)-1].is("|")
}

// url reads a place such as path://"Folder/Table", whose slashes would start a
// comment otherwise.
func (l *lexer) url(start int) {
	l.at += len("://")
	if r, _ := utf8.DecodeRuneInString(l.src[l.at:]); quote(r) {
		l.at += len(l.quoted().raw)
	} else {
		l.at += run(l.src[l.at:], func(r rune) bool { return !blank(r) && !strings.ContainsRune(`,()[]|"`, r) })
	}
	l.add(TokURL, l.src[start:l.at], start)
	l.operand = false
}

// operator adds an operator and follows brackets and pipes.
func (l *lexer) operator(op string, start int) {
	l.add(TokOp, op, start)
	l.operand = op != ")" && op != "]"
	switch op {
	case "(", "[":
		sub := op == "[" && subqueryAhead(l.src[l.at:])
		l.open = append(l.open, frame{tok: len(l.toks) - 1, scope: l.scope, header: sub})
		if sub {
			l.scope = false
		}
	case ")", "]":
		l.close(op)
	case ":":
		if n := len(l.open) - 1; n >= 0 && l.open[n].header {
			l.open[n].header = false
			l.scope = true
		}
	case "|":
		if l.scope {
			l.endScope()
		}
	}
}

// subqueryAhead tells whether the word subquery comes next.
func subqueryAhead(s string) bool {
	s = strings.TrimLeftFunc(s, blank)
	n := run(s, wordPart)
	return strings.EqualFold(s[:n], "subquery")
}

// close finds the partner of the bracket just read. Brackets of the other sort
// that were opened in between can no longer be closed.
func (l *lexer) close(op string) {
	this := len(l.toks) - 1
	partner := map[string]string{")": "(", "]": "["}[op]
	for i := len(l.open) - 1; i >= 0; i-- {
		f := l.open[i]
		if l.toks[f.tok].Text == partner {
			for _, g := range l.open[i+1:] {
				l.unclosed(g)
			}
			l.toks[f.tok].pair, l.toks[this].pair = this, f.tok
			l.open, l.scope = l.open[:i], f.scope
			return
		}
		if op == ")" { // what is in [ ] is whole in itself
			break
		}
	}
	l.fail(CodeUnclosed, l.toks[this].Span, "", "%s closes nothing", op)
}

// endScope changes to the rules of stages at a pipe. No bracket of a scope holds
// a pipe, so those still open are never closed.
func (l *lexer) endScope() {
	n := len(l.open)
	for n > 0 && l.toks[l.open[n-1].tok].Text == "(" && l.open[n-1].scope {
		n--
		l.unclosed(l.open[n])
	}
	l.open, l.scope = l.open[:n], false
}

func (l *lexer) unclosed(f frame) {
	t := l.toks[f.tok]
	l.fail(CodeUnclosed, t.Span, "", "%s is never closed", t.Text)
}
