package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/admin"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway/limit"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// An audit compares the limits' counters, as they stand at one moment, with
// what the amounts in the journal add up to at the same moment. The limits and
// the journal share no lock, and a call reserves before it is admitted in the
// journal and settles before its result is there. What decides:
//
//   - A call that was open at the moment counts as what was held for it then.
//   - Of the others, one whose admit was handed to the journal before the
//     moment had settled by then, and counts as its result says, also when that
//     was written later. One that was handed over after it had not reserved.
//
// Snapshots in the journal are not used, which is the point.
type audit struct {
	counted *limit.Limiter // as at the moment
	summed  *limit.Limiter // as the journal says

	before      uint64    // the records up to this one were handed over before the moment
	from, until time.Time // the moment is in between

	open     map[string][]call.Amount // held at the moment, by call
	awaited  map[string]bool          // settled before the moment, but the result has not been read
	doubtful bool                     // a call was admitted just at the moment
	damaged  int                      // places of the journal that cannot be read
	first    journal.Entry
	records  int64
	last     uint64
}

const (
	auditWindow = 35 * 24 * time.Hour // longer than every window
	auditTries  = 5
	auditRows   = 1000 // differences that are told one by one
)

// AuditLimits implements [admin.Scans].
func (d *Data) AuditLimits(ctx context.Context, told func(admin.Scan)) (admin.LimitAudit, error) {
	for try := 1; ; try++ {
		a, err := d.beginAudit(ctx)
		if err == nil {
			err = a.read(ctx, d, told)
		}
		if err == nil {
			err = a.await(ctx, d)
		}
		if err != nil {
			return admin.LimitAudit{}, fmt.Errorf("audit of limits: %w", err)
		}
		if !a.doubtful || try == auditTries {
			return a.result(d), nil
		}
	}
}

// beginAudit looks at the limits between two looks at the journal.
func (d *Data) beginAudit(ctx context.Context) (a *audit, err error) {
	if err := d.synced(ctx); err != nil {
		return nil, err
	}
	a = &audit{before: d.calls.Stats().Seq, awaited: map[string]bool{}, from: time.Now()}
	snapshot := d.limits.Snapshot()
	a.until = time.Now()
	c := d.settings.Load().config
	for _, l := range []**limit.Limiter{&a.counted, &a.summed} {
		if *l, err = alone(c, limitTable(c), a.until); err != nil {
			return nil, err
		}
	}
	if err := a.counted.Restore(snapshot); err != nil {
		return nil, err
	}
	a.open = a.counted.Open()
	return a, d.synced(ctx)
}

