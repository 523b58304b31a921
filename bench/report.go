package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Result is a whole run, as it is written to results.json. Times are in
// microseconds, memory in bytes.
type Result struct {
	Machine Machine   `json:"machine"`
	Parts   []Part    `json:"parts"`
	Peers   []Peer    `json:"peers"`
	Calls   []Calls   `json:"calls"`
	Prompts []Prompts `json:"prompts"`
	Latency []Latency `json:"latency"`
	Streams []Streams `json:"streams"`
	Memory  []Memory  `json:"memory"`

	Telemetry Telemetry `json:"telemetry,omitzero"`
}

// Machine is where and when.
type Machine struct {
	Time   time.Time `json:"time"`
	CPUs   int       `json:"cpus"`
	Go     string    `json:"go"`
	Pinned bool      `json:"pinned"` // the proxy on one core, all else on another
}

// Part is what a Go benchmark says about one part of the gateway.
type Part struct {
	What      string  `json:"what"`
	Benchmark string  `json:"benchmark"`
	Nanos     float64 `json:"ns"`
	Bytes     float64 `json:"allocated_bytes"`
	Allocs    float64 `json:"allocations"`
	Goal      string  `json:"goal,omitempty"`
	Missing   string  `json:"missing,omitempty"` // why it was not measured
}

func (p Part) said() string {
	if p.Missing != "" {
		return "not measured: " + p.Missing
	}
	return fmt.Sprintf("%.0f ns, %s allocations", p.Nanos, strconv.FormatFloat(math.Ceil(p.Allocs*100)/100, 'f', -1, 64))
}

// Peer is what was measured, and how it was configured.
type Peer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Config  string `json:"config"`
}

// Quantiles are of latencies.
type Quantiles struct {
	P50 float64 `json:"p50_us"`
	P99 float64 `json:"p99_us"`
}

// Calls is the closed loop. The direct peer's CPU is the emulator's.
type Calls struct {
	Peer         string    `json:"peer"`
	Body         int       `json:"body_bytes"`
	CPUMicros    float64   `json:"cpu_us_per_call"`
	PerCPUSecond float64   `json:"calls_per_cpu_second"`
	PerSecond    float64   `json:"calls_per_second"`
	Count        int       `json:"calls"`
	Errors       int       `json:"errors"` // always 0: an error ends the run
	BytesIn      int64     `json:"bytes_in"`
	BytesOut     int64     `json:"bytes_out"`
	Latency      Quantiles `json:"latency"`
}

// Latency is at one connection and in open loop, each beside the direct peer
// under the same load.
type Latency struct {
	Peer         string    `json:"peer"`
	Rate         float64   `json:"open_calls_per_second"`
	Single       Quantiles `json:"single"`
	DirectSingle Quantiles `json:"direct_single"`
	Open         Quantiles `json:"open"`
	DirectOpen   Quantiles `json:"direct_open"`
}

// Streams is one paced ConverseStream after the other.
type Streams struct {
	Peer              string    `json:"peer"`
	Frames            int       `json:"frames_per_stream"`
	First             Quantiles `json:"first_frame"`
	Added             Quantiles `json:"added_to_a_frame"` // over the same frame when asked directly
	CPUMicrosPerFrame float64   `json:"cpu_us_per_frame"`
}

// Memory is the slope over idle streams.
type Memory struct {
	Peer           string  `json:"peer"`
	Streams        int     `json:"streams"`
	Start          int64   `json:"rss_start"`
	End            int64   `json:"rss_end"`
	BytesPerStream float64 `json:"bytes_per_stream"`
}

