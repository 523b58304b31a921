package eval

import (
	"slices"

	"gatehouse/internal/query/core"
)

// order compares two rows of the values of keys. Nulls come last, both ways.
func order(keys []core.Key) func(a, b []Value) int {
	return func(a, b []Value) int {
		for i, k := range keys {
			c := compareKey(a[i], b[i], k.Desc)
			if c != 0 {
				return c
			}
		}
		return 0
	}
}

func compareKey(a, b Value, desc bool) int {
	switch {
	case a.IsNull() && b.IsNull():
		return 0
	case a.IsNull():
		return 1
	case b.IsNull():
		return -1
	case desc:
		return compare(b, a)
	}
	return compare(a, b)
}

func keyExprs(keys []core.Key) []*core.Expr {
	list := make([]*core.Expr, len(keys))
	for i, k := range keys {
		list[i] = k.Expr
	}
	return list
}

// sorted gives the numbers of t's rows in the order of keys; equal ones stay as
// they stand.
func (t *Table) sorted(keys []core.Key) ([]int, [][]Value, error) {
	by, err := t.values(keyExprs(keys))
	if err != nil {
		return nil, nil, err
	}
	at := make([]int, len(t.Rows))
	for i := range at {
		at[i] = i
	}
	before := order(keys)
	slices.SortStableFunc(at, func(i, k int) int { return before(by[i], by[k]) })
	return at, by, nil
}

func sortRows(s *core.Sort, in *Table, o *output) error {
	at, _, err := in.sorted(s.Keys)
	for _, i := range at {
		o.Rows = append(o.Rows, in.Rows[i])
	}
	return err
}
