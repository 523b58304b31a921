package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/admin"
	"gatehouse/internal/config"
	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
	"gatehouse/internal/query"
	"gatehouse/internal/query/op"
	"gatehouse/internal/query/syntax"
	"gatehouse/internal/secretfile"
	"gatehouse/internal/telemetry/arrive"
)

// ChildArg is the hidden verb that makes this program a child which runs queries.
const ChildArg = "query-engine"

// openHunts makes the engine that a server asks: children, so that no query can
// take the gate down.
func openHunts(c *config.Config) (lake.Engine, error) {
	if c.Hunt.Engine == "clickhouse" {
		dsn, err := secretfile.Line(c.Hunt.DSNFile)
		if err != nil {
			return nil, fmt.Errorf("hunt.dsn_file: %w", err)
		}
		return OpenEngine(EngineOptions{Kind: "clickhouse", DSN: dsn})
	}
	return duck.OpenChildren(duck.ChildOptions{
		Options: duck.Options{Temp: os.TempDir()}, Args: []string{ChildArg}, Most: c.Hunt.AtOnce,
	})
}

// Hunt implements [admin.Telemetry].
func (d *Data) Hunt(ctx context.Context, q admin.HuntQuery, each func(*admin.HuntLine) error) error {
	if d.hunts == nil {
		return admin.ErrUnavailable.Say("hunts need a running server with telemetry.mode on")
	}
	c := d.settings.Load().config
	budget, zone, err := huntBudget(c, &q)
	if err != nil {
		return err
	}
	if !q.SQL { // mistakes come before the reading
		if _, err := query.Compile(q.Query, remoteEnv(CheckEnv())); err != nil {
			return huntError(q.Query, err)
		}
	}
	bodies, err := recordPolicy(c)
	if err != nil {
		return err
	}
	o := FieldOptions{Dir: d.dir, From: q.From, To: q.To, Config: c, Keys: bodies.Keys, Log: d.log, Elsewhere: c.Hunt.Engine == "clickhouse"}
	field, err := OpenField(ctx, o)
	if err != nil {
		return err
	}
	defer field.Close()
	job := query.Job{Files: field.Files(), From: q.From, To: q.To, Budget: budget}
	rows, names, err := d.ask(ctx, q, zone, field, job, each)
	if err != nil {
		return huntError(q.Query, err)
	}
	defer rows.Close()
	return huntError(q.Query, answer(rows, names, each))
}

// ask starts the query, and tells its warnings.
func (d *Data) ask(ctx context.Context, q admin.HuntQuery, zone *time.Location, f *Field, job query.Job, each func(*admin.HuntLine) error) (*query.Rows, []string, error) {
	if q.SQL {
		rows, err := query.SQL(ctx, d.hunts, q.Query, job)
		return rows, nil, err
	}
	res, err := query.Compile(q.Query, remoteEnv(f.Env(ctx, d.hunts, job, q.From, q.To, zone)))
	if err != nil {
		return nil, nil, err
	}
	job.Plan = res.Plan
	rows, err := query.Run(ctx, d.hunts, job)
	if err != nil {
		return nil, nil, err
	}
	warnings := rows.Warnings
	for _, w := range res.Warnings {
		warnings = append(warnings, fmt.Sprintf("stage %d: %s", w.Stage, w.Message))
	}
	for _, w := range warnings {
		if err := each(&admin.HuntLine{Warning: w}); err != nil {
			rows.Close()
			return nil, nil, err
		}
	}
	if res.AllColumns {
		return rows, nil, nil
	}
	return rows, res.Columns, nil
}

// remoteEnv is env for whoever asks through the API, who must not name files of
// this machine.
func remoteEnv(env *op.Env) *op.Env {
	env.Lookup = func(string) (*op.Table, error) {
		return nil, errors.New("tables are files: use gatehouse hunt on this machine")
	}
	return env
}

// answer hands on the columns, the rows and their number.
func answer(r *query.Rows, names []string, each func(*admin.HuntLine) error) error {
	cols, pick := r.Shown(names)
	head := admin.HuntLine{Columns: make([]admin.HuntColumn, len(cols))}
	for i, c := range cols {
		head.Columns[i] = admin.HuntColumn{Name: c.Name, Type: c.Type.String()}
	}
	if err := each(&head); err != nil {
		return err
	}
	n := int64(0)
	line := admin.HuntLine{Row: make([]jsontext.Value, len(cols))}
	for row := r.Next(); row != nil; row = r.Next() {
		for i, at := range pick {
			value, err := json.Marshal(row[at])
			if err != nil {
				return err
			}
			line.Row[i] = value
		}
		if err := each(&line); err != nil {
			return err
		}
		n++
	}
	if err := r.Err(); err != nil {
		return err
	}
	return each(&admin.HuntLine{Rows: &n})
}

