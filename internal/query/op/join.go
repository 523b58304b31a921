package op

import (
	"slices"
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/syntax"
)

var joinOp = Operator{
	Name: "join", Tier: 2,
	Form: "join (STAGE | …) as NAME, (STAGE | …) as NAME on NAME.FIELD=NAME.FIELD [and …] [timewindow WIDTH]",
	Help: "Pairs rows with rows: the stages in brackets each work on the rows so far, and each pair whose fields are equal, and whose times are at most WIDTH apart, becomes a row. " +
		"Afterwards the fields are called NAME_FIELD. Rows without a partner are dropped, and null equals nothing.",
	Example: `join (where eventName = "AssumeRole" | %"responseElements.credentials.accessKeyId" as key) as a, (where eventName = "InvokeModel" | %"userIdentity.accessKeyId" as key) as b on a.key = b.key timewindow 1h`,
	compile: compileJoin,
}

// maxScans is how many times a plan may read the events: joins and compare
// multiply it.
const maxScans = 32

// joinSide is one of the two: stages, and what they are called.
type joinSide struct {
	name string
	b    *builder
	on   []*core.Expr
}

func compileJoin(b *builder, c *syntax.Cursor) error {
	at := c.Last()
	l, err := b.readSide(c)
	if err != nil {
		return err
	}
	if err := c.Expect(","); err != nil {
		return err
	}
	r, err := b.readSide(c)
	if err != nil {
		return err
	}
	if strings.EqualFold(l.name, r.name) {
		return b.errorf(c.Last(), CodeDuplicate, "both sides are called %s", r.name)
	}
	if err := c.Expect("on"); err != nil {
		return err
	}
	for {
		if err := b.readPair(c, l, r); err != nil {
			return err
		}
		if _, and := c.Word("and"); !and && !c.Punct(',') {
			break
		}
	}
	if err := b.countScans(l.b.scans+r.b.scans, at); err != nil {
		return err
	}
	near, err := b.readTimeWindow(c, l, r)
	if err != nil {
		return err
	}
	b.joinSides(l, r, near)
	return nil
}

// countScans bounds how often the events are read.
func (b *builder) countScans(n int, at syntax.Span) error {
	if b.scans = n; n > maxScans {
		return b.errorf(at, syntax.CodeTooDeep, "the query would read the events %d times, and %d are allowed", n, maxScans)
	}
	return nil
}

// readSide reads (stages) as name.
func (b *builder) readSide(c *syntax.Cursor) (*joinSide, error) {
	if t := c.Peek(); t.Text != "(" {
		return nil, c.Hint("write: join (where …) as a, (where …) as b on a.f = b.f").Errorf(syntax.CodeExpected, "stages in brackets were expected")
	}
	q, err := c.Pipeline()
	if err != nil {
		return nil, err
	}
	s := &joinSide{b: b.fork()}
	err = s.b.pipeline(q)
	b.absorb(s.b)
	if err != nil {
		return nil, err
	}
	if err := c.Expect("as"); err != nil {
		return nil, err
	}
	s.name, err = c.Name()
	return s, err
}

// absorb takes over what a fork has read and what it warns of.
func (b *builder) absorb(fork *builder) {
	for _, w := range fork.warnings {
		b.warn("%s", w.Message)
	}
	for _, name := range fork.info[len(fork.info)-1].Reads {
		b.reads(name)
	}
	b.names = max(b.names, fork.names)
}

// readPair reads a.f = b.g, in either order.
func (b *builder) readPair(c *syntax.Cursor, l, r *joinSide) error {
	at := c.Span()
	s1, x, err := b.readSideField(c, l, r)
	if err != nil {
		return err
	}
	if _, ok := c.Op("=", "=="); !ok {
		return c.Hint("join compares with = only; filter before or behind it").Errorf(syntax.CodeExpected, "= was expected")
	}
	s2, y, err := b.readSideField(c, l, r)
	if err != nil {
		return err
	}
	if s1 == s2 {
		return b.errorf(at, CodeValue, "both fields are of %s\nwrite: %s.field = %s.field", s1.name, l.name, r.name)
	}
	if !x.Type.Number() || !y.Type.Number() {
		x, y = toText(x), toText(y)
	}
	s1.on, s2.on = append(s1.on, x), append(s2.on, y)
	return nil
}

