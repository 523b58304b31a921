package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/query"
	"gatehouse/internal/query/core"
	"gatehouse/internal/query/op"
	"gatehouse/internal/seal"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/telemetry/arrive"
	"gatehouse/internal/telemetry/normalise"
	"gatehouse/internal/telemetry/parse"
)

// A Field is what a hunt may read: a lake, or plain files, as they are now.
// Close it when the question is answered.
type Field struct {
	files     []lake.File
	catalogue *lake.Catalogue
	scratch   *telemetry.Scratch // nil when nothing was written for the question

	Stats   []telemetry.Stats // of what was read for it
	Damaged []lake.Damage
	Gaps    []lake.Gap
}

// FieldOptions say what is read.
type FieldOptions struct {
	Paths    []string // files and folders; none: the lake of Dir
	Stdin    io.Reader
	Dir      string // data directory
	Strand   event.Strand
	From, To time.Time
	// Elsewhere: an engine on another machine is asked, which has the sealed
	// events, or a copy. Nothing is read here but the names of fields.
	Elsewhere bool
	Bodies    string // folder of bodies that records refer to
	Config    *config.Config
	Keys      *seal.Keys // open sealed bodies of the gateway's calls
	// Problem is told of each record that cannot be read. May be nil.
	Problem func(event.Problem)
	Read    *atomic.Int64 // bytes read so far, for whoever waits; may be nil
	Log     *slog.Logger
}

// OpenField reads plain files into a scratch, or loads the lake with its tail:
// what the journals hold and no segment has yet.
func OpenField(ctx context.Context, o FieldOptions) (_ *Field, err error) {
	f := &Field{catalogue: new(lake.Catalogue)}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var sources []arrive.Source
	var cursors map[string]string
	var has func(event.ID) (bool, error)
	if o.Elsewhere {
		return elsewhere(o)
	}
	if len(o.Paths) > 0 {
		sources = []arrive.Source{arrive.NewFiles(arrive.FilesOptions{Paths: o.Paths, Stdin: o.Stdin, Strand: o.Strand})}
	} else {
		s, err := lake.Load(filepath.Join(o.Dir, lakeDir))
		if err != nil {
			return nil, err
		}
		f.files, f.catalogue, f.Damaged, f.Gaps, cursors = s.Files(nil, o.From, o.To), s.Catalogue, s.Damaged, s.Gaps, s.Cursors
		ids, err := s.IDs()
		if err != nil {
			return nil, err
		}
		defer ids.Close()
		has = ids.Has
		sources = []arrive.Source{
			arrive.NewCalls(arrive.CallsOptions{Dir: filepath.Join(o.Dir, callsDir), Keys: o.Keys}),
			newRefusals(arrive.CallsOptions{Dir: filepath.Join(o.Dir, strangersDir)}),
			arrive.NewTail(nil, filepath.Join(o.Dir, intakeDir)),
		}
	}
	if err := f.read(ctx, o, cursors, has, sources); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// elsewhere is the lake of a data directory as far as it is sealed. Without one
// every field may be there.
func elsewhere(o FieldOptions) (*Field, error) {
	s, err := lake.Load(filepath.Join(o.Dir, lakeDir))
	if err != nil {
		return nil, err
	}
	files := s.Files(nil, o.From, o.To)
	if len(files) == 0 {
		s.Catalogue = &lake.Catalogue{Overflow: true}
	}
	return &Field{files: files, catalogue: s.Catalogue}, nil
}

// read runs the event path into a scratch.
func (f *Field) read(ctx context.Context, o FieldOptions, cursors map[string]string, has func(event.ID) (bool, error), sources []arrive.Source) (err error) {
	if f.scratch, err = telemetry.NewScratch(cursors, has); err != nil {
		return err
	}
	var bodies parse.BodySource
	if o.Bodies != "" {
		bodies = parse.Folder(o.Bodies)
	}
	c := o.Config
	if c == nil {
		c = config.Default()
	}
	places, err := newPlaces(c)
	if err != nil {
		return err
	}
	path := telemetry.New(telemetry.Options{
		Into: f.scratch, Log: o.Log, Bodies: bodies, Passed: telemetry.NewPassed(),
		Normalise: normalise.Options{Places: places}, Problem: o.Problem, Read: o.Read,
	})
	err = path.Run(ctx, true, sources...)
	f.Stats = path.Stats()
	if err != nil {
		return err
	}
	files, catalogue := f.scratch.Files()
	f.files, f.catalogue = append(f.files, files...), f.catalogue.Merge(catalogue)
	return nil
}

// Close removes what was written for the question.
func (f *Field) Close() error {
	if f.scratch == nil {
		return nil
	}
	return f.scratch.Close()
}

// Files are the names of the Parquet files.
func (f *Field) Files() []string {
	names := make([]string, len(f.files))
	for i, file := range f.files {
		names[i] = file.Path
	}
	return names
}

// Env is what a query over the field is compiled in. Subqueries run meanwhile,
// on the engine and within the job's budget.
func (f *Field) Env(ctx context.Context, engine lake.Engine, job query.Job, from, to time.Time, zone *time.Location) *op.Env {
	env := CheckEnv()
	env.From, env.To, env.Zone, env.Catalogue = from, to, zone, f.Catalogue()
	env.Subquery = func(plan core.Plan) ([]core.Col, [][]any, error) {
		job.Plan, job.Progress = plan, nil
		rows, err := query.Run(ctx, engine, job)
		if err != nil {
			return nil, nil, err
		}
		all, err := rows.All()
		return rows.Cols, all, err
	}
	return env
}

// CheckEnv is what a query's text is checked in, before anything is read.
func CheckEnv() *op.Env {
	now := time.Now()
	return &op.Env{Now: now, From: now.Add(-time.Hour), To: now, Lookup: LookupFile, Subquery: op.NoSubquery}
}

// Span is the time from the first event to just behind the last; zero times where
// there is none.
func (f *Field) Span() (from, to time.Time) {
	for _, file := range f.files {
		if from.IsZero() || file.MinTime.Before(from) {
			from = file.MinTime
		}
		if end := file.MaxTime.Add(time.Millisecond); end.After(to) {
			to = end
		}
	}
	return from, to
}

// Rows counts the events.
func (f *Field) Rows() (n int64) {
	for _, file := range f.files {
		n += file.Rows
	}
	return n
}

// Catalogue is what the compiler asks for names.
func (f *Field) Catalogue() op.Catalogue { return query.Catalogue(f.catalogue) }

// Names are the fields that begin with prefix, of the table and of the records.
func (f *Field) Names(prefix string) (names []string) {
	for _, c := range event.Columns {
		if strings.HasPrefix(strings.ToLower(c.Name), strings.ToLower(prefix)) {
			names = append(names, c.Name)
		}
	}
	return append(names, f.catalogue.Names(prefix)...)
}

// ParseStrand refuses what is no strand.
func ParseStrand(s string) (event.Strand, error) {
	for _, known := range event.Strands {
		if string(known) == s {
			return known, nil
		}
	}
	if s == "" {
		return "", nil
	}
	return "", fmt.Errorf("unknown strand %q: write one of %s", s, strandNames())
}

func strandNames() string {
	var names []string
	for _, s := range event.Strands {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}