// synced returns once all that the journal has taken is on disk, or ctx ends:
// a full disk is waited for.
func (d *Data) synced(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- d.calls.Sync() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// alone is a limiter under c that shares nothing and tells nobody, at a moment.
func alone(c *config.Config, limits []limit.Limit, at time.Time) (*limit.Limiter, error) {
	return limit.New(limit.Options{Limits: limits, Start: at, Longest: time.Duration(c.Upstream.TotalTimeout) + time.Minute})
}

// read adds up the journal.
func (a *audit) read(ctx context.Context, d *Data, told func(admin.Scan)) error {
	since := a.until.Add(-auditWindow)
	for e, err := range ledger.Scan(d.disk, filepath.Join(d.dir, callsDir), since) {
		var bad *journal.Damage
		switch {
		case errors.As(err, &bad):
			a.damaged++
			continue
		case err == nil && a.records%1024 == 0:
			err = ctx.Err()
			tell(told, a.records, int64(d.calls.Stats().Seq)-int64(e.Of.Seq))
		}
		if err != nil {
			return err
		}
		if a.records++; a.records == 1 {
			a.first = e.Of
		}
		a.last = e.Of.Seq
		a.entry(e.Meta, &e.Of)
	}
	for id, held := range a.open {
		a.summed.ReplayAdmit(id, held)
	}
	return nil
}

// tell tells of progress: so many records were read, and so many are left.
func tell(told func(admin.Scan), read, left int64) {
	if told != nil {
		told(admin.Scan{Read: read, Of: read + max(0, left)})
	}
}

func (a *audit) entry(m ledger.Meta, e *journal.Entry) {
	switch m := m.(type) {
	case *ledger.Admit:
		a.admit(m, e)
	case *ledger.Result:
		a.end(m.ID, m.Settled)
	case *ledger.Refused:
		a.end(m.ID, nil)
	}
}

func (a *audit) admit(m *ledger.Admit, e *journal.Entry) {
	if held, ok := a.open[m.ID]; ok {
		a.open[m.ID] = larger(held, m.Amounts)
		return
	}
	if e.Seq > a.before && !e.Time.Before(a.from) {
		a.doubtful = a.doubtful || !e.Time.After(a.until)
		return
	}
	a.summed.ReplayAdmit(m.ID, m.Amounts)
	a.awaited[m.ID] = true
}

func (a *audit) end(id string, settled []call.Amount) {
	if _, ok := a.open[id]; !ok {
		a.summed.ReplayResult(id, settled)
		delete(a.awaited, id)
	}
}

// larger is what the limits hold for an open call, which may have grown since
// its admission, but is never less than what the journal has.
func larger(held, admitted []call.Amount) []call.Amount {
	out := slices.Clone(held)
	for _, a := range admitted {
		i := slices.IndexFunc(held, func(h call.Amount) bool { return h.Limit == a.Limit && h.Key == a.Key && h.Item == a.Item })
		if i < 0 {
			out = append(out, a)
		} else {
			out[i].N = max(out[i].N, a.N)
		}
	}
	return out
}

// await reads on, for a second at most, until the results have come of the
// calls that had settled: a result is written right behind its settlement.
func (a *audit) await(ctx context.Context, d *Data) error {
	for range 20 {
		if len(a.awaited) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if err := d.synced(ctx); err != nil {
			return err
		}
		for e, err := range journal.Read(d.disk, filepath.Join(d.dir, callsDir), a.last+1) {
			if err != nil {
				return err
			}
			a.last = e.Seq
			if e.Kind == ledger.KindResult || e.Kind == ledger.KindRefused {
				m, err := ledger.Decode(e.Kind, e.Meta)
				if err != nil {
					return err
				}
				a.entry(m, &e)
			}
		}
	}
	return nil
}

// result compares the counters.
func (a *audit) result(d *Data) admin.LimitAudit {
	r := admin.LimitAudit{Records: a.records, LastSeq: a.last, Open: len(a.open), Notes: a.notes(d), Differences: []admin.LimitDifference{}}
	rows := map[[2]string]*admin.LimitDifference{}
	for i, l := range []*limit.Limiter{a.counted, a.summed} {
		for _, row := range l.Status(a.until) {
			at := [2]string{row.Limit, row.Key}
			if rows[at] == nil {
				rows[at] = &admin.LimitDifference{Limit: row.Limit, Per: strings.Join(row.Per, ","), Key: row.Key, Measure: row.Measure}
			}
			*[]*int64{&rows[at].Used, &rows[at].Recomputed}[i] = row.Used + row.Reserved
		}
	}
	r.Counters = len(rows)
	for _, row := range rows {
		if row.Used != row.Recomputed {
			r.Differences = append(r.Differences, *row)
		}
	}
	r.Equal = len(r.Differences) == 0
	slices.SortFunc(r.Differences, func(a, b admin.LimitDifference) int {
		return cmp.Or(strings.Compare(a.Limit, b.Limit), strings.Compare(a.Key, b.Key))
	})
	if n := len(r.Differences); n > auditRows {
		r.Differences = r.Differences[:auditRows]
		r.Notes = append(r.Notes, fmt.Sprintf("%d counters differ; these are the first %d", n, auditRows))
	}
	return r
}

// notes say what the answer does not cover.
func (a *audit) notes(d *Data) []string {
	notes, now := []string{}, d.settings.Load().config
	note := func(when bool, format string, args ...any) {
		if when {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	note(a.damaged > 0, "%d places of the journal cannot be read: see gatehouse journal verify", a.damaged)
	note(len(a.awaited) > 0, "%d calls ended without a record of how, and count as what was reserved for them", len(a.awaited))
	note(a.doubtful, "a call was admitted at the very moment of comparison: try again")
	note(a.first.Seq > 1 && a.first.Time.After(a.until.Add(-auditWindow)), "the journal begins at %s: what was counted before is not in it", a.first.Time.Format(time.RFC3339))
	note(!reflect.DeepEqual(now.Limits, d.config.Limits), "the limits were changed since the start: what one with another window, measure or per counted before is in the journal, and no more in force")
	note(d.offline, "no server is running: these are the shipped limits; configured ones are in a server's audit")
	note(now.LimitStore.Kind != "memory", "the counters are this gateway's own, not those of the shared store")
	return notes
}
