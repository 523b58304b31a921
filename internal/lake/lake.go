package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/event"
)

// Options say where a lake is and how it is written. Zero fields take the
// defaults.
type Options struct {
	Dir string
	FS  FS // the system's, which also makes Dir
	// SealRows and SealBytes of buffered events make Append seal, and SealAge of
	// the oldest of them makes Tick; 8,192, 32 MiB and 10 s.
	SealRows  int
	SealBytes int
	SealAge   time.Duration
	// Grace is how long a file that was merged or retired stays for readers of
	// an earlier manifest; 15 min.
	Grace time.Duration
	// FilterBytes bounds the filters that spare reading ids from disk; 64 MiB,
	// enough for fifty million events.
	FilterBytes int64
	Now         func() time.Time
	Log         *slog.Logger
}

// A Lake is a lake open for writing. Its methods may be called from several
// goroutines; Append waits for a seal that its own batch made due, never for
// merging.
type Lake struct {
	o      Options
	lock   io.Closer
	sealMu sync.Mutex // held by the one seal under way; taken before the others
	workMu sync.Mutex // held by the one Merge or Retain under way
	commMu sync.Mutex // held by the one commit under way
	seals  *Builder   // under sealMu

	// Under mu, which is held for short: never while a file is written.
	mu       sync.Mutex
	closed   bool
	m        *manifest // as committed; replaced, never changed
	paths    *sums
	runs     []*run
	next     int64 // number of the next file
	strays   []string
	buffer   *buffer
	sealing  *buffer // what the seal under way took, nil when there is none
	cursors  map[string]string
	dups     map[[2]event.Strand]int64
	refused  int64
	appended int64
}

// group is what shares a segment.
type group struct {
	strand event.Strand
	day    int32
}

// buffer holds what is not sealed yet.
type buffer struct {
	rows  map[group]*rows
	ids   map[event.ID]group
	bytes int
	since time.Time // when the oldest came
}

func newBuffer() *buffer {
	return &buffer{rows: map[group]*rows{}, ids: map[event.ID]group{}}
}

// Open opens the lake in a folder for writing, or begins one. It fails with
// ErrInUse when another process has it, and with ErrNewer. Files that no
// manifest knows, left by a crash, are removed.
func Open(ctx context.Context, o Options) (*Lake, error) {
	o.setDefaults()
	if _, ok := o.FS.(OSFS); ok {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("open lake: %w", err)
		}
	}
	lock, err := o.FS.Lock(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	l := &Lake{o: o, lock: lock, buffer: newBuffer(), dups: map[[2]event.Strand]int64{}}
	if err := l.recover(ctx); err != nil {
		lock.Close()
		return nil, err
	}
	return l, nil
}

