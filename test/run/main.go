// Command run is `make test`: it installs what the tests need from lock files,
// runs the stages in the order of the table below, and closes with what was
// run, what was skipped and why.
//
// A stage that cannot run here (no root to install a package, no registry in
// reach) is a skip with a reason. On a person's machine a skip is allowed; with
// CI=true it fails the run, so that nothing is left out unseen. The last line
// is "N passed, M failed", with ", K skipped" when there are any.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// stage is one step of the run. It reports into its own tally.
type stage struct {
	name string
	what string
	run  func(*runner, *tally) error
}

var stages = []stage{
	{"lint", "gofmt, go vet, staticcheck", lint},
	{"unit", "every package, in shuffled order, under the race detector what may race", unit},
	{"fuzz", "every fuzz target for some seconds", fuzz},
	{"tools", "clients and servers of the stages below, from their lock files", tools},
	{"clients", "unmodified SDKs, CLI and curl against the built program", clients},
	{"newman", "the Postman collection of the chat API", newman},
	{"crash", "kill -9 under load", crash},
	{"redis", "the shared limit store against a real server", redis},
	{"chdb", "hunts and every primitive on ClickHouse's own engine", chdb},
	{"bench", "the benchmark, for a few calls only", bench},
}

// runner is what the stages share.
type runner struct {
	ctx      context.Context
	ci       bool
	fuzzTime time.Duration
	missing  map[string]string // tool → why it could not be had
}

// tally counts the tests of a stage.
type tally struct {
	passed, failed int
	skips          []skip
	groups         map[string]*tally // of the client matrix: by client
	took           time.Duration
}

type skip struct{ what, why string }

func (t *tally) skip(what, why string) { t.skips = append(t.skips, skip{what, why}) }

func (t *tally) group(name string) *tally {
	if t.groups == nil {
		t.groups = map[string]*tally{}
	}
	if t.groups[name] == nil {
		t.groups[name] = &tally{}
	}
	return t.groups[name]
}

// check counts one yes-or-no test.
func (t *tally) check(err error) {
	if err == nil {
		t.passed++
		return
	}
	t.failed++
	fmt.Println(err)
}

func main() {
	only := flag.String("stages", "", "comma-separated names of the stages to run; empty: all")
	fuzzTime := flag.Duration("fuzztime", 3*time.Second, "how long to fuzz each target")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	r := &runner{ctx: ctx, ci: os.Getenv("CI") == "true", fuzzTime: *fuzzTime, missing: map[string]string{}}
	chosen, err := choose(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ok := report(r.runAll(chosen), chosen, r.ci)
	stop()
	if !ok {
		os.Exit(1)
	}
}

func choose(only string) ([]stage, error) {
	if only == "" {
		return stages, nil
	}
	var chosen []stage
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(stages, func(s stage) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no stage %q; run with -h for help", name)
		}
		chosen = append(chosen, stages[i])
	}
	return chosen, nil
}

func (r *runner) runAll(chosen []stage) []*tally {
	all := make([]*tally, len(chosen))
	for i, s := range chosen {
		fmt.Printf("\n=== %s: %s\n", s.name, s.what)
		start := time.Now()
		all[i] = &tally{}
		if err := s.run(r, all[i]); err != nil {
			all[i].check(fmt.Errorf("%s: %w", s.name, err))
		}
		all[i].took = time.Since(start)
	}
	return all
}

// report prints the closing tables and tells whether the run is good.
func report(all []*tally, chosen []stage, ci bool) bool {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nstage\tminutes\tpassed\tfailed\tskipped\t\n")
	var sum tally
	for i, t := range all {
		fmt.Fprintf(w, "%s\t%.1f\t%d\t%d\t%d\t\n", chosen[i].name, t.took.Minutes(), t.passed, t.failed, len(t.skips))
		sum.passed += t.passed
		sum.failed += t.failed
		sum.took += t.took
		sum.skips = append(sum.skips, t.skips...)
	}
	fmt.Fprintf(w, "all\t%.1f\t%d\t%d\t%d\t\n", sum.took.Minutes(), sum.passed, sum.failed, len(sum.skips))
	w.Flush()
	reportClients(all)
	for _, s := range sum.skips {
		fmt.Printf("skipped: %s: %s\n", s.what, s.why)
	}
	if ci && len(sum.skips) > 0 {
		fmt.Println("CI=true: what is skipped has failed")
		sum.failed += len(sum.skips)
		sum.skips = nil
	}
	fmt.Printf("%d passed, %d failed", sum.passed, sum.failed)
	if n := len(sum.skips); n > 0 {
		fmt.Printf(", %d skipped", n)
	}
	fmt.Println()
	return sum.failed == 0 && sum.passed > 0
}

func reportClients(all []*tally) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, t := range all {
		for i, name := range sorted(t.groups) {
			if i == 0 {
				fmt.Fprint(w, "\nclient\tpassed\tfailed\tskipped\t\n")
			}
			g := t.groups[name]
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", name, g.passed, g.failed, len(g.skips))
		}
	}
	w.Flush()
	fmt.Println()
}
