// Package hunts_test runs every hunt that is shipped, and the seed's own query
// beside it where there is one, over its sample data: parsed, normalised and
// written to Parquet as a server would, and asked of DuckDB and of closures.
package hunts_test

import (
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/hunts"
	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
	"gatehouse/internal/query"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
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

// shipped are all hunts, by id.
func shipped(t *testing.T) map[string]*query.Saved {
	t.Helper()
	all := map[string]*query.Saved{}
	entries, err := hunts.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := hunts.Files.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		h, err := query.ParseSaved(e.Name(), data)
		if err != nil {
			t.Error(err)
			continue
		}
		all[h.ID] = h
	}
	return all
}

func TestShippedHuntsFindWhatTheySay(t *testing.T) {
	engine, err := duck.Open(duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	all := shipped(t)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		h := all[id]
		t.Run(id, func(t *testing.T) {
			text, err := h.Text(nil)
			if err != nil {
				t.Fatal(err)
			}
			found := gather(t, h.Sample)
			compare(t, "the sample", ask(t, engine, text, found), h.Finds)
			if h.Seed != "" {
				verbatim, err := os.ReadFile(filepath.Join(seeds, h.Seed+".txt"))
				if err != nil {
					t.Fatal(err)
				}
				compare(t, "the sample, asked by "+h.Seed, ask(t, engine, string(verbatim), found), h.SeedFinds)
			}
			for _, quiet := range h.Quiet {
				compare(t, quiet, ask(t, engine, text, gather(t, []string{quiet})), nil)
			}
		})
	}
}

