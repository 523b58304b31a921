package record

import (
	"crypto/sha256"
	"strings"
	"sync"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
)

// Bounds of what waits in memory to be masked. An answer can only be masked as
// a whole: a secret may begin in one part and end in the next.
const (
	maxMasked   = 8 << 20   // of one stream
	maxWaiting  = 128 << 20 // of all streams
	keepBox     = 1 << 20   // the largest box memory that is kept for reuse
	eventStream = "application/vnd.amazon.eventstream"
)

// streamed is what a call's parts came to so far. It belongs to the call.
type streamed struct {
	n, bytes int64
	mode     Bodies
	frames   []byte // in mode redacted: all of them
	tooLong  bool   // they were more than can wait
	waited   int64  // bytes of them that Recorder.waiting counts
}

// body is a body on its way into the journal.
type body struct {
	bytes []byte
	sum   *[32]byte // of bytes, or of what is not kept; nil: the journal computes it
	box   *[]byte   // pooled memory that bytes lie in
}

// request decides what is kept of a call's request, whose hash is known.
func (r *Recorder) request(p *Policy, c *call.Call, a *ledger.Admit) body {
	mode := p.of(c)
	switch {
	case mode == Off:
		a.BodySHA256, a.OriginalSHA256 = ledger.Sum{}, ledger.Sum{}
		return body{}
	case len(c.Body) == 0:
		return body{}
	case mode == Hash || r.low():
		return body{sum: &c.BodySHA256}
	case mode == Full:
		return p.seal(body{bytes: c.Body, sum: &c.BodySHA256}, &a.Stored, ledger.KindAdmit, a.ID, 0)
	}
	masked, ok := p.mask(c, Request, c.ContentType, c.Body)
	if !ok {
		a.Notes = append(a.Notes, unmasked("the request could not be judged"))
		return body{sum: &c.BodySHA256}
	}
	a.Redacted = true
	return p.seal(body{bytes: masked}, &a.Stored, ledger.KindAdmit, a.ID, 0)
}

// part decides what is kept of frames that go out. In mode redacted they wait
// for the result.
func (r *Recorder) part(p *Policy, s *streamed, m *ledger.Part, frames []byte) body {
	switch {
	case s.mode == Off || len(frames) == 0:
		return body{}
	case s.mode == Redacted:
		r.wait(s, frames)
	case s.mode == Full && !r.low():
		return p.seal(body{bytes: frames}, &m.Stored, ledger.KindPart, m.ID, m.Index)
	}
	return hashOnly(frames, &m.SHA256)
}

// answer decides what is kept of an answer, or of what of it no part holds.
func (r *Recorder) answer(p *Policy, c *call.Call, s *streamed, res *call.Result, m *ledger.Result) body {
	switch {
	case s.mode == Off || len(res.Body) == 0 && len(s.frames) == 0 && !s.tooLong:
		return body{}
	case s.mode == Hash || r.low():
		return hashOnly(res.Body, &m.SHA256)
	case s.mode == Full:
		return p.seal(body{bytes: res.Body}, &m.Stored, ledger.KindResult, m.ID, 0)
	}
	rest := hashOnly(res.Body, &m.SHA256)
	masked, why := p.maskAnswer(c, s, res)
	if why != "" {
		m.Notes = append(m.Notes, unmasked(why))
		return rest
	}
	m.Redacted = true
	return p.seal(body{bytes: masked}, &m.Stored, ledger.KindResult, m.ID, 0)
}

// maskAnswer returns the whole answer, masked, or why there is none.
func (p *Policy) maskAnswer(c *call.Call, s *streamed, res *call.Result) (masked []byte, why string) {
	whole, of := res.Body, Answer
	if s.n > 0 || strings.HasPrefix(res.ContentType, eventStream) {
		whole, of = append(s.frames, res.Body...), Stream
	}
	if s.tooLong || len(whole) > maxMasked {
		return nil, "the answer is too long to be masked"
	}
	masked, ok := p.mask(c, of, res.ContentType, whole)
	if !ok {
		return nil, "the answer could not be judged"
	}
	return masked, ""
}

// unmasked is what a record says where a body should have been masked and only
// its hash is kept.
func unmasked(why string) ledger.Note {
	return ledger.Note{Stage: "record", Name: string(Redacted), Action: string(Hash), Detail: why}
}

// wait keeps frames for masking, as far as there is room.
func (r *Recorder) wait(s *streamed, frames []byte) {
	n := int64(len(frames))
	if s.tooLong || s.waited+n > maxMasked {
		s.tooLong, s.frames = true, nil
		return
	}
	s.waited += n
	if r.waiting.Add(n) > maxWaiting {
		s.tooLong, s.frames = true, nil
		return
	}
	s.frames = append(s.frames, frames...)
}

func (r *Recorder) low() bool { return r.o.Journal.Level() >= journal.Low }

// hashOnly keeps the hash of what is not kept, in the meta too.
func hashOnly(b []byte, meta *ledger.Sum) body {
	if len(b) == 0 {
		return body{}
	}
	sum := sha256.Sum256(b)
	*meta = sum
	return body{sum: &sum}
}

// boxes holds the memory of sealed bodies.
var boxes = sync.Pool{New: func() any { return new([]byte) }}

// seal puts b under the policy's key, if it has one.
func (p *Policy) seal(b body, s *ledger.Stored, kind journal.Kind, id string, index int64) body {
	if p.Keys == nil || len(b.bytes) == 0 {
		return b
	}
	var context [96]byte
	box := boxes.Get().(*[]byte)
	*box = p.Keys.Seal((*box)[:0], b.bytes, ledger.SealContext(context[:0], kind, id, index))
	s.Sealed = p.Keys.Current()
	return body{bytes: *box, box: box}
}

// free takes back what the journal has copied.
func (b *body) free() {
	if b.box != nil && cap(*b.box) <= keepBox {
		boxes.Put(b.box)
	}
}
