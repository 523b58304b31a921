package eval_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/querytest"
)

var (
	ctx = context.Background()
	ms  = core.C("_messagetime", core.Int)
	who = core.C("who", core.Text)
)

// table is a table of events: the columns that scans ask for, by name.
type table []map[string]eval.Value

func (t table) scan(s *core.Scan) iter.Seq[[]eval.Value] {
	return func(yield func([]eval.Value) bool) {
		row := make([]eval.Value, len(s.Columns)) // one for all
		for _, r := range t {
			for i, c := range s.Columns {
				row[i] = r[c.Name]
			}
			if !yield(row) {
				return
			}
		}
	}
}

// ten events, a second apart; the last has no time.
func ten() (t table) {
	for i := range int64(10) {
		t = append(t, map[string]eval.Value{"_messagetime": eval.IntValue(1000 * i), "who": eval.TextValue(fmt.Sprint("user", i%3)), "n": eval.IntValue(i)})
	}
	t[9]["_messagetime"] = eval.Value{}
	return t
}

func events(cols ...core.Col) *core.Scan { return &core.Scan{Columns: cols} }

// show is the first column of a table, as text.
func show(t *eval.Table) string {
	var list []string
	for _, row := range t.Rows {
		list = append(list, fmt.Sprint(row[0].Any()))
	}
	return strings.Join(list, " ")
}

// TestScan: the bounds are From up to To, and the filter may read columns that
// the plan does not get.
func TestScan(t *testing.T) {
	n := core.Col{Name: "n", Type: core.Int}
	isUser1 := core.Do(core.EqText, who, core.Str("user1"))
	for _, c := range []struct {
		scan core.Scan
		want string
	}{
		{core.Scan{}, "0 1 2 3 4 5 6 7 8 9"},
		{core.Scan{From: 2000, To: 5000}, "2 3 4"},
		{core.Scan{From: 7000}, "7 8"},
		{core.Scan{To: 1}, "0"},
		{core.Scan{Filter: isUser1}, "1 4 7"},
		{core.Scan{Filter: isUser1, From: 4000}, "4 7"},
		{core.Scan{Filter: core.Do(core.IsNull, ms)}, "9"},
	} {
		c.scan.Columns = []core.Col{n}
		got, err := eval.Run(ctx, &c.scan, ten().scan, eval.Budget{})
		if err != nil || show(got) != c.want || !slices.Equal(got.Cols, []core.Col{n}) {
			t.Errorf("%+v: got %v %s, %v; want %s", c.scan, got.Cols, show(got), err, c.want)
		}
	}
}

func TestScanOfNothing(t *testing.T) {
	if _, err := eval.Run(ctx, events(), nil, eval.Budget{}); err == nil {
		t.Error("a scan without a source has no error")
	}
}

// TestBudgets: what grows is stopped at the node where it grows.
func TestBudgets(t *testing.T) {
	scan := events(core.Col{Name: "n", Type: core.Int}, core.Col{Name: "who", Type: core.Text})
	other := &core.Project{In: scan, Out: []core.Named{{Name: "m", Expr: core.C("n", core.Int)}}}
	crowd := &core.Join{L: scan, R: other}
	long := &core.Project{In: scan, Out: []core.Named{{Name: "x", Expr: core.Str(strings.Repeat("x", 1000))}}}
	list := &core.Aggregate{In: scan, Aggs: []core.Agg{{Name: "l", Fn: core.Values, Arg: who, Param: 3}}}
	for _, c := range []struct {
		plan   core.Plan
		budget eval.Budget
		ok     bool
	}{
		{scan, eval.Budget{Rows: 10}, true},
		{scan, eval.Budget{Rows: 9}, false},
		{crowd, eval.Budget{Rows: 100}, true},
		{crowd, eval.Budget{Rows: 99}, false},
		{long, eval.Budget{Bytes: 12_000}, true},
		{long, eval.Budget{Bytes: 10_000}, false},
		{&core.Window{In: long, Name: "w", Fn: core.RowNumber}, eval.Budget{Bytes: 11_000}, false},
		{&core.Unnest{In: list, List: core.C("l", core.List), Name: "e"}, eval.Budget{Rows: 2}, false},
		{&core.Union{Ins: []core.Plan{scan, scan}}, eval.Budget{Rows: 15}, false},
		{&core.Host{In: scan, MaxRows: 9, Run: func([]core.Col, [][]any) ([]core.Col, [][]any, []string, error) { panic("run") }}, eval.Budget{}, false},
	} {
		_, err := eval.Run(ctx, c.plan, ten().scan, c.budget)
		var over *eval.BudgetError
		if (err == nil) != c.ok || err != nil && !errors.As(err, &over) {
			t.Errorf("%T within %+v: got %v, want it to fit: %v", c.plan, c.budget, err, c.ok)
		}
	}
}

