// Package arrive brings telemetry in: bytes, where they came from, and the
// cursor from which to go on once they are taken. It parses nothing.
//
// A [Source] is one place that bytes come from. Its Run is given the cursor
// that was stored last, and hands over one [Delivery] after the other; that
// deliver blocks is all the back-pressure there is, so no source holds more
// than it is handing over. The sources:
//
//   - [Files]   files, folders and standard input, once or watched
//   - [Intake]  what was pushed: a journal of its own, filled by [Push]
//   - [Calls]   the gateway's own calls, out of its journal
//   - [Bucket]  objects of S3, listed
//   - [Queue]   objects of S3, as notifications in SQS name them
//   - [Group]   a log group of CloudWatch Logs, polled
//
// # What is promised
//
// A cursor covers all deliveries up to its own, and is stored together with
// their events, by whoever takes them. A source that starts from a stored cursor
// delivers everything behind it, and may deliver again what lies before it:
// events know their duplicates, sources need not. Nothing is acknowledged to a
// sender (a reply to a push, a deleted SQS message) before it is durable here.
package arrive

import (
	"context"
	"io"
	"sync"
	"time"

	"gatehouse/internal/event"
)

// How a delivery came.
const (
	ByFile       = "file"
	ByStdin      = "stdin"
	ByPush       = "push"
	ByJournal    = "journal"
	ByS3         = "s3"
	ByCloudWatch = "cloudwatch"
)

// A Delivery is bytes of one origin.
type Delivery struct {
	Origin   event.Origin
	How      string       // one of the constants above
	Strand   event.Strand // what the records are; "": to be told record by record
	Received time.Time
	Body     io.Reader // valid until deliver returns; compressed or not
	Offset   int64     // of Body's first byte in its origin
	// Cursor of the source once all of Body is taken. "" is no cursor and must
	// not replace one: the source keeps its place elsewhere, or has none.
	Cursor string
	// Taken, if not nil, is to be called once the events of this delivery are
	// durable. It does not block and may be called from any goroutine.
	Taken func()
}

// A Source hands over what arrives at one place.
type Source interface {
	// Name is stable: the cursor is stored under it.
	Name() string
	// Run delivers what lies behind cursor ("": everything), one delivery at a
	// time. It returns nil when there is nothing more to come, the error of
	// deliver as it is, and else what made it impossible to go on; then it may
	// be run again from the last stored cursor, after a pause.
	Run(ctx context.Context, cursor string, deliver func(*Delivery) error) error
	// State may be called at any time.
	State() State
}

// State is how a source fares, for metrics and for people.
type State struct {
	Bytes      int64 // delivered, as they came
	Deliveries int64
	Problems   int64 // things that could not be read, and were passed over
	// Behind is what is known to wait: bytes of files, entries of journals,
	// messages of queues; -1: not known.
	Behind  int64
	Last    time.Time // of the last delivery
	Error   string    // the last problem; empty once a source that tries again succeeded
	ErrorAt time.Time
}

// meter keeps a State. Its zero value is ready; methods are safe for concurrent use.
type meter struct {
	mu sync.Mutex
	s  State
}

// State implements [Source].
func (m *meter) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.s
}

func (m *meter) delivered(n int64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s.Bytes += n
	m.s.Deliveries++
	m.s.Last = now
}

func (m *meter) behind(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s.Behind = n
}

func (m *meter) problem(err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s.Problems++
	m.s.Error, m.s.ErrorAt = clip(err.Error(), 1024), now
}

func (m *meter) well() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s.Error, m.s.ErrorAt = "", time.Time{}
}

// counted counts what is read through it. The consumer may leave some unread.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// hand delivers d and counts what was read of it.
func (m *meter) hand(d *Delivery, deliver func(*Delivery) error) error {
	body := &counted{r: d.Body}
	d.Body = body
	err := deliver(d)
	if err == nil {
		m.delivered(body.n, d.Received)
	}
	return err
}

// pause waits for d, and returns why it could not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return ctx.Err()
	}
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
