package op

import (
	"math"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var transactionOp = Operator{
	Name: "transaction", Tier: 0,
	Form: `transaction on FIELD, … [fringe=TIME] with "GLOB" [in FIELD] as STATE, [with] … [results by transactions|states|flow [showing AGGREGATE [for STATE] [as NAME], …]]
transaction on FIELD, … with states VALUE [as STATE], … [in FIELD] …`,
	Help: "Follows what shares a key through states. A record is in a state when its text (or the field) matches the pattern. " +
		"By transactions: a row of each key, with how often it was in each state, _start_time and _end_time. " +
		"By states: a row of each key and state, with _count, _start_time and _end_time. " +
		"By flow: a row of each step from one state to the next, with fromstate, tostate and latency in ms. " +
		"For states and flow a record is in the first state that it matches. Records in no state, and those without a key, take no part.",
	Example: `transaction on %"userIdentity.principalId" with "*CreateAccessKey*" as made, with "*InvokeModel*" as used results by transactions | where made >= 1 and used >= 1`,
	compile: compileTransaction,
}

// state is a state of a transaction: its name, and when a row is in it.
type state struct {
	name string
	in   *core.Expr
}

// transaction is the stage as read.
type transaction struct {
	keys    []keyed
	states  []state
	fringe  time.Duration
	results string
	showing []core.Agg
}

func compileTransaction(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	if !b.raw {
		return b.errorf(at, CodeValue, "transaction works on records, and these rows are groups")
	}
	t, err := b.readTransaction(c)
	if err != nil {
		return err
	}
	b.warnKeys(t.keys)
	var any, keyed []*core.Expr
	for _, s := range t.states {
		any = append(any, s.in)
	}
	for _, k := range t.keys {
		keyed = append(keyed, not(isNull(k.expr)))
	}
	b.filter(and(or(any...), and(keyed...)))
	switch t.results {
	case "states":
		b.byStates(t)
	case "flow":
		b.byFlow(t)
	default:
		b.byTransactions(t)
	}
	return nil
}

func (b *builder) warnKeys(keys []keyed) {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	b.warn("records without %s take no part in the transactions", strings.Join(names, " or "))
}

func (b *builder) readTransaction(c *syntax.Cursor) (*transaction, error) {
	t := &transaction{results: "transactions"}
	if err := c.Expect("on"); err != nil {
		return nil, err
	}
	fields, err := fieldList(c)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		x, err := b.field(f.Name, f.Span())
		if err != nil {
			return nil, err
		}
		t.keys = append(t.keys, keyed{f.Name, scalar(x)})
	}
	if t.fringe, err = readFringe(c); err != nil {
		return nil, err
	}
	if err := b.readStates(c, t); err != nil {
		return nil, err
	}
	if t.fringe == 0 { // it stands in either place
		if t.fringe, err = readFringe(c); err != nil {
			return nil, err
		}
	}
	return t, b.readResults(c, t)
}

func readFringe(c *syntax.Cursor) (time.Duration, error) {
	if _, ok := c.Word("fringe"); !ok {
		return 0, nil
	}
	if err := c.Expect("="); err != nil {
		return 0, err
	}
	return c.Duration()
}

// readStates reads with "glob" as name, with … or with states a, b.
func (b *builder) readStates(c *syntax.Cursor, t *transaction) error {
	if err := c.Expect("with"); err != nil {
		return err
	}
	if _, ok := c.Word("states"); ok {
		return b.readPlainStates(c, t)
	}
	for {
		at := c.Span()
		pattern, err := c.String()
		if err != nil {
			return err
		}
		field, err := readIn(c)
		if err != nil {
			return err
		}
		if err := c.Expect("as"); err != nil {
			return err
		}
		name, err := c.Name()
		if err != nil {
			return err
		}
		x, err := b.field(field, at)
		if err != nil {
			return err
		}
		if err := b.addState(t, name, glob(x, pattern), at); err != nil {
			return err
		}
		more := c.Punct(',')
		if _, with := c.Word("with"); !more && !with {
			return nil
		}
	}
}

