package syntax

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Cursor reads one stage from left to right. After the first mistake it stands
// at the end of the stage and every method fails with that mistake, so that an
// operator may look for it once, when it has read all.
//
// A cursor belongs to one goroutine.
type Cursor struct {
	q       *Query
	n       int // the stage's number, for errors
	at, end int // in q.all
	first   int
	err     error // of type *Error
	hint    string

	depth, operators int
}

// NewCursor starts at the first token of a stage of q.
func NewCursor(s *Stage, q *Query) *Cursor {
	n := s.N
	if q.outer > 0 {
		n = q.outer
	}
	return &Cursor{q: q, n: n, at: s.first, first: s.first, end: s.first + len(s.Tokens)}
}

// Err is the first mistake, or nil.
func (c *Cursor) Err() error { return c.err }

// Peek is the next token, of kind TokEnd at the end. Its span is then the place
// behind the last token.
func (c *Cursor) Peek() Token {
	if c.at >= c.end || c.err != nil {
		return Token{Span: c.endSpan(), pair: -1}
	}
	return c.q.all[c.at]
}

func (c *Cursor) endSpan() Span {
	switch {
	case c.end > c.first:
		end := c.q.all[c.end-1].Span.End
		return Span{end, end}
	case c.end < len(c.q.all):
		return c.q.all[c.end].Span
	}
	return Span{len(c.q.Src), len(c.q.Src)}
}

// Next takes the next token.
func (c *Cursor) Next() Token {
	t := c.Peek()
	if t.Kind != TokEnd {
		c.at++
	}
	return t
}

func (c *Cursor) back() { c.at-- }

// Done tells whether nothing is left, which is so after a mistake.
func (c *Cursor) Done() bool { return c.Peek().Kind == TokEnd }

// Span is where the next token stands.
func (c *Cursor) Span() Span { return c.Peek().Span }

// Last is where the last token taken stands.
func (c *Cursor) Last() Span {
	if c.at > c.first {
		return c.q.all[c.at-1].Span
	}
	return c.Span()
}

// Mark is a place to come back to with Reset, when what follows can be read in two ways.
type Mark struct {
	at  int
	err error
}

func (c *Cursor) Mark() Mark { return Mark{c.at, c.err} }

// Reset goes back to where m was taken and forgets a mistake made since.
func (c *Cursor) Reset(m Mark) { c.at, c.err = m.at, m.err }

// Hint sets what the next Errorf advises.
func (c *Cursor) Hint(hint string) *Cursor {
	c.hint = hint
	return c
}

// Errorf reports a mistake at the next token.
func (c *Cursor) Errorf(code, format string, args ...any) error {
	return c.ErrorAt(c.Span(), code, format, args...)
}

// ErrorAt reports a mistake at s. The first mistake stays; it is returned.
func (c *Cursor) ErrorAt(s Span, code, format string, args ...any) error {
	if c.err == nil {
		c.err = &Error{Code: code, Message: fmt.Sprintf(format, args...), Hint: c.hint, Span: s, Stage: c.n}
	}
	c.hint = ""
	return c.err
}

func (c *Cursor) unexpected(want string) error {
	return c.Errorf(CodeExpected, "%s was expected, not %s", want, c.Peek().describe())
}

// Word takes the next token when it is one of the names, in any case, and
// returns the name as given here. Without names it takes any word and returns it
// as written.
func (c *Cursor) Word(names ...string) (string, bool) {
	t := c.Peek()
	if t.Kind != TokWord {
		return "", false
	}
	for _, n := range names {
		if strings.EqualFold(n, t.Text) {
			c.at++
			return n, true
		}
	}
	if len(names) == 0 {
		c.at++
		return t.Text, true
	}
	return "", false
}

// Op takes the next token when it is one of the operators, in the form they have
// in Binary.Op.
func (c *Cursor) Op(ops ...string) (string, bool) {
	t := c.Peek()
	for _, op := range ops {
		if t.is(op) {
			c.at++
			return op, true
		}
	}
	return "", false
}

// Punct takes the next token when it is r.
func (c *Cursor) Punct(r rune) bool {
	_, ok := c.Op(string(r))
	return ok
}

// Expect takes the next token, which has to be the operator or word what.
func (c *Cursor) Expect(what string) error {
	t := c.Peek()
	if !t.is(what) && !t.word(strings.ToLower(what)) {
		if t.Kind == TokWord && Suggest(t.Text, []string{what}) != "" {
			c.Hint("did you mean " + what + "?")
		}
		return c.unexpected(what)
	}
	c.at++
	return c.err
}

// End reports a mistake unless nothing is left, and returns the first mistake.
func (c *Cursor) End() error {
	if !c.Done() {
		return c.Errorf(CodeExpected, "the stage goes on with %s, which has no meaning here", c.Peek().describe())
	}
	return c.err
}

// Field reads the name of a field, escaped or not.
func (c *Cursor) Field() (*Field, error) {
	t := c.Peek()
	if t.Kind != TokWord && t.Kind != TokName {
		return nil, c.unexpected("the name of a field")
	}
	c.at++
	return &Field{At{t.Span}, t.Text, t.Kind == TokName}, nil
}

// Name reads a name that the stage gives to something.
func (c *Cursor) Name() (string, error) {
	t := c.Peek()
	if t.Kind != TokWord && t.Kind != TokName {
		return "", c.unexpected("a name")
	}
	c.at++
	return t.Text, nil
}

// String reads a string. Only \" is unescaped.
func (c *Cursor) String() (string, error) {
	t := c.Peek()
	if t.Kind != TokString {
		return "", c.unexpected("a string in double quotes")
	}
	c.at++
	return t.Text, nil
}

