package sql

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/query/core"
)

// plan prints a node. A shared node becomes a CTE the first time.
func (p *Printer) plan(n core.Plan) (*selection, error) {
	p.json = nil
	if name, done := p.names[n]; done {
		return p.over(name, n.Cols())
	}
	s, err := p.node(n)
	if err != nil || !p.shared[n] {
		return s, err
	}
	name := p.cte(s)
	p.names[n] = name
	return p.over(name, n.Cols())
}

func (p *Printer) node(n core.Plan) (*selection, error) {
	switch n := n.(type) {
	case *core.Scan:
		return p.scan(n)
	case *core.Inline:
		return p.inlined(n)
	case *core.Filter:
		return p.filter(n)
	case *core.Project:
		return p.project(n)
	case *core.Aggregate:
		return p.aggregate(n)
	case *core.Window:
		return p.window(n)
	case *core.Sort:
		return p.sort(n)
	case *core.Limit:
		return p.limit(n)
	case *core.Join:
		return p.join(n)
	case *core.Union:
		return p.union(n)
	case *core.Unnest:
		return p.unnest(n)
	case *core.Host:
		return nil, fmt.Errorf("stage %q runs outside the engine, and was left in the plan", n.Name)
	}
	return nil, fmt.Errorf("no node of the type %T is known", n)
}

// cte names a finished selection.
func (p *Printer) cte(s *selection) string {
	p.n++
	name := "s" + strconv.Itoa(p.n)
	p.ctes = append(p.ctes, name+" AS (\n"+s.text()+")")
	return name
}

// over begins a selection of all columns of a table.
func (p *Printer) over(table string, cols []core.Col) (*selection, error) {
	s := &selection{from: table, plain: true}
	for _, c := range cols {
		q, err := p.d.Ident(c.Name)
		if err != nil {
			return nil, err
		}
		s.cols, s.names = append(s.cols, q), append(s.names, q)
	}
	if len(cols) == 0 {
		s.cols = []string{"1"} // counted, not read
	}
	return s, nil
}

// input prints n as something that a new selection reads, unless it fits: then
// the selection itself is given to be added to.
func (p *Printer) input(n core.Plan, fits func(*selection) bool) (*selection, error) {
	s, err := p.plan(n)
	if err == nil && !fits(s) {
		s, err = p.over(p.cte(s), n.Cols())
	}
	if err != nil {
		return nil, err
	}
	p.json = s.json
	return s, nil
}

// reading prints n as the input of a node that reads the expressions. Texts of
// JSON that they read are made ready together.
func (p *Printer) reading(n core.Plan, reads ...*core.Expr) (*selection, error) {
	s, err := p.input(n, (*selection).filterable)
	if err != nil {
		return nil, err
	}
	if s, err = p.ready(s, n.Cols(), reads); err != nil {
		return nil, err
	}
	p.json = s.json
	return s, nil
}

// source prints n as a table to read from.
func (p *Printer) source(n core.Plan) (string, error) {
	s, err := p.plan(n)
	if err != nil {
		return "", err
	}
	if s.plain && len(s.where) == 0 && s.filterable() {
		return s.from, nil
	}
	return p.cte(s), nil
}

func (p *Printer) scan(n *core.Scan) (*selection, error) {
	s, err := p.over("events", n.Columns)
	if err != nil {
		return nil, err
	}
	for i, c := range n.Columns {
		if c.Type == core.Null {
			s.cols[i] = "CAST(NULL AS " + p.d.Types[core.Text] + ") AS " + s.names[i]
			s.plain = false
		}
	}
	at, err := p.d.Ident("_messagetime")
	if err != nil {
		return nil, err
	}
	if n.From != 0 {
		s.where = append(s.where, at+" >= "+strconv.FormatInt(n.From, 10))
	}
	if n.To != 0 {
		s.where = append(s.where, at+" < "+strconv.FormatInt(n.To, 10))
	}
	return s, p.where(s, n.Filter)
}

