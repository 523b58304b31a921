package chat

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"time"

	"gatehouse/internal/bedrock/eventstream"
)

// buffer is a ResponseWriter that keeps what the gateway answers. Deadlines go
// to the real connection; there is nothing to flush.
type buffer struct {
	header   http.Header
	outer    *http.ResponseController
	status   int
	body     bytes.Buffer
	overflow bool
}

func (b *buffer) Header() http.Header { return b.header }

func (b *buffer) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	if b.body.Len()+len(p) > maxResponse {
		b.overflow = true
		return len(p), nil
	}
	return b.body.Write(p)
}

func (b *buffer) FlushError() error                  { return nil }
func (b *buffer) SetReadDeadline(t time.Time) error  { return b.outer.SetReadDeadline(t) }
func (b *buffer) SetWriteDeadline(t time.Time) error { return b.outer.SetWriteDeadline(t) }

// stream answers with events as the text comes.
func (a *API) stream(w http.ResponseWriter, r *http.Request, prompt string) {
	s := &events{buffer: buffer{header: make(http.Header), outer: http.NewResponseController(w)}, w: w}
	a.converseWith(s, r, a.converseStr, prompt)
	if !s.started {
		copyHeaders(w.Header(), s.header)
		if s.status == http.StatusOK {
			errUnavailable.write(w)
			return
		}
		problemOf(s.status, s.header, s.body.Bytes()).write(w)
		return
	}
	s.end()
}

// events is a ResponseWriter that turns the frames of a ConverseStream answer
// into server-sent events. An answer that is no stream is kept as it is.
type events struct {
	buffer
	w       http.ResponseWriter
	started bool
	stopped bool // messageStop came: the answer is whole
	failed  *problem
	frames  []byte // a frame that has not arrived in full
	err     error  // of the client's connection
}

// WriteHeader starts the events when the answer is a stream.
func (s *events) WriteHeader(status int) {
	if s.status != 0 {
		return
	}
	s.status = status
	if status != http.StatusOK {
		return
	}
	s.started = true
	copyHeaders(s.w.Header(), s.header)
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	s.w.WriteHeader(status)
}

// Write translates the frames that are complete. Its error is that of the
// client's connection, so that the gateway cancels a call nobody listens to.
func (s *events) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if !s.started {
		return s.buffer.Write(p)
	}
	s.frames = append(s.frames, p...)
	for len(s.frames) >= 4 && s.err == nil && s.failed == nil {
		n := int(binary.BigEndian.Uint32(s.frames))
		if n > maxResponse {
			s.failed = errUnavailable
			break
		}
		if n > len(s.frames) {
			break
		}
		s.frame(s.frames[:n])
		s.frames = s.frames[:copy(s.frames, s.frames[n:])]
	}
	return len(p), s.err
}

// FlushError sends what has been written.
func (s *events) FlushError() error {
	if !s.started {
		return nil
	}
	return s.outer.Flush()
}

func (s *events) frame(raw []byte) {
	m, err := eventstream.Decode(raw)
	if err != nil {
		s.failed = errUnavailable
		return
	}
	kind, _ := m.Headers.Get(eventstream.MessageTypeHeader)
	event, _ := m.Headers.Get(eventstream.EventTypeHeader)
	switch {
	case kind.Text() != eventstream.MessageEvent:
		s.failed = errUnavailable
	case event.Text() == "messageStop":
		s.stopped = true
	case event.Text() == "contentBlockDelta":
		var v struct{ Delta struct{ Text string } }
		if json.Unmarshal(m.Payload, &v) == nil && v.Delta.Text != "" {
			s.send("delta", struct {
				Text string `json:"text"`
			}{v.Delta.Text})
		}
	}
}

// end says whether the answer is whole.
func (s *events) end() {
	if s.failed == nil && s.stopped && len(s.frames) == 0 {
		s.send("done", quotaOf(s.header))
	} else {
		s.send("error", errUnavailable)
	}
	s.outer.Flush()
}

// send writes one event. JSON has no line breaks, so it is one data line.
func (s *events) send(event string, v any) {
	data, err := json.Marshal(v)
	if err != nil { // all values are ours
		panic(err)
	}
	if s.err == nil {
		_, s.err = s.w.Write([]byte("event: " + event + "\ndata: " + string(data) + "\n\n"))
	}
}
