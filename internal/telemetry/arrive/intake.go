package arrive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/journal"
)

// The kinds of the intake's entries. They are on disk: never renumber.
const (
	kindPushed journal.Kind = 2 // meta: pushed; body: as it came
	kindGap    journal.Kind = 3 // meta: Gap
	kindSpace  journal.Kind = 4 // segments were deleted; nothing else
)

// pushed is the meta of what was pushed.
type pushed struct {
	Strand event.Strand `json:"strand,omitzero"`
	Name   string       `json:"name"`
	Host   string       `json:"host,omitzero"`
}

// A Gap is acknowledged data that was given up: events are missing, and nobody
// can tell how many.
type Gap struct {
	First  uint64    `json:"first,omitzero"` // entries of the intake, from First to Last
	Last   uint64    `json:"last,omitzero"`
	Bytes  int64     `json:"bytes"`
	From   time.Time `json:"from,omitzero"` // when the first of them arrived
	To     time.Time `json:"to,omitzero"`   // when the first behind them did
	Reason string    `json:"reason"`
}

// IntakeOptions say how the intake is kept. Zero values mean what the comments say.
type IntakeOptions struct {
	Dir string // must exist
	FS  journal.FS
	// MaxBytes is what may wait for the lake: 1 GiB. Pushes are refused beyond
	// it. Only where it is exceeded by half, because it was lowered, is
	// something given up.
	MaxBytes     int64
	SegmentBytes int64 // 64 MiB; space comes back by the segment
	QueueBytes   int64 // what may wait for the disk: 64 MiB
	// StopBytes is the free space below which pushes are refused: 1 GiB, more
	// than where the gateway stops, whose journal comes first. Negative: none.
	StopBytes int64
	// Gap is told of each gap as the source comes to it, perhaps twice. May be nil.
	Gap func(Gap)
	Now func() time.Time // time.Now
	Log *slog.Logger
}

func (o *IntakeOptions) defaults() {
	if o.FS == nil {
		o.FS = journal.OSFS{}
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.StopBytes == 0 {
		o.StopBytes = 1 << 30
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// ErrBacklog: more is waiting for the lake than may wait.
var ErrBacklog = errors.New("too much is waiting to be read")

// Intake makes pushed bytes durable, and is the source that delivers them. Its
// methods may be called from any goroutine, Run by one at a time.
type Intake struct {
	meter
	o      IntakeOptions
	j      *journal.Journal
	wake   chan struct{}
	frozen atomic.Pointer[time.Time]
}

// OpenIntake opens the intake in o.Dir, which no other process may have open.
func OpenIntake(ctx context.Context, o IntakeOptions) (*Intake, error) {
	o.defaults()
	in := &Intake{o: o, wake: make(chan struct{}, 1)}
	var err error
	in.j, _, err = journal.Open(ctx, journal.Options{
		Dir: o.Dir, FS: o.FS, SegmentBytes: o.SegmentBytes, SegmentAge: time.Hour, QueueBytes: o.QueueBytes,
		MaxWait: 5 * time.Second, BallastBytes: -1, LowBytes: -1, LowPercent: -1, StopBytes: o.StopBytes,
		Now: in.now, Log: o.Log,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("open intake: %w", err)
	}
	return in, nil
}

// now is the journal's clock. It stands still while retention decides, see drop.
func (in *Intake) now() time.Time {
	if t := in.frozen.Load(); t != nil {
		return *t
	}
	return in.o.Now()
}

// Room is nil while pushes may be taken; else it wraps ErrBacklog or an error
// of package journal.
func (in *Intake) Room() error {
	if err := in.j.Err(); err != nil {
		return err
	}
	if n := in.j.Stats().Bytes; n >= in.o.MaxBytes {
		return fmt.Errorf("%w: %d MiB", ErrBacklog, n>>20)
	}
	return nil
}

// append makes body durable. Its errors are those of [journal.Journal.Append]:
// after ErrSlow, body may turn out to have been taken.
func (in *Intake) append(meta pushed, body []byte) error {
	m, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	if err := in.j.Append(kindPushed, m, body, nil); err != nil {
		return err
	}
	select {
	case in.wake <- struct{}{}:
	default:
	}
	return nil
}

// Name implements [Source].
func (in *Intake) Name() string { return "intake" }

// Run implements [Source].
func (in *Intake) Run(ctx context.Context, cursor string, deliver func(*Delivery) error) error {
	r := &intakeRun{
		m: &in.meter, now: in.o.Now, gap: in.o.Gap, deliver: deliver,
		f: follower{disk: in.o.FS, dir: in.o.Dir, durable: func() uint64 { return in.j.Stats().Seq }},
	}
	if err := r.start(cursor); err != nil {
		return err
	}
	for {
		if err := r.pass(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-in.wake:
		case <-time.After(time.Second): // an entry that was slow to become durable wakes nobody
		}
	}
}

// Close makes everything durable that was taken.
func (in *Intake) Close() error { return in.j.Close() }

// Tail is the source of what waits in an intake that another process writes. It
// ends at the end, and its cursors must not be stored.
type Tail struct {
	meter
	disk journal.FS
	dir  string
}

// NewTail reads the intake in dir; nil disk means the operating system's.
func NewTail(disk journal.FS, dir string) *Tail { return &Tail{disk: disk, dir: dir} }

// Name implements [Source].
func (t *Tail) Name() string { return "intake" }

// Run implements [Source].
func (t *Tail) Run(ctx context.Context, cursor string, deliver func(*Delivery) error) error {
	r := &intakeRun{m: &t.meter, now: time.Now, deliver: deliver, f: follower{disk: t.disk, dir: t.dir}}
	if err := r.start(cursor); err != nil {
		return err
	}
	return r.pass(ctx)
}

// intakeRun is one run over an intake. It belongs to one goroutine.
type intakeRun struct {
	m       *meter
	now     func() time.Time
	gap     func(Gap)
	deliver func(*Delivery) error
	f       follower
}

func (r *intakeRun) start(cursor string) error {
	replaced, err := r.f.start(cursor)
	if err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	if replaced {
		r.m.problem(fmt.Errorf("the intake ends before cursor %s; reading it from its beginning", cursor), r.now())
	}
	return nil
}

func (r *intakeRun) pass(ctx context.Context) error {
	for e, err := range r.f.entries() {
		var damage *journal.Damage
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &damage):
			r.lost(Gap{First: e.Seq, Last: e.Seq, Bytes: damage.Bytes, Reason: damage.Error()})
		case err != nil:
			return fmt.Errorf("intake: %w", err)
		default:
			if err := r.entry(&e); err != nil {
				return err
			}
		}
		r.m.behind(r.f.behind())
	}
	r.m.behind(r.f.behind())
	return nil
}

func (r *intakeRun) entry(e *journal.Entry) error {
	switch e.Kind {
	case kindPushed:
		var m pushed
		if err := json.Unmarshal(e.Meta, &m); err != nil { // its frame is whole, so this is no damage
			r.lost(Gap{First: e.Seq, Last: e.Seq, Bytes: int64(len(e.Body)), Reason: "unreadable meta"})
			return nil
		}
		return r.m.hand(&Delivery{
			Origin: event.Origin{Name: m.Name, Host: m.Host}, How: ByPush, Strand: m.Strand,
			Received: e.Time, Body: bytes.NewReader(e.Body), Cursor: seqCursor(e.Seq + 1),
		}, r.deliver)
	case kindGap:
		var g Gap
		if json.Unmarshal(e.Meta, &g) == nil {
			r.lost(g)
		}
	}
	return nil
}

func (r *intakeRun) lost(g Gap) {
	r.m.problem(fmt.Errorf("a gap of %d bytes: %s", g.Bytes, g.Reason), r.now())
	if r.gap != nil {
		r.gap(g)
	}
}

// Retain gives back the space of what the lake has: everything before the
// cursor that is stored with the lake's events. If the rest is still half as
// much again as may wait, the oldest of it is given up too; a durable entry says
// so first. Space comes back by whole segments. Calls must not overlap.
func (in *Intake) Retain(ctx context.Context, sealed string) error {
	next, err := parseSeq(sealed)
	if err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	all, err := in.segments()
	if err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	keep := 0 // the oldest that stays
	for keep+1 < len(all) && all[keep+1].first <= next {
		keep++
	}
	forced := keep
	for forced+1 < len(all) && sum(all[forced:]) > in.o.MaxBytes+in.o.MaxBytes/2 {
		forced++
	}
	if forced > keep {
		if err := in.giveUp(max(next, all[keep].first), all[keep:forced+1]); err != nil {
			return fmt.Errorf("intake: record a gap: %w", err)
		}
	}
	return in.drop(ctx, all, forced)
}

// segment is one file of the intake.
type segment struct {
	first uint64
	bytes int64
}

func sum(s []segment) (n int64) {
	for i := range s {
		n += s[i].bytes
	}
	return n
}

// segments lists the files of the intake, oldest first.
func (in *Intake) segments() ([]segment, error) {
	names, err := in.o.FS.List(in.o.Dir)
	if err != nil {
		return nil, err
	}
	var all []segment
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, ".seg")
		first, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil {
			continue
		}
		f, err := in.o.FS.Open(filepath.Join(in.o.Dir, name), os.O_RDONLY)
		if err != nil {
			return nil, err
		}
		n, err := f.Size()
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		all = append(all, segment{first, n})
	}
	return all, nil
}

