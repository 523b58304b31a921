//go:build cgo

package duck_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
)

const childArg = "duck-child-of-a-test"

// TestMain is the child's main when the tests start themselves as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		if err := duck.ServeChild(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func children(t testing.TB, o duck.ChildOptions) *duck.Children {
	t.Helper()
	o.Args = []string{childArg}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	c, err := duck.OpenChildren(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// engines runs a test on both engines.
func engines(t *testing.T, f func(t *testing.T, e lake.Engine)) {
	t.Run("process", func(t *testing.T) { f(t, open(t)) })
	t.Run("children", func(t *testing.T) { f(t, children(t, duck.ChildOptions{})) })
}

// ask runs a request to its end.
func ask(ctx context.Context, e lake.Engine, r lake.Request) ([]string, error) {
	rows, err := e.Query(ctx, r)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	row := make([]event.Value, len(rows.Columns()))
	for rows.Next(row) {
		out = append(out, line(row))
	}
	return out, rows.Err()
}

func line(row []event.Value) string {
	parts := make([]string, len(row))
	for i, v := range row {
		switch v.Kind {
		case event.None:
			parts[i] = "null"
		case event.Text:
			parts[i] = fmt.Sprintf("%q", v.S)
		case event.Float:
			parts[i] = fmt.Sprintf("%gf", v.F)
		case event.Bool:
			parts[i] = fmt.Sprint(v.N == 1)
		default:
			parts[i] = fmt.Sprint(v.N)
		}
	}
	return strings.Join(parts, " ")
}

func TestAnswers(t *testing.T) {
	temps := []lake.Temp{{Name: `odd "name"`, Columns: []lake.Col{{Name: "k", Kind: event.Text}, {Name: "n", Kind: event.Int}, {Name: "l", Kind: event.Text, List: true}},
		Rows: [][]event.Value{{{Kind: event.Text, S: "it's"}, {Kind: event.Int, N: -7}, {Kind: event.Text, S: `["a","b\n"]`}}, {{}, {}, {}}}}}
	for _, c := range []struct{ sql, want string }{
		{"SELECT 1 AS a, 2.5::DOUBLE, 'x', TRUE, NULL", `1 2.5f "x" true null`},
		{"SELECT count(*) FROM events", "0"},
		{`SELECT count("eventName"), count("_raw"), sum("input.inputTokenCount"), count("metric_value" > 1), count("success") FROM events`, "0 0 null 0 0"},
		{"SELECT 255::UTINYINT, 1.25::DECIMAL(5,2), 18446744073709551615::UBIGINT, (-170141183460469231731687303715884105727)::HUGEINT, 1.5::FLOAT", "255 1.25f 1.8446744073709552e+19f -1.7014118346046923e+38f 1.5f"},
		{"SELECT DATE '2024-03-01', TIMESTAMP '2024-03-01 01:02:03', [1, 2], {'a': 1}, INTERVAL 1 DAY, 'a'::BLOB", `"2024-03-01" "2024-03-01 01:02:03" "[\"1\",\"2\"]" "{'a': 1}" "1 day" "a"`},
		{"SELECT 1 AS x, 2 AS x -- and a comment", "1 2"},
		{"WITH a AS (SELECT 3 AS n) SELECT n FROM a;", "3"},
		{"FROM (VALUES (1), (2)) v(n) ORDER BY n DESC", "2|1"},
		{`SELECT k, n, l, len(l) FROM "odd ""name""" ORDER BY n`, `"it's" -7 "[\"a\",\"b\\n\"]" 2|null null null null`},
		{"SELECT repeat('é', 9), ''", `"ééééééééé" ""`},
		{"SELECT i FROM range(5000) t(i) WHERE i % 2500 = 2499", "2499|4999"},
		{"SELECT 1 WHERE FALSE", ""},
	} {
		engines(t, func(t *testing.T, e lake.Engine) {
			got, err := ask(t.Context(), e, lake.Request{SQL: c.sql, Temps: temps})
			if err != nil || strings.Join(got, "|") != c.want {
				t.Errorf("%s: got %q, %v; want %q", c.sql, strings.Join(got, "|"), err, c.want)
			}
		})
	}
}

// TestReadsOnly holds that no statement reaches beyond the request's files.
func TestReadsOnly(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.csv")
	if err := os.WriteFile(secret, []byte("a\nhidden\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := open(t)
	for _, c := range []struct{ sql, word string }{
		{"", "one statement"},
		{"SELECT 1; SELECT 2", "one statement"},
		{"SELECT", ""},
		{"SELEC 1", "syntax error"},
		{"SELECT none FROM events", "none"},
		{"SELECT 1\x00; SELECT 2", "NUL"},
		{"CREATE TABLE t (a INT)", "SELECT"},
		{"DROP VIEW events", "SELECT"},
		{"INSERT INTO events SELECT * FROM events", ""},
		{"SET threads = 9", "SELECT"},
		{"PRAGMA memory_limit = '1TB'", "SELECT"},
		{"ATTACH '" + dir + "/x.db'", "SELECT"},
		{"INSTALL httpfs", "SELECT"},
		{"LOAD httpfs", "SELECT"},
		{"COPY (SELECT 1) TO '" + dir + "/out.csv'", ""},
		{"EXPORT DATABASE '" + dir + "/out'", ""},
		{"CALL pragma_version()", "SELECT"},
		{"EXPLAIN ANALYZE SELECT 1", "SELECT"},
		{"WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x", ""},
		{"SELECT * FROM read_csv('" + secret + "')", "disabled"},
		{"SELECT * FROM read_text('" + secret + "')", "disabled"},
		{"SELECT * FROM '" + secret + "'", ""},
		{"SELECT * FROM glob('" + dir + "/*')", "disabled"},
		{"SELECT * FROM read_parquet('https://example.com/x.parquet')", ""},
		{"SELECT * FROM read_parquet('s3://bucket/x.parquet')", ""},
		{"SELECT * FROM query('COPY (SELECT 1) TO ''" + dir + "/out.csv''')", ""},
		{"SELECT * FROM sniff_csv('" + secret + "')", "disabled"},
		{"SELECT 1) AS t(c1); COPY (SELECT 1) TO '" + dir + "/out.csv'; SELECT (1", ""},
		{"SELECT getenv('HOME')", ""},
	} {
		got, err := ask(t.Context(), e, lake.Request{SQL: c.sql})
		var sql *lake.SQLError
		if !errors.As(err, &sql) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: got %q, %v; want a SQLError with %q", c.sql, got, err, c.word)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files were made: %v, %v", left, err)
	}
}

const (
	eatMemory = "SELECT max(len(l)) FROM (SELECT list(repeat(i::VARCHAR, 100)) AS l FROM range(100000000) t(i) GROUP BY i % 3)"
	eatTime   = "SELECT sum(hash(a.i * b.i)) FROM range(10000000) a(i), range(10000000) b(i)"
)

func TestBudgets(t *testing.T) {
	small := lake.Budget{Memory: 64 << 20, Time: 30 * time.Second, Threads: 1}
	short := lake.Budget{Time: 300 * time.Millisecond, Threads: 1}
	for _, c := range []struct {
		sql  string
		b    lake.Budget
		want lake.Spent
	}{
		{eatMemory, small, lake.SpentMemory},
		{eatTime, short, lake.SpentTime},
		{"SELECT i FROM range(1000000) t(i)", lake.Budget{Rows: 5000}, lake.SpentRows},
		{"SELECT i FROM range(5000) t(i)", lake.Budget{Rows: 5000}, ""},
	} {
		engines(t, func(t *testing.T, e lake.Engine) {
			got, err := ask(t.Context(), e, lake.Request{SQL: c.sql, Budget: c.b})
			var spent *lake.BudgetError
			switch {
			case c.want == "" && (err != nil || len(got) != 5000):
				t.Errorf("%s: got %d rows, %v", c.sql, len(got), err)
			case c.want != "" && (!errors.As(err, &spent) || spent.Spent != c.want):
				t.Errorf("%s: got %d rows, %v; want the end of %s", c.sql, len(got), err, c.want)
			case c.want == lake.SpentRows && len(got) != 5000:
				t.Errorf("%s: got %d rows before the end, want 5000", c.sql, len(got))
			}
			if _, err := ask(t.Context(), e, lake.Request{SQL: "SELECT 1"}); err != nil {
				t.Errorf("after %s: %v", c.sql, err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	engines(t, func(t *testing.T, e lake.Engine) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := ask(ctx, e, lake.Request{SQL: eatTime, Progress: func(float64) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the caller's own end", err)
		}
		if _, err := ask(t.Context(), e, lake.Request{SQL: "SELECT 1"}); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseEarly(t *testing.T) {
	engines(t, func(t *testing.T, e lake.Engine) {
		for range 3 {
			rows, err := e.Query(t.Context(), lake.Request{SQL: "SELECT i, repeat('x', 1000) FROM range(10000000) t(i)", Budget: lake.Budget{Rows: 20_000_000}})
			if err != nil {
				t.Fatal(err)
			}
			if row := make([]event.Value, 2); !rows.Next(row) {
				t.Error("no row")
			}
			rows.Close()
			rows.Close()
			if rows.Next(make([]event.Value, 2)) {
				t.Error("a row after Close")
			}
		}
	})
}

func TestMissingFile(t *testing.T) {
	engines(t, func(t *testing.T, e lake.Engine) {
		_, err := ask(t.Context(), e, lake.Request{SQL: "SELECT 1 FROM events", Files: []string{filepath.Join(t.TempDir(), "it's none.parquet")}})
		if !errors.Is(err, lake.ErrEngine) {
			t.Errorf("got %v, want ErrEngine", err)
		}
	})
}

func TestClosed(t *testing.T) {
	engines(t, func(t *testing.T, e lake.Engine) {
		e.Close()
		if _, err := e.Query(t.Context(), lake.Request{SQL: "SELECT 1"}); !errors.Is(err, lake.ErrEngine) {
			t.Errorf("got %v, want ErrEngine", err)
		}
	})
}
