package query

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/lake"
	"gatehouse/internal/query/op"
	"gatehouse/internal/query/sql"
	"gatehouse/internal/query/syntax"
)

// paths says that records have every path, as text.
type paths struct{}

func (paths) Resolve(name string) []op.Path { return []op.Path{{Steps: op.Steps(name)}} }
func (paths) Names() []string               { return nil }

// queries are the seed's hunts and the queries of op's goldens, which are the
// lines that are not indented.
func queries(t *testing.T) []string {
	t.Helper()
	var out []string
	seeds, _ := filepath.Glob("testdata/seed/*.txt")
	goldens, _ := filepath.Glob("op/testdata/*.txt")
	rows, _ := filepath.Glob("op/testdata/rows/*.txt")
	for _, file := range seeds {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(data))
	}
	for _, file := range append(goldens, rows...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, " ") {
				out = append(out, line)
			}
		}
	}
	return out
}

// TestPrints: what compiles can be printed for an engine.
func TestPrints(t *testing.T) {
	n := 0
	for _, src := range queries(t) {
		res, err := Compile(src, &op.Env{Catalogue: paths{}})
		if err != nil {
			var es syntax.Errors
			if !errors.As(err, &es) || len(es) == 0 {
				t.Errorf("%s: %v is no list of mistakes", src, err)
			}
			continue
		}
		n++
		if _, err := Explain(res.Plan, &sql.DuckDB); err != nil {
			t.Errorf("%s: %v\n%s", src, err, op.Format(res.Plan))
		}
	}
	if n < 100 {
		t.Errorf("%d queries compile, want the hundreds that there are", n)
	}
}

// TestCompileMistakes: those of the text and those of meaning come together, in
// the order of the text, one a stage.
func TestCompileMistakes(t *testing.T) {
	_, err := Compile("a=b c>d | frob x | where a = | count by", nil)
	var es syntax.Errors
	if !errors.As(err, &es) {
		t.Fatalf("got %v", err)
	}
	want := "scope: '>' has no meaning in the scope\n" +
		"stage 1: there is no operator frob\n" +
		"stage 2: a value was expected, not the end of the stage\n" +
		"stage 3: the name of a field was expected, not the end of the stage"
	if es.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", es, want)
	}
}

// TestCatalogue: names as people write them find paths as records have them.
func TestCatalogue(t *testing.T) {
	key := func(keys ...string) (steps []lake.Step) {
		for _, k := range keys {
			steps = append(steps, lake.Step{Key: k, Index: -1})
		}
		return steps
	}
	kinds := func(list ...lake.Kind) (k lake.Kinds) {
		for _, i := range list {
			k[i]++
		}
		return k
	}
	c := &lake.Catalogue{Paths: []lake.Path{
		{Steps: key("a", "Size"), Kinds: kinds(lake.Number)},
		{Steps: key("a", "mixed"), Kinds: kinds(lake.Number, lake.Text)},
		{Steps: key("a", "tags"), Kinds: kinds(lake.Array)},
		{Steps: key("a", "odd.key"), Kinds: kinds(lake.Text)},
	}}
	for name, want := range map[string]string{
		"a.size":    "$.a.Size float",
		"A.MIXED":   "$.a.mixed text",
		"a.tags":    "$.a.tags text",
		"a.tags[1]": "$.a.tags[1] text",
		"a.odd.key": "$.a.odd.key text",
		"a.nothing": "",
		"a.none[0]": "",
		"[0]":       "",
	} {
		if got := formatted(Catalogue(c).Resolve(name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	c = &lake.Catalogue{Overflow: true}
	if got := formatted(Catalogue(c).Resolve("x.y[2]")); got != "$.x.y[2] text" {
		t.Errorf("a path of a full catalogue is %q", got)
	}
}

func formatted(paths []op.Path) string {
	var out []string
	for _, p := range paths {
		s := "$"
		for _, step := range p.Steps {
			if step.Index >= 0 {
				s += fmt.Sprintf("[%d]", step.Index)
				continue
			}
			s += "." + step.Key
		}
		out = append(out, s+" "+p.Type.String())
	}
	return strings.Join(out, ", ")
}
