package ledger

import (
	"cmp"
	"container/list"
	"fmt"
	"iter"
	"slices"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/seal"
)

// Record is all the journal knows of one call, admitted or refused.
type Record struct {
	Asked
	Refusal  *Refused // nil when the call was admitted and sent
	Result   Result   // of an admitted call; its Outcome is Interrupted when no result was found
	Request  Body
	Response Body // of a stream: the raw frames
}

// Body is what was recorded of a body: all of it, a beginning, or nothing. It
// falls short of Size when bodies are not recorded, when retention erased it,
// when no key opens it, or when a Joiner ran out of its bounds.
type Body struct {
	Bytes    []byte
	Size     int64 // of the whole body
	Redacted bool  // secrets are masked in Bytes, and Size is that of the masked body
}

// Whole reports whether the body is all there.
func (b *Body) Whole() bool { return int64(len(b.Bytes)) == b.Size }

// JoinOptions choose calls, and bound the memory of a Joiner. Zero values mean
// the defaults.
type JoinOptions struct {
	From, To time.Time  // only calls asked at From or later, and before To
	Keys     *seal.Keys // open the bodies that are sealed
	NoBodies bool       // leave bodies out, and need no keys

	Calls int   // open calls; the oldest is given up as interrupted. Default 65,536
	Body  int64 // bytes kept of one body; the rest is cut. Default 32 MiB
	Total int64 // bytes kept of all bodies of open calls; beyond it they are cut. Default 256 MiB
}

// Joiner puts the entries of calls together. Its memory is that of the calls
// which are open at the same time, within the bounds of JoinOptions. The zero
// value is ready to use, by one goroutine.
type Joiner struct {
	Options JoinOptions
	// Orphans counts parts and results whose admit was not seen, because the
	// reading began after it or the call had been given up.
	Orphans int64

	open  map[string]*list.Element // of pending, by call id
	order list.List                // in order of admission
	held  int64                    // bytes of bodies in open
}

type pending struct {
	Record
	parts int64
	cut   bool // a piece of the response is missing: what follows is not appended
}

// Add takes the next entry. It returns the record of a call that this entry
// completes, or one that had to be given up for want of memory, or nil. Memory
// of the entry is not kept. An error is about this entry only; the Joiner goes
// on without it, or, where only its body cannot be opened, without that: then
// there may be a record too.
func (j *Joiner) Add(e *journal.Entry) (*Record, error) {
	switch e.Kind {
	case KindAdmit, KindPart, KindResult, KindRefused:
	default:
		return nil, nil // not about a call
	}
	if asks := e.Kind == KindAdmit || e.Kind == KindRefused; asks && (e.Time.Before(j.Options.From) || j.late(e)) {
		return nil, nil // and what follows of it finds no admit
	}
	m, err := Decode(e.Kind, e.Meta)
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *Admit:
		of, err := j.reveal(e, &m.Stored, m.ID, 0)
		return j.admit(m, &of), err
	case *Part:
		of, err := j.reveal(e, &m.Stored, m.ID, m.Index)
		j.part(m, &of)
		return nil, err
	case *Result:
		of, err := j.reveal(e, &m.Stored, m.ID, 0)
		return j.result(m, &of), err
	case *Refused:
		j.take(m.ID)
		return &Record{Asked: m.Asked, Refusal: m, Request: Body{Size: m.BodyBytes}}, nil
	}
	return nil, nil
}

// reveal returns the entry with its body as it was before it was sealed.
func (j *Joiner) reveal(e *journal.Entry, s *Stored, id string, index int64) (journal.Entry, error) {
	of := *e
	if len(of.Body) == 0 || j.open[id] == nil && e.Kind != KindAdmit {
		return of, nil
	}
	if j.Options.NoBodies {
		of.Body, of.Erased = nil, true
		return of, nil
	}
	if s.Sealed == "" || of.Erased {
		return of, nil
	}
	var err error
	if of.Body, err = j.Options.Keys.Open(nil, s.Sealed, e.Body, SealContext(nil, e.Kind, id, index)); err != nil {
		of.Body, of.Erased = nil, true
		return of, fmt.Errorf("ledger: call %s: %w", id, err)
	}
	return of, nil
}

func (j *Joiner) late(e *journal.Entry) bool {
	return !j.Options.To.IsZero() && !e.Time.Before(j.Options.To)
}

// Rest ends the joining: it yields the calls that are still open, as
// interrupted, in order of admission.
func (j *Joiner) Rest() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		for j.order.Len() > 0 && yield(j.giveUp()) {
		}
	}
}

func (j *Joiner) admit(a *Admit, e *journal.Entry) (evicted *Record) {
	if j.open == nil {
		j.open = make(map[string]*list.Element)
	}
	if j.open[a.ID] != nil { // ids are unique; the first one stands
		j.Orphans++
		return nil
	}
	if len(j.open) >= cmp.Or(j.Options.Calls, 1<<16) {
		evicted = j.giveUp()
	}
	p := &pending{Record: Record{Asked: a.Asked, Request: Body{Size: a.BodyBytes}}}
	j.open[a.ID] = j.order.PushBack(p)
	if a.Redacted {
		p.Request.masked(e)
	}
	j.keep(&p.Request, e)
	return evicted
}

