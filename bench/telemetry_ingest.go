package main

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatehouse/internal/lake"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/telemetry/arrive"
)

// Ingest is one way to read a folder of records, on one core. CPU is the time of
// the processor, of all threads, and so does not depend on who else ran.
type Ingest struct {
	Strand string  `json:"strand"`
	Way    string  `json:"way"`
	Lines  int64   `json:"lines"`
	Rows   int64   `json:"rows"`
	Bytes  int64   `json:"bytes_in"`
	Stored int64   `json:"bytes_stored"` // 0: not on disk
	CPU    float64 `json:"cpu_s"`
	Wall   float64 `json:"wall_s"`
	RSS    int64   `json:"rss_max"`
	Errors int64   `json:"errors"` // always 0: an error ends the run
}

// Rate is in MB a second of one core.
func (i Ingest) Rate() float64 { return float64(i.Bytes) / 1e6 / i.CPU }

// ways to read a folder into an empty one. Each returns the rows that it has.
var ways = []struct {
	name  string
	exact bool // without the repetitions
	run   func(ctx context.Context, in, out string) (int64, error)
}{
	{"gatehouse, to files of one hunt", true, ingestScratch},
	{"gatehouse, into the lake, merged", true, ingestLake},
	{"DuckDB read_json, into a table", false, func(_ context.Context, in, _ string) (int64, error) {
		return plainDuck("CREATE TABLE t AS SELECT * FROM "+readJSON(in), "SELECT count(*) FROM t")
	}},
	{"DuckDB read_json, into Parquet", false, func(_ context.Context, in, out string) (int64, error) {
		file := sqlText(filepath.Join(out, "t.parquet"))
		return plainDuck("COPY (SELECT * FROM "+readJSON(in)+") TO "+file+" (FORMAT parquet, COMPRESSION zstd)", "SELECT count(*) FROM "+file)
	}},
	{"DuckDB, record and columns, each once, into Parquet", true, func(_ context.Context, in, out string) (int64, error) {
		file := sqlText(filepath.Join(out, "t.parquet"))
		return plainDuck("COPY ("+sameWork(in)+") TO "+file+" (FORMAT parquet, COMPRESSION zstd)", "SELECT count(*) FROM "+file)
	}},
}

// sameWork is nearer to what the lake does: the record is kept, a few names of
// its own are made columns (the lake fills some thirty), and nothing comes twice.
func sameWork(dir string) string {
	var paths []string
	for _, p := range strings.Fields(`eventTime eventName eventSource eventID requestID awsRegion sourceIPAddress userAgent errorCode
		userIdentity.type userIdentity.arn userIdentity.principalId userIdentity.accountId userIdentity.accessKeyId eventCategory
		timestamp accountId requestId operation modelId input.inputTokenCount output.outputTokenCount
		input.inputBodyJson.prompt output.outputBodyJson.completion`) {
		paths = append(paths, "'$."+p+"'")
	}
	return "SELECT DISTINCT ON (v[4], v[18]) json::VARCHAR AS _raw, v FROM (SELECT json, json_extract_string(json, [" + strings.Join(paths, ", ") + "]) AS v FROM read_ndjson_objects(" +
		sqlText(filepath.Join(dir, "*.jsonl")) + "))"
}

// readJSON reads with the types that DuckDB finds. It must look at all records
// to find them: those past its sample have keys of their own, at which it fails.
func readJSON(dir string) string {
	return "read_json(" + sqlText(filepath.Join(dir, "*.jsonl")) + ", format = 'newline_delimited', sample_size = -1)"
}

func ingestScratch(ctx context.Context, in, _ string) (int64, error) {
	s, err := telemetry.NewScratch(nil, nil)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return runPath(ctx, s, in)
}

func ingestLake(ctx context.Context, in, out string) (int64, error) {
	l, err := lake.Open(ctx, lake.Options{Dir: out, Grace: time.Nanosecond})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	n, err := runPath(ctx, l, in)
	if err == nil {
		_, err = l.Merge(ctx, 0)
	}
	if err == nil {
		_, err = l.Retain(ctx, lake.Retention{}) // removes what was merged
	}
	return n, err
}

