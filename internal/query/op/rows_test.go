package op

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/event"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/syntax"
)

// record is one row of the table of events: values of _columns as given, of
// others from the record at the path of their name.
type record struct {
	meta map[string]any
	doc  any
	raw  string
}

// records reads lines of JSON. Keys that start with _ are metadata; the others
// are the record.
func records(t *testing.T, file string) []record {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []record
	for line := range bytes.Lines(data) {
		if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var doc map[string]any
		if err := d.Decode(&doc); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		r := record{meta: map[string]any{}, doc: doc}
		for k, v := range doc {
			if strings.HasPrefix(k, "_") {
				r.meta[k] = v
				delete(doc, k)
			}
		}
		var raw bytes.Buffer
		enc := json.NewEncoder(&raw)
		enc.SetEscapeHTML(len(out)%2 == 0) // writers differ
		if err := enc.Encode(doc); err != nil {
			t.Fatal(err)
		}
		r.raw = strings.TrimSpace(raw.String())
		out = append(out, r)
	}
	return out
}

// at walks a path of a decoded record.
func at(x any, steps []core.Step) any {
	for _, s := range steps {
		switch v := x.(type) {
		case map[string]any:
			x = v[s.Key]
		case []any:
			if s.Index < 0 || s.Index >= len(v) {
				return nil
			}
			x = v[s.Index]
		default:
			return nil
		}
	}
	return x
}

func (r record) value(t *testing.T, c core.Col) eval.Value {
	x := r.meta[c.Name]
	f, ok := event.Lookup(c.Name)
	switch {
	case c.Name == rawColumn:
		return eval.TextValue(r.raw)
	case x == nil && ok && event.Columns[f].Path:
		x = at(r.doc, Steps(c.Name))
	}
	s := fmt.Sprint(x)
	switch {
	case x == nil:
		return eval.Value{}
	case c.Type == core.Bool:
		return eval.BoolValue(s == "true")
	case c.Type == core.Text:
		return eval.TextValue(s)
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("%s of %s is %s", c.Name, r.raw, s)
	}
	if c.Type == core.Int {
		return eval.IntValue(int64(n))
	}
	return eval.FloatValue(n)
}

// found is the catalogue of the records.
type found struct{ records []record }

func (f found) Names() []string { return nil }

func (f found) Resolve(name string) []Path {
	for _, r := range f.records {
		if at(r.doc, Steps(name)) != nil {
			return []Path{{Steps(name), core.Text}}
		}
	}
	return nil
}

// ran is what a query gives over the records: its rows, as a person sees them.
func ran(t *testing.T, src string, list []record) string {
	t.Helper()
	return runWith(t, src, envOf(t, list), list)
}

// envOf is what queries over the records are compiled in.
func envOf(t *testing.T, list []record) *Env {
	e := env()
	e.Catalogue = found{list}
	e.Subquery = func(plan core.Plan) ([]core.Col, [][]any, error) {
		table, err := eval.Run(context.Background(), plan, source(t, list), eval.Budget{})
		if err != nil {
			return nil, nil, err
		}
		return table.Cols, anyRows(table), nil
	}
	return e
}

func anyRows(table *eval.Table) [][]any {
	var out [][]any
	for _, row := range table.Rows {
		var cells []any
		for _, v := range row {
			cells = append(cells, v.Any())
		}
		out = append(out, cells)
	}
	return out
}

// source is the records as the table of events.
func source(t *testing.T, list []record) eval.Source {
	return func(s *core.Scan) iter.Seq[[]eval.Value] {
		return func(yield func([]eval.Value) bool) {
			for _, r := range list {
				var row []eval.Value
				for _, c := range s.Columns {
					row = append(row, r.value(t, c))
				}
				if !yield(row) {
					return
				}
			}
		}
	}
}

func runWith(t *testing.T, src string, e *Env, list []record) string {
	t.Helper()
	q, parseErr := syntax.Parse(src)
	res, err := Compile(q, e)
	if err := syntax.Join(parseErr, err); err != nil {
		var es syntax.Errors
		errors.As(err, &es)
		return es.Render(src)
	}
	return rowsOf(t, res, list)
}

func rowsOf(t *testing.T, res *Result, list []record) string {
	t.Helper()
	table, err := eval.Run(context.Background(), res.Plan, source(t, list), eval.Budget{})
	if err != nil {
		return "ERROR " + err.Error() + "\n" + Format(res.Plan)
	}
	return print(res, table)
}

// print shows the columns that are for showing, a null as -.
func print(res *Result, table *eval.Table) string {
	columns := res.Columns
	if res.AllColumns {
		columns = nil
		for _, c := range table.Cols {
			columns = append(columns, c.Name)
		}
	}
	out := strings.Join(columns, " | ") + "\n"
	for _, row := range table.Rows {
		var cells []string
		for _, name := range columns {
			i := slices.IndexFunc(table.Cols, func(c core.Col) bool { return c.Name == name })
			cells = append(cells, cell(row[i]))
		}
		out += strings.Join(cells, " | ") + "\n"
	}
	for _, w := range slices.Concat(messages(res.Warnings), table.Warnings) {
		out += "warning: " + w + "\n"
	}
	return out
}

func messages(list []Warning) []string {
	var out []string
	for _, w := range list {
		out = append(out, w.Message)
	}
	return out
}

func cell(v eval.Value) string {
	switch v.Type {
	case core.Text:
		return strconv.Quote(v.S)
	case core.Bool:
		return strconv.FormatBool(v.N != 0)
	case core.Int:
		return strconv.FormatInt(v.N, 10)
	case core.Float:
		return strconv.FormatFloat(v.F, 'g', -1, 64)
	case core.List:
		return fmt.Sprintf("%q", v.L)
	}
	return "-"
}

// TestRows runs the queries of testdata/rows over the records there. It proves
// that a plan means what its stage promises, as core's words are understood by
// the plainest reading of them.
func TestRows(t *testing.T) {
	files, err := filepath.Glob("testdata/rows/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	list := records(t, "testdata/rows/records.jsonl")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := rewrite(string(data), func(src string) string { return ran(t, src, list) })
			save(t, file, got)
			if !*update {
				diff(t, got, string(data))
			}
		})
	}
}

// FuzzCompile: no text panics, and what compiles is a plan.
func FuzzCompile(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	seeds, _ := filepath.Glob("../testdata/seed/*.txt")
	for _, file := range seeds {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(string(data))
		}
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		rewrite(string(data), func(src string) string { f.Add(src); return "" })
	}
	f.Fuzz(func(t *testing.T, src string) {
		q, _ := syntax.Parse(src)
		if q == nil {
			return
		}
		res, err := Compile(q, env())
		if err != nil {
			return
		}
		if err := eval.Check(res.Plan); err != nil {
			t.Errorf("%q: %v\n%s", src, err, Format(res.Plan))
		}
	})
}
