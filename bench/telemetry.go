package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Telemetry is measured beside DuckDB, the engine that the program is linked
// with, asked as an analyst would ask it who had that engine and no Gatehouse,
// and beside ClickHouse where there is one:
//
//	ingest   MB a core-second: records into the lake, normalised and each once,
//	         against read_json of the same files
//	disk     what they take, against gzip
//	hunts    the seed's eleven as compiled, against SQL written by hand over the
//	         same Parquet in the same engine; and scans of prompts
//	memory   of the program itself, hunting a folder
//
// Each measurement is a process on the proxy's core, with one thread, and its
// unit the processor's time. An answer that differs from the peer's ends the run.

// Telemetry is the part of a result.
type Telemetry struct {
	DuckDB  string   `json:"duckdb"`
	Click   string   `json:"clickhouse"`
	Made    []Made   `json:"made"`
	Ingest  []Ingest `json:"ingest"`
	Disk    []Disk   `json:"disk"`
	Hunts   []Hunt   `json:"hunts"`
	Memory  Hunted   `json:"memory"`
	Skipped string   `json:"skipped,omitempty"` // the peer that was not there
}

// childArg is the first argument of the processes that measure.
const childArg = "telemetry-child"

// children are what such a process may be asked.
var children = map[string]func(context.Context, []string) (any, error){
	"ingest": ingestChild,
	"hunts":  huntsChild,
}

// serveChild is the main of such a process. The answer is one JSON object.
func serveChild(ctx context.Context, args []string) error {
	f := children[args[0]]
	if f == nil {
		return fmt.Errorf("no measurement is called %q", args[0])
	}
	answer, err := f(ctx, args[1:])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// child runs this program as such a process, on the proxy's core.
func (b *bench) child(ctx context.Context, answer any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := onProxyCore(append([]string{self, childArg}, args...)...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said.String())
	}
	return json.Unmarshal(out, answer)
}

// measureTelemetry makes the records, which it removes again.
func (b *bench) measureTelemetry(ctx context.Context) error {
	dir := filepath.Join(b.out, "telemetry")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	few, err := b.make(filepath.Join(dir, "few"), 1, b.scale.records/5, strands[:2])
	if err != nil {
		return err
	}
	if err := b.measureIngest(ctx, few); err != nil {
		return err
	}
	all := filepath.Join(dir, "all")
	if b.result.Telemetry.Made, err = b.make(all, 2, b.scale.records, strands); err != nil {
		return err
	}
	if err := b.measureHunts(ctx, all, dir); err != nil {
		return err
	}
	return b.measureHunted(ctx, all)
}

func (b *bench) make(dir string, seed uint64, n int, all []strand) (made []Made, err error) {
	for _, s := range all {
		m, err := s.write(filepath.Join(dir, s.name), seed, n, 250_000)
		if err != nil {
			return nil, err
		}
		made = append(made, m)
		fmt.Fprintf(os.Stderr, "made %d records of %s, %d MB\n", m.Lines, s.name, m.Bytes/1e6)
	}
	return made, nil
}

// Hunted is one hunt of the program over a folder.
type Hunted struct {
	Records int64   `json:"records"`
	Bytes   int64   `json:"bytes"`
	RSS     int64   `json:"rss_max"`
	CPU     float64 `json:"cpu_s"`
}

// measureHunted runs the program itself over everything, with as many threads
// as the machine has: memory is what counts here.
func (b *bench) measureHunted(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, b.bin, "hunt", "--format", "json", "* | count as records by _strand", dir)
	if os.Getenv(pinned) != "" {
		cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", proxyCore + "," + loadCore}, cmd.Args...)...)
	}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("hunt over a folder: %w\n%s", err, said.String())
	}
	var rows []struct{ Records int64 }
	if err := json.Unmarshal(out, &rows); err != nil {
		return fmt.Errorf("hunt over a folder: %w", err)
	}
	h, want := Hunted{}, int64(0)
	for _, r := range rows {
		h.Records += r.Records
	}
	for _, m := range b.result.Telemetry.Made {
		h.Bytes += m.Bytes
		want += m.Unique
	}
	if h.Records != want {
		return fmt.Errorf("hunt over a folder counts %d records, want %d", h.Records, want)
	}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	h.RSS, h.CPU = u.Maxrss<<10, spent(*u).Seconds()
	b.result.Telemetry.Memory = h
	fmt.Fprintf(os.Stderr, "hunt over %d records, %d MB: %d MiB at most, %.0f s CPU\n", h.Records, h.Bytes/1e6, h.RSS>>20, h.CPU)
	return nil
}