func (o *Options) setDefaults() {
	setDefault(&o.FS, FS(OSFS{}))
	setDefault(&o.SealRows, 8192)
	setDefault(&o.SealBytes, 32<<20)
	setDefault(&o.SealAge, 10*time.Second)
	setDefault(&o.Grace, 15*time.Minute)
	setDefault(&o.FilterBytes, 64<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// recover reads the last commit and removes what does not belong to it.
func (l *Lake) recover(ctx context.Context) error {
	m, err := readManifest(l.o.FS, l.o.Dir)
	if err != nil {
		return err
	}
	names, err := l.o.FS.List(l.o.Dir)
	if err != nil {
		return fmt.Errorf("open lake: %w", err)
	}
	if m == nil {
		// Without a manifest all files would look forgotten, and be removed.
		if n := count(names, segmentExt); n > 0 {
			return fmt.Errorf("open lake: %s has %d segments and no manifest; restore it, or move them away", l.o.Dir, n)
		}
		m = new(manifest)
		if err := m.write(l.o.FS, l.o.Dir); err != nil {
			return fmt.Errorf("begin lake: %w", err)
		}
	} else if err := l.o.FS.SyncDir(l.o.Dir); err != nil { // what we read must not go away again
		return fmt.Errorf("open lake: %w", err)
	}
	l.m, l.next, l.cursors = m, m.Next, maps.Clone(m.Cursors)
	if l.cursors == nil {
		l.cursors = map[string]string{}
	}
	l.paths = newSums(&Catalogue{Paths: m.Paths, Overflow: m.Overflow})
	if err := l.removeUnknown(names); err != nil {
		return err
	}
	l.seals = l.newBuilder()
	if err := l.forgiveRepaired(); err != nil {
		return err
	}
	return l.openRuns(ctx)
}

func count(names []string, ext string) (n int) {
	for _, name := range names {
		if filepath.Ext(name) == ext {
			n++
		}
	}
	return n
}

func (l *Lake) removeUnknown(names []string) error {
	known := l.m.names()
	for _, name := range names {
		ext := filepath.Ext(name)
		if known[name] || ext != segmentExt && ext != runExt && name != draftName {
			continue
		}
		if err := l.o.FS.Remove(filepath.Join(l.o.Dir, name)); err != nil {
			return fmt.Errorf("open lake: remove what a crash left: %w", err)
		}
	}
	return nil
}

// openRuns opens the ids, newest first, so that they get the filters. Ids that
// cannot be read are collected again from the segments.
func (l *Lake) openRuns(ctx context.Context) error {
	room := l.o.FilterBytes
	for _, e := range slices.Backward(l.m.Runs) {
		r, err := openRun(l.o.FS, l.o.Dir, e, &room)
		if err != nil {
			l.o.Log.Error("ids of events cannot be read; they are collected again from the segments", "file", e.Name, "error", err)
			return l.rebuildIDs(ctx)
		}
		l.runs = append(l.runs, r)
	}
	slices.Reverse(l.runs)
	return nil
}

// Append adds copies of the events, but those that the lake has already, and
// remembers how far the inputs have been read: cursors mean nothing to the
// lake. An event that is too large is left out, and logged. Events and cursors last once they are sealed, together; after a crash
// the inputs are to be read again from Cursors.
//
// With an error, the cursors are as before, and the batch may be appended
// again: what was added of it counts as duplicate then.
func (l *Lake) Append(events []*event.Event, cursors map[string]string) (added, duplicate int, err error) {
	if err := l.makeRoom(); err != nil {
		return 0, 0, err
	}
	l.mu.Lock()
	before := l.appended
	for _, e := range events {
		var dup bool
		if dup, err = l.add(e); err != nil {
			break
		}
		if dup {
			duplicate++
		}
	}
	if err == nil {
		maps.Copy(l.cursors, cursors)
	}
	added = int(l.appended - before)
	full := l.full()
	l.mu.Unlock()
	if full && err == nil {
		// A failed seal keeps the events; the next Append or Tick tries again.
		if serr := l.Seal(context.Background()); serr != nil {
			l.o.Log.Error("events could not be sealed; they are kept and sealed later", "error", serr)
		}
	}
	return added, duplicate, err
}

// makeRoom seals when an earlier seal failed, so that memory stays bounded.
func (l *Lake) makeRoom() error {
	l.mu.Lock()
	closed, full := l.closed, l.full()
	l.mu.Unlock()
	if closed {
		return errors.New("the lake is closed")
	}
	if full {
		return l.Seal(context.Background())
	}
	return nil
}

func (l *Lake) full() bool {
	return len(l.buffer.ids) >= l.o.SealRows || l.buffer.bytes >= l.o.SealBytes
}

// add buffers one event and reports whether the lake had it. l.mu is held.
func (l *Lake) add(e *event.Event) (bool, error) {
	first, dup, err := l.find(e.ID)
	if err != nil {
		return false, err
	}
	if dup {
		l.dups[[2]event.Strand{first, e.Strand}]++
		return true, nil
	}
	g := group{e.Strand, dayOf(e.Time)}
	b := l.buffer
	r := b.rows[g]
	if r == nil {
		r = new(rows)
		b.rows[g] = r
	}
	before := len(r.buf)
	if err := r.add(e); err != nil {
		l.refused++
		l.o.Log.Error("an event is left out", "error", err)
		return false, nil
	}
	if len(b.ids) == 0 {
		b.since = l.o.Now()
	}
	b.ids[e.ID] = g
	b.bytes += len(r.buf) - before
	l.appended++
	return false, nil
}

// find tells which strand told of an event first. l.mu is held.
func (l *Lake) find(id event.ID) (event.Strand, bool, error) {
	for _, b := range []*buffer{l.buffer, l.sealing} {
		if b == nil {
			continue
		}
		if g, ok := b.ids[id]; ok {
			return g.strand, true, nil
		}
	}
	for _, r := range slices.Backward(l.runs) {
		k, ok, err := r.find(id)
		if err != nil {
			return "", false, err
		}
		if ok {
			return l.strand(k.strand), true, nil
		}
	}
	return "", false, nil
}

func (l *Lake) strand(n uint8) event.Strand {
	if int(n) < len(l.m.Strands) {
		return l.m.Strands[n]
	}
	return ""
}

// dayOf counts days since 1970, UTC. Times outside the years 1 to 9999, which
// have no name, count as their first or last day.
func dayOf(t time.Time) int32 {
	s := t.Unix()
	d := s / 86400
	if s%86400 < 0 {
		d--
	}
	return int32(min(max(d, -719162), 2932896))
}

func dayName(day int32) string {
	return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly)
}

// Cursors are those of the last seal: where to go on reading after Open.
func (l *Lake) Cursors() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.m.Cursors)
}

