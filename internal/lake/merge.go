package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go/compress/zstd"

	"gatehouse/internal/event"
)

// Segments are merged eight at a time with others of their strand, day and
// size, where sizes go in steps of eight, so that a row is written once a step
// and few files remain. A day that is over, and to which nothing came for a
// while, is merged two at a time, to fewer still. At a million rows or 256 MB a
// segment is left alone.
const (
	fanIn      = 8
	mostInputs = 16
	doneRows   = 1 << 20
	doneBytes  = 256 << 20
	quiet      = 10 * time.Minute
)

// Merged counts what Merge did.
type Merged struct {
	From, Into int // segments
	Rows       int64
	Bytes      int64 // read
}

// Merge joins small segments until nothing is worth it or so many bytes were
// read (0: no bound). Readers of an earlier manifest keep its files for the
// grace. A segment that is damaged is named in the log and left out from then
// on, until a later Open finds it whole. Memory is bounded by one row group and some pages of 16 segments.
func (l *Lake) Merge(ctx context.Context, budget int64) (Merged, error) {
	l.workMu.Lock()
	defer l.workMu.Unlock()
	var done Merged
	for budget == 0 || done.Bytes < budget {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		inputs := l.pick()
		if inputs == nil {
			break
		}
		if err := l.merge(ctx, inputs, &done); err != nil {
			return done, fmt.Errorf("merge: %w", err)
		}
	}
	return done, l.mergeRuns(ctx)
}

// step tells the size of a segment in steps of eight.
func step8(n int64) int { return bits.Len64(uint64(max(n, 1))) / 3 }

// pick returns segments to merge, nil when there are none.
func (l *Lake) pick() []segment {
	type key struct {
		strand event.Strand
		day    string
		step   int
	}
	l.mu.Lock()
	m, now := l.m, l.o.Now()
	l.mu.Unlock()
	last := map[[2]string]int64{}
	groups := map[key][]segment{}
	for _, s := range m.Segments {
		if s.Damaged != "" || s.Rows >= doneRows || s.Bytes >= doneBytes {
			continue
		}
		day := [2]string{string(s.Strand), s.Day}
		last[day] = max(last[day], s.Sealed)
		k := key{s.Strand, s.Day, step8(s.Rows)}
		groups[k] = append(groups[k], s)
	}
	today := now.Add(-time.Hour).UTC().Format(time.DateOnly)
	for k, g := range groups {
		want := fanIn
		if k.day < today && now.UnixMilli()-last[[2]string{string(k.strand), k.day}] >= quiet.Milliseconds() {
			want = 2
		}
		if len(g) >= want {
			return fit(g)
		}
	}
	return nil
}

// fit takes as many, oldest first, as make one segment of at most the size at
// which it is left alone.
func fit(g []segment) []segment {
	slices.SortFunc(g, func(a, b segment) int { return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.Name, b.Name)) })
	var rows, size int64
	for i, s := range g {
		rows, size = rows+s.Rows, size+s.Bytes
		if i >= 2 && (rows > doneRows || size > doneBytes) || i == mostInputs {
			return g[:i]
		}
	}
	return g
}

// merge makes one segment of several.
func (l *Lake) merge(ctx context.Context, inputs []segment, done *Merged) error {
	sources, bad, err := l.openSources(inputs)
	defer func() {
		for _, s := range sources {
			s.close()
		}
	}()
	if errors.Is(err, errDamaged) {
		return l.mark(bad.Name, err.Error())
	}
	if err != nil {
		return err
	}
	paths := make([]*Catalogue, len(sources))
	all := newSums(new(Catalogue))
	for i, s := range sources {
		paths[i] = s.paths()
		all.add(paths[i])
	}
	joined := all.catalogue()
	for i := range joined.Paths {
		joined.Paths[i].Segments = 1
	}
	out, err := l.join(ctx, inputs[0], sources, joined)
	if err != nil {
		l.stray(out.Name)
		return err
	}
	err = l.commit(change{add: []*Catalogue{joined}, remove: paths, edit: func(m *manifest) {
		m.replace(inputs, out.Sealed, out)
	}})
	if err != nil {
		l.stray(out.Name)
		return err
	}
	done.From, done.Into, done.Rows = done.From+len(inputs), done.Into+1, done.Rows+out.Rows
	for _, s := range inputs {
		done.Bytes += s.Bytes
	}
	return nil
}

func (l *Lake) openSources(inputs []segment) (sources []*source, bad segment, err error) {
	for _, s := range inputs {
		src, err := openSource(l.o.FS, l.o.Dir, s)
		if err != nil {
			return sources, s, err
		}
		sources = append(sources, src)
	}
	return sources, segment{}, nil
}

// mark keeps a segment that cannot be read out of merges and queries, or, with
// no reason, lets it in again.
func (l *Lake) mark(name, reason string) error {
	if reason != "" {
		l.o.Log.Error("a segment is left out", "file", name, "error", reason)
	}
	return l.commit(change{edit: func(m *manifest) {
		for i := range m.Segments {
			if m.Segments[i].Name == name {
				m.Segments[i].Damaged = reason
			}
		}
	}})
}

