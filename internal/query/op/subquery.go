package op

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// A subquery runs while the query around it is compiled: its rows become a
// condition, (f1="a" and f2="b") or (f1="c" and f2="d") …, so that an engine may
// skip files by it like by any other.

var composeOp = Operator{
	Name: "compose", Tier: 2,
	Form: "[subquery [from=(TIME)] [to=(TIME)] : SCOPE | … | compose FIELD, … [maxresults=N] [keywords]]",
	Help: "Ends a subquery, which stands in the scope, in where or in if and holds for rows in which the fields have the values of one of its rows. " +
		"It runs first, over the same range unless from and to say otherwise: -15m, a date, or ms. At most 2,500 rows count, or N up to 10,000; rows with a null do not. With keywords, in the scope only, the values are searched for as words.",
	Example: `where [subquery : _index=sec_record_endpoint | where commandLine matches "*bedrock*" | compose user_username] | count by eventName`,
	compile: compileCompose,
}

const (
	defaultResults = 2_500
	maxResults     = 10_000
	maxKeywords    = 1_000
	maxSubqueries  = 10      // in a query, those of compare's other times included
	maxComposed    = 8 << 20 // bytes of all values of a subquery
)

// NoSubquery answers every subquery with no rows. It is for checking a query
// without running anything.
func NoSubquery(core.Plan) ([]core.Col, [][]any, error) { return nil, nil, nil }

// composed is how a subquery ends.
type composed struct {
	names    []string
	cols     []core.Named
	max      int64
	keywords bool
}

func compileCompose(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	if b.composed == nil || len(b.composed.names) > 0 {
		return b.errorf(at, CodeValue, "compose ends a subquery, and here is none to end\nwrite: where [subquery : … | compose field]")
	}
	fields, err := fieldList(c)
	if err != nil {
		return err
	}
	b.composed.max = defaultResults
	for !c.Done() {
		if err := b.composeOption(c); err != nil {
			return err
		}
	}
	var made []assign
	var there []*core.Expr
	for _, f := range fields {
		x, err := b.field(f.Name, f.Span())
		if err != nil {
			return err
		}
		if assigned(made, f.Name) {
			return b.errorf(f.Span(), CodeDuplicate, "the field %s is named twice", f.Name)
		}
		made = append(made, assign{f.Name, toText(x)})
		there = append(there, not(isNull(x)))
		b.composed.names = append(b.composed.names, f.Name)
	}
	b.filter(and(there...))
	b.set(made...)
	b.limit(b.composed.max + 1)
	for _, name := range b.composed.names {
		col, _ := b.lookup(name)
		b.composed.cols = append(b.composed.cols, core.Named{Name: col.col.Name, Expr: col.read()})
	}
	return nil
}

func (b *builder) composeOption(c *syntax.Cursor) error {
	switch word, _ := c.Word("maxresults", "keywords"); word {
	case "keywords":
		b.composed.keywords = true
		return nil
	case "":
		return c.End()
	}
	if err := c.Expect("="); err != nil {
		return err
	}
	var err error
	b.composed.max, err = b.readFrame(c, maxResults)
	return err
}

// subquery runs a subquery and gives the condition that its rows make.
func (b *builder) subquery(s *syntax.Subquery, scope bool) (*core.Expr, error) {
	switch *b.ran++; {
	case b.env.Subquery == nil:
		return nil, b.errorf(s.Span(), CodeUnsupported, "subqueries are not run here")
	case *b.ran > maxSubqueries:
		return nil, b.errorf(s.Span(), syntax.CodeTooDeep, "a query runs %d subqueries at most", maxSubqueries)
	}
	child, err := b.child(s)
	if err != nil {
		return nil, err
	}
	rows, err := b.results(child, s)
	if err != nil {
		return nil, err
	}
	if !child.composed.keywords {
		return b.rowsCondition(child.composed.names, rows, s, scope)
	}
	if !scope {
		return nil, b.errorf(s.Span(), CodeUnsupported, "keywords are searched for in the scope, in front of the first pipe, only")
	}
	return b.rowsKeywords(rows)
}

// child compiles the subquery.
func (b *builder) child(s *syntax.Subquery) (*builder, error) {
	env := *b.env
	if err := b.subRange(s, &env); err != nil {
		return nil, err
	}
	c := startBuilder(s.Query, &env, b.table)
	c.n, c.at, c.ran, c.hosts, c.nested = b.n, s.Span(), b.ran, b.hosts, b.nested+1
	c.composed = &composed{}
	if err := c.scope(s.Query.Scope); err != nil {
		return nil, err
	}
	if err := c.pipeline(s.Query); err != nil {
		return nil, err
	}
	stages := s.Query.Stages
	if len(c.composed.names) == 0 || !strings.EqualFold(stages[len(stages)-1].Tokens[0].Text, "compose") {
		return nil, b.errorf(s.Span(), CodeValue, "a subquery has to end with compose\nwrite: [subquery : … | compose field]")
	}
	for _, w := range c.warnings {
		b.doubt(Warning{b.n, "subquery: " + w.Message, w.Absent})
	}
	return c, nil
}

