package op

import (
	"os"
	"path/filepath"
	"testing"

	"gatehouse/internal/query/syntax"
)

// TestPruneKeepsRows: a plan gives the same rows with and without the columns
// that nobody needs.
func TestPruneKeepsRows(t *testing.T) {
	list := records(t, "testdata/rows/records.jsonl")
	files, _ := filepath.Glob("testdata/rows/*.txt")
	n := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rewrite(string(data), func(src string) string {
			q, err := syntax.Parse(src)
			if err != nil {
				t.Fatal(err)
			}
			b := newBuilder(q, envOf(t, list))
			errs := []error{b.scope(q.Scope)}
			for _, s := range q.Stages {
				errs = append(errs, b.run(s, q))
			}
			if err := syntax.Join(errs...); err != nil {
				t.Fatal(err)
			}
			whole := &Result{Plan: sorted(b.plan, b.order), Warnings: b.warnings, AllColumns: b.dynamic && b.fixed == 0}
			if b.renamed() {
				plan, _ := b.rename()
				whole.Plan = sorted(plan, b.order)
			}
			for _, c := range b.display() {
				whole.Columns = append(whole.Columns, c.name)
			}
			n++
			if got, want := ran(t, src, list), rowsOf(t, whole, list); got != want {
				t.Errorf("%s\npruned:\n%s\nwhole:\n%s", src, got, want)
			}
			return ""
		})
	}
	if n < 50 {
		t.Errorf("%d queries were run", n)
	}
}
