package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/valyala/fastjson"

	"gatehouse/internal/admin"
	"gatehouse/internal/event"
	"gatehouse/internal/lake/duck"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/telemetry/arrive"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

// Ingest reads files into the lake of a data directory that no server has open.
// read counts the bytes as they pass.
func Ingest(ctx context.Context, dir string, job admin.IngestJob, read *atomic.Int64) (out admin.Ingested, err error) {
	d, err := OpenData(ctx, dir)
	if err != nil {
		return out, err
	}
	defer d.Close()
	if d.events, err = openEvents(ctx, d); err != nil {
		return out, err
	}
	d.events.options.Read = read
	defer func() {
		if closed := d.events.close(); err == nil {
			err = closed
		}
	}()
	return d.Ingest(ctx, job)
}

// OCSF prints the events of files, one object a line, and counts what could not
// be read or has no class in that schema.
func OCSF(ctx context.Context, o FieldOptions, w io.Writer) (problems int64, err error) {
	to := &ocsf{w: w, seen: map[event.ID]struct{}{}}
	var bodies parse.BodySource
	if o.Bodies != "" {
		bodies = parse.Folder(o.Bodies)
	}
	path := telemetry.New(telemetry.Options{
		Into: to, Bodies: bodies, Log: slog.New(slog.DiscardHandler), Problem: o.Problem, Read: o.Read,
		Normalise: normalise.Options{},
	})
	err = path.Run(ctx, true, arrive.NewFiles(arrive.FilesOptions{Paths: o.Paths, Stdin: o.Stdin, Strand: o.Strand}))
	for _, s := range path.Stats() {
		problems += s.Problems
	}
	return problems + to.without, err
}

// ocsf is a sink that prints. One goroutine appends.
type ocsf struct {
	w       io.Writer
	parser  fastjson.Parser
	line    []byte
	seen    map[event.ID]struct{}
	without int64 // events without a class
}

// maxPrinted bounds the memory of ids; duplicates beyond are printed.
const maxPrinted = 8 << 20

// Append implements [telemetry.Sink].
func (o *ocsf) Append(events []*event.Event, _ map[string]string) (added, duplicates int, err error) {
	for _, e := range events {
		if _, ok := o.seen[e.ID]; ok {
			duplicates++
			continue
		}
		if len(o.seen) < maxPrinted {
			o.seen[e.ID] = struct{}{}
		}
		doc, err := o.parser.ParseBytes(e.Raw)
		if err != nil {
			return added, duplicates, fmt.Errorf("read a record again: %w", err)
		}
		line, err := normalise.OCSF(e, doc, o.line[:0])
		if err != nil {
			o.without++
			continue
		}
		o.line = append(line, '\n')
		if _, err := o.w.Write(o.line); err != nil {
			return added, duplicates, err
		}
		added++
	}
	return added, duplicates, nil
}

// Seal implements [telemetry.Sink].
func (o *ocsf) Seal(context.Context) error { return nil }

// Cursors implements [telemetry.Sink].
func (o *ocsf) Cursors() map[string]string { return nil }

// ServeQueries is the main of the child that a server starts for its queries.
func ServeQueries(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	return duck.ServeChild(ctx, stdin, stdout)
}
