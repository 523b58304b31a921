package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// staticcheck is pinned here, as it is no part of the program.
const staticcheck = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"

// whole are the packages that test the built program and have stages of their
// own.
var whole = []string{"gatehouse/test/clients", "gatehouse/test/crash", "gatehouse/test/chdb"}

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

// calm are the packages whose tests do not run under the race detector, which
// makes them five to twenty times as dear, and why they need not.
var calm = map[string]string{
	"gatehouse/cmd/gatehouse":                "scripts of processes: what runs at once in a server is internal/app, whose tests start the same server within their own process",
	"gatehouse/internal/bedrock/eventstream": "one goroutine: bytes in, frames out",
	"gatehouse/internal/ledger":              "one goroutine: records in, bytes out",
	"gatehouse/internal/query/sql":           "one goroutine: a plan in, a statement out",
	"gatehouse/internal/query/syntax":        "one goroutine: text in, a tree out",
	"gatehouse/internal/telemetry/normalise": "one goroutine each, and nothing is shared between them",
	"gatehouse/internal/telemetry/parse":     "one goroutine: bytes in, records out",
	"gatehouse/test/hunts":                   "one query after another; what runs at once is internal/lake/duck's to test",
	"gatehouse/test/guardeval":               "one goroutine: it counts what the guard says of a corpus",
}

// single are tests of one goroutine each that take most of the time of their
// packages under the race detector, which can find nothing in them.
var single = map[string]string{
	"TestAgreesWithSDK":    "gatehouse/internal/sigv4",
	"TestCrashes":          "gatehouse/internal/gateway/limit",
	"TestDecodingIsLinear": "gatehouse/internal/gateway/guard",
	"TestManyKeys":         "gatehouse/internal/gateway/limit",
}

// unit runs what may race under the race detector, then the rest without it.
func unit(r *runner, t *tally) error {
	pkgs, err := r.packages()
	if err != nil {
		return err
	}
	racing := slices.DeleteFunc(pkgs, func(p string) bool { return calm[p] != "" })
	singles := "^(" + strings.Join(sorted(single), "|") + ")$"
	if err := r.goTest(t, nil, append([]string{"-race", "-shuffle=on", "-timeout=15m", "-skip=" + singles}, racing...)...); err != nil {
		return err
	}
	if err := r.goTest(t, nil, append([]string{"-shuffle=on"}, sorted(calm)...)...); err != nil {
		return err
	}
	if err := r.goTest(t, nil, append([]string{"-run=" + singles}, slices.Compact(slices.Sorted(maps.Values(single)))...)...); err != nil {
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

// fuzzTarget is a fuzz target and the binary that has it.
type fuzzTarget struct{ pkg, dir, name, bin string }

// fuzz runs each target for itself, as the testing package asks. The binary of
// a package is built once, not once a target, while others run; and as many
// targets run at once as there are cores, with one worker each, since one alone
// leaves a core idle while it starts, reads its corpus and ends.
func fuzz(r *runner, t *tally) error {
	targets, err := r.fuzzTargets()
	if err != nil {
		return err
	}
	cache, err := r.output("go", "env", "GOCACHE")
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "gatehouse-fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	built, done := make(chan fuzzTarget, len(targets)), make(chan error)
	var all sync.WaitGroup
	all.Go(func() { r.fuzzBuild(targets, tmp, built, done) })
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for f := range built {
				done <- r.fuzzOne(f, filepath.Join(cache, "fuzz", f.pkg))
			}
		})
	}
	for range targets {
		t.check(<-done)
	}
	all.Wait()
	return nil
}

// fuzzBuild builds the binary of each package and hands out its targets. A
// target without one is done.
func (r *runner) fuzzBuild(targets []fuzzTarget, tmp string, built chan<- fuzzTarget, done chan<- error) {
	defer close(built)
	bins, errs := map[string]string{}, map[string]error{}
	for _, f := range targets {
		if bins[f.pkg] == "" {
			bins[f.pkg] = filepath.Join(tmp, strings.ReplaceAll(f.pkg, "/", "-"))
			errs[f.pkg] = r.command(".", "go", "test", "-c", "-fuzz=.", "-o", bins[f.pkg], f.pkg)
		}
		if f.bin = bins[f.pkg]; errs[f.pkg] != nil {
			done <- errs[f.pkg]
			continue
		}
		built <- f
	}
}

// fuzzTargets finds the targets in the source, which spares a build of the
// packages that have none.
func (r *runner) fuzzTargets() ([]fuzzTarget, error) {
	list := `{{$d := .Dir}}{{$p := .ImportPath}}{{range .TestGoFiles}}{{$p}} {{$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$p}} {{$d}}/{{.}}{{"\n"}}{{end}}`
	out, err := r.output("go", "list", "-f", list, "./...")
	if err != nil {
		return nil, err
	}
	var targets []fuzzTarget
	for line := range strings.Lines(out) {
		pkg, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, m := range fuzzFunc.FindAllStringSubmatch(string(src), -1) {
			targets = append(targets, fuzzTarget{pkg: pkg, dir: filepath.Dir(file), name: m[1]})
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("found no fuzz target")
	}
	return targets, nil
}

// fuzzOne runs a target where go test would: what it finds goes to testdata.
func (r *runner) fuzzOne(f fuzzTarget, corpus string) error {
	cmd := exec.CommandContext(r.ctx, f.bin, "-test.run=^$", "-test.fuzz=^"+f.name+"$", "-test.fuzztime="+r.fuzzTime.String(), "-test.fuzzcachedir="+corpus, "-test.parallel=1")
	cmd.Dir = f.dir
	out, err := cmd.CombinedOutput()
	if err != nil && !endOfTime(out) {
		return fmt.Errorf("%s %s: %w\n%s", f.pkg, f.name, err, out)
	}
	last := "" // the last line that tells how much was tried
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "fuzz: elapsed") {
			last = strings.TrimSpace(line)
		}
	}
	fmt.Printf("%s %s %s\n", strings.TrimPrefix(f.pkg, "gatehouse/"), f.name, last)
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

func chdb(r *runner, t *tally) error {
	if why := r.missing["chdb"]; why != "" {
		t.skip("chdb", why)
		return nil
	}
	return r.whole(t, "GATEHOUSE_CHDB="+filepath.Join(".venv", "bin", "python"), "./"+chdbDir)
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
