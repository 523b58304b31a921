package op

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var transactionizeOp = Operator{
	Name: "transactionize", Tier: 2,
	Form: `transactionize FIELD, … [as NAME] [maxspan=WIDTH] [maxpause=WIDTH] [maxlogs=N] [startswith="TEXT"[;strict]] [endswith="TEXT"[;strict]] [keepOrphans=true|false] [(merge …)]`,
	Help: "Puts records into groups: two of them are in one when they have the same value in any of the fields, or are connected by others that do. " +
		"A group ends where it would become longer than maxspan, pause longer than maxpause or have more than maxlogs records, before a text of startswith and behind one of endswith; strict drops groups without it. " +
		"Adds _group, a number, _group_duration in ms, _group_size and _group_orphaned, or with as the name in the place of _group. A record with none of the fields is an orphan, of no group. merge makes one row of each group.",
	Example: `transactionize accountId, sourceIPAddress maxpause=10m | where _group_size > 20`,
	compile: compileTransactionize,
}

// connection is the stage as read, and what runs it. Of the columns, keys hold
// what connects, and starts and ends 1 where a text of that sort is.
type connection struct {
	prefix       string
	keys         []string
	time         string
	span, pause  time.Duration
	logs         int64
	starts, ends *marker
	orphans      bool
	added        []core.Col
}

// marker is startswith or endswith.
type marker struct {
	col    string
	strict bool
}

// maxConnected is how large the texts may be that a stage outside the engine
// connects or merges.
const maxConnected = 50 << 20

func compileTransactionize(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	if !b.raw && !b.broken {
		return b.errorf(at, CodeValue, "transactionize works on records, and these rows are groups")
	}
	fields, err := fieldList(c)
	if err != nil {
		return err
	}
	t := &connection{prefix: "_group", orphans: true}
	if t.keys, err = b.connectKeys(fields); err != nil {
		return err
	}
	if _, ok := c.Word("as"); ok {
		if t.prefix, err = c.Name(); err != nil {
			return err
		}
	}
	for !c.Done() && c.Peek().Text != "(" {
		c.Punct(',')
		if err := b.connectionOption(c, t); err != nil {
			return err
		}
	}
	b.connect(t)
	if c.Done() {
		return nil
	}
	return b.readInnerMerge(c, t)
}

// connectKeys makes texts of the fields and gives the columns that they are in.
func (b *builder) connectKeys(fields []*syntax.Field) ([]string, error) {
	var keys []core.Key
	for _, f := range fields {
		x, err := b.field(f.Name, f.Span())
		if err != nil {
			return nil, err
		}
		keys = append(keys, core.Key{Expr: toText(x)})
	}
	var names []string
	for _, k := range b.stored(keys) {
		names = append(names, k.Expr.Name)
	}
	return names, nil
}

var connectionWords = []string{"maxspan", "maxpause", "maxlogs", "startswith", "endswith", "keepOrphans"}

func (b *builder) connectionOption(c *syntax.Cursor, t *connection) (err error) {
	at := c.Span()
	word, ok := c.Word(connectionWords...)
	if !ok {
		return b.errorf(at, syntax.CodeExpected, "an option of transactionize was expected here\nthere are %s", strings.Join(connectionWords, ", "))
	}
	if err = c.Expect("="); err != nil {
		return err
	}
	switch word {
	case "maxspan":
		t.span, err = c.Duration()
	case "maxpause":
		t.pause, err = c.Duration()
	case "maxlogs":
		t.logs, err = b.readFrame(c, b.env.Limits.Rows)
	case "startswith":
		t.starts, err = b.readMarker(c)
	case "endswith":
		t.ends, err = b.readMarker(c)
	case "keepOrphans":
		if word, ok = c.Word("true", "false"); !ok {
			return c.Errorf(syntax.CodeExpected, "true or false was expected")
		}
		t.orphans = word == "true"
	}
	return err
}

// readMarker reads "text"[;strict] and makes a column that says where it is.
func (b *builder) readMarker(c *syntax.Cursor) (*marker, error) {
	at := c.Span()
	text, err := c.String()
	if err != nil {
		return nil, err
	}
	m := &marker{}
	if c.Punct(';') {
		m.strict = true
		if err := c.Expect("strict"); err != nil {
			return nil, err
		}
	}
	x, err := b.field(rawColumn, at)
	if err != nil {
		return nil, err
	}
	m.col = b.hide(choose(glob(x, "*"+text+"*"), core.IntOf(1), core.IntOf(0)))[0].Name
	return m, nil
}

