package main

import (
	"fmt"
	"strings"
)

// report writes the tables.
func (t Telemetry) report(w *strings.Builder) {
	fmt.Fprintf(w, "\n## Telemetry: ingest, one core, beside DuckDB %s\n\n| records | way | MB | lines | rows | MB a core-second | MiB at most | errors |\n|---|---|---|---|---|---|---|---|\n", t.DuckDB)
	for _, i := range t.Ingest {
		fmt.Fprintf(w, "| %s | %s | %d | %d | %d | %.1f | %d | %d |\n", i.Strand, i.Way, i.Bytes/1e6, i.Lines, i.Rows, i.Rate(), i.RSS>>20, i.Errors)
	}
	w.WriteString("\n| ratio of ours to | " + ways[2].name + " | " + ways[3].name + " | " + ways[4].name + " | goal |\n|---|---|---|---|---|\n")
	for k := 0; k+len(ways) <= len(t.Ingest); k += len(ways) {
		for _, ours := range t.Ingest[k : k+2] {
			of := func(way int) float64 { return ours.Rate() / t.Ingest[k+way].Rate() }
			fmt.Fprintf(w, "| %s, %s | %.2f | %.2f | %.2f | ≥ 1 |\n", ours.Strand, ours.Way, of(2), of(3), of(4))
		}
	}
	w.WriteString("\n## Telemetry: bytes on disk\n\n| records | JSON lines | gzip -6 | lake | DuckDB's Parquet | lake ÷ gzip | goal |\n|---|---|---|---|---|---|---|\n")
	for _, d := range t.Disk {
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %.2f | < 1 |\n", d.Strand, d.JSON, d.Gzip, d.Lake, d.Parquet, float64(d.Lake)/float64(d.Gzip))
	}
	w.WriteString("\n## Telemetry: hunts against SQL by hand, same Parquet, same engine, one thread\n\n")
	for _, m := range t.Made {
		fmt.Fprintf(w, "%d records of %s, %d MB. ", m.Unique, m.Strand, m.Bytes/1e6)
	}
	w.WriteString("\n\n| hunt | rows | s CPU | by hand | ratio | goal | ClickHouse | ratio (goal ≤ 2) | errors |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, h := range t.Hunts {
		click, ratio := "", ""
		if h.Click > 0 {
			click, ratio = fmt.Sprintf("%.2f", h.Click), fmt.Sprintf("%.2f", h.CPU/h.Click)
		}
		fmt.Fprintf(w, "| %s | %d | %.3f | %.3f | %.2f | ≤ %.1f | %s | %s | %d |\n", h.Name, h.Rows, h.CPU, h.Peer, h.Ratio(), h.Goal, click, ratio, h.Errors)
	}
	if t.Click != "" {
		fmt.Fprintf(w, "\nClickHouse %s has the rows in a table of its own, ordered by time.\n", t.Click)
	}
	if t.Skipped != "" {
		fmt.Fprintf(w, "\nNot measured: %s.\n", t.Skipped)
	}
	m := t.Memory
	fmt.Fprintf(w, "\n## Telemetry: memory of a hunt over a folder\n\n%d records, %d MB: %d MiB at most (goal ≤ 1024), %.0f s CPU.\n", m.Records, m.Bytes/1e6, m.RSS>>20, m.CPU)
}
