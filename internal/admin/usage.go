package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// UsageQuery is which calls are added up, and by what. Calls count at the time
// they were asked.
type UsageQuery struct {
	By   []string  // of UsageWords; none: DefaultUsage
	From time.Time // zero: from the first
	To   time.Time // zero: to the last
	TZ   string    // the zone of days and months; empty: UTC
}

// UsageRow is what one group of calls came to. The fields that the query does
// not group by are empty.
type UsageRow struct {
	User        string `json:"user"`
	Team        string `json:"team"`
	Key         string `json:"key" doc:"its id; empty: a login token"`
	Model       string `json:"model" doc:"normalised id; empty: none was named, or it was refused before that"`
	Operation   string `json:"operation"`
	Day         string `json:"day" doc:"such as 2026-01-31"`
	Month       string `json:"month" doc:"such as 2026-01"`
	Outcome     string `json:"outcome" doc:"how a call ended, open, or the reason of a refusal"`
	Country     string `json:"country"`
	Calls       int64  `json:"calls" doc:"asked, refused ones too"`
	Refused     int64  `json:"refused" doc:"of them"`
	Interrupted int64  `json:"interrupted" doc:"of them: the end is not known, or not yet; they count as what was reserved for them"`
	Input       int64  `json:"input_tokens" doc:"without cache reads and writes"`
	Output      int64  `json:"output_tokens"`
	CacheRead   int64  `json:"cache_read_tokens"`
	CacheWrite  int64  `json:"cache_write_tokens"`
	Images      int64  `json:"images"`
	Cost        int64  `json:"cost" doc:"nano-USD"`
}

// Add counts what o counts to r.
func (r *UsageRow) Add(o *UsageRow) {
	for _, f := range []struct{ to, n *int64 }{
		{&r.Calls, &o.Calls}, {&r.Refused, &o.Refused}, {&r.Interrupted, &o.Interrupted},
		{&r.Input, &o.Input}, {&r.Output, &o.Output}, {&r.CacheRead, &o.CacheRead}, {&r.CacheWrite, &o.CacheWrite},
		{&r.Images, &o.Images}, {&r.Cost, &o.Cost},
	} {
		*f.to += min(*f.n, math.MaxInt64-*f.to) // the worst case of an absurd price is that high
	}
}

// Part is the field of r that a word of UsageWords names; nil for another word.
func (r *UsageRow) Part(word string) *string {
	for _, p := range usageParts {
		if p.name == word {
			return p.field(r)
		}
	}
	return nil
}

// usageOpen is the outcome of a call that has none yet.
const usageOpen = "open"

// usageParts are what usage can be grouped by.
var usageParts = []struct {
	name  string
	field func(*UsageRow) *string
	of    func(a *ledger.Asked, outcome string, at time.Time) string
}{
	{"user", func(r *UsageRow) *string { return &r.User }, func(a *ledger.Asked, _ string, _ time.Time) string { return a.Principal.User }},
	{"team", func(r *UsageRow) *string { return &r.Team }, func(a *ledger.Asked, _ string, _ time.Time) string { return teamOf(a) }},
	{"key", func(r *UsageRow) *string { return &r.Key }, func(a *ledger.Asked, _ string, _ time.Time) string { return a.Principal.Key }},
	{"model", func(r *UsageRow) *string { return &r.Model }, func(a *ledger.Asked, _ string, _ time.Time) string { return a.Model }},
	{"operation", func(r *UsageRow) *string { return &r.Operation }, func(a *ledger.Asked, _ string, _ time.Time) string { return a.Operation }},
	{"day", func(r *UsageRow) *string { return &r.Day }, func(_ *ledger.Asked, _ string, at time.Time) string { return at.Format(time.DateOnly) }},
	{"month", func(r *UsageRow) *string { return &r.Month }, func(_ *ledger.Asked, _ string, at time.Time) string { return at.Format("2006-01") }},
	{"outcome", func(r *UsageRow) *string { return &r.Outcome }, func(_ *ledger.Asked, outcome string, _ time.Time) string { return outcome }},
	{"country", func(r *UsageRow) *string { return &r.Country }, func(a *ledger.Asked, _ string, _ time.Time) string { return a.Country }},
}