// TestShippedHuntsHangTogether checks what one file alone cannot show.
func TestShippedHuntsHangTogether(t *testing.T) {
	all := shipped(t)
	used := map[string]bool{}
	twins := map[string]bool{}
	for id, h := range all {
		twins[h.Seed] = true
		if len(h.Finds) == 0 || len(h.Quiet) == 0 || len(h.FalsePositives) == 0 || len(h.Pivot) == 0 {
			t.Errorf("%s lacks what it finds, where it is quiet, false positives, or a hunt to go on with", id)
		}
		for _, f := range h.FalsePositives {
			if !sentence.MatchString(f) { // a comma outside quotes makes two of one
				t.Errorf("%s: %q is no sentence", id, f)
			}
		}
		for _, p := range h.Pivot {
			if all[p] == nil {
				t.Errorf("%s goes on to %s, which is no hunt", id, p)
			}
		}
		for _, f := range slices.Concat(h.Sample, h.Quiet) {
			used[f] = true
		}
	}
	for _, seed := range []string{"H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8", "H9", "H10", "H11"} {
		if !twins[seed] {
			t.Errorf("no hunt is the twin of %s", seed)
		}
	}
	err := filepath.WalkDir(samples, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if name, _ := filepath.Rel(samples, path); !used[filepath.ToSlash(name)] {
			t.Errorf("no hunt uses %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

var sentence = regexp.MustCompile(`^\p{Lu}.*\.$`)

// evidence is what samples become: events, in memory and in Parquet files, and
// what is known of their paths.
type evidence struct {
	events    []event.Event
	files     []string
	catalogue *lake.Catalogue
}

func gather(t *testing.T, names []string) evidence {
	t.Helper()
	b := lake.NewBuilder(lake.BuilderOptions{Dir: t.TempDir()})
	defer b.Close()
	passed := map[string]bool{} // requests that our gateway tells of
	scan(t, names, func(r *event.Raw) {
		if r.Strand == event.Gateway {
			passed[string(r.Doc.GetStringBytes("requestId"))] = true
		}
	})
	n := normalise.New(normalise.Options{
		ViaGateway: func(id string) bool { return passed[id] },
		Now:        func() time.Time { return now },
	})
	ev := evidence{}
	seen := map[event.ID]bool{}
	scan(t, names, func(r *event.Raw) {
		var e event.Event
		if err := n.Event(r, &e); err != nil {
			t.Fatalf("%s: %v", r.Origin.Name, err)
		}
		if seen[e.ID] {
			return
		}
		seen[e.ID] = true
		ev.events = append(ev.events, e)
		if err := b.Add(&e); err != nil {
			t.Fatal(err)
		}
	})
	files, catalogue, err := b.Flush()
	if err != nil {
		t.Fatal(err)
	}
	ev.catalogue = catalogue
	for _, f := range files {
		ev.files = append(ev.files, f.Path)
	}
	return ev
}

func scan(t *testing.T, names []string, each func(*event.Raw)) {
	t.Helper()
	for _, name := range names {
		f, err := os.Open(filepath.Join(samples, name))
		if err != nil {
			t.Fatal(err)
		}
		o := parse.Options{Origin: event.Origin{Name: name}, Received: now}
		stats, err := parse.Scan(f, o, func(r *event.Raw) error { each(r); return nil },
			func(p event.Problem) { t.Errorf("%s: record %d: %s", name, p.Origin.Record, p.Reason) })
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if stats.Records == 0 {
			t.Fatalf("%s holds no records", name)
		}
	}
}

// ask runs a query and returns its rows as text. Closures, which detection runs
// on, have to give the same rows as the engine.
func ask(t *testing.T, engine lake.Engine, text string, ev evidence) []query.Row {
	t.Helper()
	res, err := query.Compile(text, &op.Env{Now: now, Catalogue: query.Catalogue(ev.catalogue)})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := query.Run(t.Context(), engine, query.Job{Plan: res.Plan, Files: ev.files})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	values, err := rows.All()
	if err != nil {
		t.Fatal(err)
	}
	table, err := eval.Run(t.Context(), res.Plan, ev.scan, eval.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	var live [][]any
	for _, row := range table.Rows {
		var values []any
		for _, v := range row {
			values = append(values, v.Any())
		}
		live = append(live, values)
	}
	all := named(rows.Cols, values)
	if got, want := whole(named(table.Cols, live)), whole(all); got != want {
		t.Errorf("closures give\n%s\nDuckDB gives\n%s", got, want)
	}
	return all
}

// scan gives the events to closures.
func (ev evidence) scan(s *core.Scan) iter.Seq[[]eval.Value] {
	return func(yield func([]eval.Value) bool) {
		for i := range ev.events {
			row := make([]eval.Value, len(s.Columns))
			for j, c := range s.Columns {
				row[j] = column(&ev.events[i], c.Name)
			}
			if !yield(row) {
				return
			}
		}
	}
}

func column(e *event.Event, name string) eval.Value {
	f, ok := event.Lookup(name)
	if !ok {
		return eval.TextValue(string(e.Raw)) // the only other one: _raw
	}
	switch v := e.Values[f]; v.Kind {
	case event.Text:
		return eval.TextValue(v.S)
	case event.Int:
		return eval.IntValue(v.N)
	case event.Float:
		return eval.FloatValue(v.F)
	case event.Bool:
		return eval.BoolValue(v.N != 0)
	}
	return eval.Value{}
}

func named(cols []core.Col, values [][]any) []query.Row {
	var all []query.Row
	for _, cells := range values {
		row := query.Row{}
		for i, c := range cols {
			row[c.Name] = cell(cells[i])
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
		return strconv.FormatFloat(v, 'g', 12, 64) // sums differ by the order of their parts
	}
	return fmt.Sprint(v)
}

// whole is all rows, in an order of their own.
func whole(rows []query.Row) string {
	var list []string
	for _, r := range rows {
		list = append(list, show(r))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// compare checks that there are as many rows as are wanted, and that each of
// these is one of them.
func compare(t *testing.T, where string, got, want []query.Row) {
	t.Helper()
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(g query.Row) bool { return holds(g, w) })
		if i < 0 {
			t.Errorf("%s: no row has\n%s\n", where, show(w))
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, row := range left {
		t.Errorf("%s: a row that was not expected:\n%s", where, show(row))
	}
}

func holds(got, want query.Row) bool {
	for name, v := range want {
		if g, ok := got[name]; !ok || g != v {
			return false
		}
	}
	return true
}

func show(r query.Row) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if name != "_raw" {
			fmt.Fprintf(&b, "  %s: %q\n", name, r[name])
		}
	}
	return b.String()
}
