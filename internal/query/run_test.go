package query_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/query"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/sql"
)

// fake is an engine that gives the same rows for every statement and remembers
// what it was asked.
type fake struct {
	asked []lake.Request
	cols  []lake.Col
	rows  [][]event.Value
	err   error // of Query
	end   error // after the rows
}

func (f *fake) Dialect() string { return "duckdb" }
func (f *fake) Close() error    { return nil }

func (f *fake) Query(_ context.Context, r lake.Request) (lake.Rows, error) {
	f.asked = append(f.asked, r)
	if f.err != nil {
		return nil, f.err
	}
	return &fakeRows{f: f, most: r.Budget.Rows}, nil
}

type fakeRows struct {
	f    *fake
	n    int
	most int64
}

func (r *fakeRows) Columns() []lake.Col { return r.f.cols }
func (r *fakeRows) Close() error        { return nil }

func (r *fakeRows) Err() error {
	if int64(r.n) == r.most {
		return &lake.BudgetError{Spent: lake.SpentRows}
	}
	return r.f.end
}

func (r *fakeRows) Next(row []event.Value) bool {
	if r.n == len(r.f.rows) || int64(r.n) == r.most {
		return false
	}
	copy(row, r.f.rows[r.n])
	r.n++
	return true
}

func text(s string) event.Value { return event.Value{Kind: event.Text, S: s} }
func num(n int64) event.Value   { return event.Value{Kind: event.Int, N: n} }

// three gives three rows of a text and a number.
func three() *fake {
	return &fake{cols: []lake.Col{{Name: "t", Kind: event.Text}, {Name: "n", Kind: event.Int}},
		rows: [][]event.Value{{text("a"), num(1)}, {text("b"), num(2)}, {{}, num(3)}}}
}

func scan() core.Plan {
	return &core.Scan{Columns: []core.Col{{Name: "t", Type: core.Text}, {Name: "n", Type: core.Int}}}
}

// reverse is a stage outside the engine that turns its rows round.
func reverse(name string, in core.Plan) *core.Host {
	return &core.Host{In: in, Name: name, MaxRows: 10, Run: func(cols []core.Col, rows [][]any) ([]core.Col, [][]any, []string, error) {
		var out [][]any
		for i := range rows {
			out = append(out, rows[len(rows)-1-i])
		}
		return cols, out, []string{fmt.Sprintf("%s had %d rows", name, len(rows))}, nil
	}}
}

