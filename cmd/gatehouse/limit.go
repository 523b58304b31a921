package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/app"
)

func (p *program) limitVerb() *cobra.Command {
	return group("limit", "Show, audit and try out limits", "Counters live in the running server. The journal proves them.",
		p.limitStatus(), p.limitAudit(), p.limitReplay())
}

func (p *program) limitStatus() *cobra.Command {
	var only limitFilter
	var watch bool
	c := p.uses(p.prints(verb("status", "Show what is used of the limits",
		`Shows what is used of the limits. The table names users and has USD; the other
formats hold users' ids, which never change hands, and nano-USD. With --watch,
--json prints an array a line.

  gatehouse limit status --limit spend
  gatehouse limit status --key ann@example.com --watch`,
		exactly(), func(ctx context.Context, _ []string) error {
			if watch {
				return p.watchLimits(ctx, only)
			}
			return p.with(ctx, func(api admin.API) error { return p.limits(ctx, api, only) })
		})))
	c.Flags().StringVar(&only.limit, "limit", "", "of one limit only")
	c.Flags().StringVar(&only.key, "key", "", "only where the key has this in it: a user, a team, a key, …")
	c.Flags().BoolVar(&watch, "watch", false, "show it again every two seconds, until interrupted")
	c.RegisterFlagCompletionFunc("limit", complete(p.limitNames()))
	c.RegisterFlagCompletionFunc("key", complete(p.userNames()))
	return c
}

// limitNames are the names of the limits that count something.
func (p *program) limitNames() words {
	all := asked(p, admin.API.ListLimits, func(l admin.Limit) string { return clean(l.Limit) })
	return func(ctx context.Context) []string {
		names := all(ctx)
		slices.Sort(names)
		return slices.Compact(names)
	}
}

// limitFilter is which counts are shown.
type limitFilter struct{ limit, key string }

// limits prints the counts once.
func (p *program) limits(ctx context.Context, api admin.API, only limitFilter) error {
	rows, err := api.ListLimits(ctx)
	if err != nil {
		return err
	}
	if _, offline := api.(*app.Data); offline {
		fmt.Fprintln(p.stderr, "no server runs on this directory: these are the shipped limits, as its journal counts them")
	}
	names := strings.NewReplacer()
	if p.format == formatTable || only.key != "" {
		if names, err = userReplacer(ctx, api); err != nil {
			return err
		}
	}
	rows = slices.DeleteFunc(rows, func(l admin.Limit) bool {
		return only.limit != "" && l.Limit != only.limit ||
			!strings.Contains(l.Key, only.key) && !strings.Contains(names.Replace(l.Key), only.key)
	})
	if p.format != formatTable {
		return p.print(rows)
	}
	cells := make([]limitCells, len(rows))
	for i, l := range rows {
		cells[i] = limitCells{
			l.Limit, l.Per, names.Replace(l.Key), unit(l.Measure),
			amount(l.Measure, l.Max), amount(l.Measure, l.Used), amount(l.Measure, l.Reserved), amount(l.Measure, l.Debt), l.ResetsAt,
		}
	}
	return p.print(cells, "limit", "per", "key", "unit", "max", "used", "reserved", "debt", "resets_at")
}

// limitCells is a row of the table.
type limitCells struct {
	Limit    string    `json:"limit"`
	Per      string    `json:"per"`
	Key      string    `json:"key"`
	Unit     string    `json:"unit"`
	Max      string    `json:"max"`
	Used     string    `json:"used"`
	Reserved string    `json:"reserved"`
	Debt     string    `json:"debt"`
	ResetsAt time.Time `json:"resets_at"`
}

// unit is what a measure counts in, in tables.
func unit(measure string) string {
	switch measure {
	case "usd":
		return "USD"
	case "concurrency":
		return "calls"
	case "input_tokens", "output_tokens":
		return "tokens"
	}
	return measure
}

// amount writes a count in the unit of its measure.
func amount(measure string, n int64) string {
	if measure == "usd" {
		return usd(n)
	}
	return strconv.FormatInt(n, 10)
}

// userReplacer puts users' names in the place of their ids, wherever one stands
// in the key of a count.
func userReplacer(ctx context.Context, api admin.API) (*strings.Replacer, error) {
	users, err := api.ListUsers(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, u := range users {
		names = append(names, u.ID, u.Name)
	}
	return strings.NewReplacer(names...), nil
}

// watchEvery is how often counts are shown again.
const watchEvery = 2 * time.Second

// watchLimits prints the counts again and again, on a terminal in one place.
// It needs a server: without one nothing changes.
func (p *program) watchLimits(ctx context.Context, only limitFilter) error {
	if err := p.exists(); err != nil {
		return err
	}
	api, err := admin.Dial(ctx, p.data)
	if errors.Is(err, admin.ErrNoServer) {
		return usagef("no server is running on %s: leave out --watch", p.data)
	}
	if err != nil {
		return err
	}
	p.watching = true
	wipe := ""
	if f, ok := p.stdout.(*os.File); ok && p.format == formatTable {
		if fi, err := f.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
			wipe = "\x1b[H\x1b[2J"
		}
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		fmt.Fprint(p.stdout, wipe)
		if err := p.limits(ctx, api, only); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
