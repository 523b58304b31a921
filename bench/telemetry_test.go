package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
)

// TestMade: the records are JSON, the same in every run, some come twice, and
// they compress as records do, which random bytes or one text repeated would not.
func TestMade(t *testing.T) {
	for _, c := range []struct {
		s           strand
		least, most float64 // of JSON ÷ gzip
	}{{strands[0], 5, 10}, {strands[1], 2.5, 4.5}, {strands[2], 4, 12}} {
		dir := t.TempDir()
		made, err := c.s.write(filepath.Join(dir, "a"), 3, 3000, 2000)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.s.write(filepath.Join(dir, "b"), 3, 3000, 2000)
		if again.Path = made.Path; err != nil || again != made {
			t.Errorf("%s: %+v, then %+v, %v", c.s.name, made, again, err)
		}
		seen := map[string]bool{}
		for _, name := range []string{c.s.name + "-0000.jsonl", c.s.name + "-0001.jsonl"} {
			a, _ := os.ReadFile(filepath.Join(dir, "a", name))
			b, _ := os.ReadFile(filepath.Join(dir, "b", name))
			if len(a) == 0 || !bytes.Equal(a, b) {
				t.Errorf("%s: two runs make %d and %d bytes that differ", name, len(a), len(b))
			}
			for line := range strings.Lines(string(a)) {
				if !json.Valid([]byte(line)) {
					t.Fatalf("%s: no JSON: %s", name, line)
				}
				seen[line] = true
			}
		}
		if int64(len(seen)) != made.Unique || made.Lines != 3000 || made.Unique == made.Lines {
			t.Errorf("%s: %d different lines, told %+v", c.s.name, len(seen), made)
		}
		zipped, err := gzipped(made.Path)
		if x := float64(made.Bytes) / float64(zipped); err != nil || x < c.least || x > c.most {
			t.Errorf("%s: gzip makes it %.1f times smaller, %v; want %v to %v", c.s.name, x, err, c.least, c.most)
		}
	}
}

// TestIngestWays: each way has the rows that it should, ours without the
// repetitions.
func TestIngestWays(t *testing.T) {
	for _, s := range strands[:2] {
		made, err := s.write(filepath.Join(t.TempDir(), s.name), 5, 2500, 2000)
		if err != nil {
			t.Fatal(err)
		}
		for k, w := range ways {
			got, err := ingestChild(t.Context(), []string{strconv.Itoa(k), made.Path, t.TempDir()})
			want := made.Lines
			if w.exact {
				want = made.Unique
			}
			if err != nil || got.(Ingest).Rows != want {
				t.Errorf("%s of %s: %+v, %v; want %d rows", w.name, s.name, got, err, want)
			}
		}
	}
}

// TestComparesAnswers: a hunt and SQL that do not say the same end the run, and
// rows and lists may come in any order.
func TestComparesAnswers(t *testing.T) {
	e, err := duck.Open(duck.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	h := hunter{engine: e}
	const hunt = `* | count`
	for _, c := range []struct{ sql, fails string }{
		{"SELECT count(*) FROM events", ""},
		{"SELECT 0.0", ""},
		{"SELECT 1", "differ"},
		{"SELECT 0 FROM range(2)", "2, or they differ"},
		{"SELECT none", "none"},
	} {
		_, err := h.compare(t.Context(), asked{text: hunt, sql: c.sql}, 1)
		if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s: got %v, want %q", c.sql, err, c.fails)
		}
	}
	one, err := h.sql(t.Context(), "SELECT * FROM (VALUES ('a', ['x', 'y']), ('b', [])) v")
	other, err2 := h.sql(t.Context(), "SELECT * FROM (VALUES ('b', []), ('a', ['y', 'x'])) v")
	if err != nil || err2 != nil || one != other || one.rows != 2 {
		t.Errorf("got %+v, %v and %+v, %v; want the same", one, err, other, err2)
	}
}

func TestPlainDuck(t *testing.T) {
	if n, err := plainDuck("CREATE TABLE t AS SELECT 7 AS n", "SELECT n FROM t"); n != 7 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := plainDuck("SELECT none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("got %v", err)
	}
}

func TestTelemetryReport(t *testing.T) {
	r := Telemetry{
		DuckDB: "v1", Made: []Made{{Strand: "cloudtrail", Unique: 9}},
		Hunts: []Hunt{{Name: "H1", CPU: 3, Peer: 2, Goal: 1.2}}, Disk: []Disk{{"cloudtrail", 90, 10, 5, 4}},
		Skipped: "ClickHouse is not there",
	}
	for _, cpu := range []float64{2, 4, 1, 2, 8} {
		r.Ingest = append(r.Ingest, Ingest{Strand: "cloudtrail", Way: "w", Bytes: 8e6, CPU: cpu})
	}
	var w strings.Builder
	r.report(&w)
	for _, want := range []string{"| H1 | 0 | 3.000 | 2.000 | 1.50 | ≤ 1.2 |  |  | 0 |", "| cloudtrail, w | 0.50 | 1.00 | 4.00 | ≥ 1 |", "| cloudtrail | 90 | 10 | 5 | 4 | 0.50 | < 1 |", "Not measured: ClickHouse is not there."} {
		if !strings.Contains(w.String(), want) {
			t.Errorf("no %q in:\n%s", want, w.String())
		}
	}
	if got := names([]lake.File{{Path: "a"}, {Path: "b"}}); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("names: got %v", got)
	}
}