// huntBudget is what the query may take: no more than the configuration gives.
func huntBudget(c *config.Config, q *admin.HuntQuery) (b lake.Budget, zone *time.Location, err error) {
	b = lake.Budget{Memory: int64(c.Hunt.MemoryMiB) << 20, Time: time.Duration(c.Hunt.Timeout), Rows: int64(c.Hunt.MaxRows)}
	if q.MaxRows > 0 {
		b.Rows = min(b.Rows, q.MaxRows)
	}
	if q.Timeout != "" {
		t, err := config.ParseDuration(q.Timeout)
		if err != nil || t <= 0 {
			return b, nil, admin.ErrInvalid.Say("timeout: write a duration such as 30s")
		}
		b.Time = min(b.Time, t)
	}
	if zone, err = time.LoadLocation(q.TZ); err != nil {
		return b, nil, admin.ErrInvalid.Say("tz: unknown time zone: write a name such as UTC or Europe/Berlin")
	}
	if q.From.IsZero() && q.To.IsZero() {
		q.From = time.Now().Add(-24 * time.Hour)
	}
	return b, zone, nil
}

// huntError says why a query ended, to whoever asked.
func huntError(text string, err error) error {
	var (
		mistakes syntax.Errors
		spent    *lake.BudgetError
		refused  *lake.SQLError
	)
	switch {
	case errors.As(err, &mistakes):
		e := &admin.HuntError{Code: "query", Message: mistakes.Error()}
		for _, m := range mistakes.Reports(text) {
			e.Mistakes = append(e.Mistakes, admin.HuntMistake{Code: m.Code, Message: m.Message, Line: m.Line, Col: m.Col, Near: m.Near, Hint: m.Hint, Stage: m.Stage})
		}
		return e
	case errors.As(err, &spent):
		return &admin.HuntError{Code: string(spent.Spent), Message: spent.Error()}
	case errors.As(err, &refused):
		return &admin.HuntError{Code: "sql", Message: refused.Message}
	case errors.Is(err, lake.ErrEngine):
		return &admin.HuntError{Code: "engine", Message: err.Error()}
	}
	return err
}

// Ingest implements [admin.Telemetry].
func (d *Data) Ingest(ctx context.Context, job admin.IngestJob) (out admin.Ingested, err error) {
	ev := d.events
	if ev == nil {
		return out, admin.ErrUnavailable.Say("telemetry.mode is off")
	}
	s, err := ParseStrand(job.Strand)
	if err != nil {
		return out, admin.ErrInvalid.Say("strand: %v", err)
	}
	if len(job.Paths) == 0 {
		return out, admin.ErrInvalid.Say("paths: name a file")
	}
	for _, p := range job.Paths {
		if !filepath.IsAbs(p) {
			return out, admin.ErrInvalid.Say("paths: write them in full")
		}
	}
	stats, err := ev.read(ctx, job.Bodies, arrive.NewFiles(arrive.FilesOptions{Name: "ingest", Paths: job.Paths, Strand: s}))
	out = admin.Ingested{
		Bytes: stats.Bytes, Records: stats.Records, Added: stats.Added, Duplicates: stats.Duplicates,
		Problems: stats.Problems, Skipped: stats.Skipped, Strands: map[string]int64{},
	}
	for strand, n := range stats.Strands {
		out.Strands[string(strand)] = n
	}
	if out.Problems > 0 {
		out.DeadLetters = filepath.Join(d.dir, deadDir)
	}
	if err != nil && ctx.Err() == nil {
		err = admin.ErrInvalid.Say("%v", err)
	}
	return out, err
}

// TelemetryState implements [admin.Telemetry].
func (d *Data) TelemetryState(context.Context) (admin.TelemetryState, error) {
	ev := d.events
	if ev == nil {
		return admin.TelemetryState{Sources: []admin.SourceState{}}, nil
	}
	l := ev.lake.Stats()
	out := admin.TelemetryState{On: true, Sources: []admin.SourceState{}, Lake: admin.LakeState{
		Segments: l.Segments, Rows: l.Rows, Bytes: l.Bytes, Buffered: l.Buffered, Refused: l.Refused, Damaged: l.Damaged,
	}}
	for _, n := range l.Duplicates {
		out.Lake.Duplicates += n
	}
	for _, s := range ev.path.Stats() {
		out.Sources = append(out.Sources, admin.SourceState{
			Name: s.Source, Deliveries: s.Deliveries, Bytes: s.Bytes, Records: s.Records, Added: s.Added,
			Duplicates: s.Duplicates, Problems: s.Problems, Skipped: s.Skipped, Last: s.Last, Failure: s.Failure,
		})
	}
	return out, nil
}
