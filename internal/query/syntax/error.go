package syntax

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Span is a part of the query's text, in bytes. End is the first byte after it.
type Span struct{ Start, End int }

// to is the span from the start of s to the end of t.
func (s Span) to(t Span) Span { return Span{s.Start, max(s.Start, t.End)} }

// Error is one mistake in a query.
type Error struct {
	Code    string // for programs: one of the codes below, or an operator's own
	Message string
	Hint    string // what to write instead; may be empty
	Span    Span
	Stage   int // 1 is the first after the scope, 0 the scope
}

// The codes of this package.
const (
	CodeTooLong   = "too_long"    // the query, a word or an expression
	CodeEmpty     = "empty"       // a query or a stage with nothing in it
	CodeCharacter = "character"   // one that means nothing where it stands
	CodeUnclosed  = "unclosed"    // a quote, bracket, comment or regular expression
	CodeNumber    = "bad_number"  // its digits, suffix or size
	CodeName      = "bad_name"    // of a field
	CodeRegex     = "bad_regex"   // a regular expression that RE2 cannot run
	CodeExpected  = "expected"    // something else had to stand here
	CodeTooDeep   = "too_complex" // brackets in brackets, or too many operators
)

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s", place(e.Stage), e.Message)
}

func place(stage int) string {
	if stage == 0 {
		return "scope"
	}
	return fmt.Sprintf("stage %d", stage)
}

// Errors are the mistakes of a query in the order of its text.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Join puts mistakes of several steps together, in the order of the text. Of each
// stage it keeps the first, since the rest often follow from it, and those that
// the same step found beside it: an argument that is of type Errors is taken to
// be such a list. An error that has no place counts as one of the whole query. It
// returns nil when there are none.
func Join(errs ...error) error {
	var all Errors
	step := map[*Error]int{}
	for i, err := range errs {
		had := len(all)
		var es Errors
		var e *Error
		switch {
		case err == nil:
		case errors.As(err, &es):
			all = append(all, es...)
		case errors.As(err, &e):
			all = append(all, e)
		default:
			all = append(all, &Error{Code: "error", Message: err.Error()})
		}
		for _, e := range all[had:] {
			step[e] = i
		}
	}
	slices.SortStableFunc(all, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Span.Start, b.Span.Start))
	})
	first := map[int]int{} // the step that has the first mistake, by stage
	all = slices.DeleteFunc(all, func(e *Error) bool {
		if _, ok := first[e.Stage]; !ok {
			first[e.Stage] = step[e]
		}
		return first[e.Stage] != step[e]
	})
	if len(all) == 0 {
		return nil
	}
	return all
}

// Report is the form in which programs get a mistake. Line and Col count from 1,
// Col in characters.
type Report struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Stage   int    `json:"stage"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Near    string `json:"near"`
	Hint    string `json:"hint,omitempty"`
}

// Reports gives the mistakes of the query src for programs.
func (es Errors) Reports(src string) []Report {
	out := make([]Report, len(es))
	for i, e := range es {
		s := clamp(e.Span, src)
		line, col := position(src, s.Start)
		near := []rune(src[s.Start:s.End])
		out[i] = Report{Code: e.Code, Message: e.Message, Stage: e.Stage, Line: line, Col: col,
			Near: visible(near[:min(len(near), 40)]), Hint: e.Hint}
	}
	return out
}

// Render prints each mistake of the query src with its line, carets under the
// place, and the hint.
func (es Errors) Render(src string) string {
	var b strings.Builder
	for i, e := range es {
		if i > 0 {
			b.WriteByte('\n')
		}
		s := clamp(e.Span, src)
		line, col := position(src, s.Start)
		fmt.Fprintf(&b, "line %d, column %d: %s: %s\n", line, col, place(e.Stage), e.Message)
		text, carets := excerpt(src, s)
		fmt.Fprintf(&b, "  %s\n  %s\n", text, carets)
		if e.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", e.Hint)
		}
	}
	return b.String()
}

// clamp makes s a span of src that starts and ends between characters, since
// carets must not fail where an operator reckoned wrongly.
func clamp(s Span, src string) Span {
	s.Start = min(max(s.Start, 0), len(src))
	s.End = min(max(s.End, s.Start), len(src))
	for s.Start > 0 && s.Start < len(src) && !utf8.RuneStart(src[s.Start]) {
		s.Start--
	}
	for s.End < len(src) && !utf8.RuneStart(src[s.End]) {
		s.End++
	}
	return s
}

func position(src string, at int) (line, col int) {
	before := src[:at]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// excerptBefore and excerptAfter are how many characters of a long line are
// shown on both sides of where the mistake starts.
const excerptBefore, excerptAfter = 60, 60

// excerpt returns the line in which s starts, cut when it is long, and the
// carets for it.
func excerpt(src string, s Span) (text, carets string) {
	start := strings.LastIndexByte(src[:s.Start], '\n') + 1
	end := len(src)
	if i := strings.IndexByte(src[s.Start:], '\n'); i >= 0 {
		end = s.Start + i
	}
	before := []rune(src[start:s.Start])
	after := []rune(strings.TrimSuffix(src[s.Start:end], "\r"))
	marked := utf8.RuneCountInString(src[s.Start:min(s.End, end)])
	if len(before) > excerptBefore {
		before = append([]rune("…"), before[len(before)-excerptBefore:]...)
	}
	if len(after) > excerptAfter {
		after = append(after[:excerptAfter:excerptAfter], '…')
	}
	pad := make([]rune, len(before))
	for i, r := range before {
		pad[i] = ' '
		if r == '\t' { // as wide as above
			pad[i] = '\t'
		}
	}
	marked = max(1, min(marked, len(after)))
	return visible(before) + visible(after), string(pad) + strings.Repeat("^", marked)
}

// visible replaces what could move the cursor or turn the direction of a
// terminal, one character by one so that carets keep their places.
func visible(rs []rune) string {
	out := slices.Clone(rs)
	for i, r := range out {
		if r != '\t' && !unicode.IsGraphic(r) {
			out[i] = ' '
		}
	}
	return string(out)
}
