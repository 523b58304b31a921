package op

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

// The codes of mistakes that are found here.
const (
	CodeOperator    = "unknown_operator"
	CodeFunction    = "unknown_function"
	CodeField       = "unknown_field"
	CodeValue       = "bad_value"   // an argument that makes no sense
	CodeDuplicate   = "duplicate"   // two columns of one name
	CodeUnsupported = "unsupported" // known, and not built
)

// rawColumn holds the text of the record.
const rawColumn = "_raw"

// column is a name that may stand in the query, and the plan's column behind it.
type column struct {
	name string // as written
	col  core.Col
	made bool // by a stage, as opposed to the table of events
}

func (c column) read() *core.Expr { return core.C(c.col.Name, c.col.Type) }
func (c column) key() string      { return strings.ToLower(c.name) }

// builder is the state between two stages. Its plan's columns are those of cols
// and hidden. It belongs to one goroutine.
type builder struct {
	env    *Env
	table  *table
	q      *syntax.Query
	src    string
	n      int // the stage being compiled
	at     syntax.Span
	broken bool            // an earlier stage is wrong, so that unknown names may be its fault
	told   map[string]bool // unknown fields as written that are mistakes already

	plan   core.Plan
	raw    bool
	cols   []column
	hidden []core.Col // carried along, of no name

	shown []string // keys of the columns to show, in order; in raw mode of those made
	fixed int      // the stage whose fields stage chose the columns, or 0
	order []core.Key
	chain *core.Expr // a predicate: an earlier nodrop parse of this run has matched the row

	hosts     map[*core.Host]host
	sizes     map[*core.Expr]int
	dynamic   bool // the rows have columns that only running them tells
	timeslice string
	slice     time.Duration // how wide its slices are; 0 when not known
	nested    int           // in how many brackets the stages stand
	keys      []string      // in lower case: the fields that tell groups apart; nil when not known
	compared  bool          // by a compare, of which there is one
	ran       *int          // subqueries run
	scans     int           // how often the plan reads the events
	composed  *composed     // how a subquery ends; nil outside of one
	info      []StageInfo
	warnings  []Warning
	names     int // of hidden columns
}

func newBuilder(q *syntax.Query, env *Env) *builder { return startBuilder(q, env, newTable()) }

// startBuilder is newBuilder for stages that compile queries of their own, which
// cannot name the table that they are in.
func startBuilder(q *syntax.Query, env *Env, t *table) *builder {
	if env == nil {
		env = &Env{}
	}
	e := *env
	e.Limits = e.Limits.withDefaults()
	if e.Zone == nil {
		e.Zone = time.UTC
	}
	b := &builder{env: &e, table: t, q: q, src: q.Src, raw: true, hosts: map[*core.Host]host{}, sizes: map[*core.Expr]int{}, ran: new(int), scans: 1}
	b.plan, b.cols = scan(&e)
	b.order = newestFirst()
	return b
}

var kinds = map[event.Kind]core.Type{event.Text: core.Text, event.Int: core.Int, event.Float: core.Float, event.Bool: core.Bool}

// scan reads all there is. Pruning leaves what is used.
func scan(env *Env) (*core.Scan, []column) {
	s := &core.Scan{From: millis(env.From, 0), To: millis(env.To, 0)}
	var cols []column
	for _, c := range event.Columns {
		cols = append(cols, column{name: c.Name, col: core.Col{Name: c.Name, Type: kinds[c.Kind]}})
	}
	cols = append(cols, column{name: rawColumn, col: core.Col{Name: rawColumn, Type: core.Text}})
	for _, c := range cols {
		s.Columns = append(s.Columns, c.col)
	}
	return s, cols
}

func millis(t time.Time, open int64) int64 {
	if t.IsZero() {
		return open
	}
	return t.UnixMilli()
}

// newestFirst is the order of records when nothing else is said. The id decides
// between records of one millisecond, so that two runs answer alike.
func newestFirst() []core.Key {
	return []core.Key{
		{Expr: core.C(event.MessageTime.String(), core.Int), Desc: true},
		{Expr: core.C(event.MessageID.String(), core.Text)},
	}
}

