package eval

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"gatehouse/internal/query/core"
)

// A Table is what a plan gives. Rows are in order if the plan sorts last, and
// otherwise as they came.
type Table struct {
	Cols     []core.Col
	Rows     [][]Value
	Warnings []string // of Hosts
}

// A Source gives the rows of the table of events: all that a scan might want, of
// exactly its columns. It may heed the scan's bounds or not; Run applies them.
// Run asks for what a filter reads too, so the columns are not always those of
// the plan's own node. Rows may be used again for the next.
type Source func(scan *core.Scan) iter.Seq[[]Value]

// Budget bounds what every node of a plan may give. A zero field takes the
// default.
type Budget struct {
	Rows  int   // 100,000
	Bytes int64 // 512 MiB, texts counted in every cell that has them
}

// A BudgetError is the end of a plan that wanted more.
type BudgetError struct{ Budget Budget }

func (e *BudgetError) Error() string {
	return fmt.Sprintf("a stage has more than %d rows or %d MiB", e.Budget.Rows, e.Budget.Bytes>>20)
}

// Run runs the plan over the source. It checks the plan first. Errors are those
// of Check, a *BudgetError, ErrText, the context's, or a Host's.
func Run(ctx context.Context, plan core.Plan, source Source, budget Budget) (*Table, error) {
	if err := Check(plan); err != nil {
		return nil, err
	}
	if budget.Rows == 0 {
		budget.Rows = 100_000
	}
	if budget.Bytes == 0 {
		budget.Bytes = 512 << 20
	}
	x := &runner{ctx: ctx, source: source, budget: budget, done: map[core.Plan]*Table{}}
	t, err := x.plan(plan)
	if err != nil {
		return nil, err
	}
	return &Table{t.Cols, t.Rows, x.warnings}, nil
}

// runner is one Run. It runs a node that others share once.
type runner struct {
	ctx      context.Context
	source   Source
	budget   Budget
	done     map[core.Plan]*Table
	warnings []string
}

func (x *runner) plan(p core.Plan) (*Table, error) {
	if t := x.done[p]; t != nil {
		return t, nil
	}
	var ins []*Table
	var cols [][]core.Col
	for _, in := range p.Inputs() {
		t, err := x.plan(in)
		if err != nil {
			return nil, err
		}
		ins, cols = append(ins, t), append(cols, t.Cols)
	}
	out, err := nodeCols(p, cols) // again, now that Hosts have run
	if err != nil {
		return nil, err
	}
	o := &output{Table: Table{Cols: out}, x: x}
	if err := x.node(p, ins, o); err != nil {
		return nil, err
	}
	x.done[p] = &o.Table
	return &o.Table, nil
}

// output is the table that a node is making.
type output struct {
	Table
	x     *runner
	bytes int64
}

// cell is what a Value takes.
const cell = 64

// add takes one more row, as long as there is room and time.
func (o *output) add(row []Value) error {
	for i := range row {
		o.bytes += cell + int64(len(row[i].S))
		for _, s := range row[i].L {
			o.bytes += 16 + int64(len(s))
		}
	}
	if len(o.Rows) >= o.x.budget.Rows || o.bytes > o.x.budget.Bytes {
		return &BudgetError{o.x.budget}
	}
	o.Rows = append(o.Rows, row)
	return o.x.ctx.Err()
}

func (x *runner) node(p core.Plan, ins []*Table, o *output) error {
	switch p := p.(type) {
	case *core.Scan:
		return x.scan(p, o)
	case *core.Inline:
		return inline(p.Rows, o)
	case *core.Filter:
		return filter(p, ins[0], o)
	case *core.Project:
		return project(p, ins[0], o)
	case *core.Aggregate:
		return aggregate(p, ins[0], o)
	case *core.Window:
		return window(p, ins[0], o)
	case *core.Sort:
		return sortRows(p, ins[0], o)
	case *core.Limit:
		o.Rows = ins[0].Rows[:min(p.N, int64(len(ins[0].Rows)))]
		return nil
	case *core.Join:
		return join(p, ins[0], ins[1], o)
	case *core.Union:
		return union(ins, o)
	case *core.Unnest:
		return unnest(p, ins[0], o)
	}
	return x.host(p.(*core.Host), ins[0], o)
}

func (x *runner) scan(s *core.Scan, o *output) error {
	if x.source == nil {
		return errors.New("there is no table of events to scan")
	}
	need := *s
	need.Columns = scanned(s)
	keep, err := scanFilter(s, need.Columns)
	if err != nil {
		return err
	}
	var r Row
	for row := range x.source(&need) {
		if r.Set(row); keep.True(&r) {
			own := make([]Value, len(s.Columns))
			copy(own, row)
			if err := o.add(own); err != nil {
				return err
			}
		}
		if err := first(x.ctx.Err(), r.Err()); err != nil {
			return err
		}
	}
	return nil
}

// scanFilter is a scan's filter with the bounds of time, which a row without a
// time does not meet.
func scanFilter(s *core.Scan, cols []core.Col) (*Func, error) {
	when := core.C(timeColumn, core.Int)
	cond := core.Do(core.And)
	if s.From != 0 {
		cond.Args = append(cond.Args, core.Do(core.LeNum, core.IntOf(s.From), when))
	}
	if s.To != 0 {
		cond.Args = append(cond.Args, core.Do(core.LtNum, when, core.IntOf(s.To)))
	}
	if s.Filter != nil {
		cond.Args = append(cond.Args, s.Filter)
	}
	return Compile(cond, cols)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