// runPath reads a folder as a hunt over files does.
func runPath(ctx context.Context, into telemetry.Sink, in string) (int64, error) {
	path := telemetry.New(telemetry.Options{Into: into, Log: slog.New(slog.DiscardHandler)})
	if err := path.Run(ctx, true, arrive.NewFiles(arrive.FilesOptions{Paths: []string{in}})); err != nil {
		return 0, err
	}
	var n int64
	for _, s := range path.Stats() {
		if s.Problems > 0 {
			return 0, fmt.Errorf("%d records could not be read", s.Problems)
		}
		n += s.Added
	}
	return n, nil
}

// ingestChild is the process of one way: number, folder in, folder out.
func ingestChild(ctx context.Context, args []string) (any, error) {
	k, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, err
	}
	before, began := usage(), time.Now()
	rows, err := ways[k].run(ctx, args[1], args[2])
	if err != nil {
		return nil, err
	}
	after := usage()
	out := Ingest{Way: ways[k].name, Rows: rows, CPU: (spent(after) - spent(before)).Seconds(), Wall: time.Since(began).Seconds(), RSS: after.Maxrss << 10}
	out.Stored, err = folderBytes(args[2])
	return out, err
}

func usage() (u syscall.Rusage) {
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u
}

func spent(u syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func folderBytes(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// gzipped is the size of a folder's files at gzip's usual level.
func gzipped(dir string) (int64, error) {
	var n counting
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return 0, err
		}
		z, _ := gzip.NewWriterLevel(&n, 6)
		_, err = io.Copy(z, f)
		f.Close()
		if err != nil {
			return 0, err
		}
		z.Close()
	}
	return int64(n), err
}

type counting int64

func (c *counting) Write(b []byte) (int, error) {
	*c += counting(len(b))
	return len(b), nil
}

// measureIngest runs each way in a process of its own on the proxy's core. They
// take turns within a round.
func (b *bench) measureIngest(ctx context.Context, made []Made) error {
	for _, m := range made {
		samples := make([][]Ingest, len(ways))
		for range b.scale.rounds {
			for k, w := range ways {
				out := filepath.Join(b.out, "telemetry", "out")
				os.RemoveAll(out)
				if err := os.MkdirAll(out, 0o755); err != nil {
					return err
				}
				var i Ingest
				if err := b.child(ctx, &i, "ingest", strconv.Itoa(k), m.Path, out); err != nil {
					return fmt.Errorf("%s of %s: %w", w.name, m.Strand, err)
				}
				i.Strand, i.Lines, i.Bytes = m.Strand, m.Lines, m.Bytes
				want := m.Lines
				if w.exact {
					want = m.Unique
				}
				if i.Rows != want {
					return fmt.Errorf("%s of %s has %d rows, want %d", w.name, m.Strand, i.Rows, want)
				}
				samples[k] = append(samples[k], i)
			}
		}
		zipped, err := gzipped(m.Path)
		if err != nil {
			return err
		}
		b.result.Telemetry.Disk = append(b.result.Telemetry.Disk, Disk{m.Strand, m.Bytes, zipped, samples[1][0].Stored, samples[3][0].Stored})
		for k := range ways {
			i := median(samples[k], func(i Ingest) float64 { return i.CPU })
			b.result.Telemetry.Ingest = append(b.result.Telemetry.Ingest, i)
			fmt.Fprintf(os.Stderr, "%-12s %-34s %7.1f MB a core-second, %d MiB\n", i.Strand, i.Way, i.Rate(), i.RSS>>20)
		}
	}
	return nil
}

// Disk is what the records of a strand take.
type Disk struct {
	Strand  string `json:"strand"`
	JSON    int64  `json:"json"`
	Gzip    int64  `json:"gzip"`
	Lake    int64  `json:"lake"`
	Parquet int64  `json:"duckdb_parquet"`
}
