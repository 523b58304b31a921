package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReason(t *testing.T) {
	for said, want := range map[string]string{
		"=== RUN   TestX\n    x_test.go:12: needs a disk\n--- SKIP: TestX (0.00s)\n": "needs a disk",
		"    x_test.go:12: a: b\n":                   "a: b",
		"=== RUN   TestX\n--- SKIP: TestX (0.00s)\n": "no reason given",
	} {
		if got := reason(said); got != want {
			t.Errorf("reason(%q) = %q, want %q", said, got, want)
		}
	}
}

func TestGroup(t *testing.T) {
	for test, want := range map[string]string{
		"TestMatrix/boto3/sigv4/Converse": "boto3",
		"TestMatrix/boto3":                "",
		"TestOther/boto3/x":               "",
	} {
		if got := group(test); got != want {
			t.Errorf("group(%q) = %q, want %q", test, got, want)
		}
	}
}

func TestEndOfTime(t *testing.T) {
	const own = "--- FAIL: FuzzX (6.04s)\n    context deadline exceeded\nFAIL\nexit status 1\n"
	for out, want := range map[string]bool{
		own: true,
		"--- FAIL: FuzzX (1s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:3: bad\n    Failing input written to testdata/fuzz/FuzzX/1\nFAIL\n": false,
		own + "    Failing input written to testdata/fuzz/FuzzX/1\n":                                                                              false,
	} {
		if got := endOfTime([]byte(out)); got != want {
			t.Errorf("endOfTime(%q) = %v", out, got)
		}
	}
}

func TestCounter(t *testing.T) {
	c := counter{tally: &tally{}, output: nil}
	for _, e := range []event{
		{Action: "pass", Package: "gatehouse/p", Test: "TestA"},
		{Action: "fail", Package: "gatehouse/p", Test: "TestMatrix/curl/sigv4/Converse"},
		{Action: "skip", Package: "gatehouse/p", Test: "TestB"},
		{Action: "pass", Package: "gatehouse/p"},
	} {
		c.add(e)
	}
	if c.tally.passed != 1 || c.tally.failed != 1 || len(c.tally.skips) != 1 || c.tally.group("curl").failed != 1 {
		t.Errorf("got %+v", c.tally)
	}
	c = counter{tally: &tally{}}
	c.add(event{Action: "fail", Package: "gatehouse/p"}) // it did not build
	if c.tally.failed != 1 {
		t.Errorf("a package that did not build: %+v", c.tally)
	}
}

func TestReport(t *testing.T) {
	chosen := []stage{{name: "unit"}}
	skipped := func() []*tally { return []*tally{{passed: 2, skips: []skip{{"x", "no disk"}}}} }
	if !report(skipped(), chosen, false) {
		t.Error("a skip failed the run of a person")
	}
	if report(skipped(), chosen, true) {
		t.Error("a skip passed in CI")
	}
	if report([]*tally{{}}, chosen, false) {
		t.Error("a run without a test passed")
	}
}

// TestMissing: a stage whose tool could not be had is a skip that says why.
func TestMissing(t *testing.T) {
	for tool, stage := range map[string]func(*runner, *tally) error{"nginx": bench, "redis-server": redis} {
		got, r := &tally{}, &runner{ctx: t.Context(), missing: map[string]string{tool: "no root"}}
		if err := stage(r, got); err != nil || len(got.skips) != 1 || got.skips[0].why != "no root" || got.passed+got.failed > 0 {
			t.Errorf("without %s: got %+v, error %v; want one skip", tool, got, err)
		}
	}
}

// TestCalm: nothing runs at once in what is tested without the race detector,
// but for the scripts, whose processes do; and a name that is left out of its
// package's tests under it is that of no other test.
func TestCalm(t *testing.T) {
	found := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.Contains(path, "node_modules") {
			return err
		}
		pkg := filepath.ToSlash(strings.Replace(filepath.Dir(path), filepath.Join("..", ".."), "gatehouse", 1))
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		if calm[pkg] != "" && pkg != "gatehouse/cmd/gatehouse" && concurrent(file) {
			t.Errorf("%s starts goroutines, or has a package that is for them", path)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || single[f.Name.Name] == "" {
				continue
			}
			if found++; single[f.Name.Name] != pkg || concurrent(f) {
				t.Errorf("%s has another %s, or it starts goroutines", path, f.Name.Name)
			}
		}
		return nil
	})
	if err != nil || found != len(single) {
		t.Errorf("found %d tests of %d, error %v", found, len(single), err)
	}
}

// concurrent tells whether code starts goroutines or imports what is for them.
func concurrent(code ast.Node) (yes bool) {
	ast.Inspect(code, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			yes = true
		case *ast.SelectorExpr:
			yes = yes || n.Sel.Name == "Go" || n.Sel.Name == "Parallel"
		case *ast.ImportSpec:
			yes = yes || strings.HasPrefix(n.Path.Value, `"sync`)
		}
		return true
	})
	return yes
}

// TestOnce: what was made from a lock file is made again only when it changes.
func TestOnce(t *testing.T) {
	dir := t.TempDir()
	lock, made, n := filepath.Join(dir, "lock"), filepath.Join(dir, "made"), 0
	for _, step := range []struct {
		text string
		want int
	}{{"one", 1}, {"one", 1}, {"two", 2}} {
		if err := os.WriteFile(lock, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := new(runner).once(lock, made, func() error { n++; return os.MkdirAll(made, 0o700) })
		if err != nil || n != step.want {
			t.Errorf("lock %q: made %d times, error %v; want %d", step.text, n, err, step.want)
		}
	}
}
