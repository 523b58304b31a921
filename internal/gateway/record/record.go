// Package record is the stage that writes calls into the journal, and nothing
// else. No call is sent upstream before its admit is durable; no request goes
// unrecorded.
//
// There are two journals. The main one holds what authenticated callers did:
// Admit, Part, Result and Refused entries, and Account entries of what
// succeeded. The second, small and capped, holds refusals of strangers. Those
// can therefore neither fill the disk nor, since that journal may be full, slow
// or broken without anyone waiting for it, stop the gate.
//
// Nor must a key be enough to fill the disk. What can be repeated at will and
// without ever meeting a limit, above all being refused, is written one by one
// a few times a second, for each caller on its own and for all strangers
// together; the rest is summed up, by reason and caller or network, in Tally
// entries once a second. Likewise of the logins of one user only the first in
// a second has a record of its own. The tables of this are bounded, what they
// have no place for is summed up as "other", and what a full journal does not
// take is kept for the next second: no refusal is missing from the sum. Only a
// refusal that closes a late Admit is never summed up.
//
// The main journal fails closed. An Admit that is not durable is refused. A
// Result that the journal does not take is kept, without its body, and tried
// again; until all such results are written no call is admitted. When the disk
// runs low, bodies are left out and their hashes kept; when it runs lower,
// calls are refused.
//
// What is kept of bodies is a [Policy]: all of it, with secrets masked, hashes,
// or nothing, for each team, and if there is a key, sealed. An answer that is
// streamed can be masked only as a whole; until it has ended, a crash leaves
// nothing but its hashes.
package record

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/seal"
)

// Options say where and what a Recorder writes.
type Options struct {
	Journal   *journal.Journal // the main journal; failing means refusing
	Strangers *journal.Journal // of refusals before authentication; nil: they are only counted
	Account   string           // for the ARNs of callers
	Region    string           // the region that callers address

	// The policy from the start, as in Policy.
	Bodies    Bodies
	Teams     map[string]Bodies
	Redact    Redact
	Keys      *seal.Keys
	Retention journal.Retention

	StrangersPerSecond int              // refusals of strangers written one by one; 0: 20
	CallerPerSecond    int              // the same of each caller; 0: as StrangersPerSecond
	Now                func() time.Time // nil: time.Now
}

const maxUnsent = 1 << 16 // results kept for a journal that does not take them

// Recorder writes calls into the journal. Its methods may be called from any
// goroutine; those about one call in the order of the call.
type Recorder struct {
	o       Options
	stop    chan struct{}
	stopped sync.WaitGroup
	dropped atomic.Int64 // refusals that could not be written
	policy  atomic.Pointer[Policy]
	waiting atomic.Int64 // bytes of streams that wait to be masked

	mu        sync.Mutex
	parts     map[string]*streamed // of open calls that have any, by call id
	unsent    [][]byte             // metas of results
	lost      error                // a result was lost for good: never cleared
	retaining error                // of the last run of Retain
	late      map[string]bool      // ids of calls whose admit may become durable though they are refused

	callers   bounded // of the main journal
	strangers bounded
}

// New returns a Recorder that writes to o's journals, which stay the caller's
// to close, after Close.
func New(o Options) (*Recorder, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StrangersPerSecond == 0 {
		o.StrangersPerSecond = 20
	}
	if o.CallerPerSecond == 0 {
		o.CallerPerSecond = o.StrangersPerSecond
	}
	r := &Recorder{o: o, stop: make(chan struct{}), parts: make(map[string]*streamed), late: make(map[string]bool)}
	if err := r.SetPolicy(Policy{o.Bodies, o.Teams, o.Redact, o.Keys, o.Retention}); err != nil {
		return nil, err
	}
	r.callers.journal, r.callers.dropped = o.Journal, &r.dropped
	r.strangers.journal, r.strangers.dropped = o.Strangers, &r.dropped
	r.stopped.Go(r.run)
	return r, nil
}

// run does once a second what must not wait for the next request.
func (r *Recorder) run() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			r.tick()
		case <-r.stop:
			return
		}
	}
}

func (r *Recorder) tick() {
	r.callers.flush()
	r.strangers.flush()
	r.resend()
}

// Close writes what is still summed up or waiting. The Recorder must not be
// used afterwards.
func (r *Recorder) Close() error {
	close(r.stop)
	r.stopped.Wait()
	r.tick()
	r.callers.drop()
	r.strangers.drop()
	return r.Err()
}

// Err is nil while calls can be admitted; otherwise it says why not. All but a
// failed journal and a lost result heal by themselves.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost != nil {
		return r.lost
	}
	if err := r.o.Journal.Err(); err != nil {
		return err
	}
	if n := len(r.unsent); n > 0 {
		return fmt.Errorf("record: %d results wait for the journal", n)
	}
	return nil
}