// began is when the first entry of a segment arrived; zero if none can be read.
func (in *Intake) began(s segment) time.Time {
	for e, err := range journal.Read(in.o.FS, in.o.Dir, s.first) {
		if err == nil {
			return e.Time
		}
	}
	return time.Time{}
}

// giveUp records that the entries from first on are about to be dropped, up to
// the last of these segments, which stays.
func (in *Intake) giveUp(first uint64, segments []segment) error {
	last := len(segments) - 1
	m, err := json.Marshal(Gap{
		First: first, Last: segments[last].first - 1, Bytes: sum(segments[:last]),
		From: in.began(segments[0]).UTC(), To: in.began(segments[last]).UTC(),
		Reason: fmt.Sprintf("more than %d bytes were waiting", in.o.MaxBytes),
	})
	if err != nil {
		return err
	}
	return in.j.Append(kindGap, m, nil, nil)
}

// drop deletes the segments before all[keep].
//
// The journal deletes by age: everything before the segment that is the last
// to begin before some time. Where times are equal that would be too much, so
// less is deleted. And its clock stands still for as long as it reckons with
// the age, since a clock that leaps in between would delete what nobody has read.
func (in *Intake) drop(ctx context.Context, all []segment, keep int) error {
	if keep == 0 {
		return nil
	}
	before := in.began(all[keep])
	if before.IsZero() {
		return nil
	}
	if keep+1 == len(all) || in.began(all[keep+1]).After(before) {
		before = before.Add(1)
	}
	now := in.o.Now()
	if !now.After(before) {
		now = before.Add(1)
	}
	in.frozen.Store(&now)
	defer in.frozen.Store(nil)
	done, err := in.j.Retain(ctx, journal.Retention{Frames: now.Sub(before)})
	if err == nil && done.Segments > 0 {
		// The journal counts its bytes as it writes. While pushes are refused
		// nothing would be written, and the space not be seen.
		err = in.j.Append(kindSpace, nil, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	return nil
}