// readSideField reads the name of a side, a dot and a field of it.
func (b *builder) readSideField(c *syntax.Cursor, l, r *joinSide) (*joinSide, *core.Expr, error) {
	f, err := c.Field()
	if err != nil {
		return nil, nil, err
	}
	side, name, _ := strings.Cut(f.Name, ".")
	for _, s := range []*joinSide{l, r} {
		if strings.EqualFold(s.name, side) && name != "" {
			x, err := s.b.field(name, f.Span())
			return s, x, err
		}
	}
	return nil, nil, b.errorf(f.Span(), CodeField, "%s is a field of neither side\nwrite: %s.field = %s.field", f.Name, l.name, r.name)
}

// readTimeWindow reads timewindow 10m and gives the condition that it is, before
// the columns of the sides have their names; nil without one.
func (b *builder) readTimeWindow(c *syntax.Cursor, l, r *joinSide) (func(l, r map[string]*core.Expr) *core.Expr, error) {
	at := c.Span()
	if _, ok := c.Word("timewindow"); !ok {
		return nil, nil
	}
	width, err := c.Duration()
	if err != nil {
		return nil, err
	}
	lt, ok1 := l.b.lookup(event.MessageTime.String())
	rt, ok2 := r.b.lookup(event.MessageTime.String())
	if !ok1 || !ok2 {
		return nil, b.errorf(at, CodeValue, "a side of groups has no time\nleave timewindow out, or join records")
	}
	return func(l, r map[string]*core.Expr) *core.Expr {
		x, y := toFloat(l[lt.col.Name]), toFloat(r[rt.col.Name])
		ms := core.Num(float64(width.Milliseconds()))
		return and(do(core.LeNum, do(core.Sub, x, y), ms), do(core.LeNum, do(core.Sub, y, x), ms))
	}, nil
}

// joinSides names the columns of both sides, pairs the rows, and shows what the
// sides showed.
func (b *builder) joinSides(l, r *joinSide, near func(l, r map[string]*core.Expr) *core.Expr) {
	var on [][2]*core.Expr
	for i := range l.on {
		x := l.b.stored([]core.Key{{Expr: l.on[i]}})[0].Expr
		y := r.b.stored([]core.Key{{Expr: r.on[i]}})[0].Expr
		on = append(on, [2]*core.Expr{x, y})
	}
	b.cols, b.hidden, b.shown, b.order, b.keys = nil, nil, nil, nil, nil
	b.raw, b.fixed, b.chain, b.dynamic = false, 0, nil, false
	var taken []core.Named
	left, lnew := b.addSide(l, &taken)
	right, rnew := b.addSide(r, &taken)
	for i := range on {
		on[i][0], _ = substitute(on[i][0], lnew)
		on[i][1], _ = substitute(on[i][1], rnew)
	}
	j := &core.Join{L: left, R: right, Kind: core.Inner, On: on}
	if near != nil {
		j.Cond = near(lnew, rnew)
	}
	b.plan = j
}

// addSide makes the columns of a side anew under their names, and returns what
// the old ones have become.
func (b *builder) addSide(s *joinSide, taken *[]core.Named) (core.Plan, map[string]*core.Expr) {
	p := &core.Project{In: s.b.plan}
	now := map[string]*core.Expr{}
	add := func(name string, old core.Col) core.Col {
		n := core.Named{Name: unique(name, *taken), Expr: core.C(old.Name, old.Type)}
		p.Out, *taken = append(p.Out, n), append(*taken, n)
		now[old.Name] = core.C(n.Name, old.Type)
		return core.Col{Name: n.Name, Type: old.Type}
	}
	for _, c := range s.b.cols {
		name := s.name + "_" + c.name
		b.cols = append(b.cols, column{name: name, col: add(name, c.col), made: c.made})
	}
	for _, h := range s.b.hidden {
		b.hidden = append(b.hidden, add(hiddenPrefix+s.name+"_"+strings.TrimLeft(h.Name, "#"), h))
	}
	for _, c := range s.b.display() {
		b.show(s.name + "_" + c.name)
	}
	for _, k := range slices.Clone(s.b.order) {
		k.Expr, _ = substitute(k.Expr, now)
		b.order = append(b.order, k)
	}
	return p, now
}
