package upstream

import (
	"io"
	"net/http"
	"sync/atomic"
)

const (
	maxAnswer           = 64 << 20 // a whole answer: some images
	maxError            = 1 << 20  // an error's body
	smallAnswer         = 64 << 10 // not worth counting
	defaultAnswerBudget = 512 << 20
)

// budget bounds the bytes of whole answers that wait for their callers to read
// them, so that callers who do not read cannot fill the memory.
type budget struct {
	max  int64
	used atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.max {
		return true
	}
	b.used.Add(-n)
	return false
}

// hold takes so much of the budget that this call has n bytes of it.
func (f *forward) hold(n int64) bool {
	if n <= smallAnswer {
		return true
	}
	if !f.u.answers.take(n - f.held) {
		f.u.o.Log.Warn("upstream: whole answers in memory are at their bound", "call", f.c.ID, "bytes", n)
		return false
	}
	f.held = n
	return true
}

// release gives back what was held, once the answer is written.
func (f *forward) release() {
	if f.held > 0 {
		f.u.answers.used.Add(-f.held)
		f.held = 0
	}
}

// readAll reads a whole body. It is false when the body is cut, longer than max,
// or beyond what the budget has left.
func (f *forward) readAll(resp *http.Response, max int64) (body []byte, ok bool) {
	if n := resp.ContentLength; n < 0 {
		body, ok = f.readGrowing(resp.Body, max)
	} else if ok = n <= max && f.hold(n); ok && n > 0 {
		body = make([]byte, n)
		_, err := io.ReadFull(resp.Body, body)
		ok = err == nil
	}
	f.keep = ok && !resp.Close
	return body, ok
}

// readGrowing reads a body of unknown length, counted by the memory it takes.
func (f *forward) readGrowing(r io.Reader, max int64) ([]byte, bool) {
	body := make([]byte, 0, 4<<10)
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > max:
			return nil, false
		case err == io.EOF:
			return body, true
		case err != nil:
			return nil, false
		}
		if len(body) == cap(body) {
			size := min(2*int64(cap(body)), max+1)
			if !f.hold(size) {
				return nil, false
			}
			body = append(make([]byte, 0, size), body...)
		}
	}
}
