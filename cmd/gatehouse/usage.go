package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
)

func (p *program) usageVerb() *cobra.Command {
	var q admin.UsageQuery
	var when timeRange
	c := when.flags(p.uses(p.prints(verb("usage", "Show what calls came to: tokens and money",
		`Adds up the calls in the journal, of the last 30 days unless told otherwise. A
call counts at the time it was asked. Calls whose end is not known, or not yet,
count as what was reserved for them, and are marked as interrupted. The table has
a total and USD; the other formats hold nano-USD.

  gatehouse usage
  gatehouse usage --by user --last 24h
  gatehouse usage --by day,team --from 2026-01-01 --tz Europe/Berlin
  gatehouse usage --by outcome --last 1h --json`,
		exactly(), func(ctx context.Context, _ []string) (err error) {
			if when == (timeRange{tz: when.tz}) {
				when.last = "30d"
			}
			if q.From, q.To, err = when.span(time.Now()); err != nil {
				return err
			}
			q.TZ = when.tz
			return p.with(ctx, func(api admin.API) error { return p.usage(ctx, api, q) })
		}))))
	c.Flags().StringSliceVar(&q.By, "by", admin.DefaultUsage, "what to group by, with commas between: "+strings.Join(admin.UsageWords(), ", "))
	c.RegisterFlagCompletionFunc("by", completeList(func(context.Context) []string { return admin.UsageWords() }))
	return c
}

// usage prints the rows, also those that lack what cannot be read.
func (p *program) usage(ctx context.Context, api admin.API, q admin.UsageQuery) error {
	told, done := p.progress()
	rows, err := api.Usage(ctx, q, told)
	done()
	if rows == nil {
		return err
	}
	if printed := p.printUsage(q.By, rows); printed != nil {
		return printed
	}
	return err
}

// usageCells is a row of the table.
type usageCells struct {
	admin.UsageRow
	USD string `json:"usd"`
}

func (p *program) printUsage(by []string, rows []admin.UsageRow) error {
	if p.format != formatTable {
		return p.print(rows)
	}
	var total admin.UsageRow
	cells := make([]usageCells, 0, len(rows)+1)
	for _, r := range rows {
		cells = append(cells, usageCells{r, usd(r.Cost)})
		total.Add(&r)
	}
	*total.Part(by[0]) = "total"
	cells = append(cells, usageCells{total, usd(total.Cost)})
	names := append(by[:len(by):len(by)], "calls", "refused", "interrupted", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "usd")
	if err := p.print(cells, names...); err != nil || total.Interrupted == 0 {
		return err
	}
	_, err := fmt.Fprintf(p.stderr, "interrupted: %d, counted as what was reserved\n", total.Interrupted)
	return err
}

// usd writes nano-USD as USD: exactly, with two decimal places at least.
func usd(nano int64) string {
	sign := ""
	if nano < 0 {
		sign, nano = "-", -nano
	}
	s := strings.TrimRight(fmt.Sprintf("%d.%09d", nano/1e9, nano%1e9), "0")
	for len(s)-strings.IndexByte(s, '.') < 3 {
		s += "0"
	}
	return sign + s
}

// progress shows on a terminal how far a long reading is; done wipes that away.
func (p *program) progress() (told func(admin.Scan), done func()) {
	say, done := p.line()
	if say == nil {
		return nil, done
	}
	return func(s admin.Scan) { say(func() string { return progressText(s) }) }, done
}

func progressText(s admin.Scan) string {
	if s.Of <= 0 {
		return fmt.Sprintf("%d records read", s.Read)
	}
	return fmt.Sprintf("%d of %d records read (%d %%)", s.Read, s.Of, 100*s.Read/s.Of)
}
