// Command bench measures what Gatehouse costs beside the proxies one would put
// in its place. In one run, on loopback, against the emulator with no delay, it
// drives these peers with the same calls: none (direct), nginx with keep-alive
// to the upstream, Caddy's reverse_proxy, Gatehouse with everything on (verified
// signatures, policies, limits, the guard, a durable journal, re-signing), and
// Gatehouse with what came with limits and the guard switched off, to know what
// these cost.
//
// The proxy under test has one core to itself; the emulator and the load
// share another. Every proxy gets the same core. A peer that answers wrongly
// (status, or a body without the text that the emulator gave when asked
// directly) ends the run: its numbers would mean nothing.
//
// First the limiter and the guard are measured by themselves, by Go benchmarks of
// their packages. What is measured then, for each peer:
//
//	calls    CPU time a call and calls per CPU-second at 16 connections, closed
//	         loop, for request bodies of 1 KB and 32 KB
//	prompts  CPU a call with everything on against before, where no two prompts
//	         are the same: new ones, and conversations that are sent again
//	latency  p50 and p99 at one connection, and at 30 % of the peer's capacity
//	         in open loop, counted from when a call was due
//	streams  of a paced ConverseStream: time to the first frame, what is added to
//	         each frame, and CPU a frame
//	memory   growth of resident memory a stream, over 2,000 idle streams
//
// telemetry.go begins the other half: ingest and hunts, beside DuckDB.
//
// Read the ratios: the milliseconds are this machine's.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// The cores: one for the proxy under test, one for all else.
const (
	proxyCore = "0"
	loadCore  = "1"
)

// scale is how much is measured.
type scale struct {
	rounds  int           // of each measurement; the median is reported
	calls   int           // a round of the closed loop
	prompts int           // a round of calls whose prompts differ
	single  int           // calls at one connection
	open    time.Duration // of an open loop
	streams int           // a round of streams
	idle    int           // idle streams, for memory
	parts   string        // how long each Go benchmark runs
	records int           // of each strand of telemetry
}

var (
	full  = scale{rounds: 3, calls: 20000, prompts: 4000, single: 4000, open: 10 * time.Second, streams: 200, idle: 2000, parts: "1s", records: 1_000_000}
	quick = scale{rounds: 1, calls: 400, prompts: 100, single: 100, open: time.Second, streams: 10, idle: 50, parts: "20ms", records: 5000}
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		if err := serveChild(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	bin := flag.String("bin", "bin/gatehouse", "the program to measure")
	out := flag.String("out", filepath.Join("bench", "out"), "folder for results, configurations and built peers")
	short := flag.Bool("quick", false, "a few calls only, to see that it works; Caddy only if it is built already")
	only := flag.String("only", "", "calls, or telemetry; empty: both")
	records := flag.Int("records", 0, "of each strand of telemetry, in place of a million")
	flag.Parse()
	if err := pin(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(3)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	b := &bench{bin: *bin, out: *out, scale: full, said: map[string]func() string{}}
	if *short {
		b.scale, b.quick = quick, true
	}
	if *records > 0 {
		b.scale.records = *records
	}
	err := b.run(ctx, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(3)
	}
}

// pinned is set, to the number of the machine's cores, once this process is on
// the load's.
const pinned = "GATEHOUSE_BENCH_CORES"

// pin moves this process to the load's core, by way of taskset, so that it
// never takes time from the proxy under test.
func pin() error {
	if os.Getenv(pinned) != "" || runtime.NumCPU() < 2 {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: no taskset: nothing is pinned, and the numbers are rough")
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(taskset, append([]string{taskset, "-c", loadCore, self}, os.Args[1:]...), append(os.Environ(), pinned+"="+strconv.Itoa(runtime.NumCPU())))
}

// onProxyCore puts a command on the core of the proxy under test.
func onProxyCore(command ...string) []string {
	if os.Getenv(pinned) == "" {
		return command
	}
	return append([]string{"taskset", "-c", proxyCore}, command...)
}

// bench is one run.
type bench struct {
	bin, out string
	quick    bool
	scale    scale
	result   Result
	said     map[string]func() string // what each gatehouse wrote to standard error
}

func (b *bench) run(ctx context.Context, only string) error {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	var err error
	if b.out, err = filepath.Abs(b.out); err != nil {
		return err
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	b.result.Machine = machine()
	steps, known := map[string][]func(context.Context) error{
		"":          {b.measureParts, b.measureCalls, b.measurePrompts, b.measureStreams, b.measureMemory, b.measureTelemetry},
		"calls":     {b.measureParts, b.measureCalls, b.measurePrompts, b.measureStreams, b.measureMemory},
		"telemetry": {b.measureTelemetry},
	}[only]
	if !known {
		return fmt.Errorf("-only %s: write calls or telemetry", only)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			for name, said := range b.said {
				err = fmt.Errorf("%w\n%s said:\n%s", err, name, said())
			}
			return err
		}
	}
	return b.report()
}

func machine() Machine {
	m := Machine{Time: time.Now().UTC(), CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if n, err := strconv.Atoi(os.Getenv(pinned)); err == nil {
		m.CPUs, m.Pinned = n, true
	}
	return m
}