// report writes results.json and results.md, and prints the latter.
func (b *bench) report() error {
	data, err := json.MarshalIndent(b.result, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, "results.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	text := b.result.markdown()
	fmt.Print(text)
	return os.WriteFile(filepath.Join(b.out, "results.md"), []byte(text), 0o644)
}

func (r *Result) markdown() string {
	var w strings.Builder
	how := "not pinned"
	if r.Machine.Pinned {
		how = "the proxy under test alone on one core, load and emulator on another"
	}
	fmt.Fprintf(&w, "# Benchmark of %s\n\n%d cores, %s; %s. Every peer's answers were checked; an error ends the run.\n", r.Machine.Time.Format(time.RFC3339), r.Machine.CPUs, r.Machine.Go, how)
	if len(r.Calls) > 0 {
		r.calls(&w)
	}
	if len(r.Telemetry.Made) > 0 {
		r.Telemetry.report(&w)
	}
	return w.String()
}

// calls writes what a call costs, by itself and beside the peers.
func (r *Result) calls(w *strings.Builder) {
	w.WriteString("\n## CPU a call, 16 connections, closed loop, the same prompt each time\n\n| peer | body B | µs CPU a call | calls per CPU-second | calls/s | × nginx | × Caddy | errors | bytes in | bytes out |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range r.Calls {
		same := func(o Calls) bool { return o.Body == c.Body }
		cost := func(o Calls) float64 { return o.CPUMicros }
		fmt.Fprintf(w, "| %s | %d | %.1f | %.0f | %.0f | %s | %s | %d | %d | %d |\n", c.Peer, c.Body, c.CPUMicros, c.PerCPUSecond, c.PerSecond,
			ratio(r.Calls, c, "nginx", same, cost), ratio(r.Calls, c, "caddy", same, cost), c.Errors, c.BytesIn, c.BytesOut)
	}
	w.WriteString("\nThe direct row is the emulator's own cost.\n")
	r.cost(w)
	w.WriteString("\n## Latency added over direct, µs, 1 KB\n\n| peer | one connection p50 | p99 | at calls/s | open loop p50 | p99 |\n|---|---|---|---|---|---|\n")
	for _, l := range r.Latency {
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f |\n", l.Peer, l.Single.P50-l.DirectSingle.P50, l.Single.P99-l.DirectSingle.P99,
			l.Rate, l.Open.P50-l.DirectOpen.P50, l.Open.P99-l.DirectOpen.P99)
	}
	w.WriteString("\n## ConverseStream, one paced stream at a time, µs\n\n| peer | frames | first frame p50 | p99 | added to a later frame p50 | p99 | CPU a frame | × nginx | × Caddy |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Streams {
		cost := func(o Streams) float64 { return o.CPUMicrosPerFrame }
		fmt.Fprintf(w, "| %s | %d | %.0f | %.0f | %.0f | %.0f | %.1f | %s | %s |\n", s.Peer, s.Frames, s.First.P50, s.First.P99, s.Added.P50, s.Added.P99, s.CPUMicrosPerFrame,
			ratio(r.Streams, s, "nginx", nil, cost), ratio(r.Streams, s, "caddy", nil, cost))
	}
	w.WriteString("\n## Memory of idle streams\n\n| peer | streams | MiB before | MiB after | KiB a stream | × nginx | × Caddy |\n|---|---|---|---|---|---|---|\n")
	for _, m := range r.Memory {
		cost := func(o Memory) float64 { return o.BytesPerStream }
		fmt.Fprintf(w, "| %s | %d | %.1f | %.1f | %.1f | %s | %s |\n", m.Peer, m.Streams, float64(m.Start)/(1<<20), float64(m.End)/(1<<20), m.BytesPerStream/1024,
			ratio(r.Memory, m, "nginx", nil, cost), ratio(r.Memory, m, "caddy", nil, cost))
	}
	w.WriteString("\n## Peers\n")
	for _, p := range r.Peers {
		fmt.Fprintf(w, "\n%s: %s\n\n```\n%s\n```\n", p.Name, p.Version, strings.TrimSpace(p.Config))
	}
}

// cost writes what limits and the guard take: whole, and each by itself.
func (r *Result) cost(w *strings.Builder) {
	w.WriteString("\n## Limits, policy and guard: CPU a call, everything on against before, no prompt twice\n\n| prompts | µs before | µs on | ratio | goal |\n|---|---|---|---|---|\n")
	for _, p := range r.Prompts {
		same := func(o Prompts) bool { return o.Kind == p.Kind }
		i := slices.IndexFunc(r.Prompts, func(o Prompts) bool { return o.Peer == before && same(o) })
		if p.Peer == on && i >= 0 {
			fmt.Fprintf(w, "| %s | %.1f | %.1f | %s | ≤ 1.15 |\n", p.Kind, r.Prompts[i].CPUMicros, p.CPUMicros,
				ratio(r.Prompts, p, before, same, func(o Prompts) float64 { return o.CPUMicros }))
		}
	}
	w.WriteString("\n## Parts by themselves, one processor\n\n| part | benchmark | measured | goal |\n|---|---|---|---|\n")
	for _, p := range r.Parts {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", p.What, p.Benchmark, p.said(), p.Goal)
	}
}

// named is a row of a table.
type named interface{ name() string }

func (c Calls) name() string   { return c.Peer }
func (s Streams) name() string { return s.Peer }
func (m Memory) name() string  { return m.Peer }

// ratio is a row's cost over that of a peer's row of the same kind.
func ratio[T named](rows []T, row T, peer string, same func(T) bool, cost func(T) float64) string {
	i := slices.IndexFunc(rows, func(o T) bool { return o.name() == peer && (same == nil || same(o)) })
	if i < 0 || row.name() == "direct" || cost(rows[i]) <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", cost(row)/cost(rows[i]))
}
