package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a journal is kept. Zero values mean what the comments say.
type Options struct {
	Dir string // must exist
	FS  FS     // OSFS

	SegmentBytes int64         // a new segment starts when a commit would make it longer than this: 64 MiB
	SegmentAge   time.Duration // or when it began this long ago, so that retention need not wait for it: 24 h
	QueueBytes   int64         // what may wait for the disk, frames' overhead included: 64 MiB
	MaxWait      time.Duration // how long Append waits: 1 s
	MaxBytes     int64         // oldest segments are deleted to keep below this; 0 keeps all

	// Snapshot returns the state that the caller's replay would rebuild. It is
	// called on the flusher's goroutine as a segment starts, and its bytes become
	// the first frame, of KindSnapshot, as meta. Frames that are queued
	// at that moment come after it, though the caller may have counted them in:
	// replay must take a frame twice without harm. It must not wait for the journal.
	Snapshot func() []byte

	BallastBytes int64 // a file given up when the disk is full: 64 MiB; negative: none
	LowBytes     int64 // free space below which Stats.Level is Low: 2 GiB; negative: never
	LowPercent   int   // the same in percent of the disk: 5; negative: never
	StopBytes    int64 // free space below which it is Stop: 512 MiB; negative: never

	Now func() time.Time // time.Now
	Log *slog.Logger     // discards
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = OSFS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.SegmentBytes, 64<<20)
	setDefault(&o.SegmentAge, 24*time.Hour)
	setDefault(&o.QueueBytes, 64<<20)
	setDefault(&o.MaxWait, time.Second)
	setDefault(&o.BallastBytes, 64<<20)
	setDefault(&o.LowBytes, 2<<30)
	setDefault(&o.LowPercent, 5)
	setDefault(&o.StopBytes, 512<<20)
	if o.MaxBytes > 0 {
		o.SegmentBytes = min(o.SegmentBytes, max(o.MaxBytes/4, headerSize))
	}
	return o
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Kind says what a frame is. All but these two belong to the caller.
type Kind uint8

const (
	KindSnapshot Kind = 1   // filled by Options.Snapshot
	KindDeleted  Kind = 255 // tells which segments Retain is about to delete
)

// Entry is one frame.
type Entry struct {
	Seq     uint64
	Time    time.Time // when it was handed over; never before the entry ahead of it
	Kind    Kind
	Meta    []byte
	Body    []byte   // nil in replay and in Erase
	BodySum [32]byte // SHA-256 of the body, also when it is gone
	Erased  bool     // there was a body and its bytes are not here: erased, or given as a sum only
	Segment string   // base name of the file
	Offset  int64    // of the frame in it
}

// Level is how much room the disk has.
type Level uint32

// The levels, in the order of severity.
const (
	Normal Level = iota
	Low          // leave bodies out
	Stop         // take no new work; results of work under way are still taken
	Full         // the disk is full, or no file can be opened; queued frames wait for that to pass and Append returns ErrFull
)

func (l Level) String() string { return [...]string{"normal", "low", "stop", "full"}[l] }

// What Append and Write return, to be tested with errors.Is.
var (
	// ErrFull: the queue or the disk is full, no file can be opened, or the disk has not answered for MaxWait. Nothing was taken.
	ErrFull = errors.New("journal: queue is full")
	// ErrSlow: the frame was taken but not yet durable after MaxWait. It may become so:
	// the caller must act as if it were in the journal, and record how that ended.
	ErrSlow = errors.New("journal: disk is slow")
	// ErrFailed: writing or syncing failed and is not tried again. Frames not
	// acknowledged before may be in the journal or not; opening it anew tells.
	ErrFailed = errors.New("journal: failed")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal: closed")
	// ErrTooLarge: the frame is larger than the queue or than the format can hold.
	ErrTooLarge = errors.New("journal: record is too large")
	// ErrNoSpace is what Err returns at levels Stop and Full, unless it is ErrNoFiles.
	ErrNoSpace = errors.New("journal: too little disk space")
	// ErrNoFiles: the next segment cannot be opened, for want of file descriptors or memory.
	ErrNoFiles = errors.New("journal: no file can be opened")
	// ErrInUse: another process has the journal open.
	ErrInUse = errors.New("in use by another process")
	// ErrVersion: the journal was written by a newer version of this program.
	ErrVersion = errors.New("journal: unknown format version")
)