// Char reads one character in quotes of either sort.
func (c *Cursor) Char() (rune, error) {
	t := c.Peek()
	text := t.Text
	if t.Kind == TokChar && len(text) > 1 {
		text = unescapeChar(text)
	}
	if t.Kind != TokChar && t.Kind != TokString || utf8.RuneCountInString(text) != 1 {
		return 0, c.unexpected("one character in quotes")
	}
	c.at++
	r, _ := utf8.DecodeRuneInString(text)
	return r, nil
}

func unescapeChar(s string) string {
	rest, ok := strings.CutPrefix(s, `\`)
	switch {
	case !ok:
		return s
	case rest == "t":
		return "\t"
	case rest == "n":
		return "\n"
	}
	return rest
}

// number reads a number with an optional sign.
func (c *Cursor) number(want string, fits func(Num) bool) (Token, float64, error) {
	mark, sign := c.Mark(), 1.0
	at := c.Span()
	if c.Punct('-') {
		sign = -1
	}
	t := c.Peek()
	if t.Kind != TokNumber || !fits(t.Num) {
		c.Reset(mark)
		if t.Kind == TokNumber {
			return t, 0, c.ErrorAt(at.to(t.Span), CodeExpected, "%s was expected, not %s", want, short(t.Text))
		}
		return t, 0, c.unexpected(want)
	}
	c.at++
	return t, sign, nil
}

// Number reads a number, negative ones included, with its suffix applied.
func (c *Cursor) Number() (float64, error) {
	t, sign, err := c.number("a number", func(Num) bool { return true })
	return sign * t.Num.Number, err
}

// Int reads a whole number, negative ones included.
func (c *Cursor) Int() (int64, error) {
	t, sign, err := c.number("a whole number", func(n Num) bool { return n.IsInt && !n.Timed() })
	return int64(sign) * t.Num.Int, err
}

// Duration reads a number with a unit of time, such as 15m or -1d.
func (c *Cursor) Duration() (time.Duration, error) {
	const perMilli = float64(time.Millisecond)
	t, sign, err := c.number("a time such as 15m, 4h or 1d", func(n Num) bool {
		return n.Timed() && n.Number*perMilli < math.MaxInt64
	})
	if err != nil {
		return 0, err
	}
	return time.Duration(sign * math.Round(t.Num.Number*perMilli)), nil
}

// Regex reads a regular expression between slashes or, as the parse stages have
// it, in double quotes, and checks it.
func (c *Cursor) Regex() (*Regex, error) {
	t := c.Peek()
	if t.Kind != TokRegex && t.Kind != TokString {
		return nil, c.unexpected("a regular expression")
	}
	compiled, names, err := CheckRegex(t.Text)
	if err != nil {
		e := err.(*Error)
		return nil, c.Hint(e.Hint).ErrorAt(inside(t, e.Span, c.q.Src), e.Code, "%s", e.Message)
	}
	c.at++
	return &Regex{At{t.Span}, t.Text, compiled, names}, nil
}

// inside is the place of s, a span of t's text, in the query; all of t when an
// escape in t moved what follows.
func inside(t Token, s Span, src string) Span {
	from := t.Span.Start + 1
	if s.Start < s.End && from+len(t.Text) < len(src) && src[from:from+len(t.Text)] == t.Text {
		return Span{from + s.Start, from + s.End}
	}
	return t.Span
}

// Path reads a place: a string, one such as path://"Folder/Table" whole, or a
// bare run of tokens that touch, as written.
func (c *Cursor) Path() (string, error) {
	t := c.Peek()
	switch t.Kind {
	case TokString, TokURL:
		c.at++
		return t.Text, nil
	case TokEnd:
		return "", c.unexpected("a path")
	}
	start, end := t.Span.Start, t.Span.Start
	for t = c.Peek(); t.Span.Start == end && (t.Kind == TokWord || t.Kind == TokNumber || t.is("/") || t.is("-") || t.is("%")); t = c.Peek() {
		end = t.Span.End
		c.at++
	}
	if end == start {
		return "", c.unexpected("a path")
	}
	return c.q.Src[start:end], nil
}

// Pipeline reads a nested query: stages in parentheses, which have no scope, or
// a subquery in brackets.
func (c *Cursor) Pipeline() (*Query, error) {
	t := c.Peek()
	if t.is("[") {
		sub, err := c.Subquery()
		if err != nil {
			return nil, err
		}
		return sub.Query, nil
	}
	if !t.is("(") {
		return nil, c.unexpected("( with stages in it")
	}
	q, err := nested(c.q, c.n, c.at+1, t.pair, false)
	if err != nil {
		return nil, c.adopt(err)
	}
	c.at = t.pair + 1
	return q, nil
}

// Subquery reads [subquery …].
func (c *Cursor) Subquery() (*Subquery, error) {
	t := c.Peek()
	if !t.is("[") {
		return nil, c.unexpected("[subquery")
	}
	outer := *c.q
	outer.outer = c.n
	sub, err := parseSubquery(&outer, c.at)
	if err != nil {
		return nil, c.adopt(err)
	}
	c.at = t.pair + 1
	return sub, nil
}

// adopt makes err, which was found in a nested query, this stage's.
func (c *Cursor) adopt(err *Error) error {
	if c.err == nil {
		err.Stage = c.n
		c.err = err
	}
	return c.err
}

// Rest takes all that is left and returns it as written.
func (c *Cursor) Rest() string {
	if c.Done() {
		return ""
	}
	s := Span{c.Span().Start, c.endSpan().End}
	c.at = c.end
	return c.q.Src[s.Start:s.End]
}