// connect puts the stage that finds the groups on top.
func (b *builder) connect(t *connection) {
	t.time = b.stored([]core.Key{{Expr: b.times()[0].Arg}})[0].Expr.Name
	order := b.oldestFirst()
	have := taken(b.plan)
	b.forget(func(c column) bool { // of an earlier one
		return strings.EqualFold(c.name, t.prefix) || hasPrefixFold(c.name, t.prefix+"_")
	})
	for _, add := range []core.Col{{Name: "", Type: core.Int}, {Name: "_duration", Type: core.Int}, {Name: "_size", Type: core.Int}, {Name: "_orphaned", Type: core.Bool}} {
		name := t.prefix + add.Name
		col := core.Col{Name: unique(name, have), Type: add.Type}
		t.added = append(t.added, col)
		b.have(name, col)
	}
	out := func(in []core.Col) []core.Col { return slices.Concat(in, t.added) }
	h := &core.Host{In: sorted(b.plan, order), Name: "transactionize", Out: out(b.plan.Cols()), MaxRows: b.env.Limits.Rows, Run: t.run}
	b.hosts[h] = host{reads: t.reads(), out: out}
	b.plan, b.dynamic = h, false
	b.order = slices.Concat([]core.Key{{Expr: core.C(t.added[0].Name, core.Int)}}, order)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// reads are the columns that run needs.
func (t *connection) reads() []string {
	list := append(slices.Clone(t.keys), t.time)
	for _, m := range []*marker{t.starts, t.ends} {
		if m != nil {
			list = append(list, m.col)
		}
	}
	return list
}

// run adds the columns. Rows come oldest first.
func (t *connection) run(cols []core.Col, rows [][]any) ([]core.Col, [][]any, []string, error) {
	if textBytes(rows) > maxConnected {
		return nil, nil, nil, fmt.Errorf("the rows have more than %d MiB of text; narrow the range, or put fields before the stage", maxConnected>>20)
	}
	groups, alone := t.components(cols, rows)
	var pieces [][]int
	for _, g := range groups {
		pieces = append(pieces, t.split(cols, rows, g)...)
	}
	slices.SortStableFunc(pieces, func(a, b []int) int { return a[0] - b[0] })
	var out [][]any
	when := indexOf(cols, t.time)
	for n, p := range pieces {
		first, _ := rows[p[0]][when].(int64)
		last, _ := rows[p[len(p)-1]][when].(int64)
		for _, i := range p {
			out = append(out, slices.Concat(rows[i], []any{int64(n + 1), last - first, int64(len(p)), false}))
		}
	}
	for _, i := range alone {
		if t.orphans {
			out = append(out, slices.Concat(rows[i], []any{nil, int64(0), int64(1), true}))
		}
	}
	return slices.Concat(cols, t.added), out, nil, nil
}

func indexOf(cols []core.Col, name string) int {
	return slices.IndexFunc(cols, func(c core.Col) bool { return c.Name == name })
}

func textBytes(rows [][]any) int {
	n := 0
	for _, row := range rows {
		for _, v := range row {
			if s, ok := v.(string); ok {
				n += len(s)
			}
		}
	}
	return n
}

// sets are rows that are connected: each points to an earlier one of its set, or
// to itself.
type sets []int

func (s sets) first(i int) int {
	for s[i] != i {
		s[i] = s[s[i]]
		i = s[i]
	}
	return i
}

func (s sets) join(i, k int) {
	i, k = s.first(i), s.first(k)
	s[max(i, k)] = min(i, k)
}

// components are the rows that values connect, by their first row, and the rows
// that have no value.
func (t *connection) components(cols []core.Col, rows [][]any) (groups [][]int, alone []int) {
	connected, keyed := t.connected(cols, rows)
	at := map[int]int{} // of groups, by first row
	for i := range rows {
		if !keyed[i] {
			alone = append(alone, i)
			continue
		}
		first := connected.first(i)
		if _, ok := at[first]; !ok {
			at[first] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[first]] = append(groups[at[first]], i)
	}
	return groups, alone
}

// connected joins rows with the same value of a key, and tells which have one.
func (t *connection) connected(cols []core.Col, rows [][]any) (sets, []bool) {
	type value struct {
		key  int
		text string
	}
	s, keyed := make(sets, len(rows)), make([]bool, len(rows))
	seen := map[value]int{}
	for i, row := range rows {
		s[i] = i
		for k, name := range t.keys {
			text, ok := row[indexOf(cols, name)].(string)
			if !ok {
				continue
			}
			keyed[i] = true
			if other, ok := seen[value{k, text}]; ok {
				s.join(i, other)
			}
			seen[value{k, text}] = i
		}
	}
	return s, keyed
}

// split cuts a group where an option ends it, and leaves out what strict options
// do not allow.
func (t *connection) split(cols []core.Col, rows [][]any, group []int) [][]int {
	when := indexOf(cols, t.time)
	is := func(m *marker, i int) bool {
		return m != nil && rows[i][indexOf(cols, m.col)] == int64(1)
	}
	var out [][]int
	var cur []int
	end := func() {
		if len(cur) > 0 && (t.starts == nil || !t.starts.strict || is(t.starts, cur[0])) &&
			(t.ends == nil || !t.ends.strict || is(t.ends, cur[len(cur)-1])) {
			out = append(out, cur)
		}
		cur = nil
	}
	for _, i := range group {
		if len(cur) > 0 {
			ms, _ := rows[i][when].(int64)
			first, _ := rows[cur[0]][when].(int64)
			last, _ := rows[cur[len(cur)-1]][when].(int64)
			if t.span > 0 && ms-first > t.span.Milliseconds() || t.pause > 0 && ms-last > t.pause.Milliseconds() ||
				t.logs > 0 && int64(len(cur)) == t.logs || is(t.starts, i) {
				end()
			}
		}
		cur = append(cur, i)
		if is(t.ends, i) {
			end()
		}
	}
	end()
	return out
}
