package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// staticcheck is pinned here, as it is no part of the program.
const staticcheck = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"

// whole are the packages that test the built program and have stages of their
// own.
var whole = []string{"gatehouse/test/clients", "gatehouse/test/crash"}

// goClient is the Go program of the client matrix, a module of its own.
const goClient = "test/clients/go"

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// command runs a program with its output shown.
func (r *runner) command(dir, name string, args ...string) error {
	cmd := exec.CommandContext(r.ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

func (r *runner) output(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(r.ctx, name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

func lint(r *runner, t *tally) error {
	t.check(r.formatted())
	t.check(r.command(".", "go", "vet", "./..."))
	t.check(r.command(goClient, "go", "vet", "./..."))
	t.check(r.command(".", "go", "run", staticcheck, "./..."))
	return nil
}

func (r *runner) formatted() error {
	files, err := r.output("git", "ls-files", "*.go")
	if err != nil {
		return err
	}
	odd, err := r.output("gofmt", append([]string{"-l"}, strings.Fields(files)...)...)
	if err == nil && odd != "" {
		err = fmt.Errorf("gofmt -w is needed on:\n%s", odd)
	}
	return err
}

func (r *runner) packages() ([]string, error) {
	out, err := r.output("go", "list", "./...")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(strings.Fields(out), func(p string) bool { return slices.Contains(whole, p) }), nil
}

func unit(r *runner, t *tally) error {
	pkgs, err := r.packages()
	if err != nil {
		return err
	}
	if err := r.goTest(t, nil, append([]string{"-race", "-shuffle=on", "-timeout=15m"}, pkgs...)...); err != nil {
		return err
	}
	return r.noRace(t)
}

// noRace runs the tests that the race detector gets in the way of: those that
// count allocations, and the largest crowd.
func (r *runner) noRace(t *tally) error {
	out, err := r.output("go", "list", "-race", "-f", `{{$p := .ImportPath}}{{range .IgnoredGoFiles}}{{if or (eq . "alloc_test.go") (eq . "siege_norace_test.go")}}{{$p}}{{"\n"}}{{end}}{{end}}`, "./...")
	if err != nil {
		return err
	}
	pkgs := strings.Fields(out)
	if len(pkgs) == 0 {
		return fmt.Errorf("found no test of allocations")
	}
	return r.goTest(t, nil, append([]string{"-run=Alloc|TestClientsVanish"}, pkgs...)...)
}

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// fuzz runs each target by itself, as the go tool asks. Targets are found in
// the source, which spares a build of every test binary.
func fuzz(r *runner, t *tally) error {
	list := `{{$d := .Dir}}{{$p := .ImportPath}}{{range .TestGoFiles}}{{$p}} {{$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$p}} {{$d}}/{{.}}{{"\n"}}{{end}}`
	out, err := r.output("go", "list", "-f", list, "./...")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		pkg, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range fuzzFunc.FindAllStringSubmatch(string(src), -1) {
			t.check(r.fuzzOne(pkg, m[1]))
		}
	}
	if t.passed+t.failed == 0 {
		return fmt.Errorf("found no fuzz target")
	}
	return nil
}

func (r *runner) fuzzOne(pkg, name string) error {
	cmd := exec.CommandContext(r.ctx, "go", "test", "-run=^$", "-fuzz=^"+name+"$", "-fuzztime="+r.fuzzTime.String(), pkg)
	out, err := cmd.CombinedOutput()
	if err != nil && !endOfTime(out) {
		return fmt.Errorf("%s %s: %w\n%s", pkg, name, err, out)
	}
	last := "" // the last line that tells how much was tried
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "fuzz: elapsed") {
			last = strings.TrimSpace(line)
		}
	}
	fmt.Printf("%s %s %s\n", strings.TrimPrefix(pkg, "gatehouse/"), name, last)
	return nil
}

// endOfTime tells whether a target failed of nothing but the end of its time:
// until Go 1.27 the fuzzer may report its own deadline as a failure
// (golang/go#75804). A true find names the input it wrote.
func endOfTime(out []byte) bool {
	return bytes.Contains(out, []byte("\n    context deadline exceeded\nFAIL\n")) && !bytes.Contains(out, []byte("Failing input"))
}

func clients(r *runner, t *tally) error {
	// Clients wait between attempts more than they work.
	err := r.whole(t, "GATEHOUSE_CLIENTS=1", "./test/clients", "-parallel=6", "-skip=^TestPostman$")
	if table, readErr := os.ReadFile("bin/client-matrix.md"); readErr == nil {
		fmt.Printf("\n%s", table)
	}
	return err
}

func newman(r *runner, t *tally) error {
	return r.whole(t, "GATEHOUSE_CLIENTS=1", "./test/clients", "-run=^TestPostman$")
}

func crash(r *runner, t *tally) error {
	return r.whole(t, "GATEHOUSE_CRASH=1", "./test/crash")
}

func redis(r *runner, t *tally) error {
	if why := r.missing["redis-server"]; why != "" {
		t.skip("redis", why)
		return nil
	}
	return r.whole(t, "GATEHOUSE_TEST_REDIS=1", "./internal/store/redis")
}

// whole runs a package that tests the built program, or needs another.
func (r *runner) whole(t *tally, env, pkg string, args ...string) error {
	return r.goTest(t, []string{env}, append(append([]string{"-count=1", "-timeout=20m"}, args...), pkg)...)
}

func bench(r *runner, t *tally) error {
	if why := r.missing["nginx"]; why != "" {
		t.skip("bench", why)
		return nil
	}
	t.check(r.command(".", "go", "build", "-o", filepath.Join("bin", "gatehouse"), "./cmd/gatehouse"))
	t.check(r.command(".", "go", "run", "./bench", "-quick", "-bin", filepath.Join("bin", "gatehouse")))
	return nil
}
