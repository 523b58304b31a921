package chdb_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/hunts"
	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/query"
	"gatehouse/internal/query/op"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

const (
	samples = "../../testdata/hunts"
	seeds   = "../../internal/query/testdata/seed"
)

// now is when the hunts are run; the samples are of the days before.
var now = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// TestHunts asks every shipped hunt, and the seed's query that it stands beside,
// over the lake's own Parquet files; what they must find is in their files.
func TestHunts(t *testing.T) {
	entries, err := hunts.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		data, err := hunts.Files.ReadFile(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		h, err := query.ParseSaved(entry.Name(), data)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Run(h.ID, func(t *testing.T) { hunt(t, h) })
	}
}

func hunt(t *testing.T, h *query.Saved) {
	text, err := h.Text(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files, catalogue := write(t, dir, h.Sample)
	e := open(t, "?files="+dir+"&root="+dir)
	compare(t, ask(t, e, text, files, catalogue), h.Finds)
	if h.Seed != "" {
		verbatim, err := os.ReadFile(filepath.Join(seeds, h.Seed+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, ask(t, e, string(verbatim), files, catalogue), h.SeedFinds)
	}
}

// TestLoad loads the same files twice into a table: they are asked as files are,
// and count once.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	entries, err := os.ReadDir(filepath.Join(samples, "prompts-and-answers"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, filepath.Join("prompts-and-answers", entry.Name()))
	}
	files, _ := write(t, dir, names)
	inFiles, inTable := open(t, "?files="+dir+"&root="+dir), open(t, "?table=loaded")
	for range 2 {
		if err := inTable.Load(t.Context(), files); err != nil {
			t.Fatal(err)
		}
	}
	const all = `SELECT * FROM events ORDER BY "_messageid"`
	want, got := plain(t, inFiles, all, files), plain(t, inTable, all, nil)
	if len(want) == 0 || !slices.EqualFunc(got, want, func(a, b []any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("%d rows in files, and in the table %d\n%v\n%v", len(want), len(got), want, got)
	}
}

func plain(t *testing.T, e lake.Engine, statement string, files []string) [][]any {
	t.Helper()
	rows, err := query.SQL(t.Context(), e, statement, query.Job{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	all, err := rows.All()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// write makes Parquet files of samples, as a server would.
func write(t *testing.T, dir string, names []string) ([]string, *lake.Catalogue) {
	t.Helper()
	b := lake.NewBuilder(lake.BuilderOptions{Dir: dir})
	defer b.Close()
	passed := map[string]bool{} // requests that our gateway tells of
	scan(t, names, func(r *event.Raw) {
		if r.Strand == event.Gateway {
			passed[string(r.Doc.GetStringBytes("requestId"))] = true
		}
	})
	n := normalise.New(normalise.Options{ViaGateway: func(id string) bool { return passed[id] }, Now: func() time.Time { return now }})
	seen := map[event.ID]bool{}
	scan(t, names, func(r *event.Raw) {
		var e event.Event
		if err := n.Event(r, &e); err != nil {
			t.Fatal(err)
		}
		if seen[e.ID] {
			return
		}
		seen[e.ID] = true
		if err := b.Add(&e); err != nil {
			t.Fatal(err)
		}
	})
	written, catalogue, err := b.Flush()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range written {
		files = append(files, f.Path)
	}
	return files, catalogue
}

func scan(t *testing.T, names []string, each func(*event.Raw)) {
	t.Helper()
	for _, name := range names {
		f, err := os.Open(filepath.Join(samples, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o := parse.Options{Origin: event.Origin{Name: name}, Received: now}
		if _, err := parse.Scan(f, o, func(r *event.Raw) error { each(r); return nil }, func(event.Problem) {}); err != nil {
			t.Fatal(err)
		}
	}
}

// ask runs a query and returns its rows as text.
func ask(t *testing.T, e lake.Engine, text string, files []string, catalogue *lake.Catalogue) (all []query.Row) {
	t.Helper()
	res, err := query.Compile(text, &op.Env{Now: now, Catalogue: query.Catalogue(catalogue)})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := query.Run(t.Context(), e, query.Job{Plan: res.Plan, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	cells, err := rows.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range cells {
		row := query.Row{}
		for i, c := range rows.Cols {
			row[c.Name] = cell(values[i])
		}
		all = append(all, row)
	}
	return all
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []string:
		return strings.Join(v, "\n")
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// compare checks that there are as many rows as are wanted, and that each of
// these is one of them.
func compare(t *testing.T, got, want []query.Row) {
	t.Helper()
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(g query.Row) bool {
			for name, v := range w {
				if have, ok := g[name]; !ok || have != v {
					return false
				}
			}
			return true
		})
		if i < 0 {
			t.Errorf("no row has %v", w)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, row := range left {
		delete(row, "_raw")
		t.Errorf("a row that was not expected: %v", row)
	}
}