// teamOf is the team as the caller's ARN has it.
func teamOf(a *ledger.Asked) string {
	if a.Principal.User == "" {
		return a.Principal.Team
	}
	return cmp.Or(a.Principal.Team, "default")
}

// DefaultUsage is what usage is grouped by unless something else is asked for.
var DefaultUsage = []string{"team", "model"}

// UsageWords are what usage can be grouped by.
func UsageWords() []string {
	words := make([]string, len(usageParts))
	for i := range usageParts {
		words[i] = usageParts[i].name
	}
	return words
}

// Scan is how far a reading of the journal has come, told now and then.
type Scan struct {
	Read int64 `json:"read" doc:"records so far"`
	Of   int64 `json:"of,omitzero" doc:"of so many, about; absent: not known"`
}

// UsageOptions are what UsageOf knows beside the query.
type UsageOptions struct {
	Last  uint64                      // the journal's last record, to tell how far the reading is; 0: not known
	Worst func(a *ledger.Asked) int64 // what a call may have cost at most, in nano-USD; nil: nothing
	Told  func(Scan)                  // is told of progress; nil: nobody
	Disk  journal.FS                  // nil: the operating system's
	Dir   string                      // data directory
}

// maxUsage bounds the groups that are kept in memory.
const maxUsage = 10_000

// UsageOf adds up the calls of the main journal of a data directory, which a
// server may be writing. Its memory is that of the groups and of the calls
// that were under way at once. With ErrDamaged the rows lack what cannot be
// read. Who never proved who they are, is in another
// journal and uses nothing. Rows come by time where the query groups by it,
// otherwise by cost, the dearest first.
func UsageOf(ctx context.Context, q UsageQuery, o UsageOptions) ([]UsageRow, error) {
	u, err := newUsage(q, o)
	if err != nil {
		return nil, err
	}
	damaged := 0
	for e, err := range records(ctx, journal.Metas(o.Disk, filepath.Join(o.Dir, CallsDir), q.From), o.Last, o.Told) {
		if bad := (*journal.Damage)(nil); errors.As(err, &bad) {
			damaged++
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("add up usage: %w", err)
		}
		if !q.To.IsZero() && e.Time.After(q.To.Add(maxCall)) {
			break
		}
		if err := u.entry(&e); err != nil {
			return nil, err
		}
	}
	for r := range u.join.Rest() {
		if err := u.admitted(r, usageOpen); err != nil {
			return nil, err
		}
	}
	if damaged > 0 {
		return u.rows(), ErrDamaged.Say("%d places of the journal cannot be read, and what stood there is not counted: see `gatehouse journal verify`", damaged)
	}
	return u.rows(), nil
}

// maxCall is longer than any call lasts: no record of a call is that much
// later than its first one.
const maxCall = 24 * time.Hour