// newestFirst is that order over the columns as they are now: a stage may have
// made them anew, of another type.
func (b *builder) newestFirst() []core.Key {
	var order []core.Key
	for _, k := range newestFirst() {
		if c, ok := b.lookup(k.Expr.Name); ok {
			k.Expr = c.read()
		}
		if slices.Contains(b.plan.Cols(), core.Col{Name: k.Expr.Name, Type: k.Expr.Type}) {
			k.Expr = scalar(k.Expr)
			order = append(order, k)
		}
	}
	return order
}

// errorf is a mistake at a place of the stage. A hint may follow the message
// behind a line break.
func (b *builder) errorf(at syntax.Span, code, format string, args ...any) *syntax.Error {
	msg, hint, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	return &syntax.Error{Code: code, Message: msg, Hint: hint, Span: at, Stage: b.n}
}

// warn says a doubt once.
func (b *builder) warn(format string, args ...any) {
	b.doubt(Warning{Stage: b.n, Message: fmt.Sprintf(format, args...)})
}

func (b *builder) doubt(w Warning) {
	same := func(o Warning) bool { return o.Message == w.Message }
	if !slices.ContainsFunc(b.warnings, same) {
		b.warnings = append(b.warnings, w)
	}
}

// lookup finds a column by its name, whatever its case.
func (b *builder) lookup(name string) (column, bool) {
	for _, c := range b.cols {
		if strings.EqualFold(c.name, name) {
			return c, true
		}
	}
	return column{}, false
}

// display returns the columns to show. Records show their time, where they are
// from, what the query made, and their text.
func (b *builder) display() []column {
	keys := b.shown
	if b.raw && b.fixed == 0 {
		keys = slices.Concat([]string{event.MessageTime.String(), event.SourceCategory.String()}, b.shown, []string{rawColumn})
	}
	var out []column
	seen := map[string]bool{}
	for _, key := range keys {
		c, ok := b.lookup(key)
		if ok && !seen[c.key()] {
			seen[c.key()] = true
			out = append(out, c)
		}
	}
	return out
}

// assign is a column to make.
type assign struct {
	name string
	expr *core.Expr
}

// set makes columns of each row, all from the row as it was. One whose name is
// taken replaces that column, and prints as it is written now.
func (b *builder) set(list ...assign) {
	b.keepOrder(list)
	var cols []column
	var out []core.Named
	for _, c := range b.cols {
		if !assigned(list, c.name) {
			cols = append(cols, c)
			out = append(out, core.Named{Name: c.col.Name, Expr: c.read()})
		}
	}
	for _, h := range b.hidden {
		out = append(out, core.Named{Name: h.Name, Expr: core.C(h.Name, h.Type)})
	}
	for _, a := range list {
		n := core.Named{Name: unique(a.name, out), Expr: a.expr}
		out = append(out, n)
		if strings.HasPrefix(a.name, hiddenPrefix) {
			b.hidden = append(b.hidden, core.Col{Name: n.Name, Type: n.Expr.Type})
			continue
		}
		cols = append(cols, column{name: a.name, col: core.Col{Name: n.Name, Type: n.Expr.Type}, made: true})
		b.show(a.name)
	}
	b.cols = cols
	b.project(out)
}

// hiddenPrefix starts the names of columns that the query cannot name: no name
// of a query holds a NUL. What reaches an engine has none, see unique.
const hiddenPrefix = "\x00"

func assigned(list []assign, name string) bool {
	return slices.ContainsFunc(list, func(a assign) bool { return strings.EqualFold(a.name, name) })
}

// show adds a column to those that are shown, behind the others.
func (b *builder) show(name string) {
	key := strings.ToLower(name)
	if !slices.Contains(b.shown, key) {
		b.shown = append(b.shown, key)
	}
	b.makes(name)
}

func (b *builder) makes(name string) {
	if n := len(b.info); n > 0 {
		b.info[n-1].Makes = append(b.info[n-1].Makes, name)
	}
}

// unique is name, or name with a number, so that it differs from all of out in
// more than case.
func unique(name string, out []core.Named) string {
	if rest, ok := strings.CutPrefix(name, hiddenPrefix); ok {
		name = "#" + rest
	}
	free := func(s string) bool {
		return !slices.ContainsFunc(out, func(o core.Named) bool { return strings.EqualFold(o.Name, s) })
	}
	if free(name) {
		return name
	}
	for i := 2; ; i++ {
		if s := fmt.Sprintf("%s#%d", name, i); free(s) {
			return s
		}
	}
}

