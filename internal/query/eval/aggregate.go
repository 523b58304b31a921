package eval

import (
	"math"
	"slices"

	"gatehouse/internal/query/core"
)

// groups are the numbers of rows that have equal keys, in the order in which
// the first of each came.
func groups(keys [][]Value) [][]int {
	var list [][]int
	at := map[string]int{}
	var key []byte
	for i, k := range keys {
		key = key[:0]
		for _, v := range k {
			key = appendKey(key, v)
		}
		g, ok := at[string(key)]
		if !ok {
			g = len(list)
			at[string(key)] = g
			list = append(list, nil)
		}
		list[g] = append(list[g], i)
	}
	return list
}

func aggregate(a *core.Aggregate, in *Table, o *output) error {
	keys, err := in.values(exprs(a.By))
	if err != nil {
		return err
	}
	members := groups(keys)
	if len(a.By) == 0 && len(members) == 0 {
		members = [][]int{nil}
	}
	columns := make([][]Value, len(a.Aggs)) // by aggregate, by group
	for i := range a.Aggs {
		if columns[i], err = in.aggregate(&a.Aggs[i], members); err != nil {
			return err
		}
	}
	for g, rows := range members {
		row := make([]Value, 0, len(o.Cols))
		if len(rows) > 0 {
			row = append(row, keys[rows[0]]...)
		}
		for i := range a.Aggs {
			row = append(row, columns[i][g])
		}
		if err := o.add(row); err != nil {
			return err
		}
	}
	return nil
}

// aggregate gives the value of one aggregate for each group of rows.
func (t *Table) aggregate(g *core.Agg, members [][]int) ([]Value, error) {
	at, _, err := t.sorted(g.Order)
	if err != nil {
		return nil, err
	}
	place := make([]int, len(at)) // of each row by Order
	for n, i := range at {
		place[i] = n
	}
	cond, arg := core.BoolOf(true), core.IntOf(1)
	if g.If != nil {
		cond = g.If
	}
	if g.Fn != core.CountAll {
		arg = g.Arg
	}
	rows, err := t.values([]*core.Expr{cond, arg})
	if err != nil {
		return nil, err
	}
	out := make([]Value, len(members))
	for i, members := range members {
		members = slices.Clone(members)
		slices.SortFunc(members, func(i, k int) int { return place[i] - place[k] })
		var values []Value
		for _, n := range members {
			if rows[n][0].N != 0 {
				values = append(values, rows[n][1])
			}
		}
		out[i] = aggregates[g.Fn](values, g)
	}
	return out, nil
}

// aggregates give the aggregate of a group's values, in order.
var aggregates = map[core.AggFn]func(values []Value, g *core.Agg) Value{
	core.CountAll:      func(v []Value, _ *core.Agg) Value { return IntValue(int64(len(v))) },
	core.Count:         func(v []Value, _ *core.Agg) Value { return count(v) },
	core.CountDistinct: func(v []Value, _ *core.Agg) Value { return countDistinct(v) },
	core.Sum: func(v []Value, g *core.Agg) Value {
		if g.Arg.Type == core.Int {
			return sumInts(v)
		}
		return sum(v)
	},
	core.Avg:    func(v []Value, _ *core.Agg) Value { return mean(v) },
	core.Min:    func(v []Value, _ *core.Agg) Value { return least(v, 1) },
	core.Max:    func(v []Value, _ *core.Agg) Value { return least(v, -1) },
	core.StdDev: func(v []Value, _ *core.Agg) Value { return deviation(v) },
	core.Pct:    func(v []Value, g *core.Agg) Value { return percentile(v, g.Param) },
	core.Values: func(v []Value, g *core.Agg) Value { return distinct(v, int(g.Param)) },
	core.First: func(v []Value, _ *core.Agg) Value {
		if len(v) == 0 {
			return Value{}
		}
		return v[0]
	},
	core.Last: func(v []Value, _ *core.Agg) Value {
		if len(v) == 0 {
			return Value{}
		}
		return v[len(v)-1]
	},
}

func count(values []Value) Value {
	var n int64
	for _, v := range values {
		if !v.IsNull() {
			n++
		}
	}
	return IntValue(n)
}

func countDistinct(values []Value) Value {
	seen := map[string]bool{}
	for _, v := range values {
		if !v.IsNull() {
			seen[string(appendKey(nil, v))] = true
		}
	}
	return IntValue(int64(len(seen)))
}

// sumInts is null when the sum is no int64, in whatever order: it adds the
// halves of the integers apart.
func sumInts(values []Value) Value {
	var high, low int64
	some := false
	for _, v := range values {
		if !v.IsNull() {
			high, low, some = high+v.N>>32, low+v.N&math.MaxUint32, true
		}
	}
	high += low >> 32
	if !some || high != int64(int32(high)) {
		return Value{}
	}
	return IntValue(high<<32 | low&math.MaxUint32)
}

// floats are the numbers among values.
func floats(values []Value) []float64 {
	list := make([]float64, 0, len(values))
	for _, v := range values {
		switch v.Type {
		case core.Int:
			list = append(list, float64(v.N))
		case core.Float:
			list = append(list, v.F)
		}
	}
	return list
}

// total adds with the error carried along (Neumaier), so that it hardly depends
// on the order.
func total(list []float64) float64 {
	var s, lost float64
	for _, x := range list {
		t := s + x
		if math.Abs(s) >= math.Abs(x) {
			lost += (s - t) + x
		} else {
			lost += (x - t) + s
		}
		s = t
	}
	return s + lost
}

func sum(values []Value) Value {
	list := floats(values)
	if len(list) == 0 {
		return Value{}
	}
	return FloatValue(total(list))
}

func mean(values []Value) Value {
	list := floats(values)
	if len(list) == 0 {
		return Value{}
	}
	return FloatValue(total(list) / float64(len(list)))
}

// deviation is that of the population.
func deviation(values []Value) Value {
	list := floats(values)
	if len(list) == 0 {
		return Value{}
	}
	m := total(list) / float64(len(list))
	for i, x := range list {
		list[i] = (x - m) * (x - m)
	}
	return FloatValue(math.Sqrt(total(list) / float64(len(list))))
}

// least is the first value by order times sign.
func least(values []Value, sign int) Value {
	var best Value
	for _, v := range values {
		if !v.IsNull() && (best.IsNull() || compare(v, best)*sign < 0) {
			best = v
		}
	}
	return best
}

// percentile is linear between the two nearest ranks.
func percentile(values []Value, p float64) Value {
	list := floats(values)
	if len(list) == 0 {
		return Value{}
	}
	slices.Sort(list)
	rank := p / 100 * float64(len(list)-1)
	low := math.Floor(rank)
	a, b := list[int(low)], list[int(math.Ceil(rank))]
	return FloatValue(a + (b-a)*(rank-low))
}

func distinct(values []Value, most int) Value {
	list := []string{}
	for _, v := range values {
		if !v.IsNull() {
			list = append(list, v.S)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return ListValue(list[:min(most, len(list))])
}