// records passes entries on, tells of progress, and ends with ctx.
func records(ctx context.Context, entries iter.Seq2[journal.Entry, error], last uint64, told func(Scan)) iter.Seq2[journal.Entry, error] {
	const each = 1 << 10
	return func(yield func(journal.Entry, error) bool) {
		var n, first int64
		for e, err := range entries {
			if n == 0 {
				first = int64(e.Seq)
			}
			if n++; err == nil && n%each == 0 {
				err = ctx.Err()
				if told != nil {
					told(Scan{Read: n, Of: max(0, int64(last)-first+1)})
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// usage adds up. It is owned by one goroutine.
type usage struct {
	UsageQuery
	o      UsageOptions
	zone   *time.Location
	by     []int // indexes of usageParts
	join   ledger.Joiner
	groups map[string]*UsageRow
	key    []byte
}

func newUsage(q UsageQuery, o UsageOptions) (*usage, error) {
	u := &usage{UsageQuery: q, o: o, groups: map[string]*UsageRow{}}
	if len(u.By) == 0 {
		u.By = DefaultUsage
	}
	known := UsageWords()
	for i, word := range u.By {
		at := slices.Index(known, word)
		switch {
		case at >= 0 && slices.Contains(u.By[:i], word):
			return nil, ErrInvalid.Say("by: %s stands twice", word)
		case at < 0 && config.Nearest(word, known) != "":
			return nil, ErrInvalid.Say("by: unknown %q: did you mean %s?", word, config.Nearest(word, known))
		case at < 0:
			return nil, ErrInvalid.Say("by: unknown %q: write some of %s, with commas between", word, strings.Join(known, ", "))
		}
		u.by = append(u.by, at)
	}
	var err error
	if u.zone, err = time.LoadLocation(q.TZ); err != nil {
		return nil, ErrInvalid.Say("tz: unknown time zone %q: write a name such as UTC or Europe/Berlin", q.TZ)
	}
	return u, nil
}

// in tells whether a call at t is asked for.
func (u *usage) in(t time.Time) bool {
	return !t.Before(u.From) && (u.To.IsZero() || t.Before(u.To))
}

func (u *usage) entry(e *journal.Entry) error {
	switch e.Kind {
	case ledger.KindTally:
		m, err := ledger.Decode(e.Kind, e.Meta)
		if err != nil {
			return err
		}
		return u.tally(m.(*ledger.Tally))
	case ledger.KindPart: // says nothing of usage
		return nil
	}
	r, err := u.join.Add(e)
	switch {
	case r == nil || err != nil:
		return err
	case r.Refusal != nil:
		return u.count(&r.Asked, r.Refusal.Reason, r.Time, &UsageRow{Calls: 1, Refused: 1})
	}
	return u.admitted(r, string(r.Result.Outcome))
}

// tally counts refusals that were too many to be written one by one. Attempts
// on accounts are summed up in the same way, and are no calls.
func (u *usage) tally(t *ledger.Tally) error {
	if strings.Contains(t.Reason, " ") { // an event and its outcome
		return nil
	}
	return u.count(&ledger.Asked{Principal: t.Principal}, t.Reason, t.Last, &UsageRow{Calls: t.Count, Refused: t.Count})
}

// admitted counts a call that was sent.
func (u *usage) admitted(r *ledger.Record, outcome string) error {
	row := UsageRow{
		Calls: 1, Input: r.Result.Usage.Input, Output: r.Result.Usage.Output,
		CacheRead: r.Result.Usage.CacheRead, CacheWrite: r.Result.Usage.CacheWrite, Images: r.Result.Usage.Images, Cost: r.Result.Cost,
	}
	if r.Result.Outcome == call.Interrupted {
		row = UsageRow{Calls: 1, Interrupted: 1, Input: r.InputEstimate, Output: r.MaxTokens * max(r.Answers, 1), Images: r.Images, Cost: r.Result.Cost}
		if row.Cost == 0 && u.o.Worst != nil {
			row.Cost = u.o.Worst(&r.Asked)
		}
	}
	return u.count(&r.Asked, outcome, r.Time, &row)
}

func (u *usage) count(a *ledger.Asked, outcome string, at time.Time, n *UsageRow) error {
	if !u.in(at) {
		return nil
	}
	at = at.In(u.zone)
	u.key = u.key[:0]
	for _, i := range u.by {
		u.key = append(append(u.key, usageParts[i].of(a, outcome, at)...), 0)
	}
	row := u.groups[string(u.key)]
	if row == nil {
		if len(u.groups) >= maxUsage {
			return ErrInvalid.Say("by %s gives more than %d rows: leave something out, or look at a shorter time", strings.Join(u.By, ","), maxUsage)
		}
		row = new(UsageRow)
		for _, i := range u.by {
			*usageParts[i].field(row) = usageParts[i].of(a, outcome, at)
		}
		u.groups[string(u.key)] = row
	}
	row.Add(n)
	return nil
}

func (u *usage) rows() []UsageRow {
	rows := make([]UsageRow, 0, len(u.groups))
	for _, r := range u.groups {
		rows = append(rows, *r)
	}
	timed := slices.Contains(u.By, "day") || slices.Contains(u.By, "month")
	slices.SortFunc(rows, func(a, b UsageRow) int {
		if !timed {
			if c := cmp.Or(cmp.Compare(b.Cost, a.Cost), cmp.Compare(b.Calls, a.Calls)); c != 0 {
				return c
			}
		}
		return u.compare(&a, &b)
	})
	return rows
}

// compare orders by what the query groups by, time first.
func (u *usage) compare(a, b *UsageRow) int {
	c := cmp.Or(strings.Compare(a.Month, b.Month), strings.Compare(a.Day, b.Day))
	for _, i := range u.by {
		c = cmp.Or(c, strings.Compare(*usageParts[i].field(a), *usageParts[i].field(b)))
	}
	return c
}