// taken are the names of a plan's columns, for unique.
func taken(p core.Plan) []core.Named {
	var out []core.Named
	for _, c := range p.Cols() {
		out = append(out, core.Named{Name: c.Name})
	}
	return out
}

// hide makes columns that no name of the query means and returns how to read
// them.
func (b *builder) hide(exprs ...*core.Expr) []*core.Expr {
	var list []assign
	for _, e := range exprs {
		b.names++
		list = append(list, assign{fmt.Sprintf("%s%d", hiddenPrefix, b.names), e})
	}
	b.set(list...)
	var out []*core.Expr
	for _, h := range b.hidden[len(b.hidden)-len(exprs):] {
		out = append(out, core.C(h.Name, h.Type))
	}
	return out
}

// keepOrder hides away what the rows are ordered by before it is replaced.
func (b *builder) keepOrder(list []assign) {
	moved := map[string]*core.Expr{}
	for _, a := range list {
		c, ok := b.lookup(a.name)
		if !ok || strings.HasPrefix(a.name, hiddenPrefix) || !b.ordersBy(c.col.Name) {
			continue
		}
		moved[c.col.Name] = b.hide(c.read())[0]
	}
	if len(moved) == 0 {
		return
	}
	order := slices.Clone(b.order)
	for i, k := range order {
		order[i].Expr, _ = substitute(k.Expr, moved)
	}
	b.order = order
}

func (b *builder) ordersBy(name string) bool {
	return slices.ContainsFunc(b.order, func(k core.Key) bool { return reads(k.Expr, name) })
}

func reads(e *core.Expr, name string) bool {
	found := false
	core.Walk(e, func(x *core.Expr) { found = found || x.Op == core.Column && x.Name == name })
	return found
}

// project puts a Project on top, or into the one that is there when no work is
// done twice by it.
func (b *builder) project(out []core.Named) {
	b.dynamic = false
	if p, ok := b.plan.(*core.Project); ok {
		if merged, ok := mergeProjects(p, out); ok {
			b.plan = merged
			return
		}
	}
	b.plan = &core.Project{In: b.plan, Out: out}
}

func mergeProjects(p *core.Project, out []core.Named) (*core.Project, bool) {
	below, pure := map[string]*core.Expr{}, map[string]*core.Expr{}
	for _, n := range p.Out {
		below[n.Name] = n.Expr
		if n.Expr.Op == core.Column {
			pure[n.Name] = n.Expr
		}
	}
	merged := make([]core.Named, len(out))
	for i, n := range out {
		if n.Expr.Op == core.Column && n.Expr.Name == n.Name {
			merged[i] = core.Named{Name: n.Name, Expr: below[n.Name]}
			continue
		}
		e, ok := substitute(n.Expr, pure)
		if !ok {
			return nil, false
		}
		merged[i] = core.Named{Name: n.Name, Expr: e}
	}
	return &core.Project{In: p.In, Out: merged}, true
}

// substitute returns e with its columns replaced, and whether all of them were
// in the map. What is not stays.
func substitute(e *core.Expr, m map[string]*core.Expr) (*core.Expr, bool) {
	if e.Op == core.Column {
		if to := m[e.Name]; to != nil {
			return to, true
		}
		return e, false
	}
	all, changed := true, *e
	changed.Args = make([]*core.Expr, len(e.Args))
	for i, a := range e.Args {
		var ok bool
		changed.Args[i], ok = substitute(a, m)
		all = all && ok
	}
	if len(e.Args) == 0 {
		return e, true
	}
	return &changed, all
}

// filter keeps the rows for which the predicate holds. Each of its conditions
// goes as far down as it can, into the scan at best, where an engine may skip
// files by it.
func (b *builder) filter(pred *core.Expr) {
	if pred.Op == core.And {
		for _, p := range pred.Args {
			b.filter(p)
		}
		return
	}
	if p, ok := sink(b.plan, pred); ok {
		b.plan = p
		return
	}
	if f, ok := b.plan.(*core.Filter); ok {
		b.plan = &core.Filter{In: f.In, Cond: and(f.Cond, pred)}
		return
	}
	b.plan = &core.Filter{In: b.plan, Cond: pred}
}

