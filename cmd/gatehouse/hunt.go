package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/lake"
	"gatehouse/internal/query"
	"gatehouse/internal/query/op"
	"gatehouse/internal/query/sql"
	"gatehouse/internal/query/syntax"
	"gatehouse/internal/seal"
)

// huntFlags are what hunts have in common.
type huntFlags struct {
	when            timeRange
	strand, bodies  string
	engine, dsn     string
	keyFile, config string
	explain, chart  bool
	sql             bool
	quiet           bool // of fields that no record has: a kept hunt asks for what may be there
	memory, maxRows int
	timeout         time.Duration
}

func (h *huntFlags) flags(p *program, c *cobra.Command) *cobra.Command {
	f := h.when.flags(p.prints(c)).Flags()
	f.StringVar(&p.data, "data", "gatehouse-data", "data directory whose events are asked, without PATH")
	f.StringVar(&h.strand, "strand", "", "what the files hold, where it cannot be told: "+strings.Join(strands(), ", "))
	f.StringVar(&h.bodies, "bodies", "", "folder of the bodies that invocation records refer to, a folder a bucket")
	f.StringVar(&h.keyFile, "key-file", "", "key file of sealed bodies, as record.key_file of the configuration")
	f.StringVar(&h.config, "config", "", "configuration file: address databases")
	f.StringVar(&h.engine, "engine", "duckdb", "what runs the query: duckdb, here, or clickhouse, on the server of --dsn")
	f.StringVar(&h.dsn, "dsn", "", "address of ClickHouse, http(s)://user@host:port/database?password=FILE&table=events")
	f.BoolVar(&h.explain, "explain", false, "show what the query does, and do not run it")
	f.BoolVar(&h.chart, "chart", false, "draw the result as bars")
	f.IntVar(&h.memory, "memory", 768, "memory that the query may take, in MiB")
	f.IntVar(&h.maxRows, "max-rows", 100_000, "rows that the result may have")
	f.DurationVar(&h.timeout, "timeout", 10*time.Minute, "time that the query may take")
	c.RegisterFlagCompletionFunc("strand", cobra.FixedCompletions(strands(), cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("engine", cobra.FixedCompletions([]string{"duckdb", "clickhouse"}, cobra.ShellCompDirectiveNoFileComp))
	c.MarkFlagDirname("data")
	c.MarkFlagDirname("bodies")
	c.MarkFlagFilename("key-file")
	c.MarkFlagFilename("config", "yaml", "yml")
	exclusive(c, "chart", "format")
	exclusive(c, "chart", "json")
	exclusive(c, "chart", "explain")
	return c
}

func strands() (names []string) {
	for _, s := range event.Strands {
		names = append(names, string(s))
	}
	return names
}

func (p *program) huntVerb() *cobra.Command {
	var h huntFlags
	c := h.flags(p, verb("hunt QUERY [PATH…]", "Ask questions of telemetry",
		`Runs a query of the pipe language over files and folders of telemetry, or without
PATH over the events of the data directory, beside a running server too. Files
need no server and no data directory; their formats are found out. QUERY - is read
from standard input, and so is PATH -.

Over files all times count; over the data directory the last 24 hours, unless
--from, --to or --last say otherwise.

  gatehouse hunt '_sourceCategory=cloudtrail | count by eventName | sort _count' trail.json.gz
  gatehouse hunt 'error* | where errorCode = "AccessDenied" | count by user_username' logs/
  gatehouse hunt '_collector="AWS Bedrock Model Invocation Logs" | timeslice 4h
    | sum(%"input.inputTokenCount") as tokens by accountId,_timeslice' --last 7d --chart
  gatehouse hunt --sql 'SELECT eventName, count(*) FROM events GROUP BY ALL' trail.json.gz

gatehouse hunts list shows hunts that are ready to run.`,
		atLeast("QUERY"), func(ctx context.Context, args []string) error {
			text, err := p.queryText(args[0])
			if err != nil {
				return err
			}
			return p.hunt(ctx, h, text, args[1:])
		}))
	c.Flags().BoolVar(&h.sql, "sql", false, "QUERY is one SELECT in the engine's SQL, over the table events")
	exclusive(c, "sql", "explain")
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
	return c
}

// queryText is the query as given, or standard input for "-".
func (p *program) queryText(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(p.stdin, most+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > most:
		return "", usagef("the query is longer than %d bytes", most)
	}
	return string(b), nil
}

// defaultSpan is what is asked of a data directory unless told otherwise.
const defaultSpan = 24 * time.Hour

func (p *program) hunt(ctx context.Context, h huntFlags, text string, paths []string) error {
	from, to, err := h.span(p, len(paths) > 0)
	if err != nil {
		return err
	}
	if err := h.checkEngine(paths); err != nil {
		return err
	}
	o, err := p.fieldOptions(h, paths, from, to)
	if err != nil {
		return err
	}
	if h.explain || !h.sql { // mistakes come before the reading
		if _, err := query.Compile(text, app.CheckEnv()); err != nil {
			return queryError(text, err)
		}
	}
	var read atomic.Int64
	o.Read = &read
	stop := p.spin("reading", func() string { return fmt.Sprintf("%d MB", read.Load()>>20) })
	field, err := app.OpenField(ctx, o)
	stop()
	if err != nil {
		return err
	}
	defer field.Close()
	p.tellField(field, len(paths) > 0)
	engine, err := app.OpenEngine(app.EngineOptions{Kind: h.engine, DSN: h.dsn, Alone: h.sql, Temp: os.TempDir()})
	if err != nil {
		return err
	}
	defer engine.Close()
	job := query.Job{Files: field.Files(), From: from, To: to, Budget: lake.Budget{
		Memory: int64(h.memory) << 20, Time: h.timeout, Rows: int64(h.maxRows),
	}}
	if h.sql {
		return p.runSQL(ctx, h, engine, text, job)
	}
	zone, _ := time.LoadLocation(h.when.tz)          // checked by span
	if first, last := field.Span(); len(paths) > 0 { // for timeslices of a number
		if from.IsZero() {
			from = first
		}
		if to.IsZero() {
			to = last
		}
	}
	res, err := query.Compile(text, field.Env(ctx, engine, job, from, to, zone))
	if err != nil {
		return queryError(text, err)
	}
	for _, w := range res.Warnings {
		if h.quiet && w.Absent {
			continue
		}
		fmt.Fprintf(p.stderr, "gatehouse: stage %d: %s\n", w.Stage, clean(w.Message))
	}
	if h.explain {
		return p.explain(res, engine)
	}
	return p.runPlan(ctx, h, engine, res, job)
}

// checkEngine refuses what cannot be asked of an engine.
func (h *huntFlags) checkEngine(paths []string) error {
	switch {
	case h.engine != "duckdb" && h.engine != "clickhouse":
		return usagef("--engine: write duckdb or clickhouse")
	case h.engine == "duckdb" && h.dsn != "":
		return usagef("--dsn is for --engine clickhouse")
	case h.engine == "clickhouse" && h.dsn == "":
		return usagef("--engine clickhouse needs --dsn, such as http://localhost:8123/default?table=events")
	case h.engine == "clickhouse" && len(paths) > 0:
		return usagef("files are read here: leave out --engine, or PATH")
	}
	return nil
}

// span is the time that is asked of.
func (h *huntFlags) span(p *program, files bool) (from, to time.Time, err error) {
	now := time.Now()
	if from, to, err = h.when.span(now); err != nil || files {
		return from, to, err
	}
	if from.IsZero() && to.IsZero() {
		from = now.Add(-defaultSpan)
		fmt.Fprintln(p.stderr, "gatehouse: the last 24 hours; say --last, --from or --to for another time")
	}
	return from, to, nil
}

func (p *program) fieldOptions(h huntFlags, paths []string, from, to time.Time) (o app.FieldOptions, err error) {
	o = app.FieldOptions{Elsewhere: h.engine == "clickhouse", Paths: paths, Stdin: p.stdin, Dir: p.data, From: from, To: to, Bodies: h.bodies, Problem: p.tellProblem()}
	if o.Strand, err = app.ParseStrand(h.strand); err != nil {
		return o, usagef("--strand: %v", err)
	}
	if h.keyFile != "" {
		if o.Keys, err = seal.ReadKeys(h.keyFile); err != nil {
			return o, err
		}
	}
	if h.config != "" {
		if o.Config, err = config.Load(h.config); err != nil {
			return o, err
		}
	}
	if err := named(paths); err != nil {
		return o, err
	}
	if len(paths) == 0 && !o.Elsewhere {
		if _, err := os.Stat(p.data); err != nil {
			return o, usagef("%s: no data directory: name files to read, or --data", p.data)
		}
	}
	return o, nil
}

// named refuses paths of nothing. Patterns may match nothing.
func named(paths []string) error {
	for _, path := range paths {
		if path == "-" || strings.ContainsAny(path, "*?[") {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return usagef("%v", err)
		}
	}
	return nil
}

// tellProblem says of the first records that could not be read what was wrong.
func (p *program) tellProblem() func(event.Problem) {
	const most = 5
	told := 0
	return func(e event.Problem) {
		if told++; told > most {
			return
		}
		where := clean(e.Origin.Name)
		switch {
		case e.Origin.Line > 0:
			where += fmt.Sprintf(":%d", e.Origin.Line)
		case e.Origin.Record > 0:
			where += fmt.Sprintf(": record %d", e.Origin.Record)
		}
		fmt.Fprintf(p.stderr, "gatehouse: %s: %s\n", where, clean(e.Reason))
	}
}

// tellField says what was read.
func (p *program) tellField(f *app.Field, files bool) {
	var problems, duplicates, skipped int64
	for _, s := range f.Stats {
		problems += s.Problems
		duplicates += s.Duplicates
		skipped += s.Skipped
	}
	for _, d := range f.Damaged {
		fmt.Fprintf(p.stderr, "gatehouse: %s is damaged and left out: %s\n", clean(d.File.Path), clean(d.Reason))
	}
	if !files {
		return
	}
	line := fmt.Sprintf("%d records", f.Rows())
	if duplicates > 0 {
		line += fmt.Sprintf(", %d duplicates", duplicates)
	}
	if skipped > 0 {
		line += fmt.Sprintf(", %d skipped that are known and of no interest", skipped)
	}
	if problems > 0 {
		line += fmt.Sprintf(", %d that could not be read", problems)
	}
	fmt.Fprintln(p.stderr, "gatehouse: "+line)
}

func (p *program) runSQL(ctx context.Context, h huntFlags, engine lake.Engine, text string, job query.Job) error {
	told, done := p.fraction("running")
	job.Progress = told
	r, err := query.SQL(ctx, engine, text, job)
	done()
	if err != nil {
		return sqlError(err)
	}
	defer r.Close()
	return p.result(h, r, nil)
}

func (p *program) runPlan(ctx context.Context, h huntFlags, engine lake.Engine, res *op.Result, job query.Job) error {
	told, done := p.fraction("running")
	job.Plan, job.Progress = res.Plan, told
	r, err := query.Run(ctx, engine, job)
	done()
	if err != nil {
		return err
	}
	defer r.Close()
	for _, w := range r.Warnings {
		fmt.Fprintln(p.stderr, "gatehouse: "+clean(w))
	}
	if res.AllColumns {
		return p.result(h, r, nil)
	}
	return p.result(h, r, res.Columns)
}

// result prints the columns named, or all.
func (p *program) result(h huntFlags, r *query.Rows, names []string) error {
	zone, _ := time.LoadLocation(h.when.tz)
	out := shown(r, names)
	out.zone = zone
	show := p.printRows
	if h.chart {
		show = p.printChart
	}
	n, err := show(out)
	if n == 0 && err == nil {
		fmt.Fprintln(p.stderr, "gatehouse: no rows")
	}
	return err
}

// shown picks the columns to show out of those that the plan has.
func shown(r *query.Rows, names []string) rows {
	out := rows{}
	var pick []int
	out.cols, pick = r.Shown(names)
	out.each = iter.Seq2[[]any, error](func(yield func([]any, error) bool) {
		for row := r.Next(); row != nil; row = r.Next() {
			cells := make([]any, len(pick))
			for i, n := range pick {
				cells[i] = row[n]
			}
			if !yield(cells, nil) {
				return
			}
		}
		if err := r.Err(); err != nil {
			yield(nil, err)
		}
	})
	return out
}

// explain prints the stages, what they read and make, and the SQL.
func (p *program) explain(res *op.Result, engine lake.Engine) error {
	d, err := sql.ByName(engine.Dialect())
	if err != nil {
		return err
	}
	statements, err := query.Explain(res.Plan, d)
	if err != nil {
		return err
	}
	if p.format != formatTable {
		return p.print(explained{res.Stages, res.Columns, statements})
	}
	for _, s := range res.Stages {
		fmt.Fprintf(p.stdout, "stage %d  %s\n", s.N, clean(s.Text))
		for _, part := range []struct {
			word  string
			names []string
		}{{"reads", s.Reads}, {"makes", s.Makes}} {
			if len(part.names) > 0 {
				fmt.Fprintf(p.stdout, "         %s %s\n", part.word, clean(strings.Join(part.names, ", ")))
			}
		}
	}
	for _, s := range statements {
		fmt.Fprintf(p.stdout, "\n%s\n", stripped(s))
	}
	return nil
}

type explained struct {
	Stages  []op.StageInfo `json:"stages"`
	Columns []string       `json:"columns"`
	SQL     []string       `json:"sql"`
}

// mistakes is an error about a query's text, with carets.
type mistakes struct {
	text string
	errs syntax.Errors
}

func (m *mistakes) Error() string { return m.errs.Render(m.text) }

func queryError(text string, err error) error {
	if errs := (syntax.Errors)(nil); errors.As(err, &errs) {
		return &mistakes{text, errs}
	}
	return err
}

// sqlError: what an engine refuses of a user's own statement is the user's.
func sqlError(err error) error {
	if refused := (*lake.SQLError)(nil); errors.As(err, &refused) {
		return usagef("SQL: %s", refused.Message)
	}
	return err
}
