package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
)

func (p *program) limitReplay() *cobra.Command {
	var file string
	var shown uint64
	var when timeRange
	c := when.flags(p.uses(p.prints(verb("replay", "Show who another configuration would have refused",
		`Replays the calls in the journal, of the last seven days unless told otherwise,
against the limits, policies, networks and guard of another configuration, and shows
who would have been refused, when and why, and who was refused and would now be
admitted. Calls are judged at the time they were made, with what they used in the
end, at that configuration's prices. No server is needed, and none is changed.

The table shows the sums and the first calls; jsonl prints every call as it comes.

  gatehouse limit replay --policy tomorrow.yaml
  gatehouse limit replay --policy tomorrow.yaml --last 24h --format jsonl`,
		exactly(), func(ctx context.Context, _ []string) (err error) {
			if when == (timeRange{tz: when.tz}) {
				when.last = "7d"
			}
			o := app.ReplayOptions{Dir: p.data}
			if o.From, o.To, err = when.span(time.Now()); err != nil {
				return err
			}
			if o.Config, err = p.loadConfig(file); err != nil {
				return err
			}
			if err := p.exists(); err != nil {
				return err
			}
			p.settle(ctx)
			return p.replay(ctx, o, int(shown))
		}))))
	c.Flags().StringVar(&file, "policy", "", "configuration file to try")
	c.Flags().Uint64Var(&shown, "rows", 20, "calls that the table shows")
	c.MarkFlagFilename("policy", "yaml", "yml")
	required(c, "policy")
	return c
}

// maxReplayRows bounds the calls that are held to be printed together.
const maxReplayRows = 100_000

// replayReport is what JSON prints.
type replayReport struct {
	*app.Replayed
	Rows    []app.ReplayRow `json:"rows"`
	LeftOut int64           `json:"rows_left_out"`
}

func (p *program) replay(ctx context.Context, o app.ReplayOptions, shown int) error {
	report := replayReport{Rows: []app.ReplayRow{}}
	o.Row = func(row app.ReplayRow) error {
		switch {
		case p.format == formatJSONL:
			return p.print([]app.ReplayRow{row})
		case len(report.Rows) >= maxReplayRows || p.format == formatTable && len(report.Rows) >= shown:
			report.LeftOut++
		default:
			report.Rows = append(report.Rows, row)
		}
		return nil
	}
	told, done := p.progress()
	o.Told = told
	var err error
	report.Replayed, err = app.Replay(ctx, o)
	done()
	if err != nil {
		return err
	}
	switch p.format {
	case formatJSON:
		return p.print(report)
	case formatCSV:
		err = p.print(report.Rows)
	case formatTable:
		err = p.printReplay(report, shown)
	}
	if err == nil && report.LeftOut > 0 {
		fmt.Fprintf(p.stderr, "%d more calls: --format jsonl prints all\n", report.LeftOut)
	}
	return err
}

// printReplay prints the sums and the first calls.
func (p *program) printReplay(r replayReport, shown int) error {
	fmt.Fprintf(p.stdout, "%d calls: %d would be refused, %d were\n", r.Calls, r.WouldRefuse, r.Refused)
	fmt.Fprintf(p.stdout, "newly refused %d, newly admitted %d, admitted after a wait %d, because of observe mode %d\n", r.NewlyRefused, r.NewlyAdmitted, r.Waiting, r.Observed)
	for _, s := range r.Skipped {
		fmt.Fprintf(p.stdout, "not replayed: %d %s\n", s.Count, clean(s.Why))
	}
	for _, note := range r.Notes {
		fmt.Fprintln(p.stdout, "note: "+clean(note))
	}
	if len(r.Reasons) == 0 {
		return nil
	}
	fmt.Fprintln(p.stdout)
	if err := p.print(r.Reasons, "was", "now", "limit", "calls"); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout)
	if err := p.print(r.Users[:min(len(r.Users), shown)], "user", "team", "newly_refused", "newly_admitted"); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout)
	return p.print(r.Rows, "time", "user", "team", "model", "was", "now", "limit", "call_id")
}