// Journal is an open journal. Its methods may be called from any goroutine.
type Journal struct {
	o    Options
	lock io.Closer

	mu     sync.Mutex
	next   *batch // what the flusher takes next
	held   int    // bytes in next and in the commit under way
	closed bool
	err    error // latched

	kick    chan struct{} // there is something in next that is waited for, or much
	nudge   chan struct{} // there is something in next
	quit    chan struct{} // Close was called
	done    chan struct{} // the flusher has ended
	failed  chan struct{} // closed when err is set
	waiters sync.Pool     // of *waiter; not global, so that a test's bubble keeps its own

	level atomic.Uint32 // a Level
	since atomic.Int64  // when the commit under way began, Unix nanoseconds; 0: none

	eraseMu sync.Mutex    // one erasure or deletion at a time
	oldest  atomic.Uint64 // first frame of the oldest segment that Retain left; 0: it deleted none

	statsMu sync.Mutex
	stats   Stats
	heldBy  error // why the commit under way waits

	fl flusher // owned by the flusher's goroutine
}

// Stats is the state of a journal at one moment.
type Stats struct {
	Seq      uint64   // last durable frame
	Head     [32]byte // its chain: pin it elsewhere to detect removal of newest frames
	Segments int
	Bytes    int64 // in all segments
	Queued   int   // bytes waiting for the disk
	Commits  uint64
	Level    Level
	Free     int64 // bytes free when last looked at, at most a second ago while writing
	Ballast  bool  // the ballast file is in place
}

// batch is what one commit writes.
type batch struct {
	buf     []byte
	waiters []*waiter
}

// waiter is one Append that waits. The flusher sends exactly once.
type waiter struct {
	ch    chan error
	timer *time.Timer
}

// Open opens the journal in o.Dir, which no other process may have open. It
// cuts what a crash left half written, and calls replay, if not nil, with the
// entries from the newest usable snapshot on; their memory is reused. An error
// of replay, and the end of ctx, end Open. It waits a few seconds where no file
// can be opened, then it fails with ErrNoFiles; with ErrInUse at once.
func Open(ctx context.Context, o Options, replay func(Entry) error) (*Journal, Recovery, error) {
	o = o.withDefaults()
	disk := o.FS
	o.FS = &patient{FS: disk, ctx: ctx}
	lock, err := o.FS.Lock(o.Dir)
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{
		o: o, lock: lock, next: new(batch),
		kick: make(chan struct{}, 1), nudge: make(chan struct{}, 1), quit: make(chan struct{}),
		done: make(chan struct{}), failed: make(chan struct{}),
	}
	j.waiters.New = func() any { return &waiter{ch: make(chan error, 1)} }
	rec, err := j.recover(ctx, replay)
	if err != nil {
		lock.Close()
		return nil, rec, fmt.Errorf("open journal: %w", err)
	}
	j.o.FS = disk
	j.fl.start(j)
	go j.flush()
	return j, rec, nil
}

// Append adds a frame and returns when it is durable. It does not keep meta
// and body. bodySum must be SHA-256 of body; nil: Append computes it. A nil body
// with a bodySum records that there was a body which is not kept. The errors
// are those above.
func (j *Journal) Append(kind Kind, meta, body []byte, bodySum *[32]byte) error {
	w := j.waiters.Get().(*waiter)
	if err := j.enqueue(kind, meta, body, bodySum, w); err != nil {
		j.waiters.Put(w)
		return err
	}
	return j.wait(w)
}