func (j *Joiner) part(m *Part, e *journal.Entry) {
	el := j.open[m.ID]
	if el == nil {
		j.Orphans++
		return
	}
	p := el.Value.(*pending)
	lost := p.parts != m.Index || m.Bytes != int64(len(e.Body))
	p.parts++
	p.Response.Size += m.Bytes
	j.piece(p, e, lost)
}

func (j *Joiner) result(m *Result, e *journal.Entry) *Record {
	el := j.open[m.ID]
	if el == nil {
		j.Orphans++
		return nil
	}
	p := el.Value.(*pending)
	p.Result = *m
	lost := p.parts != m.Parts || p.Response.Size+int64(len(e.Body)) != m.BodyBytes
	p.Response.Size = m.BodyBytes
	if m.Redacted {
		j.held -= int64(len(p.Response.Bytes))
		p.Response.Bytes, p.cut, lost = nil, false, false
		p.Response.masked(e)
	}
	j.piece(p, e, lost)
	return &j.take(m.ID).Record
}

// piece appends the next piece of the response unless one before it is lost.
func (j *Joiner) piece(p *pending, e *journal.Entry, lost bool) {
	p.cut = p.cut || lost || e.Erased
	if !p.cut {
		p.cut = !j.keep(&p.Response, e)
	}
}

// masked notes that b is the body of e, which is not what it was.
func (b *Body) masked(e *journal.Entry) {
	if !e.Erased {
		b.Redacted, b.Size = true, int64(len(e.Body))
	}
}

// keep appends the body of e as far as the bounds allow, and reports whether
// that was all of it.
func (j *Joiner) keep(b *Body, e *journal.Entry) bool {
	if e.Erased {
		return false
	}
	room := min(cmp.Or(j.Options.Body, 32<<20)-int64(len(b.Bytes)), cmp.Or(j.Options.Total, 256<<20)-j.held)
	n := min(int64(len(e.Body)), max(room, 0))
	b.Bytes = append(b.Bytes, e.Body[:n]...)
	j.held += n
	return n == int64(len(e.Body))
}

// take removes the open call id; nil if there is none.
func (j *Joiner) take(id string) *pending {
	el := j.open[id]
	if el == nil {
		return nil
	}
	delete(j.open, id)
	p := j.order.Remove(el).(*pending)
	j.held -= int64(len(p.Request.Bytes) + len(p.Response.Bytes))
	return p
}

// giveUp removes the oldest open call.
func (j *Joiner) giveUp() *Record {
	p := j.take(j.order.Front().Value.(*pending).ID)
	p.Result = Result{ID: p.ID, RequestID: p.RequestID, Time: p.Time, Outcome: call.Interrupted, Parts: p.parts, BodyBytes: p.Response.Size}
	return &p.Record
}

// Join yields the records of the calls in entries, in order of completion;
// those still open at the end come last, as interrupted. An error of entries,
// or of one entry that cannot be read, is yielded in its place; where only an
// entry's body is damaged, the entry counts, without it.
func Join(entries iter.Seq2[journal.Entry, error], o JoinOptions) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		j := Joiner{Options: o}
		for e, err := range entries {
			if err != nil && !yield(nil, err) {
				return
			}
			if err == nil && len(j.open) == 0 && j.late(&e) {
				return
			}
			e.Erased = e.Erased || err != nil
			r, err := j.Add(&e)
			if err != nil && !yield(nil, err) || r != nil && !yield(r, nil) {
				return
			}
		}
		for r := range j.Rest() {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Open finds the calls that a crash left open. Feed it every entry that a
// start replays; then each admit in Interrupted wants a result. The zero value
// is ready to use, by one goroutine.
type Open struct {
	admits map[string]*Admit
}

// Hold tells of a call that was open when the replayed entries begin: the
// snapshot before them knows what limits held for it, and nothing else.
func (o *Open) Hold(id string, amounts Amounts) {
	o.add(&Admit{Asked: Asked{ID: id, Amounts: amounts}})
}

// Add takes the next entry. Entries of other kinds than those of calls are
// ignored; an error is about this entry only.
func (o *Open) Add(e *journal.Entry) error {
	switch e.Kind {
	case KindAdmit, KindResult, KindRefused:
	default:
		return nil
	}
	m, err := Decode(e.Kind, e.Meta)
	if err != nil {
		return err
	}
	o.Apply(m)
	return nil
}

// Apply is Add for a caller that has decoded the entry itself.
func (o *Open) Apply(m Meta) {
	switch m := m.(type) {
	case *Admit:
		o.add(m)
	case *Result:
		delete(o.admits, m.ID)
	case *Refused:
		delete(o.admits, m.ID)
	}
}

func (o *Open) add(a *Admit) {
	if o.admits == nil {
		o.admits = make(map[string]*Admit)
	}
	o.admits[a.ID] = a
}

// Interrupted lists the calls that have no result, in order of their ids,
// which is that of admission.
func (o *Open) Interrupted() []*Admit {
	list := make([]*Admit, 0, len(o.admits))
	for _, a := range o.admits {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *Admit) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
