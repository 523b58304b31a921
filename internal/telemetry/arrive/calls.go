package arrive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/awslog"
	"gatehouse/internal/event"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/seal"
)

// CallsOptions say how the gateway's journal is read. Zero values mean what the
// comments say.
type CallsOptions struct {
	Dir string
	FS  journal.FS // the operating system's
	// Durable is the newest durable entry, Stats().Seq of the open journal. nil:
	// another process writes it; then cursors must not be stored, since what was
	// read may not survive a crash of that process.
	Durable func() uint64
	Keys    *seal.Keys // open bodies that are sealed; without them calls come without
	Follow  bool       // go on with what is written later; otherwise Run ends at the end

	Every time.Duration    // how often to look for more: 200 ms
	Batch int              // bytes of lines a delivery: 1 MiB, and one line more
	Now   func() time.Time // time.Now
}

// Bounds of one call. What is longer than a parser takes would be lost whole,
// so a body that is too long is left out of its record, and the record stays.
const (
	maxCallBody  = 6 << 20
	maxCallLine  = 15 << 20
	maxOpenCalls = 1 << 16
	maxOpenBytes = 128 << 20
)

// Calls is the source of the gateway's own calls: each is one line, as `journal
// export --as telemetry` prints it, once its result is known. A call that never
// got one is told by the gateway itself, when it starts anew.
//
// The cursor is where the oldest call begins that is still open: going on from
// there tells again those that ended meanwhile.
type Calls struct {
	meter
	o CallsOptions
}

// NewCalls makes the source; nothing is read before Run.
func NewCalls(o CallsOptions) *Calls {
	if o.Every <= 0 {
		o.Every = 200 * time.Millisecond
	}
	if o.Batch <= 0 {
		o.Batch = 1 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Calls{o: o}
}

// Name implements [Source].
func (c *Calls) Name() string { return "calls" }

// Run implements [Source].
func (c *Calls) Run(ctx context.Context, cursor string, deliver func(*Delivery) error) error {
	r := &callRun{
		c: c, deliver: deliver,
		f: follower{disk: c.o.FS, dir: c.o.Dir, durable: c.o.Durable},
		j: ledger.Joiner{Options: ledger.JoinOptions{Keys: c.o.Keys, Calls: maxOpenCalls, Body: maxCallBody, Total: maxOpenBytes}},
	}
	replaced, err := r.f.start(cursor)
	if err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	if replaced {
		c.problem(fmt.Errorf("the journal ends before cursor %s; reading it from its beginning", cursor), c.o.Now())
	}
	for {
		if err := r.pass(ctx); err != nil {
			return err
		}
		if !c.o.Follow {
			return nil
		}
		if err := pause(ctx, c.o.Every); err != nil {
			return err
		}
	}
}

// callRun is one run. It belongs to one goroutine.
type callRun struct {
	c       *Calls
	deliver func(*Delivery) error
	f       follower
	j       ledger.Joiner
	open    openCalls
	lines   []byte
}

// pass delivers what the journal has by now.
func (r *callRun) pass(ctx context.Context) error {
	for e, err := range r.f.entries() {
		var damage *journal.Damage
		if err != nil && !errors.As(err, &damage) {
			return fmt.Errorf("calls: %w", err)
		}
		if err != nil {
			r.c.problem(err, r.c.o.Now())
		}
		if e.Seq > 0 {
			r.add(&e)
		}
		if len(r.lines) >= r.c.o.Batch {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	r.c.behind(r.f.behind())
	return r.flush(ctx)
}

func (r *callRun) add(e *journal.Entry) {
	if e.Kind == ledger.KindAdmit {
		r.open.admit(callID(e.Meta), e.Seq)
	}
	rec, err := r.j.Add(e)
	if err != nil {
		r.c.problem(err, r.c.o.Now())
		if _, err := ledger.Decode(e.Kind, e.Meta); err != nil {
			r.open.end(callID(e.Meta)) // the joiner knows nothing of it either
		}
	}
	if rec != nil {
		r.open.end(rec.ID)
		r.render(rec)
	}
}

// render appends the line of a call.
func (r *callRun) render(rec *ledger.Record) {
	before := len(r.lines)
	for _, most := range []int64{maxCallBody, 1} {
		lines, err := awslog.AppendLine(r.lines[:before], rec.Telemetry(ledger.RenderOptions{MaxBody: most}))
		if err != nil {
			r.c.problem(fmt.Errorf("call %s: %w", rec.ID, err), r.c.o.Now())
			r.lines = r.lines[:before]
			return
		}
		if r.lines = lines; len(lines)-before <= maxCallLine {
			return
		}
	}
}

func (r *callRun) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil || len(r.lines) == 0 {
		return err
	}
	err := r.c.hand(&Delivery{
		Origin: event.Origin{Name: "journal"}, How: ByJournal, Strand: event.Gateway, Received: r.c.o.Now(),
		Body: bytes.NewReader(r.lines), Cursor: seqCursor(r.open.oldest(r.f.next)),
	}, r.deliver)
	r.lines = r.lines[:0]
	if cap(r.lines) > 4*r.c.o.Batch {
		r.lines = nil
	}
	return err
}

// openCalls knows where the calls begin that have no result yet.
type openCalls struct {
	at    map[string]uint64
	order []admitted // in order of admission; those no longer in at have ended
}

type admitted struct {
	id  string
	seq uint64
}

func (o *openCalls) admit(id string, seq uint64) {
	if o.at == nil {
		o.at = make(map[string]uint64)
	}
	if _, twice := o.at[id]; !twice { // of two of one id the first stands, as for the Joiner
		if len(o.order) > 2*len(o.at)+1024 { // one call that stays open must not keep all that ended
			o.order = slices.DeleteFunc(o.order, func(a admitted) bool { return o.at[a.id] != a.seq })
		}
		o.at[id] = seq
		o.order = append(o.order, admitted{id, seq})
	}
}

func (o *openCalls) end(id string) { delete(o.at, id) }

// oldest is where the oldest open call begins, or next.
func (o *openCalls) oldest(next uint64) uint64 {
	n := 0
	for n < len(o.order) && o.at[o.order[n].id] != o.order[n].seq {
		n++
	}
	if n > 0 {
		o.order = append(o.order[:0], o.order[n:]...)
	}
	if len(o.order) == 0 {
		return next
	}
	return o.order[0].seq
}

// callID reads the id of a call out of its meta, where ledger writes it first.
func callID(meta []byte) string {
	if rest, ok := bytes.CutPrefix(meta, []byte(`{"id":"`)); ok {
		if id, _, ok := bytes.Cut(rest, []byte(`"`)); ok && !bytes.Contains(id, []byte(`\`)) {
			return string(id)
		}
	}
	var m struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(meta, &m) // what cannot be read has no id
	return m.ID
}
