package syntax

import "fmt"

// maxNested is how many queries may stand in one another: each runs before the
// one around it.
const maxNested = 10

// nested reads the tokens from start to end, which stand in brackets, as a query
// of its own, with a scope or with stages only. Outer is the stage they are in.
func nested(q *Query, outer, start, end int, scope bool) (*Query, *Error) {
	if q.depth == maxNested {
		return nil, &Error{Code: CodeTooDeep, Span: q.all[start-1].Span, Stage: outer, Message: fmt.Sprintf("queries stand more than %d deep in one another", maxNested)}
	}
	sub := &Query{Src: q.Src, all: q.all, outer: outer, depth: q.depth + 1}
	p := &splitter{q: sub}
	var err *Error
	if scope {
		first := p.part(start, end)
		sub.Stages = p.stages(first, end)
		sub.Scope, err = parseScope(sub, start, first, len(sub.Stages) > 0)
	} else {
		sub.Stages = p.bare(start, end)
	}
	if err == nil && len(p.errs) > 0 {
		err = p.errs[0]
	}
	if err == nil && len(sub.Stages) > maxStages {
		err = &Error{Code: CodeTooLong, Span: sub.Stages[maxStages].Span, Message: fmt.Sprintf("a query has at most %d stages", maxStages)}
	}
	if err != nil {
		err.Stage = outer // it was counted in the nested query
		return nil, err
	}
	return sub, nil
}

// bare reads stages of which the first has no pipe. One in front of it does no harm.
func (p *splitter) bare(start, end int) []*Stage {
	open := start - 1
	if start < end && p.q.all[start].is("|") {
		return p.stages(start, end)
	}
	next := p.part(start, end)
	if next == start {
		p.errs = append(p.errs, &Error{Code: CodeEmpty, Span: p.q.all[open].Span, Message: "there is no stage in these brackets"})
		return nil
	}
	toks := p.q.all[start:next]
	first := &Stage{N: 1, Span: toks[0].Span.to(toks[len(toks)-1].Span), Tokens: toks, first: start}
	more := p.stages(next, end)
	for _, s := range more {
		s.N++
	}
	return append([]*Stage{first}, more...)
}

// parseSubquery reads the subquery that opens with the token at open.
func parseSubquery(q *Query, open int) (*Subquery, *Error) {
	t := q.all[open]
	if t.pair < open {
		return nil, &Error{Code: CodeUnclosed, Span: t.Span, Stage: q.outer, Message: "[ is never closed"}
	}
	// A cursor over the brackets reads the options.
	c := &Cursor{q: q, n: q.outer, at: open + 1, first: open + 1, end: t.pair}
	sub := &Subquery{At: At{t.Span.to(q.all[t.pair].Span)}}
	if _, ok := c.Word("subquery"); !ok {
		c.Hint(`write [subquery : …], or %"name[0]" for the name of a field`)
		return nil, c.unexpected("subquery").(*Error)
	}
	for !c.Punct(':') {
		option, ok := c.Word("from", "to")
		if !ok {
			return nil, c.unexpected("from=, to= or the : in front of the scope").(*Error)
		}
		text, err := c.option()
		if err != nil {
			return nil, err.(*Error)
		}
		if option == "from" {
			sub.From = text
		} else {
			sub.To = text
		}
	}
	inner, err := nested(q, q.outer, c.at, t.pair, true)
	if err != nil {
		return nil, err
	}
	sub.Query = inner
	return sub, nil
}

// option reads =(…), or = and one word or number, as written.
func (c *Cursor) option() (string, error) {
	if err := c.Expect("="); err != nil {
		return "", err
	}
	t := c.Peek()
	if t.is("(") && t.pair > c.at {
		inner := &Cursor{q: c.q, n: c.n, at: c.at + 1, first: c.at + 1, end: t.pair}
		c.at = t.pair + 1
		return inner.Rest(), nil
	}
	start := t.Span.Start
	c.Punct('-')
	if t = c.Next(); t.Kind != TokNumber && t.Kind != TokWord {
		c.at--
		return "", c.unexpected("a time such as -1d")
	}
	return c.q.Src[start:t.Span.End], nil
}
