package op

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/query/core"
	"gatehouse/internal/query/eval"
	"gatehouse/internal/query/syntax"
)

var update = flag.Bool("update", false, "write the goldens anew")

// catalogue is the paths that the records of the tests have.
type catalogue map[string]core.Type

func (c catalogue) Resolve(name string) []Path {
	var exact, other []Path
	for p, t := range c {
		switch {
		case p == name:
			exact = append(exact, Path{Steps(p), t})
		case strings.EqualFold(p, name):
			other = append(other, Path{Steps(p), t})
		}
	}
	return append(exact, other...)
}

func (c catalogue) Names() []string {
	var names []string
	for p := range c {
		names = append(names, p)
	}
	return names
}

var paths = catalogue{
	"requestParameters.trainingDataConfig.s3Uri": core.Text,
	"requestParameters.customModelName":          core.Text,
	"requestParameters.bucketName":               core.Text,
	"requestParameters.maxResults":               core.Int,
	"responseElements.score":                     core.Float,
	"additionalEventData.bytesTransferredOut":    core.Int,
	"additionaleventdata.bytesTransferredOut":    core.Int,
	"users[2].address.street":                    core.Text,
	"details":                                    core.Text,
	"status":                                     core.Text,
	"host":                                       core.Text,
}

// env is a day in a zone that is not UTC.
func env() *Env {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return &Env{
		Now:       time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		From:      time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		To:        time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		Zone:      zone,
		Catalogue: paths,
		Lookup:    tables,
		Subquery:  answers,
		SaveDir:   "tables",
	}
}

// answers finds one and two wherever it is asked, and gives its plan away when
// that is not sound.
func answers(plan core.Plan) ([]core.Col, [][]any, error) {
	if err := eval.Check(plan); err != nil {
		return nil, nil, fmt.Errorf("broken plan: %w", err)
	}
	rows := [][]any{nil, nil, nil}
	for range plan.Cols() {
		rows[0], rows[1], rows[2] = append(rows[0], "One"), append(rows[1], "2"), append(rows[2], "One")
	}
	return plan.Cols(), rows, nil
}

// tables has one table, of hosts.
func tables(name string) (*Table, error) {
	if name != "hosts.csv" && name != "Sec/Hosts" {
		return nil, errors.New("there is no such file")
	}
	return &Table{
		Columns: []core.Col{{Name: "Host", Type: core.Text}, {Name: "owner", Type: core.Text}, {Name: "tier", Type: core.Int}},
		Rows:    [][]any{{"H1", "ann", int64(1)}, {"h2", "old", int64(2)}, {"H2", "ben", int64(3)}, {nil, "none", nil}},
	}, nil
}

// compiled is the query as the goldens keep it: its plan, what is shown, and
// its warnings; or its mistakes with their carets.
func compiled(src string, env *Env) string {
	q, err := syntax.Parse(src)
	var res *Result
	if err == nil || q != nil {
		r, err2 := Compile(q, env)
		err, res = syntax.Join(err, err2), r
	}
	if err != nil {
		var es syntax.Errors
		if !errors.As(err, &es) {
			return err.Error() + "\n"
		}
		return es.Render(src)
	}
	if err := eval.Check(res.Plan); err != nil {
		return Format(res.Plan) + "BROKEN PLAN: " + err.Error() + "\n"
	}
	out := Format(res.Plan) + "show " + strings.Join(res.Columns, ", ") + "\n"
	for _, w := range res.Warnings {
		out += fmt.Sprintf("warning at stage %d: %s\n", w.Stage, w.Message)
	}
	return out
}

// TestGolden compiles the queries of testdata: each line is a query and,
// indented below it, what becomes of it. Lines with # are comments.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := rewrite(string(data), func(src string) string { return compiled(src, env()) })
			save(t, file, got)
			if !*update {
				diff(t, got, string(data))
			}
		})
	}
}

// rewrite is the file with the results that the queries have now.
func rewrite(data string, result func(src string) string) string {
	var out strings.Builder
	for line := range strings.Lines(data) {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out.WriteString(line)
		if src := strings.TrimSpace(line); src != "" && !strings.HasPrefix(src, "#") {
			for l := range strings.Lines(result(src)) {
				out.WriteString("    " + l)
			}
		}
	}
	return out.String()
}

// save writes a golden anew when the flag says so.
func save(t *testing.T, file, got string) {
	t.Helper()
	if !*update {
		return
	}
	if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
		t.Fatal(err)
	}
}

// diff reports the first line that differs.
func diff(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(end)", "(end)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("line %d\n got: %s\nwant: %s", i+1, a, b)
		}
	}
}

// TestSeed compiles the eleven hunts of the seed as they stand.
func TestSeed(t *testing.T) {
	for i := range 11 {
		name := fmt.Sprintf("H%d.txt", i+1)
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(filepath.Join("../testdata/seed", name))
			if err != nil {
				t.Fatal(err)
			}
			got := compiled(string(src), &Env{Catalogue: paths})
			file := filepath.Join("testdata/seed", name)
			save(t, file, got)
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			diff(t, got, string(want))
		})
	}
}
