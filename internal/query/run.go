package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/sql"
)

// A Job is one plan and what it may see and spend. Files are those of
// lake.Request, and so are Budget and Progress.
type Job struct {
	Plan     core.Plan
	Files    []string
	From, To time.Time // of SQL: what a statement may see; a plan says it itself
	Budget   lake.Budget
	Progress func(float64)
}

// Run runs a plan on an engine. Stages that engines cannot run (core.Host) are
// run here, over rows that the engine gives, before what follows them; the
// budget's time is for all of it together, its memory and rows for each
// statement. A *lake.BudgetError ends what is too large, whether Run or the
// reading of rows meets it.
func Run(ctx context.Context, e lake.Engine, j Job) (*Rows, error) {
	d, err := sql.ByName(e.Dialect())
	if err != nil {
		return nil, err
	}
	j.Budget = j.Budget.WithDefaults()
	r := &runner{e: e, d: d, job: j, start: time.Now(), done: map[core.Plan]core.Plan{}}
	plan, err := r.withoutHosts(ctx, j.Plan)
	if err != nil {
		return nil, err
	}
	if _, ok := plan.(*core.Sort); ok { // what is beyond the budget need not be sorted
		plan = &core.Limit{In: plan, N: j.Budget.Rows + 1}
	}
	rows, err := r.rows(ctx, plan, j.Budget.Rows)
	if err != nil {
		return nil, err
	}
	rows.Warnings = r.warnings
	return rows, nil
}

// SQL runs a statement of the user's own.
func SQL(ctx context.Context, e lake.Engine, statement string, j Job) (*Rows, error) {
	in, err := e.Query(ctx, lake.Request{SQL: statement, Files: j.Files, From: j.From, To: j.To, Budget: j.Budget.WithDefaults(), Progress: j.Progress})
	if err != nil {
		return nil, err
	}
	rows := &Rows{in: in}
	for _, c := range in.Columns() {
		rows.Cols = append(rows.Cols, core.Col{Name: c.Name, Type: typeOf(c)})
	}
	return rows, nil
}

// Explain gives the statements that Run would start. What follows a stage that
// runs outside the engine reads a table of the columns that it is known to give.
func Explain(plan core.Plan, d *sql.Dialect) ([]string, error) {
	var out []string
	seen := map[core.Plan]core.Plan{}
	var walk func(core.Plan) (core.Plan, error)
	walk = func(n core.Plan) (core.Plan, error) {
		return rewrite(n, seen, walk, func(h *core.Host) (core.Plan, error) {
			text, err := sql.Print(h.In, d)
			out = append(out, text)
			return &core.Inline{Name: hostTable(len(out)), Columns: h.Out}, err
		})
	}
	top, err := walk(plan)
	if err != nil {
		return nil, err
	}
	if _, host := top.(*core.Inline); host && len(out) > 0 {
		return out, nil
	}
	text, err := sql.Print(top, d)
	return append(out, text), err
}

func hostTable(n int) string { return "stage_" + strconv.Itoa(n) }

// runner is one Run.
type runner struct {
	e        lake.Engine
	d        *sql.Dialect
	job      Job
	start    time.Time
	done     map[core.Plan]core.Plan // nodes already made free of hosts
	hosts    int
	warnings []string
}

// rewrite makes a node anew over its inputs as walk gives them, with host in
// the place of a Host. What has no Host below stays itself.
func rewrite(n core.Plan, done map[core.Plan]core.Plan, walk func(core.Plan) (core.Plan, error), host func(*core.Host) (core.Plan, error)) (core.Plan, error) {
	if m, ok := done[n]; ok {
		return m, nil
	}
	changed := false
	ins := make([]core.Plan, len(n.Inputs()))
	for i, in := range n.Inputs() {
		m, err := walk(in)
		if err != nil {
			return nil, err
		}
		ins[i], changed = m, changed || m != in
	}
	out := n
	if changed {
		out = over(n, ins)
	}
	if h, ok := out.(*core.Host); ok {
		var err error
		if out, err = host(h); err != nil {
			return nil, err
		}
	}
	done[n] = out
	return out, nil
}