// subRange gives the subquery the range that it asks for.
func (b *builder) subRange(s *syntax.Subquery, env *Env) (err error) {
	if s.From != "" {
		if env.From, err = b.pointInTime(s.From, s.Span()); err != nil {
			return err
		}
		if !env.Now.IsZero() {
			env.To = env.Now
		}
	}
	if s.To != "" {
		if env.To, err = b.pointInTime(s.To, s.Span()); err != nil {
			return err
		}
	}
	if !env.From.IsZero() && !env.To.IsZero() && !env.From.Before(env.To) {
		return b.errorf(s.Span(), CodeValue, "the range of the subquery ends before it starts")
	}
	return nil
}

// dateForms are how a point in time may be written. What a year is missing from
// means this year.
var dateForms = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05.000", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02",
	"2006/01/02 15:04:05.000", "2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02",
	"01/02/2006 15:04:05", "01/02/2006 15:04", "01/02/2006",
}

// pointInTime reads -15m, now, ms since 1970, or a date of the query's zone.
func (b *builder) pointInTime(text string, at syntax.Span) (time.Time, error) {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "now") {
		return b.env.Now, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 && ms < 1<<50 {
		return time.UnixMilli(ms), nil
	}
	if q, err := syntax.Parse("* | " + strings.TrimPrefix(text, "-")); err == nil && len(q.Stages) == 1 {
		c := syntax.NewCursor(q.Stages[0], q)
		if back, err := c.Duration(); err == nil && c.End() == nil {
			return b.env.Now.Add(-back), nil
		}
	}
	for _, form := range dateForms {
		if t, err := time.ParseInLocation(form, text, b.env.Zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, b.errorf(at, CodeValue, "%s is no time\nwrite from=(-1d), from=(2026-11-22 08:00:00), or ms since 1970", text)
}

// results runs the subquery. Equal rows count once.
func (b *builder) results(child *builder, s *syntax.Subquery) ([][]string, error) {
	k := child.composed
	plan := child.prune(&core.Project{In: child.plan, Out: k.cols}, namesOf(k.cols))
	cols, rows, err := b.env.Subquery(plan)
	if err != nil {
		return nil, b.errorf(s.Span(), CodeValue, "subquery: %v", err)
	}
	most := k.max
	if k.keywords {
		most = min(most, maxKeywords)
	}
	if int64(len(rows)) > most {
		b.warn("the subquery found more than %d rows, and the others do not count", most)
		rows = rows[:most]
	}
	if len(rows) == 0 {
		return nil, nil
	}
	texts, size := distinctTexts(pick(cols, rows, k.cols))
	if size > maxComposed {
		return nil, b.errorf(s.Span(), CodeValue, "the values that the subquery found are longer than %d MiB\ncompose their hash, and a hash in the query", maxComposed>>20)
	}
	return texts, nil
}

func namesOf(list []core.Named) []string {
	var names []string
	for _, n := range list {
		names = append(names, n.Name)
	}
	return names
}

// distinctTexts are the rows as texts, each once, as they come, and their size.
func distinctTexts(rows [][]any) ([][]string, int) {
	var out [][]string
	seen, size := map[string]bool{}, 0
	for _, row := range rows {
		texts := make([]string, len(row))
		for i, v := range row {
			texts[i], _ = v.(string)
			size += len(texts[i])
		}
		if key := joined(texts); !seen[key] {
			seen[key] = true
			out = append(out, texts)
		}
	}
	return out, size
}

// joined is one text for several: each but the last behind its length, so that
// no two rows give the same.
func joined(texts []string) string {
	var b strings.Builder
	for _, s := range texts[:len(texts)-1] {
		fmt.Fprintf(&b, "%d:%s", len([]rune(s)), s)
	}
	return b.String() + texts[len(texts)-1]
}

// rowsCondition holds where the fields have the values of a row. In the scope
// they have no case.
func (b *builder) rowsCondition(names []string, rows [][]string, s *syntax.Subquery, scope bool) (*core.Expr, error) {
	var fields []*core.Expr
	for _, name := range names {
		x, err := b.field(name, s.Span())
		if err != nil {
			return nil, err
		}
		if scope && x.Type == core.Text && !(x.Op == core.Column && ownWords[x.Name]) {
			x = do(core.Lower, x)
		}
		fields = append(fields, x)
	}
	var set []string
	for _, row := range rows {
		value := joined(row)
		if scope {
			value = strings.ToLower(value)
		}
		set = append(set, value)
	}
	slices.Sort(set)
	set = slices.Compact(set)
	if len(fields) == 1 && fields[0].Type.Number() {
		var list []*core.Expr
		for _, s := range set {
			list = append(list, core.Str(s))
		}
		return member(fields[0], list), nil
	}
	return inTexts(joinedFields(fields), set), nil
}

// joinedFields is joined of fields; null when one is.
func joinedFields(fields []*core.Expr) *core.Expr {
	var parts []*core.Expr
	for i, x := range fields {
		if x = toText(x); i < len(fields)-1 {
			parts = append(parts, toText(do(core.Length, x)), core.Str(":"))
		}
		parts = append(parts, x)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return do(core.Concat, parts...)
}

// rowsKeywords holds where a record has all words of a row.
func (b *builder) rowsKeywords(rows [][]string) (*core.Expr, error) {
	b.reads(rawColumn)
	var any []*core.Expr
	for _, row := range rows {
		var all []*core.Expr
		for _, text := range row {
			if text = strings.Join(strings.Fields(text), " "); text == "" {
				continue
			}
			p, err := keyword(&syntax.ScopeTerm{Text: text, Phrase: true})
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
		if len(all) > 0 {
			any = append(any, and(all...))
		}
	}
	return or(any...), nil
}
