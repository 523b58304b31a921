package clickhouse

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
)

func all(t *testing.T, e *Engine, r lake.Request) ([]event.Value, error) {
	t.Helper()
	rows, err := e.Query(t.Context(), r)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []event.Value
	cells := make([]event.Value, len(rows.Columns()))
	for rows.Next(cells) {
		out = append(out, cells...)
	}
	return out, rows.Err()
}

func TestStatementAndSettings(t *testing.T) {
	f, e := serve(t, "?table=soc.events", answer{body: head("Int64") + row("\x07\x00\x00\x00\x00\x00\x00\x00")})
	got, err := all(t, e, lake.Request{SQL: "SELECT 7 AS v;\n", Budget: lake.Budget{Memory: 1 << 20, Time: 3 * time.Second, Rows: 9, Threads: 2}})
	if err != nil || len(got) != 1 || got[0].N != 7 {
		t.Fatalf("got %v, %v", got, err)
	}
	c := f.calls()[0]
	if c.user != "joe" || c.key != "hunter2" {
		t.Errorf("asked as %q with %q", c.user, c.key)
	}
	for k, want := range map[string]string{"database": "lake", "readonly": "1", "max_memory_usage": "1048576", "max_execution_time": "3.000", "max_result_rows": "10",
		"result_overflow_mode": "throw", "max_threads": "2", "join_use_nulls": "1", "transform_null_in": "0", "default_format": "RowBinaryWithNamesAndTypes"} {
		if c.params.Get(k) != want {
			t.Errorf("%s is %q, want %q", k, c.params.Get(k), want)
		}
	}
	if !strings.HasPrefix(c.statement, `WITH "events" AS (SELECT "_messageid", `) || !strings.HasSuffix(c.statement, "FROM (\nSELECT 7 AS v\n) LIMIT 10") ||
		!strings.Contains(c.statement, `FROM "soc"."events" FINAL)`) {
		t.Errorf("the statement is\n%s", c.statement)
	}
	if len(f.calls()) != 1 {
		t.Error("a query that came to its end was killed")
	}
}

// TestSources tells what stands behind "events", by DSN and files.
func TestSources(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("AK\nSK\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		options string
		files   []string
		want    string // in the statement, or the error
	}{
		{"", nil, `FROM "events" FINAL)`},
		{"?files=lake/&root=/data", []string{"/data/a/1.parquet"}, `FROM file('lake/a/1.parquet', 'Parquet', '`},
		{"?files=lake&root=/data", []string{"/data/1.parquet", "/data/b'/2.parquet"}, `FROM file('lake/{1.parquet,b\'/2.parquet}', 'Parquet', '`},
		{"?s3=https://b.s3.amazonaws.com/l&root=s3://b/l", []string{"s3://b/l/1.parquet"}, `FROM s3('https://b.s3.amazonaws.com/l/1.parquet', 'Parquet', '`},
		{"?s3=https://h/b&root=/d&s3_collection=lake", []string{"/d/1.parquet"}, `FROM s3("lake", url = 'https://h/b/1.parquet', format = 'Parquet', structure = '`},
		{"?s3=https://h/b&root=/d&s3_keys=" + keys, []string{"/d/1.parquet"}, `FROM s3('https://h/b/1.parquet', 'AK', 'SK', 'Parquet', '`},
		{"?files=lake&root=/data", nil, "FROM null('"},
		{"?files=lake", []string{"/data/1.parquet"}, "names no root"},
		{"?files=lake&root=/data", []string{"/data/../etc/1.parquet"}, "not below the root"},
		{"?s3=https://h/b&root=s3://b/l", []string{"s3://b/lake/1.parquet"}, "not below the root"},
		{"?files=lake&root=/data", []string{"/data/{a,b}.parquet"}, "cannot be given"},
	} {
		e, err := Open(Options{DSN: "http://h/" + c.options})
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.statement(lake.Request{SQL: "SELECT 1", Files: c.files})
		if !strings.Contains(got+fmt.Sprint(err), c.want) {
			t.Errorf("%s of %q: want %s in\n%s\n%v", c.options, c.files, c.want, got, err)
		}
	}
}

