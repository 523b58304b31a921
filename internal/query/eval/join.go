package eval

import (
	"gatehouse/internal/query/core"
)

func join(j *core.Join, l, r *Table, o *output) error {
	left, err := l.joinKeys(j, 0)
	if err != nil {
		return err
	}
	right, err := r.joinKeys(j, 1)
	if err != nil {
		return err
	}
	cond := core.BoolOf(true)
	if j.Cond != nil {
		cond = j.Cond
	}
	holds, err := Compile(cond, plus(l.Cols, r.Cols...))
	if err != nil {
		return err
	}
	partners := map[string][]int{}
	for i, key := range right {
		if key != nil {
			partners[string(key)] = append(partners[string(key)], i)
		}
	}
	for i, row := range l.Rows {
		var at []int
		if left[i] != nil {
			at = partners[string(left[i])]
		}
		if err := joinRow(j.Kind, row, r, at, holds, o); err != nil {
			return err
		}
	}
	return nil
}

// joinRow pairs a left row with those right rows whose keys are equal.
func joinRow(kind core.JoinKind, row []Value, r *Table, at []int, holds *Func, o *output) error {
	var pair Row
	found := false
	for _, k := range at {
		both := beside(row, r.Rows[k]...)
		pair.Set(both)
		match := holds.True(&pair)
		if err := first(pair.Err(), o.x.ctx.Err()); err != nil {
			return err
		}
		if !match {
			continue
		}
		found = true
		if kind == core.Semi || kind == core.Anti {
			break
		}
		if err := o.add(both); err != nil {
			return err
		}
	}
	switch {
	case kind == core.Left && !found:
		return o.add(beside(row, make([]Value, len(r.Cols))...))
	case kind == core.Semi && found, kind == core.Anti && !found:
		return o.add(row)
	}
	return nil
}

// joinKeys are the keys of a side's rows, nil where one of On is null, which
// equals nothing.
func (t *Table) joinKeys(j *core.Join, side int) ([][]byte, error) {
	on := make([]*core.Expr, len(j.On))
	for i, pair := range j.On {
		on[i] = pair[side]
		if pair[0].Type != pair[1].Type && on[i].Type == core.Int { // an Int equals a Float
			on[i] = core.Do(core.ToFloat, on[i])
		}
	}
	rows, err := t.values(on)
	keys := make([][]byte, len(rows))
	for i, row := range rows {
		keys[i] = []byte{}
		for _, v := range row {
			if v.IsNull() {
				keys[i] = nil
				break
			}
			keys[i] = appendKey(keys[i], v)
		}
	}
	return keys, err
}