// where adds a condition, its parts a line each.
func (p *Printer) where(s *selection, cond *core.Expr) error {
	if cond == nil {
		return nil
	}
	if cond.Op == core.And {
		for _, a := range cond.Args {
			if err := p.where(s, a); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := p.pred(cond, false)
	s.where, s.costly = append(s.where, text), s.costly || costly(cond)
	return err
}

func (p *Printer) inlined(n *core.Inline) (*selection, error) {
	key := strings.ToLower(n.Name)
	if other, ok := p.inline[key]; ok && other != n || key == "events" {
		return nil, fmt.Errorf("two tables are called %q", n.Name)
	}
	p.inline[key] = n
	name, err := p.d.Ident(n.Name)
	if err != nil {
		return nil, err
	}
	return p.over(name, n.Columns)
}

func (p *Printer) filter(n *core.Filter) (*selection, error) {
	s, err := p.reading(n.In, n.Cond)
	if err != nil {
		return nil, err
	}
	return s, p.where(s, n.Cond)
}

func (p *Printer) project(n *core.Project) (*selection, error) {
	var reads []*core.Expr
	for _, o := range n.Out {
		reads = append(reads, o.Expr)
	}
	s, err := p.reading(n.In, reads...)
	if err != nil {
		return nil, err
	}
	s.cols, s.names = nil, nil
	for _, o := range n.Out {
		if err := p.item(s, o); err != nil {
			return nil, err
		}
	}
	if len(n.Out) == 0 {
		s.cols = []string{"1"}
	}
	return s, nil
}

// item adds one named expression to the select list.
func (p *Printer) item(s *selection, o core.Named) error {
	text, err := p.Value(o.Expr)
	if err != nil {
		return fmt.Errorf("column %q: %w", o.Name, err)
	}
	name, err := p.d.Ident(o.Name)
	if err != nil {
		return err
	}
	s.names = append(s.names, name)
	if text == name {
		s.cols = append(s.cols, name)
		return nil
	}
	s.cols, s.plain = append(s.cols, text+" AS "+name), false
	return nil
}

func (p *Printer) aggregate(n *core.Aggregate) (*selection, error) {
	var reads []*core.Expr
	for _, b := range n.By {
		reads = append(reads, b.Expr)
	}
	for _, a := range n.Aggs {
		reads = append(reads, a.Arg, a.If)
	}
	s, err := p.reading(n.In, reads...)
	if err != nil {
		return nil, err
	}
	s.cols, s.names, s.plain = nil, nil, false
	var places []string
	for i, b := range n.By {
		if err := p.item(s, b); err != nil {
			return nil, err
		}
		places = append(places, strconv.Itoa(i+1))
	}
	s.plain, s.group = false, strings.Join(places, ", ")
	for i := range n.Aggs {
		text, err := p.agg(&n.Aggs[i])
		if err != nil {
			return nil, fmt.Errorf("aggregate %q: %w", n.Aggs[i].Name, err)
		}
		name, err := p.d.Ident(n.Aggs[i].Name)
		if err != nil {
			return nil, err
		}
		s.cols, s.names = append(s.cols, text+" AS "+name), append(s.names, name)
	}
	return s, nil
}

func (p *Printer) agg(a *core.Agg) (string, error) {
	arg, cond, order := "", "", ""
	var err error
	if a.Arg != nil {
		if arg, err = p.Value(as(a.Arg, ofAgg(a.Fn))); err != nil {
			return "", err
		}
	}
	if a.If != nil {
		if cond, err = p.pred(a.If, false); err != nil {
			return "", err
		}
	}
	if p.d.Pick != nil && (a.Fn == core.First || a.Fn == core.Last) {
		return p.d.Pick(p, a, arg, filterClause(cond))
	}
	if len(a.Order) > 0 {
		if order, err = p.keys(a.Order); err != nil {
			return "", err
		}
	}
	return p.d.agg(a, arg, cond, order)
}

// agg fills in the row of an aggregate. $F is the condition as a clause, $C as
// a term that may follow another.
func (d *Dialect) agg(a *core.Agg, arg, cond, order string) (string, error) {
	t, ok := d.Aggs[a.Fn]
	if !ok {
		return "", fmt.Errorf("aggregate %d has no spelling", a.Fn)
	}
	clause, term := filterClause(cond), ""
	if cond != "" {
		term = " AND " + cond
	}
	if order != "" {
		order = " ORDER BY " + order
	}
	if a.Fn == core.Sum && a.Arg.Type != core.Int {
		t = d.Finite
		arg = "sum(" + arg + ")" + clause
	}
	param := strconv.FormatFloat(a.Param, 'f', -1, 64)
	if a.Fn == core.Pct {
		param = strconv.FormatFloat(a.Param/100, 'e', -1, 64)
	}
	return fill(t, []string{arg}, "$F", clause, "$C", term, "$O", order, "$N", param), nil
}

func filterClause(cond string) string {
	if cond == "" {
		return ""
	}
	return " FILTER (WHERE " + cond + ")"
}

// keys leaves out those that are constants: they order nothing, and some
// engines take a literal in that place for a mistake.
func (p *Printer) keys(keys []core.Key) (string, error) {
	var parts []string
	for _, k := range ordering(keys) {
		s, err := p.Value(k.Expr)
		if err != nil {
			return "", err
		}
		if k.Desc {
			s += " DESC"
		}
		parts = append(parts, s+" NULLS LAST")
	}
	return strings.Join(parts, ", "), nil
}

// ordering are the keys that may tell rows apart.
func ordering(keys []core.Key) (out []core.Key) {
	for _, k := range keys {
		if k.Expr.Op != core.Const && k.Expr.Type != core.Null {
			out = append(out, k)
		}
	}
	return out
}

func (p *Printer) window(n *core.Window) (*selection, error) {
	s, err := p.input(n.In, (*selection).filterable)
	if err != nil {
		return nil, err
	}
	over, err := p.overClause(n)
	if err != nil {
		return nil, err
	}
	arg := ""
	if n.Arg != nil {
		if arg, err = p.Value(as(n.Arg, ofWin(n.Fn))); err != nil {
			return nil, err
		}
	}
	t, ok := p.d.Wins[n.Fn]
	if !ok {
		return nil, fmt.Errorf("window function %d has no spelling", n.Fn)
	}
	name, err := p.d.Ident(n.Name)
	if err != nil {
		return nil, err
	}
	text := fill(t, []string{arg}, "$W", over, "$N", strconv.FormatInt(n.N, 10))
	if n.Type() == core.Float {
		text = fill(p.d.Finite, []string{text})
	}
	s.cols, s.names, s.plain = append(s.cols, text+" AS "+name), append(s.names, name), false
	return s, nil
}

func (p *Printer) overClause(n *core.Window) (string, error) {
	var parts []string
	if len(n.Partition) > 0 {
		by, err := p.values(n.Partition)
		if err != nil {
			return "", err
		}
		parts = append(parts, "PARTITION BY "+strings.Join(by, ", "))
	}
	if n.Fn != core.TotalSum {
		order, err := p.keys(n.Order)
		if err != nil {
			return "", err
		}
		if order != "" {
			parts = append(parts, "ORDER BY "+order)
		}
	}
	switch n.Fn {
	case core.MovAvg, core.MovStd, core.MovCount, core.MovSum, core.MovMin, core.MovMax:
		parts = append(parts, "ROWS BETWEEN "+bound(n.From)+" AND "+bound(n.To))
	}
	return "OVER (" + strings.Join(parts, " ") + ")", nil
}

// bound is one end of a frame.
func bound(n int64) string {
	switch {
	case n == math.MinInt64:
		return "UNBOUNDED PRECEDING"
	case n == math.MaxInt64:
		return "UNBOUNDED FOLLOWING"
	case n < 0:
		return strconv.FormatInt(-n, 10) + " PRECEDING"
	case n > 0:
		return strconv.FormatInt(n, 10) + " FOLLOWING"
	}
	return "CURRENT ROW"
}

func (p *Printer) sort(n *core.Sort) (*selection, error) {
	s, err := p.input(n.In, (*selection).orderable)
	if err != nil {
		return nil, err
	}
	s.order, err = p.keys(n.Keys)
	return s, err
}

func (p *Printer) limit(n *core.Limit) (*selection, error) {
	s, err := p.input(n.In, func(s *selection) bool { return !s.capped })
	if err != nil {
		return nil, err
	}
	if n.N < 0 {
		return nil, fmt.Errorf("a limit of %d rows", n.N)
	}
	if sort, ok := n.In.(*core.Sort); ok {
		if err := p.newest(s, ordering(sort.Keys), n.N); err != nil {
			return nil, err
		}
	}
	s.limit, s.capped = n.N, true
	return s, nil
}

func (p *Printer) join(n *core.Join) (*selection, error) {
	l, err := p.source(n.L)
	if err != nil {
		return nil, err
	}
	r, err := p.source(n.R)
	if err != nil {
		return nil, err
	}
	on, err := p.joinCond(n)
	if err != nil {
		return nil, err
	}
	lists := n.Kind == core.Left && p.d.Hit != "" && slices.ContainsFunc(n.R.Cols(), isList)
	if lists {
		r = fill(p.d.Hit, []string{r})
	}
	s, err := p.over(l+" AS l\n  "+p.d.Joins[n.Kind]+" "+r+" AS r ON "+on, n.Cols())
	if err != nil {
		return nil, err
	}
	for i := range s.cols {
		side := "l."
		if i >= len(n.L.Cols()) {
			side = "r."
		}
		s.cols[i] = side + s.cols[i]
		if lists && side == "r." && isList(n.Cols()[i]) {
			s.cols[i] = fill(p.d.Lost, []string{s.cols[i]}) + " AS " + s.names[i]
		}
	}
	s.plain = false // a column named by both sides would not be one
	return s, nil
}

func isList(c core.Col) bool { return c.Type == core.List }

func (p *Printer) joinCond(n *core.Join) (string, error) {
	p.json = nil
	defer func() { p.table = nil }()
	left, right := func(string) string { return "l" }, func(string) string { return "r" }
	var parts []string
	for _, pair := range n.On {
		p.table = left
		a, err := p.Value(as(pair[0], pair[1].Type))
		if err != nil {
			return "", err
		}
		p.table = right
		b, err := p.Value(as(pair[1], pair[0].Type))
		if err != nil {
			return "", err
		}
		parts = append(parts, a+" = "+b)
	}
	if n.Cond != nil {
		p.table = side(n.L.Cols())
		c, err := p.pred(n.Cond, false)
		if err != nil {
			return "", err
		}
		parts = append(parts, c)
	}
	if len(parts) == 0 {
		return "TRUE", nil
	}
	return strings.Join(parts, " AND "), nil
}

// side tells which table of a join has the column.
func side(left []core.Col) func(string) string {
	return func(name string) string {
		for _, c := range left {
			if c.Name == name {
				return "l"
			}
		}
		return "r"
	}
}

func (p *Printer) union(n *core.Union) (*selection, error) {
	if len(n.Ins) == 0 {
		return nil, fmt.Errorf("a union of nothing")
	}
	first, err := p.over("", n.Ins[0].Cols())
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, in := range n.Ins {
		table, err := p.source(in)
		if err != nil {
			return nil, err
		}
		items := slices.Clone(first.cols)
		for i, c := range in.Cols() {
			if t := n.Ins[0].Cols()[i].Type; c.Type == core.Null && t != core.Null {
				items[i] = "CAST(NULL AS " + p.d.Types[t] + ") AS " + items[i]
			}
		}
		parts = append(parts, "SELECT "+strings.Join(items, ", ")+" FROM "+table)
	}
	p.n++
	name := "s" + strconv.Itoa(p.n)
	p.ctes = append(p.ctes, name+" AS (\n"+strings.Join(parts, "\nUNION ALL\n")+")")
	return p.over(name, n.Cols())
}

func (p *Printer) unnest(n *core.Unnest) (*selection, error) {
	s, err := p.input(n.In, (*selection).filterable)
	if err != nil {
		return nil, err
	}
	list, err := p.Value(as(n.List, core.List))
	if err != nil {
		return nil, err
	}
	name, err := p.d.Ident(n.Name)
	if err != nil {
		return nil, err
	}
	s.cols, s.names, s.plain = append(s.cols, p.d.Row(list, n.Keep)+" AS "+name), append(s.names, name), false
	return s, nil
}
