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
	bodyGrace   = 5 * time.Second // before the pace of a body is judged
	bodyPerByte = time.Second / 1024
	smallBody   = 64 << 10 // buffers up to this size are kept for reuse
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

// Body reads r's whole body into c.Body, at most max bytes, no slower than a
// kibibyte a second after a grace. The caller frees what was read when the call
// is over, also after a refusal.
func (b *Budget) Body(w http.ResponseWriter, r *http.Request, c *call.Call, max int64) (Held, *call.Refusal) {
	h := Held{budget: b}
	ref := h.fetch(w, r, max)
	if ref == nil {
		c.SetBody(h.buf)
		c.OriginalSHA256 = c.BodySHA256
	}
	return h, ref
}

// Move counts the body against another budget: that of authenticated callers.
func (h *Held) Move(to *Budget) *call.Refusal {
	if !to.take(h.bytes) {
		return call.Overloaded.With("the budget of request bodies is spent")
	}
	h.budget.used.Add(-h.bytes)
	h.budget = to
	return nil
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
	rc := http.NewResponseController(w)
	start := time.Now()
	for {
		if len(h.buf) == cap(h.buf) {
			grown := make([]byte, len(h.buf), min(2*int64(cap(h.buf)), max+1))
			copy(grown, h.buf)
			h.buf = grown
		}
		allowed := bodyGrace + time.Duration(len(h.buf))*bodyPerByte
		rc.SetReadDeadline(start.Add(allowed))
		got, err := r.Body.Read(h.buf[len(h.buf):cap(h.buf)])
		h.buf = h.buf[:len(h.buf)+got]
		if ref := h.account(int64(got), max); ref != nil {
			return ref
		}
		if err == io.EOF || n > 0 && int64(len(h.buf)) == n {
			rc.SetReadDeadline(time.Time{})
			return nil
		}
		if err != nil {
			return bodyError(err)
		}
	}
}

func (h *Held) account(got, max int64) *call.Refusal {
	if int64(len(h.buf)) > max {
		return call.BodyTooLarge
	}
	if !h.budget.take(got) {
		return call.Overloaded.With("the budget of unauthenticated request bodies is spent")
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
