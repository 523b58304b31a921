package read

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/call"
)

const (
	paceWindow = 5 * time.Second // in each of these a body brings paceBytes, or its end
	paceBytes  = 5 << 10
	bodyTime   = time.Minute // for all of a body, and a second more for each bodyRate bytes
	bodyRate   = 256 << 10
	smallBody  = 64 << 10 // buffers up to this size are kept for reuse
)

// Budget bounds the bytes of all request bodies that no caller has yet been
// authenticated for. Only what has arrived counts, so a stranger who announces
// much and sends little holds little. It is safe for concurrent use.
type Budget struct {
	Max  int64
	used atomic.Int64
}

func (b *Budget) take(n int64) bool {
	if b.used.Add(n) > b.Max {
		b.used.Add(-n)
		return false
	}
	return true
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, smallBody); return &b }}

// Held is a request body in memory, counted against a Budget until it is freed.
type Held struct {
	budget *Budget
	bytes  int64
	buf    []byte
	pooled *[]byte
}

// Body reads r's whole body into c.Body, at most max bytes and no slower than
// Paced. The caller frees what was read when the call is over, also after a refusal.
func (b *Budget) Body(w http.ResponseWriter, r *http.Request, c *call.Call, max int64) (Held, *call.Refusal) {
	h := Held{budget: b}
	ref := h.fetch(w, r, max)
	if ref == nil {
		c.SetBody(h.buf)
		c.OriginalSHA256 = c.BodySHA256
	}
	return h, ref
}

// Free gives memory and budget back; the zero Held has none. The body must not
// be used afterwards.
func (h *Held) Free() {
	if h.budget == nil {
		return
	}
	h.budget.used.Add(-h.bytes)
	h.bytes = 0
	if h.pooled != nil {
		buffers.Put(h.pooled)
		h.pooled, h.buf = nil, nil
	}
}

func (h *Held) fetch(w http.ResponseWriter, r *http.Request, max int64) *call.Refusal {
	n := r.ContentLength
	switch {
	case n > max:
		return call.BodyTooLarge
	case n == 0 || r.Body == nil || r.Body == http.NoBody:
		return nil
	}
	h.pooled = buffers.Get().(*[]byte)
	h.buf = (*h.pooled)[:0]
	body := Paced(w, r)
	for {
		if len(h.buf) == cap(h.buf) {
			grown := make([]byte, len(h.buf), min(2*int64(cap(h.buf)), max+1))
			copy(grown, h.buf)
			h.buf = grown
		}
		got, err := body.Read(h.buf[len(h.buf):cap(h.buf)])
		h.buf = h.buf[:len(h.buf)+got]
		if ref := h.account(int64(got), max); ref != nil {
			return ref
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return bodyError(err)
		case n > 0 && int64(len(h.buf)) == n:
			body.release()
			return nil
		}
	}
}

func (h *Held) account(got, max int64) *call.Refusal {
	if int64(len(h.buf)) > max {
		return call.BodyTooLarge
	}
	if !h.budget.take(got) {
		return call.Overloaded.With("the budget of request bodies is spent")
	}
	h.bytes += got
	return nil
}

func bodyError(err error) *call.Refusal {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return call.BodyTimeout
	}
	return call.BadRequest.With("body ended early")
}

// PacedBody is a request's body that must keep coming: a kibibyte a second, and
// the whole in a minute or so. A stall is an error of the read.
type PacedBody struct {
	io.ReadCloser
	rc     *http.ResponseController
	end    time.Time // of all
	window time.Time // beginning of the current one
	got    int       // bytes in it
}

// Paced returns r's body, paced.
func Paced(w http.ResponseWriter, r *http.Request) *PacedBody {
	now := time.Now()
	more := time.Duration(max(r.ContentLength, 0)) * time.Second / bodyRate
	return &PacedBody{ReadCloser: r.Body, rc: http.NewResponseController(w), end: now.Add(bodyTime + more), window: now}
}

func (p *PacedBody) Read(b []byte) (int, error) {
	if p.got >= paceBytes {
		p.window, p.got = time.Now(), 0
	}
	deadline := p.window.Add(paceWindow)
	if deadline.After(p.end) {
		deadline = p.end
	}
	p.rc.SetReadDeadline(deadline)
	n, err := p.ReadCloser.Read(b)
	p.got += n
	if err == io.EOF {
		p.release()
	}
	return n, err
}

// release lifts the deadline once the body has been read.
func (p *PacedBody) release() { p.rc.SetReadDeadline(time.Time{}) }
