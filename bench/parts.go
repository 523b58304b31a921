package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// suite is Go benchmarks of one package, which measure a part of the gateway
// by itself.
type suite struct {
	pkg   string
	bench string // as go test's -bench takes it
	needs string // a program that they start; empty: none
	rows  []row
}

// row is one of the benchmarks.
type row struct {
	name, what string
	units      float64 // of what, in one operation
	goal       string
}

// A limiter's and a store's operation is an admission with its settlement, as
// no call has the one without the other. Redis is asked to sync every change,
// the dearest way to run it.
var suites = []suite{
	{"gatehouse/internal/gateway/limit", "^BenchmarkAdmit8(Hot|Keys100k)$", "", []row{
		{"Admit8Hot", "an admission over 8 limits, settled; one key", 1, "< 1000 ns, 0 allocations"},
		{"Admit8Keys100k", "the same over 100,000 keys", 1, "< 4000 ns, 0 allocations"},
	}},
	{"gatehouse/internal/store/redis", "^BenchmarkRedisAdmit8$/^redis-server$", "redis-server", []row{
		{"RedisAdmit8/redis-server", "the same in Redis, every change synced; one caller", 1, ""},
	}},
	{"gatehouse/internal/gateway/guard", "^Benchmark(Inbound|Conversation)$", "", []row{
		{"Inbound/1KB", "the guard, a KB of a prompt of 1 KB", 1, ""},
		{"Inbound/32KB", "the guard, a KB of a prompt of 32 KB", 32, ""},
		{"Inbound/200KB", "the guard, a KB of a prompt of 200 KB", 200, ""},
		{"Conversation", "the guard, a prompt of 32 KB of which 2 KB are new", 1, ""},
	}},
}

// measureParts runs the suites, while nothing else runs.
func (b *bench) measureParts(ctx context.Context) error {
	for _, s := range suites {
		parts, err := b.suite(ctx, s)
		if err != nil {
			return err
		}
		for _, p := range parts {
			fmt.Fprintf(os.Stderr, "%s: %s\n", p.What, p.said())
		}
		b.result.Parts = append(b.result.Parts, parts...)
	}
	return nil
}

// suite returns the rows of one suite. Where the program that it needs is
// missing they say so: the rest of a run is worth having without.
func (b *bench) suite(ctx context.Context, s suite) ([]Part, error) {
	var found map[string][]Part
	missing := ""
	if s.needs != "" && !installed(s.needs) {
		missing = s.needs + " is not installed"
	} else {
		var err error
		if found, err = b.goBench(ctx, s); err != nil {
			return nil, err
		}
	}
	var parts []Part
	for _, r := range s.rows {
		p := Part{Missing: missing}
		if samples := found[r.name]; len(samples) > 0 {
			p = median(samples, func(p Part) float64 { return p.Nanos })
		} else if missing == "" {
			return nil, fmt.Errorf("%s has no Benchmark%s", s.pkg, r.name)
		}
		p.What, p.Benchmark, p.Goal = r.what, r.name, r.goal
		p.Nanos, p.Bytes, p.Allocs = p.Nanos/r.units, p.Bytes/r.units, p.Allocs/r.units
		parts = append(parts, p)
	}
	return parts, nil
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// goBench runs one suite on one processor, so that a time is one caller's, but
// gives both cores to it: a server that a benchmark starts needs one.
func (b *bench) goBench(ctx context.Context, s suite) (map[string][]Part, error) {
	command := []string{"go", "test", "-run", "^$", "-bench", s.bench, "-benchmem", "-cpu", "1", "-benchtime", b.scale.parts, "-count", strconv.Itoa(b.scale.rounds), s.pkg}
	if os.Getenv(pinned) != "" {
		command = append([]string{"taskset", "-c", proxyCore + "," + loadCore}, command...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "GATEHOUSE_TEST_REDIS=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return parseBench(string(out)), nil
}

// parseBench reads go test's lines of benchmarks, as
//
//	BenchmarkInbound/1KB  29374  34559 ns/op  29.63 MB/s  0 B/op  0 allocs/op
//
// and returns the samples of each by the name behind Benchmark.
func parseBench(out string) map[string][]Part {
	found := map[string][]Part{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		var p Part
		unit := map[string]*float64{"ns/op": &p.Nanos, "B/op": &p.Bytes, "allocs/op": &p.Allocs}
		for i := 2; i+1 < len(fields); i += 2 {
			if f := unit[fields[i+1]]; f != nil {
				*f, _ = strconv.ParseFloat(fields[i], 64)
			}
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		found[name] = append(found[name], p)
	}
	return found
}