// Tick does what has become due: it seals what is SealAge old, and removes
// files whose grace is over. Call it every second or so.
func (l *Lake) Tick(ctx context.Context) error {
	l.mu.Lock()
	now := l.o.Now()
	due := len(l.buffer.ids) > 0 && now.Sub(l.buffer.since) >= l.o.SealAge || l.full()
	expired := slices.ContainsFunc(l.m.Dropped, func(d droppedFile) bool { return l.expired(d, now) })
	l.mu.Unlock()
	if due {
		return l.Seal(ctx)
	}
	if expired {
		return l.commit(change{})
	}
	return nil
}

func (l *Lake) expired(d droppedFile, now time.Time) bool {
	return now.UnixMilli()-d.At >= l.o.Grace.Milliseconds()
}

// Seal makes all that was appended, and the cursors, part of the lake in one
// step. After an error nothing has changed but that the files of the attempt
// are removed later; it may be called again.
func (l *Lake) Seal(ctx context.Context) error {
	l.sealMu.Lock()
	defer l.sealMu.Unlock()
	l.mu.Lock()
	taken, cursors := l.buffer, maps.Clone(l.cursors)
	if len(taken.ids) == 0 && maps.Equal(cursors, l.m.Cursors) {
		l.mu.Unlock()
		return nil
	}
	l.buffer, l.sealing = newBuffer(), taken
	l.mu.Unlock()
	err := l.seal(ctx, taken, cursors)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealing = nil; err != nil {
		taken.append(l.buffer)
		l.buffer = taken
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// append moves what o holds behind what b holds.
func (b *buffer) append(o *buffer) {
	for g, r := range o.rows {
		if b.rows[g] == nil {
			b.rows[g] = new(rows)
		}
		b.rows[g].append(r)
	}
	maps.Copy(b.ids, o.ids)
	b.bytes += o.bytes
	if b.since.IsZero() {
		b.since = o.since
	}
}

// sealed is what a seal adds to the lake.
type sealed struct {
	segments []segment
	paths    []*Catalogue
	run      *run
	strands  []event.Strand
}

func (l *Lake) seal(ctx context.Context, b *buffer, cursors map[string]string) error {
	var s sealed
	var err error
	if len(b.ids) > 0 {
		s, err = l.write(ctx, b)
	}
	if err == nil {
		err = l.commit(change{add: s.paths, edit: func(m *manifest) {
			m.Cursors = cursors
			m.Segments = append(m.Segments, s.segments...)
			if s.run != nil {
				m.Strands = s.strands
				m.Runs = append(m.Runs, s.run.runEntry)
			}
		}, done: func() {
			if s.run != nil {
				l.runs = append(l.runs, s.run)
			}
		}})
	}
	if err != nil {
		s.close()
		l.stray(s.names()...)
	}
	return err
}

func (s *sealed) close() {
	if s.run != nil {
		s.run.h.Close()
	}
}

func (s *sealed) names() (names []string) {
	for _, seg := range s.segments {
		names = append(names, seg.Name)
	}
	if s.run != nil {
		names = append(names, s.run.Name)
	}
	return names
}

// write writes the segments and ids of what was buffered.
func (l *Lake) write(ctx context.Context, b *buffer) (s sealed, err error) {
	groups := slices.SortedFunc(maps.Keys(b.rows), func(a, b group) int {
		if a.strand != b.strand {
			return strings.Compare(string(a.strand), string(b.strand))
		}
		return int(a.day - b.day)
	})
	for _, g := range groups {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		if len(b.rows[g].at) == 0 {
			continue
		}
		seg, c, err := l.writeSegment(g, b.rows[g])
		s.segments = append(s.segments, seg)
		s.paths = append(s.paths, c)
		if err != nil {
			return s, err
		}
	}
	s.strands, s.run, err = l.writeIDs(b)
	return s, err
}

func (l *Lake) writeSegment(g group, r *rows) (segment, *Catalogue, error) {
	name := l.fileName(g, segmentExt)
	files, c, err := build(l.seals, name, r)
	if err != nil {
		l.seals.Close()
		l.seals = l.newBuilder()
		return segment{Name: name}, nil, err
	}
	return l.segment(g, files[0]), c, nil
}

// newBuilder makes a builder of segments: one file each, however large.
func (l *Lake) newBuilder() *Builder {
	b := NewBuilder(BuilderOptions{Dir: l.o.Dir, FS: l.o.FS, Sync: true, FileRows: math.MaxInt64, FileBytes: math.MaxInt64})
	b.o.meta = func() string { return encodePaths(b.tree.catalogue()) }
	return b
}

func build(b *Builder, name string, r *rows) ([]File, *Catalogue, error) {
	b.o.Name = func(int) string { return name }
	r.sort()
	for _, row := range r.at {
		if err := b.copy(r, row); err != nil {
			return nil, nil, err
		}
	}
	return b.Flush()
}

func (l *Lake) segment(g group, f File) segment {
	return segment{
		Name: filepath.Base(f.Path), Strand: g.strand, Day: dayName(g.day),
		Rows: f.Rows, Bytes: f.Bytes, CRC: f.CRC,
		MinTime: f.MinTime.UnixMilli(), MaxTime: f.MaxTime.UnixMilli(),
		Sealed: l.o.Now().UnixMilli(),
	}
}

// fileName makes a name that no file of the lake has had.
func (l *Lake) fileName(g group, ext string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.next
	l.next++
	if ext == runExt {
		return fmt.Sprintf("%08d%s", n, ext)
	}
	return fmt.Sprintf("%s.%s.%08d%s", safeName(g.strand), dayName(g.day), n, ext)
}

// safeName keeps a strand that came from outside from being a path.
func safeName(s event.Strand) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, string(s[:min(len(s), 32)]))
}

