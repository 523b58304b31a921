package eval_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
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

// plan makes a plan over in, of at most depth nodes.
func (g *random) plan(depth int) core.Plan {
	in := inline(columns...)
	for range g.IntN(6) {
		row := make([]any, len(columns))
		for i, v := range g.row() {
			row[i] = v.Any()
		}
		in.Rows = append(in.Rows, row)
	}
	p := core.Plan(in)
	for range depth {
		p = g.node(p)
	}
	return p
}

func (g *random) keys() (keys []core.Key) {
	for range g.IntN(3) {
		keys = append(keys, core.Key{Expr: g.expr("bift"[g.IntN(4)], 2), Desc: g.IntN(2) == 0})
	}
	return keys
}

// node puts a node onto a plan that has the columns of random expressions, and
// gives one that has them again.
func (g *random) node(in core.Plan) core.Plan {
	switch g.IntN(9) {
	case 0:
		return &core.Filter{In: in, Cond: g.expr('p', 3)}
	case 1:
		return &core.Sort{In: in, Keys: g.keys()}
	case 2:
		return &core.Limit{In: in, N: g.Int64N(5)}
	case 3:
		return &core.Union{Ins: []core.Plan{in, in}}
	case 4:
		return g.again(&core.Unnest{In: in, List: g.expr('l', 2), Name: "x", Keep: g.IntN(2) == 0}, core.C("x", core.Text))
	case 5:
		w := &core.Window{In: in, Name: "x", Fn: core.WinFn(g.IntN(int(core.Rank) + 1)), Arg: g.typed("if"[g.IntN(2)]), N: g.Int64N(3), Partition: []*core.Expr{g.expr('t', 1)}, Order: g.keys()}
		w.From, w.To = pick[int64](g, math.MinInt64, -1, 0, 1), pick[int64](g, 1, 2, math.MaxInt64)
		return g.again(w, core.C("x", w.Type()))
	case 6:
		return g.join(in)
	case 7:
		return g.aggregate(in)
	}
	return g.again(in, nil)
}

// again projects all columns, some of them made anew. Extra is used if it can be.
func (g *random) again(in core.Plan, extra *core.Expr) core.Plan {
	p := &core.Project{In: in}
	for _, c := range columns {
		e := core.C(c.Name, c.Type)
		if letter := map[core.Type]byte{core.Bool: 'b', core.Int: 'i', core.Float: 'f', core.Text: 't', core.List: 'l'}[c.Type]; letter != 0 && g.IntN(2) == 0 {
			e = g.typed(letter)
		}
		if extra != nil && extra.Type == c.Type {
			e = extra
		}
		p.Out = append(p.Out, core.Named{Name: c.Name, Expr: e})
	}
	return p
}

// typed is an expression of a type, and not the null of none.
func (g *random) typed(letter byte) *core.Expr {
	if e := g.expr(letter, 2); e.Type != core.Null {
		return e
	}
	return core.NullOf(typeOf[letter])
}

func (g *random) join(in core.Plan) core.Plan {
	letter := "ift"[g.IntN(3)]
	right := &core.Project{In: in, Out: []core.Named{{Name: "k", Expr: g.typed(letter)}}}
	j := &core.Join{L: in, R: right, Kind: core.JoinKind(g.IntN(4)), On: [][2]*core.Expr{{g.expr(letter, 1), core.C("k", typeOf[letter])}}}
	if g.IntN(2) == 0 {
		j.Cond = g.expr('p', 2)
	}
	return g.again(j, nil)
}

func (g *random) aggregate(in core.Plan) core.Plan {
	a := &core.Aggregate{In: in}
	for i, c := range columns[:len(columns)-1-g.IntN(len(columns)-1)] {
		if i == 0 && g.IntN(3) == 0 {
			break
		}
		a.By = append(a.By, core.Named{Name: c.Name, Expr: core.C(c.Name, c.Type)})
	}
	for _, c := range columns[len(a.By):] {
		fn := pick(g, core.First, core.Last)
		arg := core.C(c.Name, c.Type)
		switch {
		case c.Type == core.Float && g.IntN(2) == 0:
			fn, arg = pick(g, core.Sum, core.Avg, core.StdDev, core.Pct, core.Min, core.Max), g.typed('f')
		case c.Type == core.Int && g.IntN(2) == 0:
			fn, arg = pick(g, core.CountAll, core.Count, core.CountDistinct, core.Sum, core.Min, core.Max), g.typed('i')
		case c.Type == core.List:
			fn, arg = core.Values, g.expr('t', 2)
		}
		a.Aggs = append(a.Aggs, core.Agg{Name: c.Name, Fn: fn, Arg: arg, If: pick(g, nil, g.expr('p', 2)), Param: 50, Order: append(g.keys(), core.Key{Expr: core.C("i", core.Int)})})
	}
	return a
}

// checkPlan holds what is true of every plan: it runs, its table has the
// columns it says, and the values are of their types.
func checkPlan(t *testing.T, seed uint64) {
	p := newRandom(seed).plan(4)
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
