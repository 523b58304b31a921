package op

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// scope lowers what stands before the first pipe into the scan's filter.
func (b *builder) scope(s syntax.Scope) error {
	b.info = append(b.info, StageInfo{N: 0})
	if s == nil {
		return nil
	}
	b.info[0].Text = textOf(b.src, s.Span())
	p, err := b.scopePred(s)
	if err != nil {
		return err
	}
	if v, ok := constBool(p); !ok || !v {
		b.filter(p)
	}
	return nil
}

func (b *builder) scopePred(s syntax.Scope) (*core.Expr, error) {
	switch s := s.(type) {
	case *syntax.ScopeAll:
		return core.BoolOf(true), nil
	case *syntax.ScopeAnd:
		list, err := b.scopePreds(s.List)
		return and(list...), err
	case *syntax.ScopeOr:
		list, err := b.scopePreds(s.List)
		return or(list...), err
	case *syntax.ScopeNot:
		x, err := b.scopePred(s.X)
		if err != nil {
			return nil, err
		}
		return not(x), nil
	case *syntax.ScopeTerm:
		b.reads(rawColumn)
		return keyword(s)
	case *syntax.ScopeField:
		return b.scopeField(s)
	case *syntax.ScopeSubquery:
		return b.subquery(s.Sub, true)
	}
	return nil, b.errorf(s.Span(), CodeUnsupported, "this cannot stand in the scope")
}

func (b *builder) scopePreds(list []syntax.Scope) ([]*core.Expr, error) {
	out := make([]*core.Expr, len(list))
	for i, s := range list {
		var err error
		if out[i], err = b.scopePred(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ownWords are the columns whose values are words of ours, all in lower case, so
// that a scope compares them as they are and files may be skipped by them.
var ownWords = map[string]bool{
	event.StrandName.String(): true, event.FormatName.String(): true, event.SourceCategory.String(): true,
	event.Source.String(): true, event.Index.String(): true, event.MessageID.String(): true,
}

// invocationCollector is the one value of _collector that is not in lower case
// and that every hunt of invocations names.
const invocationCollector = "AWS Bedrock Model Invocation Logs"

// scopeField lowers name=value, which has no case on either side.
func (b *builder) scopeField(s *syntax.ScopeField) (*core.Expr, error) {
	x, err := b.field(s.Name, s.Span())
	if err != nil {
		return nil, err
	}
	b.doubtScope(s)
	var p *core.Expr
	switch {
	case s.Wild && strings.Trim(s.Value, "*") == "":
		p = not(isNull(x))
	case x.Type != core.Text && !s.Wild:
		p = equal(x, core.Str(s.Value))
	default:
		p = scopeText(x, s)
	}
	if s.Op == "!=" {
		p = not(p)
	}
	return p, nil
}

func scopeText(x *core.Expr, s *syntax.ScopeField) *core.Expr {
	x, value := toText(x), s.Value
	switch {
	case x.Op == core.Column && x.Name == event.Collector.String() && strings.EqualFold(value, invocationCollector):
		return do(core.EqText, x, core.Str(invocationCollector))
	case x.Op != core.Column || !ownWords[x.Name]:
		x = do(core.Lower, x)
	}
	value = strings.ToLower(value)
	switch {
	case s.Wild && strings.Contains(value, "?"):
		return matchRe(x, wildRegex(value))
	case s.Wild:
		return glob(x, value)
	}
	return do(core.EqText, x, core.Str(value))
}

// wildRegex is a pattern of * and ? as an expression of the whole text.
func wildRegex(pattern string) *core.Regex {
	var b strings.Builder
	b.WriteString("(?s)^")
	for _, r := range pattern {
		switch r {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString("$")
	return mustRegex(b.String())
}

// Terms are runs of letters, digits and underscores. The text of a record is
// JSON, in which a line break is the two characters \n: an escape is no part of
// a term, and those of blanks are blanks. A writer that escapes letters as \u hides
// the words they are in.
const (
	termChar  = `[\pL\pN_]`
	termStart = `(?:^|[^\pL\pN_\\]|\\[bfnrt\\]|\\u[0-9a-fA-F]{4})`
	termEnd   = `(?:$|[^\pL\pN_])`
	blanks    = `(?:\s|\\[nrt])+`
)

// keyword lowers a search word or phrase: whole terms of the record's text, next
// to each other as written, without case.
func keyword(s *syntax.ScopeTerm) (*core.Expr, error) {
	var b strings.Builder
	b.WriteString("(?i)")
	first, _ := utf8.DecodeRuneInString(s.Text)
	last, _ := utf8.DecodeLastRuneInString(s.Text)
	if isTerm(first) || s.Wild && first == '?' {
		b.WriteString(termStart)
	}
	for _, r := range strings.Trim(s.Text, trimmed(s)) {
		b.WriteString(keywordChar(r, s.Wild))
	}
	if isTerm(last) || s.Wild && last == '?' {
		b.WriteString(termEnd)
	}
	raw := core.C(rawColumn, core.Text)
	re, err := regex(b.String())
	if err != nil {
		return nil, err
	}
	p := matchRe(raw, re)
	if lit := longestWord(s); len(lit) > 1 && len(re.All) == 0 {
		if alone := mustRegex("(?i)" + regexp.QuoteMeta(lit)); alone.Source != re.Source {
			return and(matchRe(raw, alone), p), nil
		}
	}
	return p, nil
}

// trimmed are the characters at the ends of a word that say nothing: a search
// finds a part anyway.
func trimmed(s *syntax.ScopeTerm) string {
	if s.Wild {
		return "*"
	}
	return ""
}

func isTerm(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

// keywordChar is one character as an expression. JSON writes quotes and
// backslashes with a backslash before them, and slashes too if it likes.
func keywordChar(r rune, wild bool) string {
	switch {
	case wild && r == '*':
		return termChar + "*"
	case wild && r == '?':
		return termChar
	case unicode.IsSpace(r):
		return blanks
	case r == '"' || r == '/':
		return `\\?` + string(r)
	case r == '\\':
		return `\\{1,2}`
	}
	return regexp.QuoteMeta(string(r))
}

// longestWord is the longest run of characters that stand for themselves. To look
// for it alone takes an engine a fifth of the time of the whole expression, whose
// classes of letters are large, and lets few records through.
func longestWord(s *syntax.ScopeTerm) string {
	best := ""
	for _, w := range strings.FieldsFunc(s.Text, func(r rune) bool { return !isTerm(r) && r != '-' && r != '.' && r != ':' }) {
		if len(w) > len(best) {
			best = w
		}
	}
	return best
}
