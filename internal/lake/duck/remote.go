package duck

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/lake"
)

// remote is a query in a child, seen from here, and its rows.
type remote struct {
	c   *Children
	ch  *child
	ctx context.Context
	r   lake.Request

	in     *bufio.Reader
	cols   []lake.Col
	batch  []byte // cells not given yet, within buf
	buf    []byte
	err    error
	over   bool // the child said so, or is lost
	closed bool

	watch   sync.WaitGroup
	done    chan struct{}
	expired atomic.Bool // killed for its time
}

func newRemote(ctx context.Context, c *Children, ch *child, r lake.Request) *remote {
	return &remote{c: c, ch: ch, ctx: ctx, r: r, in: bufio.NewReaderSize(ch.out, 64<<10), done: make(chan struct{})}
}

// begin asks the question and waits for the columns.
func (r *remote) begin() error {
	r.watch.Go(r.guard)
	r.err = r.first()
	return r.err
}

func (r *remote) first() error {
	if err := r.ask(); err != nil {
		return r.lost(err)
	}
	kind, payload, err := r.frame()
	switch {
	case err != nil:
		return err
	case kind == frameEnd:
		return r.end(payload)
	case kind != frameHeader || json.Unmarshal(payload, &r.cols) != nil:
		return r.lost(errProtocol)
	}
	return nil
}

func (r *remote) ask() error {
	q := question{Options: Options{Temp: r.ch.temp, MaxTemp: r.c.o.MaxTemp, Threads: r.c.o.Threads}, SQL: r.r.SQL, Files: r.r.Files, Budget: r.r.Budget, From: r.r.From, To: r.r.To}
	for _, t := range r.r.Temps {
		q.Temps = append(q.Temps, lake.Temp{Name: t.Name, Columns: t.Columns})
	}
	text, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if err := r.ch.send(frameQuery, text); err != nil {
		return err
	}
	for i, t := range r.r.Temps {
		if err := r.sendTemp(i, t); err != nil {
			return err
		}
	}
	return r.ch.send(frameGo, nil)
}

func (r *remote) sendTemp(n int, t lake.Temp) error {
	b := binary.AppendUvarint(nil, uint64(n))
	head := len(b)
	for _, row := range t.Rows {
		for i := range t.Columns {
			var v event.Value
			if i < len(row) {
				v = row[i]
			}
			b = appendCell(b, v)
		}
		if len(b) > batchBytes {
			if err := r.ch.send(frameTemp, b); err != nil {
				return err
			}
			b = b[:head]
		}
	}
	if len(b) == head {
		return nil
	}
	return r.ch.send(frameTemp, b)
}

// guard holds the query to its time and to its caller. What does not end when
// asked is killed.
func (r *remote) guard() {
	budget := time.NewTimer(r.r.Budget.Time + r.c.o.Grace)
	defer budget.Stop()
	select {
	case <-r.done:
		return
	case <-r.ctx.Done():
		r.cancel()
	case <-budget.C:
		r.expired.Store(true)
	}
	r.ch.kill()
}

// cancel asks the child to stop and waits as long as it may.
func (r *remote) cancel() {
	go r.ch.send(frameCancel, nil) // a child that does not read is killed all the same
	grace := time.NewTimer(r.c.o.Grace)
	defer grace.Stop()
	select {
	case <-r.done:
	case <-grace.C:
	}
}

// frame reads the next frame that is not progress.
func (r *remote) frame() (byte, []byte, error) {
	for {
		kind, payload, err := readFrame(r.in, r.buf)
		r.buf = payload[:0]
		if err != nil {
			return 0, nil, r.lost(err)
		}
		if kind != frameProgress {
			return kind, payload, nil
		}
		if r.r.Progress != nil && len(payload) == 8 {
			r.r.Progress(math.Float64frombits(binary.BigEndian.Uint64(payload)))
		}
	}
}

// end reads how the query ended; the child lives on.
func (r *remote) end(payload []byte) error {
	r.over = true
	var e ending
	if err := json.Unmarshal(payload, &e); err != nil {
		return r.lost(errProtocol)
	}
	if e.Stopped && r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	return e.err(r.r.Budget)
}

// lost gives up the child and says why the query has no end of its own.
func (r *remote) lost(err error) error {
	r.over = true
	asked := r.ctx.Err()
	if errors.Is(err, errProtocol) {
		r.ch.kill()
		return fmt.Errorf("%w: %w", lake.ErrEngine, err)
	}
	// The pipe broke, so the process is ending; it is given the time to.
	wait := time.AfterFunc(r.c.o.Grace, r.ch.kill)
	defer wait.Stop()
	death := r.ch.death(r.r.Budget)
	switch {
	case r.expired.Load():
		return &lake.BudgetError{Spent: lake.SpentTime, Budget: r.r.Budget}
	case asked != nil:
		return asked
	}
	return death
}

func (r *remote) Columns() []lake.Col { return r.cols }
func (r *remote) Err() error          { return r.err }

// Next gives one row.
func (r *remote) Next(row []event.Value) bool {
	if r.closed {
		return false
	}
	for len(r.batch) == 0 {
		if r.over || !r.more() {
			return false
		}
	}
	for i := range r.cols {
		var err error
		if row[i], r.batch, err = cell(r.batch); err != nil {
			r.batch, r.err = nil, r.lost(err)
			return false
		}
	}
	return true
}

// more reads the next batch.
func (r *remote) more() bool {
	kind, payload, err := r.frame()
	switch {
	case err != nil:
		r.err = err
	case kind == frameEnd:
		r.err = r.end(payload)
	case kind != frameRows || len(payload) == 0 || len(r.cols) == 0:
		r.err = r.lost(errProtocol)
	default:
		r.batch = payload
		return true
	}
	return false
}

// Close gives the child back. One with rows left is asked to stop first.
func (r *remote) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	if !r.over {
		r.drain()
	}
	close(r.done)
	r.watch.Wait()
	fit := r.over && r.in.Buffered() == 0 && r.ch.alive() && r.ctx.Err() == nil
	var budget *lake.BudgetError
	if errors.As(r.err, &budget) && budget.Spent == lake.SpentMemory {
		fit = false
	}
	r.c.give(r.ch, fit)
	return nil
}

// drain stops the query and reads to its end, so that the child is of use again.
func (r *remote) drain() {
	late := time.AfterFunc(r.c.o.Grace, r.ch.kill)
	defer late.Stop()
	if r.ch.send(frameCancel, nil) != nil {
		r.ch.kill()
	}
	for !r.over {
		kind, _, err := readFrame(r.in, r.buf)
		if err != nil {
			return
		}
		r.over = kind == frameEnd
	}
}

var _ io.Closer = (*remote)(nil)