// writeIDs writes the ids of a buffer as a run. Strands that are new get the
// next numbers.
func (l *Lake) writeIDs(b *buffer) ([]event.Strand, *run, error) {
	l.mu.Lock()
	strands := slices.Clone(l.m.Strands)
	l.mu.Unlock()
	all := make([]known, 0, len(b.ids))
	for id, g := range b.ids {
		n := slices.Index(strands, g.strand)
		if n < 0 && len(strands) < 255 {
			n, strands = len(strands), append(strands, g.strand)
		}
		all = append(all, known{id, uint8(n), g.day})
	}
	r, err := l.newRun(int64(len(all)), inOrder(all))
	return strands, r, err
}

// newRun writes a run and opens it.
func (l *Lake) newRun(most int64, next func() (known, bool, error)) (*run, error) {
	name := l.fileName(group{}, runExt)
	e, err := writeRun(l.o.FS, l.o.Dir, name, most, next)
	if err != nil {
		l.stray(name)
		return nil, err
	}
	room := max(l.filterRoom(), smallFilter)
	r, err := openRun(l.o.FS, l.o.Dir, e, &room)
	if err != nil {
		l.stray(name)
	}
	return r, err
}

// smallFilter is the size of a filter that a new run may have whatever the
// others take: there are few runs, and this is enough for 200,000 ids.
const smallFilter = 256 << 10

// filterRoom tells how much memory filters may still take.
func (l *Lake) filterRoom() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := l.o.FilterBytes
	for _, r := range l.runs {
		room -= int64(8 * len(r.filter))
	}
	return room
}

// stray notes files of an attempt that failed. They are dropped with the next
// commit rather than removed: where the failure was the manifest's, it may be
// the one that readers find.
func (l *Lake) stray(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strays = append(l.strays, names...)
}

// Close seals and gives the lake up. The lock goes even after an error.
func (l *Lake) Close() error {
	err := l.Seal(context.Background())
	l.workMu.Lock()
	defer l.workMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	for _, r := range l.runs {
		r.h.Close()
	}
	return errors.Join(err, l.lock.Close())
}