// over is n reading other inputs. Nodes are never changed, so it is a copy.
func over(n core.Plan, ins []core.Plan) core.Plan {
	switch n := n.(type) {
	case *core.Filter:
		c := *n
		c.In = ins[0]
		return &c
	case *core.Project:
		c := *n
		c.In = ins[0]
		return &c
	case *core.Aggregate:
		c := *n
		c.In = ins[0]
		return &c
	case *core.Window:
		c := *n
		c.In = ins[0]
		return &c
	case *core.Sort:
		c := *n
		c.In = ins[0]
		return &c
	case *core.Limit:
		c := *n
		c.In = ins[0]
		return &c
	case *core.Unnest:
		c := *n
		c.In = ins[0]
		return &c
	case *core.Host:
		c := *n
		c.In = ins[0]
		return &c
	case *core.Join:
		c := *n
		c.L, c.R = ins[0], ins[1]
		return &c
	case *core.Union:
		return &core.Union{Ins: ins}
	}
	return n
}

// withoutHosts runs each Host in the plan, the deepest first, and puts a table
// of its rows in its place.
func (r *runner) withoutHosts(ctx context.Context, n core.Plan) (core.Plan, error) {
	return rewrite(n, r.done,
		func(in core.Plan) (core.Plan, error) { return r.withoutHosts(ctx, in) },
		func(h *core.Host) (core.Plan, error) { return r.host(ctx, h) })
}

func (r *runner) host(ctx context.Context, h *core.Host) (core.Plan, error) {
	in, err := r.rows(ctx, h.In, h.MaxRows)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", h.Name, err)
	}
	rows, err := in.All()
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", h.Name, err)
	}
	cols, out, warnings, err := h.Run(in.Cols, rows)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", h.Name, err)
	}
	r.warnings = append(r.warnings, warnings...)
	r.hosts++
	return &core.Inline{Name: hostTable(r.hosts), Columns: cols, Rows: out}, nil
}

// rows starts one statement. A plan that is a table already needs no engine.
func (r *runner) rows(ctx context.Context, plan core.Plan, most int64) (*Rows, error) {
	budget := r.job.Budget
	if most > 0 {
		budget.Rows = most
	}
	if t, ok := plan.(*core.Inline); ok {
		return &Rows{Cols: t.Columns, table: t.Rows, budget: budget}, nil
	}
	text, err := sql.Print(plan, r.d)
	if err != nil {
		return nil, err
	}
	budget.Time -= time.Since(r.start)
	if budget.Time <= 0 {
		return nil, &lake.BudgetError{Spent: lake.SpentTime, Budget: r.job.Budget}
	}
	in, err := r.e.Query(ctx, lake.Request{SQL: text, Files: r.job.Files, Temps: temps(plan), Budget: budget, Progress: r.job.Progress})
	if err != nil {
		return nil, whole(err, r.job.Budget)
	}
	return &Rows{Cols: plan.Cols(), in: in, budget: r.job.Budget}, nil
}

// whole names the whole budget where a statement ran into what was left of it.
func whole(err error, b lake.Budget) error {
	var spent *lake.BudgetError
	if errors.As(err, &spent) && spent.Spent == lake.SpentTime {
		return &lake.BudgetError{Spent: spent.Spent, Budget: b}
	}
	return err
}

// temps collects the tables that a plan reads by name.
func temps(plan core.Plan) []lake.Temp {
	var out []lake.Temp
	seen := map[core.Plan]bool{}
	var walk func(core.Plan)
	walk = func(n core.Plan) {
		if seen[n] {
			return
		}
		seen[n] = true
		if t, ok := n.(*core.Inline); ok {
			out = append(out, temp(t))
		}
		for _, in := range n.Inputs() {
			walk(in)
		}
	}
	walk(plan)
	return out
}

var kinds = [...]event.Kind{core.Null: event.None, core.Bool: event.Bool, core.Int: event.Int, core.Float: event.Float, core.Text: event.Text, core.List: event.Text}

func temp(t *core.Inline) lake.Temp {
	out := lake.Temp{Name: t.Name, Rows: make([][]event.Value, len(t.Rows))}
	for _, c := range t.Columns {
		out.Columns = append(out.Columns, lake.Col{Name: c.Name, Kind: kinds[c.Type], List: c.Type == core.List})
	}
	for i, row := range t.Rows {
		out.Rows[i] = make([]event.Value, len(t.Columns))
		for j := range t.Columns {
			if j < len(row) {
				out.Rows[i][j] = toEvent(row[j])
			}
		}
	}
	return out
}