func (j *Journal) wait(w *waiter) error {
	if w.timer == nil {
		w.timer = time.NewTimer(j.o.MaxWait)
	} else {
		w.timer.Reset(j.o.MaxWait)
	}
	select {
	case err := <-w.ch:
		w.timer.Stop()
		j.waiters.Put(w)
		return err
	case <-w.timer.C:
		return ErrSlow // w is not reused: the flusher will still send
	}
}

// Write adds a frame and does not wait: it becomes durable in some 20 ms, in order with all
// others, unless the journal fails or the process dies. Otherwise as Append.
func (j *Journal) Write(kind Kind, meta, body []byte, bodySum *[32]byte) error {
	return j.enqueue(kind, meta, body, bodySum, nil)
}

func (j *Journal) enqueue(kind Kind, meta, body []byte, sum *[32]byte, w *waiter) error {
	size := frameHead + len(meta) + len(body)
	if size > maxFrame || int64(size) > j.o.QueueBytes {
		return ErrTooLarge
	}
	if sum == nil {
		s := emptySum
		if len(body) > 0 {
			s = sha256.Sum256(body)
		}
		sum = &s
	}
	now := j.o.Now().UnixNano()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refuse(size, w != nil); err != nil {
		return err
	}
	j.next.buf = appendFrame(j.next.buf, kind, now, meta, body, sum)
	j.held += size
	j.enlist(w)
	return nil
}

// refuse says why nothing of this size can be taken now. j.mu is held.
func (j *Journal) refuse(size int, waits bool) error {
	switch {
	case j.err != nil:
		return j.err
	case j.closed:
		return ErrClosed
	case int64(j.held+size) > j.o.QueueBytes:
		return ErrFull
	case waits && (j.Level() == Full || j.stalled()):
		return ErrFull
	}
	return nil
}

// stalled says whether who waits now would wait behind a commit that has
// already taken longer than anyone waits.
func (j *Journal) stalled() bool {
	since := j.since.Load()
	return since != 0 && time.Now().UnixNano()-since > int64(j.o.MaxWait)
}

func (j *Journal) enlist(w *waiter) {
	signal := j.kick
	if w != nil {
		j.next.waiters = append(j.next.waiters, w)
	} else if len(j.next.buf) < lazyBytes {
		signal = j.nudge
	}
	select {
	case signal <- struct{}{}:
	default:
	}
}

// Sync returns when everything that was taken before is durable, however long that takes.
func (j *Journal) Sync() error {
	w := &waiter{ch: make(chan error, 1)}
	j.mu.Lock()
	err := j.err
	if err == nil && j.closed {
		err = ErrClosed
	}
	if err == nil {
		j.enlist(w)
	}
	j.mu.Unlock()
	if err != nil {
		return err
	}
	return <-w.ch
}

// Close makes everything durable that was taken, and gives the directory free.
// It reports what could not be. Later calls return ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	j.closed = true
	j.mu.Unlock()
	close(j.quit)
	<-j.done
	return errors.Join(j.err, j.fl.close(), j.lock.Close())
}

// Err is nil while new work may be admitted: otherwise it wraps ErrFailed,
// which does not heal, or ErrNoSpace or ErrNoFiles, which do.
func (j *Journal) Err() error {
	j.mu.Lock()
	err := j.err
	j.mu.Unlock()
	if err == nil && j.Level() >= Stop {
		return j.heldErr()
	}
	return err
}

// Failed is closed when the journal has failed: the process should end and start anew.
func (j *Journal) Failed() <-chan struct{} { return j.failed }

// Level is how much room the disk has; it costs next to nothing.
func (j *Journal) Level() Level { return Level(j.level.Load()) }

// Stats returns numbers for metrics and the chain's head.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	queued := j.held
	j.mu.Unlock()
	j.statsMu.Lock()
	defer j.statsMu.Unlock()
	s := j.stats
	s.Queued, s.Level = queued, j.Level()
	return s
}

func (j *Journal) path(name string) string { return filepath.Join(j.o.Dir, name) }