// A statement sees the request's time alone.
func TestTimes(t *testing.T) {
	e, err := Open(Options{DSN: "http://h/"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.statement(lake.Request{SQL: "SELECT 1", From: time.UnixMilli(5), To: time.UnixMilli(9)})
	if err != nil || !strings.Contains(got, `WHERE "_messagetime" >= 5 AND "_messagetime" < 9)`) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestTemps(t *testing.T) {
	f, e := serve(t, "", answer{body: head("String")})
	temp := lake.Temp{Name: `li"st`, Columns: []lake.Col{{Name: "a", Kind: event.Int}, {Name: "b", Kind: event.Text}, {Name: "c", Kind: event.Float}, {Name: "l", Kind: event.Text, List: true}},
		Rows: [][]event.Value{{{Kind: event.Int, N: -2}, {Kind: event.Text, S: "x"}, {Kind: event.Int, N: 1}, {}}, {{Kind: event.Text, S: "no number"}, {}, {}, {Kind: event.Text, S: "[]"}}}}
	if _, err := all(t, e, lake.Request{SQL: "SELECT 1", Temps: []lake.Temp{temp}}); err != nil {
		t.Fatal(err)
	}
	c := f.calls()[0]
	want := "\x00\xfe\xff\xff\xff\xff\xff\xff\xff" + "\x00\x01x" + "\x00\x00\x00\x00\x00\x00\x00\xf0\x3f" + "\x01" + "\x01\x01\x01" + "\x00\x02[]"
	if c.files["temp_0_"] != want {
		t.Errorf("sent %q, want %q", c.files["temp_0_"], want)
	}
	if s := c.params.Get("temp_0__structure"); s != "c0 Nullable(Int64), c1 Nullable(String), c2 Nullable(Float64), c3 Nullable(String)" || c.params.Get("temp_0__format") != "RowBinary" {
		t.Errorf("the structure is %q", s)
	}
	if !strings.Contains(c.statement, `"li\"st" AS (SELECT c0 AS "a", c1 AS "b", c2 AS "c", if(isNull(c3),`) {
		t.Errorf("the statement is\n%s", c.statement)
	}
}

// TestErrors tells which error each answer of the server becomes.
func TestErrors(t *testing.T) {
	begun := head("UInt8") + row("\x01")
	for _, c := range []struct {
		name string
		a    answer
		rows int
		want string // how the error begins
	}{
		{"memory", answer{status: 500, code: "241", body: "Code: 241. DB::Exception: Memory limit"}, 0, "the query needs more than 512 MiB"},
		{"time", answer{status: 500, code: "159", body: "Code: 159. DB::Exception: Timeout exceeded"}, 0, "the query took longer than 1m0s"},
		{"rows", answer{status: 500, code: "396", body: "Code: 396."}, 0, "the query has more than 100000 rows"},
		{"syntax", answer{status: 400, code: "62", body: "Code: 62. DB::Exception: Syntax error"}, 0, "SQL: Code: 62."},
		{"password", answer{status: 403, code: "516", body: "Code: 516. DB::Exception: joe: wrong password hunter2"}, 0, "query engine failed: Code: 516. DB::Exception: joe: wrong password [secret]"},
		{"proxy", answer{status: 502, body: ""}, 0, "query engine failed: the server answered 502"},
		{"redirect", answer{status: 307}, 0, "query engine failed: the server answered 307"},
		{"no reply", answer{cut: true}, 0, "query engine failed: "},
		{"other format", answer{body: "<html>"}, 0, "query engine failed: "},
		{"late memory", answer{body: begun + "\r\n__exception__\r\nabcd\r\nCode: 241. DB::Exception: Memory"}, 1, "the query needs more than"},
		{"late refusal", answer{body: begun + "Code: 153. DB::Exception: Division by zero"}, 1, "SQL: Code: 153."},
		{"late words", answer{body: begun + "oops hunter2"}, 1, "query engine failed: oops [secret]"},
		{"cut between rows", answer{body: begun, cut: true}, 1, "query engine failed: "},
		{"cut within a row", answer{body: begun + "\xA5"}, 1, `query engine failed: row 2, column "v": unexpected EOF`},
		{"type", answer{body: head("Map(String, String)")}, 0, `SQL: column "v": the type Map(String, String) is not read here`},
		{"whole", answer{body: begun}, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, e := serve(t, "", c.a)
			got, err := all(t, e, lake.Request{SQL: "SELECT 1"})
			text := ""
			var refused *lake.SQLError
			switch {
			case errors.As(err, &refused):
				text = "SQL: " + refused.Message
			case err != nil:
				text = err.Error()
			}
			if len(got) != c.rows || !strings.HasPrefix(text, c.want) || c.want == "" && text != "" {
				t.Errorf("%d rows and %q, want %d and %q", len(got), text, c.rows, c.want)
			}
		})
	}
}

func TestTooManyRows(t *testing.T) {
	_, e := serve(t, "", answer{body: head("UInt8") + row("\x01") + row("\x02") + row("\x03")})
	got, err := all(t, e, lake.Request{SQL: "SELECT 1", Budget: lake.Budget{Rows: 2}})
	var spent *lake.BudgetError
	if len(got) != 2 || !errors.As(err, &spent) || spent.Spent != lake.SpentRows {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestKill ends queries before their replies do: by closing the rows, and by the
// context while the server has not answered. Nothing may run on.
func TestKill(t *testing.T) {
	f, e := serve(t, "", answer{body: head("UInt8") + row("\x01"), hang: true})
	rows, err := e.Query(t.Context(), lake.Request{SQL: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	if f.still() != 0 {
		t.Error("the query runs on after its rows were closed")
	}
	begun := make(chan struct{})
	f, e = serve(t, "", answer{hang: true, begun: begun})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := e.Query(ctx, lake.Request{SQL: "SELECT 1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if f.still() != 0 {
		t.Error("the query runs on after its context ended")
	}
}

func TestClosed(t *testing.T) {
	_, e := serve(t, "")
	e.Close()
	if _, err := e.Query(t.Context(), lake.Request{SQL: "SELECT 1"}); !errors.Is(err, lake.ErrEngine) {
		t.Errorf("got %v", err)
	}
}

func TestLoad(t *testing.T) {
	name := filepath.Join(t.TempDir(), "1.parquet")
	if err := os.WriteFile(name, []byte("PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, e := serve(t, "?table=ev", answer{}, answer{}, answer{status: 500, code: "33", body: "Code: 33. DB::Exception: Cannot read"})
	if err := e.Load(t.Context(), []string{name}); err != nil {
		t.Fatal(err)
	}
	calls := f.calls()
	if len(calls) != 2 || !strings.HasPrefix(calls[0].statement, `CREATE TABLE IF NOT EXISTS "ev" (`) ||
		!strings.HasPrefix(calls[1].statement, `INSERT INTO "ev" ("_messageid", `) || calls[1].body != "PAR1" {
		t.Errorf("asked %+v", calls)
	}
	if err := e.Load(t.Context(), []string{name}); err == nil {
		t.Error("a refusal of the server is no error")
	}
}

// TestDSN holds that no error shows what was in the DSN.
func TestDSN(t *testing.T) {
	for _, dsn := range []string{"", "hunter2", "ftp://joe:hunter2@h/", "http://joe:hunter2@h:port/", "http://joe:hunter2@h/?hunter=2", "http://joe:hunter2@h/?table=a&table=hunter2",
		"http://h/?table=a&s3=hunter2", "http://joe:hunter2@h/%zz", "http://joe:hunter2@h/?a=%zz;"} {
		_, err := Open(Options{DSN: dsn})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func TestRefuse(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT url FROM events":                      false,
		"SELECT 'url(1)', \"file\", `s3` FROM events": false,
		"SELECT 1 -- url('x')\n":                      false,
		"SELECT 1 /* url('x') */":                     false,
		"SELECT * FROM url('http://x')":               true,
		"SELECT * FROM URL /* */ ('http://x')":        true,
		"SELECT * FROM \"url\"('http://x')":           true,
		"SELECT * FROM `\\x75rl` -- x\n ('http://x')": true,
		"SELECT $$'$$, file('/etc/passwd'), '":        true,
		"SELECT ‘'’, file('/etc/passwd'), '":          true,
		"SELECT '$1 ‘' AS \"$\"":                      false,
		"SELECT * FROM `url` -- x\n ('http://x')":     true,
		"SELECT file('/etc/passwd')":                  true,
		"SELECT 'it''s', file('/etc/passwd')":         true,
		"SELECT 'a\\'', file('/etc/passwd')":          true,
		"SELECT * FROM remote('h', system.one)":       true,
		"SELECT 1 settings max_memory_usage = 0":      true,
		"SELECT \"settings\" FROM events":             false,
		"SELECT 'never closed":                        false,
		"SELECT \"never closed":                       false,
	} {
		if got := refuse(text) != nil; got != want {
			t.Errorf("%s: refused %v, want %v", text, got, want)
		}
	}
}

// FuzzRows reads any reply. It must end, and never panic.
func FuzzRows(f *testing.F) {
	for _, typ := range []string{"Nullable(String)", "Array(Nullable(String))", "DateTime64(3, 'UTC')", "FixedString(4)", "Int256", "UUID", "LowCardinality(Nullable(String))"} {
		f.Add([]byte(head(typ) + row("\x00\x01x") + row("\x01")))
	}
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		r := rowsOf(reply)
		if r.header() != nil {
			return
		}
		cells := make([]event.Value, len(r.cols))
		for r.Next(cells) {
		}
	})
}

// FuzzRefuse walks any statement to its end.
func FuzzRefuse(f *testing.F) {
	f.Add("SELECT `a\\")
	f.Fuzz(func(t *testing.T, text string) { refuse(text) })
}