// TestRunEnds: with the context, and where a text outgrows every bound.
func TestRunEnds(t *testing.T) {
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	scan := events(core.Col{Name: "who", Type: core.Text})
	if _, err := eval.Run(cancelled, scan, ten().scan, eval.Budget{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	huge := core.Str(strings.Repeat("x", 10<<20))
	for name, e := range map[string]*core.Expr{
		"Concat":  core.Do(core.Concat, slices.Repeat([]*core.Expr{huge}, 13)...),
		"Replace": core.Do(core.Replace, huge, core.Str("x"), core.Str(strings.Repeat("y", 20))),
		"HexEnc":  core.Do(core.HexEnc, core.Do(core.Concat, slices.Repeat([]*core.Expr{huge}, 5)...)),
	} {
		p := &core.Filter{In: scan, Cond: core.Do(core.IsNull, e)} // it must not pass for null
		if _, err := eval.Run(ctx, p, ten().scan, eval.Budget{}); !errors.Is(err, eval.ErrText) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestHost: it sees the rows in their order, its own become a table, and names
// that only it knows are checked once it has run.
func TestHost(t *testing.T) {
	n := core.C("n", core.Int)
	var saw [][]any
	host := &core.Host{Name: "turn", In: &core.Sort{In: events(core.Col{Name: "n", Type: core.Int}), Keys: []core.Key{{Expr: n, Desc: true}}}, MaxRows: 10,
		Run: func(cols []core.Col, rows [][]any) ([]core.Col, [][]any, []string, error) {
			saw = rows
			return []core.Col{{Name: "made", Type: core.Int}}, rows[:2], []string{"two only"}, nil
		}}
	got, err := eval.Run(ctx, &core.Union{Ins: []core.Plan{host, host}}, ten().scan, eval.Budget{})
	if err != nil || show(got) != "9 8 9 8" || len(saw) != 10 || !slices.Equal(got.Warnings, []string{"two only"}) || got.Cols[0].Name != "made" {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = eval.Run(ctx, &core.Filter{In: host, Cond: core.Do(core.IsNull, n)}, ten().scan, eval.Budget{})
	if err == nil || !strings.Contains(err.Error(), `filter: IsNull: `) && !strings.Contains(err.Error(), `there is no "n"`) {
		t.Errorf("a column that the host did not make: got %v", err)
	}
	host.Out = []core.Col{{Name: "made", Type: core.Text}}
	if _, err = eval.Run(ctx, host, ten().scan, eval.Budget{}); err == nil || !strings.Contains(err.Error(), "turn: \"made\" is of type text") {
		t.Errorf("rows of other types than it promised: got %v", err)
	}
	host.Run = func([]core.Col, [][]any) ([]core.Col, [][]any, []string, error) {
		return nil, nil, nil, errors.ErrUnsupported
	}
	if _, err = eval.Run(ctx, host, ten().scan, eval.Budget{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("its own error: got %v", err)
	}
}

// checkPlan holds what is true of every plan: it runs, its table has the
// columns it says, and the values are of their types.
func checkPlan(t *testing.T, seed uint64) {
	p := querytest.NewRandom(seed, true).Plan(4)
	got, err := eval.Run(ctx, p, nil, eval.Budget{Rows: 10_000})
	var over *eval.BudgetError
	if errors.As(err, &over) {
		return
	}
	if err != nil || !slices.Equal(got.Cols, p.Cols()) {
		t.Fatalf("seed %d: got %v, %v; want %v", seed, got, err, p.Cols())
	}
	for _, row := range got.Rows {
		for i, v := range row {
			if len(row) != len(got.Cols) || !v.IsNull() && v.Type != got.Cols[i].Type {
				t.Fatalf("seed %d: %v for %v", seed, row, got.Cols)
			}
		}
	}
}

func TestRandomPlans(t *testing.T) {
	for seed := range uint64(5000) {
		checkPlan(t, seed)
	}
}

func FuzzPlans(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkPlan)
}
