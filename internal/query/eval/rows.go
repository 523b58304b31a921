package eval

import (
	"fmt"

	"gatehouse/internal/query/core"
)

// The nodes that make rows one by one.

func inline(rows [][]any, o *output) error {
	for _, row := range rows {
		values, err := fromAny(row, o.Cols)
		if err == nil {
			err = o.add(values)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func filter(f *core.Filter, in *Table, o *output) error {
	cond, err := Compile(f.Cond, in.Cols)
	if err != nil {
		return err
	}
	return in.each(func(r *Row) error {
		if cond.True(r) {
			return o.add(r.values)
		}
		return nil
	})
}

// each calls f for every row. What f asks of the row may not outgrow bounds.
func (t *Table) each(f func(*Row) error) error {
	var r Row
	for _, row := range t.Rows {
		r.Set(row)
		if err := first(f(&r), r.Err()); err != nil {
			return err
		}
	}
	return nil
}

// columns compiles expressions over the rows of t.
func (t *Table) columns(exprs []*core.Expr) ([]*Func, error) {
	fns := make([]*Func, len(exprs))
	for i, e := range exprs {
		f, err := Compile(e, t.Cols)
		if err != nil {
			return nil, err
		}
		fns[i] = f
	}
	return fns, nil
}

// values gives, for every row of t, what the expressions come to.
func (t *Table) values(exprs []*core.Expr) ([][]Value, error) {
	fns, err := t.columns(exprs)
	if err != nil {
		return nil, err
	}
	rows := make([][]Value, 0, len(t.Rows))
	err = t.each(func(r *Row) error {
		row := make([]Value, len(fns))
		for i, f := range fns {
			row[i] = f.Value(r)
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

func exprs(named []core.Named) []*core.Expr {
	list := make([]*core.Expr, len(named))
	for i, n := range named {
		list[i] = n.Expr
	}
	return list
}

func project(p *core.Project, in *Table, o *output) error {
	fns, err := in.columns(exprs(p.Out))
	if err != nil {
		return err
	}
	return in.each(func(r *Row) error {
		row := make([]Value, len(fns))
		for i, f := range fns {
			row[i] = f.Value(r)
		}
		return o.add(row)
	})
}

func union(ins []*Table, o *output) error {
	for _, in := range ins {
		for _, row := range in.Rows {
			if err := o.add(row); err != nil {
				return err
			}
		}
	}
	return nil
}

func unnest(u *core.Unnest, in *Table, o *output) error {
	list, err := Compile(u.List, in.Cols)
	if err != nil {
		return err
	}
	return in.each(func(r *Row) error {
		items := list.Value(r).L
		if len(items) == 0 && u.Keep {
			return o.add(beside(r.values, Value{}))
		}
		for _, s := range items {
			if err := o.add(beside(r.values, TextValue(s))); err != nil {
				return err
			}
		}
		return nil
	})
}

// beside is a new row: a, then b.
func beside(a []Value, b ...Value) []Value {
	return append(append(make([]Value, 0, len(a)+len(b)), a...), b...)
}

func (x *runner) host(h *core.Host, in *Table, o *output) error {
	if h.MaxRows > 0 && int64(len(in.Rows)) > h.MaxRows {
		return &BudgetError{Budget{Rows: int(h.MaxRows), Bytes: x.budget.Bytes}}
	}
	rows := make([][]any, len(in.Rows))
	for i, row := range in.Rows {
		rows[i] = make([]any, len(row))
		for k, v := range row {
			rows[i][k] = v.Any()
		}
	}
	cols, res, warnings, err := h.Run(in.Cols, rows)
	x.warnings = append(x.warnings, warnings...)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if o.Cols = cols; h.Out != nil {
		o.Cols = h.Out
	}
	if err := first(checkNames(o.Cols), inline(res, o)); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}
