package lake

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"
)

// Retention bounds what a lake keeps. A zero field is no bound.
type Retention struct {
	Age   time.Duration // of events
	Bytes int64         // of all segments
}

// Retired counts what Retain removed.
type Retired struct {
	Segments int
	Rows     int64
	Bytes    int64
}

// Retain removes whole segments: those whose newest event is too old, and then
// the oldest until the lake is small enough. What is gone is told by Gaps.
// Files stay for the grace.
func (l *Lake) Retain(ctx context.Context, keep Retention) (Retired, error) {
	l.workMu.Lock()
	defer l.workMu.Unlock()
	l.mu.Lock()
	m, now := l.m, l.o.Now()
	l.mu.Unlock()
	var done Retired
	reasons := m.retire(keep, now)
	var gone []segment
	var paths []*Catalogue
	for _, s := range m.Segments {
		if reasons[s.Name] == "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return Retired{}, err
		}
		gone = append(gone, s)
		paths = append(paths, l.footerPaths(s))
		done = Retired{done.Segments + 1, done.Rows + s.Rows, done.Bytes + s.Bytes}
	}
	if len(gone) == 0 {
		return done, nil
	}
	err := l.commit(change{remove: paths, edit: func(m *manifest) {
		m.replace(gone, now.UnixMilli())
		for _, s := range gone {
			m.addGap(s, reasons[s.Name], now)
		}
	}})
	if err == nil {
		err = l.forgetIDs()
	}
	if err != nil {
		return Retired{}, fmt.Errorf("retain: %w", err)
	}
	return done, nil
}

// retire tells which segments go, and why.
func (m *manifest) retire(keep Retention, now time.Time) map[string]string {
	reasons := map[string]string{}
	byAge := slices.SortedFunc(slices.Values(m.Segments), func(a, b segment) int {
		return cmp.Or(cmp.Compare(a.MaxTime, b.MaxTime), cmp.Compare(a.Name, b.Name))
	})
	var total int64
	for _, s := range m.Segments {
		total += s.Bytes
	}
	for _, s := range byAge {
		switch {
		case keep.Age > 0 && s.MaxTime < now.Add(-keep.Age).UnixMilli():
			reasons[s.Name] = "age"
		case keep.Bytes > 0 && total > keep.Bytes:
			reasons[s.Name] = "bytes"
		default:
			continue
		}
		total -= s.Bytes
	}
	return reasons
}

// addGap widens the gap of the strand and reason; there is one for each, so
// that they stay few.
func (m *manifest) addGap(s segment, reason string, now time.Time) {
	at := slices.IndexFunc(m.Gaps, func(g Gap) bool { return g.Strand == s.Strand && g.Reason == reason })
	from, to := time.UnixMilli(s.MinTime).UTC(), time.UnixMilli(s.MaxTime).UTC()
	if at < 0 {
		m.Gaps = append(m.Gaps, Gap{Strand: s.Strand, Reason: reason, From: from, To: to})
		at = len(m.Gaps) - 1
	}
	g := &m.Gaps[at]
	if from.Before(g.From) {
		g.From = from
	}
	if to.After(g.To) {
		g.To = to
	}
	g.Rows, g.Bytes, g.At = g.Rows+s.Rows, g.Bytes+s.Bytes, now.UTC()
}

// footerPaths reads the catalogue of a segment. Where it cannot, the lake's
// keeps the paths: it may then list one that is gone, which harms less.
func (l *Lake) footerPaths(s segment) *Catalogue {
	h, err := l.o.FS.Open(filepath.Join(l.o.Dir, s.Name), os.O_RDONLY)
	if err != nil {
		return new(Catalogue)
	}
	defer h.Close()
	f, err := parquet.OpenFile(h, s.Bytes, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return new(Catalogue)
	}
	return (&source{file: f}).paths()
}

// forgetIDs drops runs of days that are gone altogether.
func (l *Lake) forgetIDs() error {
	l.mu.Lock()
	horizon := l.horizon()
	var old []*run
	for _, r := range l.runs {
		if r.MaxDay < horizon {
			old = append(old, r)
		}
	}
	l.mu.Unlock()
	if len(old) == 0 {
		return nil
	}
	return l.replaceRuns(old)
}