// Dropped counts refusals and logins that are in no record, summed up or not.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }

// Warnings say what the operator should know though calls are admitted and
// recorded. There are none while all is well.
func (r *Recorder) Warnings() []string {
	var out []string
	switch j := r.strangers.journal; {
	case j == nil:
		out = append(out, "refusals of strangers are not recorded")
	case j.Err() != nil:
		out = append(out, "refusals of strangers are not being recorded: "+j.Err().Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retaining != nil {
		out = append(out, "retention does not get on: "+r.retaining.Error())
	}
	if n := r.Dropped(); n > 0 {
		out = append(out, fmt.Sprintf("%d refusals or logins since the start are in no record", n))
	}
	return out
}

// Admit makes the call durable. nil means it is, and the call may be sent;
// any refusal means it must not. The refusal is to be recorded like all
// others, with Refused: where the admit reached the disk late, that closes it.
func (r *Recorder) Admit(c *call.Call) *call.Refusal {
	if err := r.Err(); err != nil {
		return call.RecorderDown.With(err.Error())
	}
	a := ledger.AdmitOf(c, r.o.Account, r.o.Region)
	b := r.request(r.policy.Load(), c, &a)
	defer b.free()
	buf := buffer()
	defer buffers.Put(buf)
	*buf = a.AppendMeta(*buf)
	err := r.o.Journal.Append(ledger.KindAdmit, *buf, b.bytes, b.sum)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrSlow):
		r.mu.Lock()
		r.late[c.ID] = true
		r.mu.Unlock()
	case errors.Is(err, journal.ErrFull):
		return call.Overloaded.With(err.Error())
	}
	return call.RecorderDown.With(err.Error())
}

// Part records whole event-stream frames of the answer that the caller has got
// or is about to get, and does not wait. Frames are not kept. An error means
// that this part of the answer is not recorded; the Result will show the gap.
func (r *Recorder) Part(c *call.Call, frames []byte) error {
	p := r.policy.Load()
	s := r.stream(c, p)
	m := ledger.Part{ID: c.ID, Index: s.n, Bytes: int64(len(frames))}
	s.n, s.bytes = s.n+1, s.bytes+m.Bytes
	b := r.part(p, s, &m, frames)
	defer b.free()
	buf := buffer()
	*buf = m.AppendMeta(*buf)
	return queue(r.o.Journal, ledger.KindPart, buf, b)
}

// stream returns the parts of an open call so far.
func (r *Recorder) stream(c *call.Call, p *Policy) *streamed {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.parts[c.ID]
	if s == nil {
		s = &streamed{mode: p.of(c)}
		r.parts[c.ID] = s
	}
	return s
}

// Result records how an admitted call ended. It must be called once for each
// call that was admitted, and does not wait. A result that the journal does
// not take makes Err say so until it is written.
func (r *Recorder) Result(c *call.Call, res *call.Result) {
	p := r.policy.Load()
	s := r.ended(c, p)
	m := ledger.ResultOf(c, res, s.n, s.bytes)
	b := r.answer(p, c, &s, res, &m)
	r.waiting.Add(-s.waited)
	defer b.free()
	buf := buffer()
	*buf = m.AppendMeta(*buf)
	if queue(r.o.Journal, ledger.KindResult, buf, b) != nil {
		m.Stored = ledger.Stored{}
		r.hold(m.AppendMeta(nil))
	}
}

// ended takes what a call's parts came to.
func (r *Recorder) ended(c *call.Call, p *Policy) streamed {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.parts[c.ID]
	delete(r.parts, c.ID)
	if s == nil {
		return streamed{mode: p.of(c)}
	}
	return *s
}

// hold keeps the result that the journal does not take.
func (r *Recorder) hold(meta []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unsent) >= maxUnsent {
		r.lost = errors.New("record: more results than can be kept wait for the journal")
		return
	}
	r.unsent = append(r.unsent, meta)
}

// resend writes the results that the journal did not take.
func (r *Recorder) resend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.unsent) > 0 {
		if r.o.Journal.Write(ledger.KindResult, r.unsent[0], nil, nil) != nil {
			return
		}
		r.unsent = r.unsent[1:]
	}
	r.unsent = nil
}

// buffers holds the memory in which metas are put together.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// buffer returns an empty one.
func buffer() *[]byte {
	b := buffers.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

// queue gives an entry to a journal, which copies it, and takes meta back.
func queue(j *journal.Journal, kind journal.Kind, meta *[]byte, b body) error {
	defer buffers.Put(meta)
	return j.Write(kind, *meta, b.bytes, b.sum)
}
