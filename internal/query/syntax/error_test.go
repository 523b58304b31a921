package syntax

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the goldens of this package")

// TestErrors renders the mistakes of each query in testdata/errors and compares
// them with the file beside it. The stages that Parse could tell apart are read
// as expressions, as an operator would.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.query")
	if err != nil || len(files) == 0 {
		t.Fatal("no queries", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		src := string(b)
		got := check(src).(Errors).Render(src)
		golden := strings.TrimSuffix(name, ".query") + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s%v", name, got, want, err)
		}
	}
}

// check reads every stage as where and an expression, or as a name.
func check(src string) error {
	q, err := Parse(src)
	errs := []error{err}
	for _, s := range q.Stages {
		if s.Bad {
			continue
		}
		c := NewCursor(s, q)
		if _, ok := c.Word("where"); ok {
			c.Expr()
		} else {
			c.Name()
		}
		errs = append(errs, c.End())
	}
	return Join(errs...)
}

func TestReports(t *testing.T) {
	src := "*\n| where é = 1"
	_, err := Parse(src)
	got, _ := json.Marshal(err.(Errors).Reports(src))
	want := `[{"code":"character","message":"'é' means nothing here","stage":1,"line":2,"col":9,"near":"é",` +
		`"hint":"a field with such a name is written %\"name\", text \"text\""}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRenderAnywhere shows mistakes whose spans are wrong, since operators make them.
func TestRenderAnywhere(t *testing.T) {
	for _, src := range []string{"", "é\x1b[2J\n\té", strings.Repeat("é", 500)} {
		for _, s := range []Span{{-1, 3}, {1, 1 << 30}, {9, 2}, {3, 4}, {400, 401}} {
			out := Errors{{Message: "m", Span: s}}.Render(src)
			if strings.Contains(out, "\x1b") || len(out) > 1000 || !strings.Contains(out, "^") {
				t.Errorf("%v of %.20q: %q", s, src, out)
			}
		}
	}
}

// TestJoinKeepsWhatBelongsTogether: of a stage the first mistake, with those that
// one step found together.
func TestJoinKeepsWhatBelongsTogether(t *testing.T) {
	at := func(stage, start int) *Error {
		return &Error{Stage: stage, Span: Span{start, start + 1}, Message: fmt.Sprint(start)}
	}
	err := Join(Errors{at(1, 4), at(1, 2)}, at(1, 3), nil, at(2, 9), Errors{at(2, 7), at(3, 11)}, at(3, 12))
	if got, want := err.Error(), "stage 1: 2\nstage 1: 4\nstage 2: 7\nstage 3: 11"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