// readIn reads in FIELD; the text of the record without it.
func readIn(c *syntax.Cursor) (string, error) {
	if _, ok := c.Word("in"); !ok {
		return rawColumn, nil
	}
	f, err := c.Field()
	if err != nil {
		return "", err
	}
	return f.Name, nil
}

func (b *builder) addState(t *transaction, name string, in *core.Expr, at syntax.Span) error {
	if slices.ContainsFunc(t.states, func(s state) bool { return strings.EqualFold(s.name, name) }) {
		return b.errorf(at, CodeDuplicate, "two states are called %s", name)
	}
	t.states = append(t.states, state{name, in})
	return nil
}

// plainState is a state that is a field's text.
type plainState struct{ value, name string }

func readPlainState(c *syntax.Cursor) (plainState, error) {
	tok := c.Peek()
	if tok.Kind == syntax.TokString || tok.Kind == syntax.TokNumber {
		c.Next()
	} else if _, err := c.Field(); err != nil {
		return plainState{}, err
	}
	p := plainState{tok.Text, tok.Text}
	var err error
	if _, ok := c.Word("as"); ok {
		p.name, err = c.Name()
	}
	return p, err
}

// readPlainStates reads a [as x], b, … [in field]: the field's text is the state.
func (b *builder) readPlainStates(c *syntax.Cursor, t *transaction) error {
	var list []plainState
	at := c.Span()
	for {
		p, err := readPlainState(c)
		if err != nil {
			return err
		}
		list = append(list, p)
		if !c.Punct(',') {
			break
		}
	}
	field, err := readIn(c)
	if err != nil {
		return err
	}
	x, err := b.field(field, at)
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := b.addState(t, p.name, do(core.EqText, toText(x), core.Str(p.value)), at); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) readResults(c *syntax.Cursor, t *transaction) error {
	if _, ok := c.Word("results"); !ok {
		return nil
	}
	if err := c.Expect("by"); err != nil {
		return err
	}
	word, ok := c.Word("transactions", "states", "flow")
	if !ok {
		return c.Errorf(syntax.CodeExpected, "transactions, states or flow was expected")
	}
	t.results = word
	if _, ok := c.Word("showing"); !ok {
		return nil
	}
	for {
		if err := b.readShowing(c, t); err != nil {
			return err
		}
		if !c.Punct(',') {
			return nil
		}
	}
}

// readShowing reads AGGREGATE [for STATE] [as NAME].
func (b *builder) readShowing(c *syntax.Cursor, t *transaction) error {
	at := c.Span()
	list, _, err := b.readAggregate(c)
	if err != nil {
		return err
	}
	if t.results == "flow" {
		return b.errorf(at, CodeValue, "showing has nothing to aggregate in a flow\nput an aggregate behind the transaction")
	}
	var only *core.Expr
	if _, ok := c.Word("for"); ok {
		at = c.Span()
		name, err := c.Name()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(t.states, func(s state) bool { return strings.EqualFold(s.name, name) })
		if i < 0 {
			return b.errorf(at, CodeValue, "there is no state %s", name)
		}
		only = t.states[i].in
	}
	as := ""
	if _, ok := c.Word("as"); ok {
		if as, err = c.Name(); err != nil {
			return err
		}
	}
	for _, a := range list {
		if a.If = only; as != "" {
			a.Name = as
		}
		t.showing = append(t.showing, a)
	}
	return nil
}

// span are the first and last time of a group.
func (b *builder) times() []core.Agg {
	ms := core.NullOf(core.Int)
	for _, c := range b.plan.Cols() { // which may be out of sight
		if c.Name == event.MessageTime.String() {
			ms = toInt(core.C(c.Name, c.Type))
		}
	}
	if c, ok := b.lookup(event.MessageTime.String()); ok {
		ms = toInt(c.read())
	}
	return []core.Agg{{Name: "_start_time", Fn: core.Min, Arg: ms}, {Name: "_end_time", Fn: core.Max, Arg: ms}}
}