func TestRunTypes(t *testing.T) {
	e := &fake{rows: [][]event.Value{{text("x"), num(2), num(3), {Kind: event.Float, F: 0.5}, {Kind: event.Bool, N: 1}, text(`["a","b"]`)}, make([]event.Value, 6)}, cols: make([]lake.Col, 6)}
	plan := &core.Scan{Columns: []core.Col{{Name: "t", Type: core.Text}, {Name: "i", Type: core.Int}, {Name: "whole", Type: core.Float}, {Name: "f", Type: core.Float}, {Name: "b", Type: core.Bool}, {Name: "l", Type: core.List}}}
	rows, err := query.Run(t.Context(), e, query.Job{Plan: plan, Files: []string{"f.parquet"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := rows.All()
	want := [][]any{{"x", int64(2), 3.0, 0.5, true, []string{"a", "b"}}, {nil, nil, nil, nil, nil, nil}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if r := e.asked[0]; r.Files[0] != "f.parquet" || r.Budget.Rows != 100_000 || r.Budget.Memory == 0 {
		t.Errorf("asked %+v", r)
	}
}

// TestRunHosts holds that what is below a stage runs on the engine, the stage
// here, and what follows over its rows.
func TestRunHosts(t *testing.T) {
	e := three()
	first := reverse("first", scan())
	second := reverse("second", &core.Limit{N: 2, In: first})
	rows, err := query.Run(t.Context(), e, query.Job{Plan: &core.Limit{N: 1, In: second}})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.asked) != 3 {
		t.Fatalf("%d statements, want 3", len(e.asked))
	}
	if r := e.asked[1]; !strings.Contains(r.SQL, `FROM "stage_1"`) || len(r.Temps) != 1 || len(r.Temps[0].Rows) != 3 || r.Temps[0].Rows[2][0].S != "a" || r.Budget.Rows != 10 {
		t.Errorf("after the first stage: asked %+v", r)
	}
	if r := e.asked[2]; !strings.Contains(r.SQL, `FROM "stage_2"`) || r.Temps[0].Rows[0][0].Kind != event.None || r.Budget.Rows != 100_000 {
		t.Errorf("after the second stage: asked %+v", r)
	}
	if want := []string{"first had 3 rows", "second had 3 rows"}; !reflect.DeepEqual(rows.Warnings, want) {
		t.Errorf("warnings %q, want %q", rows.Warnings, want)
	}
}

func TestRunHostLast(t *testing.T) {
	e := three()
	rows, err := query.Run(t.Context(), e, query.Job{Plan: reverse("last", scan()), Budget: lake.Budget{Rows: 2}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := rows.All()
	var spent *lake.BudgetError
	if len(e.asked) != 1 || len(got) != 2 || got[0][1] != int64(3) || !errors.As(err, &spent) || spent.Spent != lake.SpentRows {
		t.Errorf("%d statements, got %v, %v", len(e.asked), got, err)
	}
}

// TestRunHostShared holds that a stage which two nodes read runs once.
func TestRunHostShared(t *testing.T) {
	e := three()
	h := reverse("shared", scan())
	plan := &core.Union{Ins: []core.Plan{&core.Limit{N: 1, In: h}, &core.Limit{N: 2, In: h}}}
	rows, err := query.Run(t.Context(), e, query.Job{Plan: plan})
	if err != nil || len(rows.Warnings) != 1 || len(e.asked) != 2 || len(e.asked[1].Temps) != 1 {
		t.Errorf("got %+v, %v after %d statements", rows, err, len(e.asked))
	}
	if plan.Ins[0].(*core.Limit).In != h {
		t.Error("the plan was changed")
	}
}

func TestRunErrors(t *testing.T) {
	many := three()
	few := reverse("few", scan())
	few.MaxRows = 2
	bad := reverse("bad", scan())
	bad.Run = func([]core.Col, [][]any) ([]core.Col, [][]any, []string, error) {
		return nil, nil, nil, errors.New("no")
	}
	spent := three()
	spent.err = &lake.BudgetError{Spent: lake.SpentTime, Budget: lake.Budget{Time: time.Second}}
	late := three()
	late.end = &lake.BudgetError{Spent: lake.SpentTime, Budget: lake.Budget{Time: time.Second}}
	for _, c := range []struct {
		e    *fake
		plan core.Plan
		want string
	}{
		{many, &core.Limit{N: 1, In: few}, "stage few: the query has more than"},
		{three(), &core.Limit{N: 1, In: bad}, "stage bad: no"},
		{spent, scan(), "longer than 1h"},
		{late, scan(), "longer than 1h"},
		{three(), &core.Filter{In: scan(), Cond: core.C("t", core.Text)}, "predicate"},
	} {
		rows, err := query.Run(t.Context(), c.e, query.Job{Plan: c.plan, Budget: lake.Budget{Time: time.Hour}})
		if err == nil {
			_, err = rows.All()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestSQL(t *testing.T) {
	rows, err := query.SQL(t.Context(), three(), "SELECT 1", query.Job{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := rows.All()
	if err != nil || len(got) != 3 || got[1][0] != "b" || rows.Cols[1] != (core.Col{Name: "n", Type: core.Int}) {
		t.Errorf("got %v %v, %v", rows.Cols, got, err)
	}
}

func TestExplain(t *testing.T) {
	host := reverse("mid", scan())
	host.Out = []core.Col{{Name: "t", Type: core.Text}}
	got, err := query.Explain(&core.Limit{N: 1, In: host}, &sql.DuckDB)
	if err != nil || len(got) != 2 || !strings.Contains(got[0], "FROM events") || !strings.Contains(got[1], `FROM "stage_1"`) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{{nil, ""}, {"x", "x"}, {int64(-5), "-5"}, {true, "true"}, {2.0, "2"}, {0.5, "0.5"}, {1e300, "1e+300"}, {[]string{"a", "b"}, "a\nb"}, {[]string{}, ""}} {
		if got := query.Text(c.v); got != c.want {
			t.Errorf("%v: got %q, want %q", c.v, got, c.want)
		}
	}
}
