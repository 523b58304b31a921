package eval

import (
	"gatehouse/internal/query/core"
)

func window(w *core.Window, in *Table, o *output) error {
	keys, err := in.values(w.Partition)
	if err != nil {
		return err
	}
	arg := core.NullOf(core.Int)
	if w.Arg != nil {
		arg = w.Arg
	}
	args, err := in.values([]*core.Expr{arg})
	if err != nil {
		return err
	}
	at, by, err := in.sorted(w.Order)
	if err != nil {
		return err
	}
	ordered := make([][]Value, len(at)) // the partitions' keys, in order
	for n, i := range at {
		ordered[n] = keys[i]
	}
	column := make([]Value, len(in.Rows))
	for _, members := range groups(ordered) {
		p := partition{w: w, before: order(w.Order)}
		for _, n := range members {
			p.values, p.by = append(p.values, args[at[n]][0]), append(p.by, by[at[n]])
		}
		for k, n := range members {
			column[at[n]] = p.at(k)
			if err := o.x.ctx.Err(); err != nil {
				return err
			}
		}
	}
	for i, row := range in.Rows {
		if err := o.add(beside(row, column[i])); err != nil {
			return err
		}
	}
	return nil
}

// partition is the rows that a window sees, in its order.
type partition struct {
	w      *core.Window
	values []Value   // of Arg
	by     [][]Value // of Order
	before func(a, b []Value) int
	rank   int64
	whole  *Value // of TotalSum, once known
}

// moving are the functions of a frame.
var moving = map[core.WinFn]func([]Value) Value{
	core.MovAvg:   mean,
	core.MovStd:   deviation,
	core.MovCount: count,
	core.MovSum:   sum,
	core.MovMin:   func(v []Value) Value { return least(v, 1) },
	core.MovMax:   func(v []Value) Value { return least(v, -1) },
}

// at is the value in row k. Rows are asked for in order.
func (p *partition) at(k int) Value {
	switch p.w.Fn {
	case core.RowNumber:
		return IntValue(int64(k + 1))
	case core.Rank:
		if k == 0 || p.before(p.by[k-1], p.by[k]) != 0 {
			p.rank = int64(k + 1)
		}
		return IntValue(p.rank)
	case core.Lag:
		if p.w.N > int64(k) {
			return Value{}
		}
		return p.values[k-int(p.w.N)]
	case core.TotalSum:
		if p.whole == nil {
			s := sum(p.values)
			p.whole = &s
		}
		return *p.whole
	}
	return moving[p.w.Fn](p.frame(k))
}

// frame is the rows from From to To beside row k, as far as there are any.
func (p *partition) frame(k int) []Value {
	n := int64(len(p.values))
	from := max(p.w.From, -int64(k)) + int64(k)
	to := min(p.w.To, n-1-int64(k)) + int64(k) + 1
	if from >= to {
		return nil
	}
	return p.values[min(from, n):min(to, n)]
}
