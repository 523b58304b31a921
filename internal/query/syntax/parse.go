package syntax

import (
	"fmt"
	"unicode/utf8"
)

// Query is a query cut into its parts. Scope is nil in a pipeline in parentheses,
// which works on rows it is given.
type Query struct {
	Src    string // the text that all spans point into: of a nested query, the whole
	Scope  Scope
	Stages []*Stage

	all   []Token // of the whole text, nested queries included
	outer int     // the stage of the outermost query that holds this one, or 0
	depth int     // how many queries hold this one
}

// Stage is one step, without its pipe. Pipes in brackets are part of it.
type Stage struct {
	N      int // from 1; of a nested query, in that query
	Span   Span
	Tokens []Token
	Bad    bool // Parse has reported a mistake in it: there is no use in reading it

	first int // the index of its first token in the query's
}

// Parse reads a query: its scope, and where its stages are. The error is of type
// Errors; what could be read is returned beside it, so that the stages that are
// not Bad can be checked as well, see Join.
func Parse(src string) (*Query, error) {
	q := &Query{Src: src}
	if err := checkText(src); err != nil {
		return q, Errors{err}
	}
	l := lex(src)
	q.all = l.toks
	p := &splitter{q: q, lexer: l}
	first := p.part(0, len(l.toks))
	q.Stages = p.stages(first, len(l.toks))
	scope, scopeErr := parseScope(q, 0, first, len(q.Stages) > 0)
	q.Scope = scope
	var errs []error
	if len(q.Stages) > maxStages {
		at := q.Stages[maxStages]
		errs = append(errs, &Error{Code: CodeTooLong, Span: at.Span, Stage: at.N, Message: fmt.Sprintf("a query has at most %d stages", maxStages)})
	}
	for _, e := range l.errs {
		e.Stage = q.stageAt(e.Span.Start)
		errs = append(errs, e)
	}
	for _, e := range p.errs {
		errs = append(errs, e)
	}
	if scopeErr != nil {
		errs = append(errs, scopeErr)
	}
	err := Join(errs...)
	if es, ok := err.(Errors); ok {
		for _, e := range es {
			if e.Stage > 0 {
				q.Stages[e.Stage-1].Bad = true
			}
		}
	}
	return q, err
}

func checkText(src string) *Error {
	if n := utf8.RuneCountInString(src); n > maxQuery {
		return &Error{Code: CodeTooLong, Message: fmt.Sprintf("the query has %d characters, more than %d", n, maxQuery)}
	}
	for i, r := range src {
		if _, n := utf8.DecodeRuneInString(src[i:]); r == utf8.RuneError && n == 1 {
			return &Error{Code: CodeCharacter, Span: Span{i, i + 1}, Message: "the query is not UTF-8"}
		}
	}
	return nil
}

// stageAt is the number of the stage that holds the byte at, 0 for the scope.
func (q *Query) stageAt(at int) int {
	n := 0
	for _, s := range q.Stages {
		if s.Span.Start <= at {
			n = s.N
		}
	}
	return n
}

// splitter cuts a run of tokens at its own pipes.
type splitter struct {
	q     *Query
	lexer *lexer // tells of comments; nil in nested queries, which are rarely commented
	errs  Errors
}

// part returns the index of the first pipe at or behind i that is in no
// brackets, or end. A bracket that is never closed holds nothing.
func (p *splitter) part(i, end int) int {
	for ; i < end; i++ {
		t := p.q.all[i]
		if t.is("|") {
			return i
		}
		if t.pair > i {
			i = t.pair
		}
	}
	return end
}

// stages reads the stages of which the first has its pipe at i.
func (p *splitter) stages(i, end int) []*Stage {
	var out []*Stage
	for i < end {
		pipe := p.q.all[i]
		next := p.part(i+1, end)
		toks := p.q.all[i+1 : next]
		stop := len(p.q.Src)
		if next < len(p.q.all) {
			stop = p.q.all[next].Span.Start
		}
		s := &Stage{N: len(out) + 1, Span: pipe.Span, Tokens: toks, first: i + 1}
		if len(toks) > 0 {
			s.Span = toks[0].Span.to(toks[len(toks)-1].Span)
		}
		if len(toks) > 0 || !p.commented(pipe.Span.End, stop) {
			out = append(out, s)
		}
		if len(toks) == 0 && s == last(out) {
			p.errs = append(p.errs, &Error{Code: CodeEmpty, Span: pipe.Span, Stage: s.N, Message: "there is no stage behind this pipe"})
		}
		i = next
	}
	return out
}

func last(s []*Stage) *Stage {
	if len(s) == 0 {
		return nil
	}
	return s[len(s)-1]
}

// commented tells whether a comment starts between the two places: a stage that
// was commented out leaves its pipe.
func (p *splitter) commented(from, to int) bool {
	if p.lexer == nil {
		return false
	}
	for _, g := range p.lexer.gaps {
		if g >= from && g < to {
			return true
		}
	}
	return false
}