func toEvent(v any) event.Value {
	switch v := v.(type) {
	case bool:
		if v {
			return event.Value{Kind: event.Bool, N: 1}
		}
		return event.Value{Kind: event.Bool}
	case int64:
		return event.Value{Kind: event.Int, N: v}
	case float64:
		return event.Value{Kind: event.Float, F: v}
	case string:
		return event.Value{Kind: event.Text, S: v}
	case []string:
		text, err := json.Marshal(append([]string{}, v...))
		if err == nil {
			return event.Value{Kind: event.Text, S: string(text)}
		}
	}
	return event.Value{}
}

func typeOf(c lake.Col) core.Type {
	switch {
	case c.List:
		return core.List
	case c.Kind == event.Bool:
		return core.Bool
	case c.Kind == event.Int:
		return core.Int
	case c.Kind == event.Float:
		return core.Float
	}
	return core.Text
}

// Rows is a result being read, by one goroutine. Values are nil, bool, int64,
// float64, string or, in columns of lists, []string.
type Rows struct {
	Cols     []core.Col
	Warnings []string

	in     lake.Rows // or nil, and the rows are
	table  [][]any
	budget lake.Budget
	cells  []event.Value
	read   int64
	err    error
}

// Next gives a row of its own, or nil at the end or at an error.
func (r *Rows) Next() []any {
	if r.in == nil {
		return r.nextOfTable()
	}
	if r.cells == nil {
		r.cells = make([]event.Value, len(r.in.Columns()))
	}
	if !r.in.Next(r.cells) {
		return nil
	}
	row := make([]any, len(r.Cols))
	for i, c := range r.Cols {
		if i < len(r.cells) {
			row[i] = fromEvent(r.cells[i], c.Type)
		}
	}
	return row
}

func (r *Rows) nextOfTable() []any {
	if len(r.table) == 0 || r.err != nil {
		return nil
	}
	if r.read == r.budget.Rows {
		r.err = &lake.BudgetError{Spent: lake.SpentRows, Budget: r.budget}
		return nil
	}
	row := r.table[0]
	r.table = r.table[1:]
	r.read++
	return row
}

// Err is what ended the rows, or nil.
func (r *Rows) Err() error {
	if r.in != nil {
		if err := r.in.Err(); err != nil {
			return whole(err, r.budget)
		}
	}
	return r.err
}

// Close frees the query; it may be called again.
func (r *Rows) Close() error {
	if r.in == nil {
		return nil
	}
	return r.in.Close()
}

// Shown are the columns of those names, and where each stands in a row; no
// names: all columns. A plan may have columns that are not for showing.
func (r *Rows) Shown(names []string) (cols []core.Col, at []int) {
	for i, c := range r.Cols {
		if names == nil {
			cols, at = append(cols, c), append(at, i)
		}
	}
	for _, name := range names {
		for i, c := range r.Cols {
			if strings.EqualFold(c.Name, name) {
				cols, at = append(cols, core.Col{Name: name, Type: c.Type}), append(at, i)
				break
			}
		}
	}
	return cols, at
}

// All reads what is left and closes.
func (r *Rows) All() ([][]any, error) {
	defer r.Close()
	var all [][]any
	for row := r.Next(); row != nil; row = r.Next() {
		all = append(all, row)
	}
	return all, r.Err()
}

// fromEvent gives a cell its column's type. Engines give whole constants as
// integers in columns of floats, and lists as JSON.
func fromEvent(v event.Value, t core.Type) any {
	switch v.Kind {
	case event.Bool:
		return v.N == 1
	case event.Int:
		if t == core.Float {
			return float64(v.N)
		}
		return v.N
	case event.Float:
		if math.IsInf(v.F, 0) || math.IsNaN(v.F) { // a record may say 1e400, which is no number of ours
			return nil
		}
		return v.F
	case event.Text:
		if t == core.List {
			list := []string{}
			if json.Unmarshal([]byte(v.S), &list) == nil {
				return list
			}
		}
		return v.S
	}
	return nil
}

// Text prints a value for places that hold text alone: lists a line each,
// integers without decimals, null as nothing.
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		if v == float64(int64(v)) && v < 1<<53 && v > -1<<53 {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []string:
		return strings.Join(v, "\n")
	}
	return ""
}