// forgiveRepaired looks at damaged segments again: somebody may have put them
// back.
func (l *Lake) forgiveRepaired() error {
	for _, s := range l.m.Segments {
		if s.Damaged == "" {
			continue
		}
		if src, err := openSource(l.o.FS, l.o.Dir, s); err == nil {
			src.close()
			if err := l.mark(s.Name, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace puts segments in the place of others.
func (m *manifest) replace(old []segment, ms int64, with ...segment) {
	gone := map[string]bool{}
	for _, s := range old {
		gone[s.Name] = true
		m.drop(ms, s.Name)
	}
	m.Segments = append(slices.DeleteFunc(m.Segments, func(s segment) bool { return gone[s.Name] }), with...)
}

// join writes the rows of the sources as one segment, in order of time.
func (l *Lake) join(ctx context.Context, like segment, sources []*source, paths *Catalogue) (segment, error) {
	day, err := time.Parse(time.DateOnly, like.Day)
	if err != nil {
		return segment{}, err
	}
	g := group{like.Strand, dayOf(day)}
	name := l.fileName(g, segmentExt)
	b := NewBuilder(BuilderOptions{
		Dir: l.o.Dir, FS: l.o.FS, Sync: true, FileRows: math.MaxInt64, FileBytes: math.MaxInt64,
		Level: zstd.SpeedDefault, // for 7 % less than when sealing, at twice the time
		Name:  func(int) string { return name }, NoCatalogue: true,
		meta: func() string { return encodePaths(paths) },
	})
	defer b.Close()
	if err := joinRows(ctx, b, sources); err != nil {
		return segment{Name: name}, err
	}
	files, _, err := b.Flush()
	if err != nil {
		return segment{Name: name}, err
	}
	return l.segment(g, files[0]), nil
}

func joinRows(ctx context.Context, b *Builder, sources []*source) error {
	for n := 0; ; n++ {
		if n%blockRows == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var least *source
		var first rowAt
		for _, s := range sources {
			row, ok, err := s.peek()
			if err != nil {
				return err
			}
			if ok && (least == nil || row.ms < first.ms) {
				least, first = s, row
			}
		}
		if least == nil {
			return nil
		}
		if err := b.copy(&least.rows, first); err != nil {
			return err
		}
		least.take()
	}
}

// mergeRuns keeps the runs of ids few.
func (l *Lake) mergeRuns(ctx context.Context) error {
	for ctx.Err() == nil {
		l.mu.Lock()
		old, horizon := pickRuns(l.runs), l.horizon()
		l.mu.Unlock()
		if old == nil {
			return nil
		}
		var most int64
		for _, r := range old {
			most += r.Count
		}
		r, err := l.newRun(most, mergeIDs(old, horizon))
		if err != nil {
			return fmt.Errorf("merge ids: %w", err)
		}
		if err := l.replaceRuns(old, r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// pickRuns returns runs to merge: neighbours, so that runs stay in the order
// of their age.
func pickRuns(runs []*run) []*run {
	for end := len(runs); end >= fanIn; end-- {
		var n int64
		from := end - fanIn
		for _, r := range runs[from:end] {
			n += r.Count
		}
		if n <= maxRun && step8(runs[from].Count) <= step8(runs[end-1].Count) {
			return runs[from:end:end]
		}
	}
	return nil
}

// horizon is the first day of which the lake still holds anything. l.mu is held.
func (l *Lake) horizon() int32 {
	first := int32(1 << 30)
	for _, s := range l.m.Segments {
		if day, err := time.Parse(time.DateOnly, s.Day); err == nil {
			first = min(first, dayOf(day))
		}
	}
	return first
}

// replaceRuns commits runs in the place of others, which are neighbours.
func (l *Lake) replaceRuns(old []*run, with ...*run) error {
	gone := map[string]bool{}
	for _, r := range old {
		gone[r.Name] = true
	}
	err := l.commit(change{edit: func(m *manifest) {
		at := slices.IndexFunc(m.Runs, func(e runEntry) bool { return gone[e.Name] })
		m.Runs = slices.DeleteFunc(m.Runs, func(e runEntry) bool { return gone[e.Name] })
		for _, r := range with {
			m.Runs = slices.Insert(m.Runs, at, r.runEntry)
		}
		for name := range gone {
			m.drop(l.o.Now().UnixMilli(), name)
		}
	}, done: func() {
		at := slices.IndexFunc(l.runs, func(r *run) bool { return gone[r.Name] })
		rest := slices.DeleteFunc(slices.Clone(l.runs), func(r *run) bool { return gone[r.Name] })
		l.runs = slices.Insert(rest, max(at, 0), with...)
	}})
	if err != nil {
		for _, r := range with {
			r.h.Close()
			l.stray(r.Name)
		}
		return err
	}
	for _, r := range old {
		r.h.Close()
	}
	return nil
}

// rebuildIDs collects the ids of all segments again, a million a run.
func (l *Lake) rebuildIDs(ctx context.Context) error {
	for _, r := range l.runs {
		r.h.Close()
	}
	l.runs = nil
	var runs []*run
	var all []known
	flush := func() error {
		if len(all) == 0 {
			return nil
		}
		r, err := l.newRun(int64(len(all)), inOrder(all))
		if err == nil {
			runs, all = append(runs, r), nil
		}
		return err
	}
	for _, s := range l.m.Segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		all = l.collectIDs(s, all)
		if len(all) >= 1<<20 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return l.commit(change{edit: func(m *manifest) {
		for _, e := range m.Runs {
			m.drop(l.o.Now().UnixMilli(), e.Name)
		}
		m.Runs = nil
		for _, r := range runs {
			m.Runs = append(m.Runs, r.runEntry)
		}
	}, done: func() { l.runs = runs }})
}

func (l *Lake) collectIDs(s segment, all []known) []known {
	src, err := openSource(l.o.FS, l.o.Dir, s)
	if err == nil {
		defer src.close()
		day, _ := time.Parse(time.DateOnly, s.Day)
		n := max(slices.Index(l.m.Strands, s.Strand), 0)
		err = src.ids(func(id event.ID) { all = append(all, known{id, uint8(n), dayOf(day)}) })
	}
	if err != nil {
		l.o.Log.Error("ids of a damaged segment are missing; its events may come twice", "file", s.Name, "error", err)
	}
	return all
}
