package op

import (
	"slices"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
)

// host is what pruning must know of a stage outside the engine: the columns it
// reads, and what comes out of given columns.
type host struct {
	reads []string
	out   func(in []core.Col) []core.Col
}

// prune rebuilds the plan so that its nodes carry only what is needed above
// them. The result has the columns of need, and those that its last Sort or
// Limit reads.
func (b *builder) prune(p core.Plan, need []string) core.Plan {
	switch p := p.(type) {
	case *core.Sort:
		return &core.Sort{In: b.prune(p.In, with(need, keyExprs(p.Keys)...)), Keys: p.Keys}
	case *core.Limit:
		return &core.Limit{In: b.prune(p.In, need), N: p.N}
	}
	return narrow(b.pruned(p, need), need)
}

// narrow leaves out the columns that are only needed below.
func narrow(p core.Plan, need []string) core.Plan {
	cols := p.Cols()
	var out []core.Named
	for _, c := range cols {
		if slices.Contains(need, c.Name) {
			out = append(out, core.Named{Name: c.Name, Expr: core.C(c.Name, c.Type)})
		}
	}
	if len(out) == len(cols) || len(out) == 0 {
		return p
	}
	return &core.Project{In: p, Out: out}
}

// pruned gives a plan with the columns of need at least.
func (b *builder) pruned(p core.Plan, need []string) core.Plan {
	switch p := p.(type) {
	case *core.Scan:
		return pruneScan(p, need)
	case *core.Filter:
		return &core.Filter{In: b.pruned(p.In, with(need, p.Cond)), Cond: p.Cond}
	case *core.Project:
		return b.pruneProject(p, need)
	case *core.Aggregate:
		return b.pruneAggregate(p, need)
	case *core.Window:
		return b.pruneWindow(p, need)
	case *core.Sort:
		return &core.Sort{In: b.pruned(p.In, with(need, keyExprs(p.Keys)...)), Keys: p.Keys}
	case *core.Limit:
		return &core.Limit{In: b.pruned(p.In, need), N: p.N}
	case *core.Join:
		return b.pruneJoin(p, need)
	case *core.Union:
		return b.pruneUnion(p, need)
	case *core.Unnest:
		return &core.Unnest{In: b.pruned(p.In, with(without(need, p.Name), p.List)), List: p.List, Name: p.Name, Keep: p.Keep}
	case *core.Host:
		return b.pruneHost(p, need)
	}
	return p
}

// with adds the columns that the expressions read.
func with(need []string, exprs ...*core.Expr) []string {
	out := slices.Clone(need)
	for _, e := range exprs {
		core.Walk(e, func(x *core.Expr) {
			if x.Op == core.Column && !slices.Contains(out, x.Name) {
				out = append(out, x.Name)
			}
		})
	}
	return out
}

func without(need []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(need), func(s string) bool { return s == name })
}

func keyExprs(keys []core.Key) []*core.Expr {
	var out []*core.Expr
	for _, k := range keys {
		out = append(out, k.Expr)
	}
	return out
}

// pruneScan leaves at least one column, since rows must be counted by something.
// What the filter tells of the records' text is added here, when the filter is
// whole.
func pruneScan(p *core.Scan, need []string) core.Plan {
	s := *p
	if s.Filter != nil {
		s.Filter = prefiltered(s.Filter)
	}
	s.Columns = nil
	for _, c := range p.Columns {
		if slices.Contains(need, c.Name) {
			s.Columns = append(s.Columns, c)
		}
	}
	if len(s.Columns) == 0 {
		s.Columns = []core.Col{{Name: event.MessageTime.String(), Type: core.Int}}
	}
	return &s
}

// pruneProject vanishes when it would only pass columns on.
func (b *builder) pruneProject(p *core.Project, need []string) core.Plan {
	var out []core.Named
	var below []string
	same := true
	for _, n := range p.Out {
		if slices.Contains(need, n.Name) {
			out = append(out, n)
			below = with(below, n.Expr)
			same = same && n.Expr.Op == core.Column && n.Expr.Name == n.Name
		}
	}
	in := b.pruned(p.In, below)
	if same {
		return in
	}
	return &core.Project{In: in, Out: out}
}

func (b *builder) pruneAggregate(p *core.Aggregate, need []string) core.Plan {
	a := &core.Aggregate{By: p.By}
	var below []string
	for _, k := range p.By {
		below = with(below, k.Expr)
	}
	for i, agg := range p.Aggs {
		if slices.Contains(need, agg.Name) || i == len(p.Aggs)-1 && len(a.Aggs)+len(a.By) == 0 {
			a.Aggs = append(a.Aggs, agg)
			below = with(below, append(keyExprs(agg.Order), agg.Arg, agg.If)...)
		}
	}
	a.In = b.pruned(p.In, below)
	return a
}

func (b *builder) pruneWindow(p *core.Window, need []string) core.Plan {
	if !slices.Contains(need, p.Name) {
		return b.pruned(p.In, need)
	}
	w := *p
	below := with(without(need, p.Name), append(keyExprs(p.Order), p.Arg)...)
	w.In = b.pruned(p.In, with(below, p.Partition...))
	return &w
}

func (b *builder) pruneJoin(p *core.Join, need []string) core.Plan {
	j := *p
	need = with(need, p.Cond)
	left, right := need, need
	for _, on := range p.On {
		left, right = with(left, on[0]), with(right, on[1])
	}
	// The names of the two sides differ, but each is pruned to exactly its own, so
	// that columns which only one side's filters read do not meet.
	j.L = narrow(b.pruned(p.L, left), left)
	j.R = narrow(b.pruned(p.R, right), right)
	return &j
}

// pruneUnion gives all inputs the same columns in the same order.
func (b *builder) pruneUnion(p *core.Union, need []string) core.Plan {
	u := &core.Union{}
	for _, in := range p.Ins {
		pruned := b.pruned(in, need)
		var out []core.Named
		for _, c := range p.Cols() {
			if slices.Contains(need, c.Name) {
				out = append(out, core.Named{Name: c.Name, Expr: core.C(c.Name, c.Type)})
			}
		}
		u.Ins = append(u.Ins, &core.Project{In: pruned, Out: out})
	}
	return u
}

func (b *builder) pruneHost(p *core.Host, need []string) core.Plan {
	h := *p
	known, ok := b.hosts[p]
	if !ok {
		var all []string
		for _, c := range p.In.Cols() {
			all = append(all, c.Name)
		}
		h.In = b.prune(p.In, all)
		return &h
	}
	var below []string
	for _, c := range p.In.Cols() {
		if slices.Contains(need, c.Name) || slices.Contains(known.reads, c.Name) {
			below = append(below, c.Name)
		}
	}
	h.In = b.prune(p.In, below)
	h.Out = known.out(h.In.Cols())
	return &h
}