func sink(plan core.Plan, pred *core.Expr) (core.Plan, bool) {
	switch p := plan.(type) {
	case *core.Scan:
		s := *p
		if s.Filter = pred; p.Filter != nil {
			s.Filter = and(p.Filter, pred)
		}
		return &s, true
	case *core.Filter:
		in, ok := sink(p.In, pred)
		return &core.Filter{In: in, Cond: p.Cond}, ok
	case *core.Project:
		pure := map[string]*core.Expr{}
		for _, n := range p.Out {
			if n.Expr.Op == core.Column {
				pure[n.Name] = n.Expr
			}
		}
		if below, ok := substitute(pred, pure); ok {
			in, ok := sink(p.In, below)
			return &core.Project{In: in, Out: p.Out}, ok
		}
	}
	return nil, false
}

// keyed is a by-field: what it is called and where its value is from.
type keyed struct {
	name string
	expr *core.Expr
}

// aggregate makes groups. From here on only the keys and the aggregates exist.
func (b *builder) aggregate(by []keyed, aggs []core.Agg) {
	a := &core.Aggregate{In: b.plan}
	var names []core.Named
	b.cols, b.hidden, b.shown, b.order = nil, nil, nil, nil
	b.keys = []string{}
	for _, k := range by {
		b.keys = append(b.keys, strings.ToLower(k.name))
		n := core.Named{Name: unique(k.name, names), Expr: k.expr}
		a.By, names = append(a.By, n), append(names, n)
		b.have(k.name, core.Col{Name: n.Name, Type: k.expr.Type})
		b.order = append(b.order, core.Key{Expr: core.C(n.Name, k.expr.Type)})
	}
	for _, agg := range aggs {
		name := agg.Name
		agg.Name = unique(name, names)
		names = append(names, core.Named{Name: agg.Name})
		a.Aggs = append(a.Aggs, agg)
		b.have(name, core.Col{Name: agg.Name, Type: agg.Type()})
	}
	b.plan, b.raw, b.fixed, b.chain, b.dynamic = a, false, 0, nil, false
}

// have names a column that the plan has got.
func (b *builder) have(name string, col core.Col) {
	b.cols = append(b.cols, column{name: name, col: col, made: true})
	b.show(name)
}

// sort orders the rows. What they were ordered by before decides between equals.
func (b *builder) sort(keys ...core.Key) {
	b.order = slices.Concat(keys, slices.DeleteFunc(slices.Clone(b.order), func(old core.Key) bool {
		return slices.ContainsFunc(keys, func(k core.Key) bool {
			return old.Expr.Op == core.Column && k.Expr.Name == old.Expr.Name && k.Expr.Op == core.Column
		})
	}))
}

// limit keeps the first n rows.
func (b *builder) limit(n int64) {
	b.plan = &core.Limit{In: &core.Sort{In: b.plan, Keys: b.order}, N: min(n, math.MaxInt32)}
}

// window adds a column that is computed over the rows around each, and returns
// how to read it. No name of the query means it.
func (b *builder) window(w *core.Window) *core.Expr {
	b.names++
	w.In, w.Name = b.plan, unique(fmt.Sprintf("%s%d", hiddenPrefix, b.names), taken(b.plan))
	b.plan, b.dynamic = w, false
	b.hidden = append(b.hidden, core.Col{Name: w.Name, Type: w.Type()})
	return core.C(w.Name, w.Type())
}

// only makes rows of new columns and nothing else, as an aggregate does. Their
// order is that of all columns, from the left.
func (b *builder) only(list []assign) {
	var out []core.Named
	b.cols, b.hidden, b.shown, b.order, b.keys = nil, nil, nil, nil, nil
	for _, a := range list {
		n := core.Named{Name: unique(a.name, out), Expr: a.expr}
		out = append(out, n)
		b.have(a.name, core.Col{Name: n.Name, Type: n.Expr.Type})
		b.order = append(b.order, core.Key{Expr: core.C(n.Name, n.Expr.Type)})
	}
	b.plan, b.raw, b.fixed, b.chain, b.dynamic = &core.Project{In: b.plan, Out: out}, false, 0, nil, false
}