func (b *builder) byTransactions(t *transaction) {
	var aggs []core.Agg
	for _, s := range t.states {
		aggs = append(aggs, core.Agg{Name: s.name, Fn: core.CountAll, If: s.in})
	}
	b.aggregate(t.keys, slices.Concat(aggs, b.times(), t.showing))
	b.dropFringe(t.fringe)
}

// dropFringe drops transactions that end within the first part of the range, or
// start within its last: they may be cut off.
func (b *builder) dropFringe(fringe time.Duration) {
	if fringe == 0 {
		return
	}
	start, _ := b.lookup("_start_time")
	end, _ := b.lookup("_end_time")
	if from := b.env.From; !from.IsZero() {
		b.filter(do(core.LeNum, core.IntOf(from.Add(fringe).UnixMilli()), end.read()))
	}
	if to := b.env.To; !to.IsZero() {
		b.filter(do(core.LtNum, start.read(), core.IntOf(to.Add(-fringe).UnixMilli())))
	}
}

// inState is the name of the first state that a row is in.
func inState(states []state) *core.Expr {
	e := core.NullOf(core.Text)
	for _, s := range slices.Backward(states) {
		e = choose(s.in, core.Str(s.name), e)
	}
	return e
}

func (b *builder) byStates(t *transaction) {
	by := append(slices.Clone(t.keys), keyed{"state", inState(t.states)})
	count := core.Agg{Name: "_count", Fn: core.CountAll}
	b.aggregate(by, slices.Concat([]core.Agg{count}, b.times(), t.showing))
	b.dropFringe(t.fringe)
}

// byFlow gives each record the state and time of the one before it of its key.
func (b *builder) byFlow(t *transaction) {
	ms := b.times()[0].Arg
	x := b.hide(append([]*core.Expr{inState(t.states), ms}, exprsOf(t.keys)...)...)
	now, at, keys := x[0], x[1], x[2:]
	before := b.window(&core.Window{Fn: core.Lag, Arg: now, N: 1, Partition: keys, Order: b.oldestFirst()})
	when := b.window(&core.Window{Fn: core.Lag, Arg: at, N: 1, Partition: keys, Order: b.oldestFirst()})
	b.flowFringe(t.fringe, at, keys)
	b.filter(not(isNull(before)))
	latency := toInt(do(core.Sub, toFloat(at), toFloat(when)))
	var cols []assign
	for i, k := range t.keys {
		cols = append(cols, assign{k.name, keys[i]})
	}
	b.only(append(cols, assign{"fromstate", before}, assign{"tostate", now}, assign{"latency", latency}))
}

// flowFringe is dropFringe on the rows of a transaction.
func (b *builder) flowFringe(fringe time.Duration, at *core.Expr, keys []*core.Expr) {
	if fringe == 0 {
		return
	}
	all := core.Window{Arg: at, From: math.MinInt64, To: math.MaxInt64, Partition: keys, Order: b.oldestFirst()}
	first, last := all, all
	first.Fn, last.Fn = core.MovMin, core.MovMax
	start, end := b.window(&first), b.window(&last)
	if from := b.env.From; !from.IsZero() {
		b.filter(do(core.LeNum, core.IntOf(from.Add(fringe).UnixMilli()), end))
	}
	if to := b.env.To; !to.IsZero() {
		b.filter(do(core.LtNum, start, core.IntOf(to.Add(-fringe).UnixMilli())))
	}
}

func exprsOf(keys []keyed) []*core.Expr {
	var out []*core.Expr
	for _, k := range keys {
		out = append(out, k.expr)
	}
	return out
}

// oldestFirst is the order of time.
func (b *builder) oldestFirst() []core.Key {
	order := b.newestFirst()
	for i := range order {
		order[i].Desc = false
	}
	return order
}
