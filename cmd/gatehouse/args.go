package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
)

// exactly demands one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing: see `%s --help`", names[len(args)], c.CommandPath())
		case len(args) > len(names):
			return fmt.Errorf("%q is one argument too many: see `%s --help`", clean(args[len(names)]), c.CommandPath())
		}
		return nil
	}
}

// atMost allows up to one argument for each name.
func atMost(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		return exactly(names[:min(len(args), len(names))]...)(c, args)
	}
}

// atLeast demands one argument for each name, and allows more behind them.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		return exactly(names...)(c, args[:min(len(args), len(names))])
	}
}

// parseTime reads a moment: RFC 3339, a day, or a duration before now (`-24h`).
// What names no zone is in loc.
func parseTime(s string, now time.Time, loc *time.Location) (time.Time, error) {
	if back, ok := strings.CutPrefix(s, "-"); ok {
		d, err := config.ParseDuration(back)
		if err != nil {
			return time.Time{}, err
		}
		return now.Add(-d), nil
	}
	if s == "now" {
		return now, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("bad time %q: write RFC 3339 such as 2026-01-31T12:00:00Z, a day, or a time ago such as -24h", s)
}

// timeRange is the flags --from, --to, --last and --tz.
type timeRange struct{ from, to, last, tz string }

func (r *timeRange) flags(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVar(&r.from, "from", "", "no earlier: RFC 3339, a day, or a time ago such as -24h")
	f.StringVar(&r.to, "to", "", "only earlier")
	f.StringVar(&r.last, "last", "", "the last 24h, 7d, …")
	f.StringVar(&r.tz, "tz", "UTC", "zone of times that name none, such as Europe/Berlin")
	exclusive(c, "from", "last")
	exclusive(c, "to", "last")
	return c
}

// span returns the two ends; zero times are open ends.
func (r *timeRange) span(now time.Time) (from, to time.Time, err error) {
	loc, err := time.LoadLocation(r.tz)
	if err != nil {
		return from, to, usagef("--tz: unknown time zone %q: write a name such as UTC or Europe/Berlin", r.tz)
	}
	if r.last != "" {
		d, err := config.ParseDuration(r.last)
		if err != nil {
			return from, to, usagef("--last: %v", err)
		}
		return now.Add(-d), to, nil
	}
	if r.from != "" {
		if from, err = parseTime(r.from, now, loc); err != nil {
			return from, to, usagef("--from: %v", err)
		}
	}
	if r.to != "" {
		if to, err = parseTime(r.to, now, loc); err != nil {
			return from, to, usagef("--to: %v", err)
		}
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, usagef("--from %s is not before --to %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return from, to, nil
}
