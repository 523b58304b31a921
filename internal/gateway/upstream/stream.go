package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
)

const (
	maxFrame = 2 << 20  // PayloadPart is at most 1,000,000 bytes, base64 in JSON
	maxPart  = 32 << 10 // frames kept in memory before they are recorded
)

// stream carries an event stream frame by frame. A stream that does not end as
// Bedrock ends it gets an exception frame: some SDKs take a mere end for success.
func (f *forward) stream(ctx context.Context, resp *http.Response) {
	s := &streaming{f: f, frames: eventstream.NewReader(resp.Body, maxFrame), usage: f.family().NewStreamUsage()}
	if !s.first(ctx) {
		return
	}
	f.conn.SetDeadline(f.start.Add(f.u.o.Total))
	if ctx.Err() != nil { // its watch may have come before the new deadline
		f.conn.Close()
	}
	if f.a.Start(responseHeaders(resp.Header)) != nil {
		f.res.Outcome = call.ClientGone
	} else {
		s.copy(ctx)
	}
	f.keep = f.res.Outcome == call.OK && !resp.Close
	s.settle()
	f.a.Finish(f.res)
}

type streaming struct {
	f      *forward
	frames *eventstream.Reader
	usage  *bedrock.StreamUsage
	frame  eventstream.Frame
	part   []byte // sent and not yet recorded
	ended  bool   // the last event of a whole stream was seen
}

// first waits for the first frame, while the answer may still be an ordinary error.
func (s *streaming) first(ctx context.Context) bool {
	var err error
	if s.frame, err = s.frames.Next(); err == nil {
		s.f.res.FirstByte = time.Since(s.f.start)
		return true
	}
	f := s.f
	f.res.Outcome = call.Truncated
	ref := call.UpstreamUnavailable
	switch {
	case ctx.Err() != nil:
		f.res.Outcome = call.ClientGone
	case isTimeout(err):
		f.res.Outcome, ref = call.Unreachable, call.UpstreamTimeout
	}
	f.estimate(0)
	f.refuse(ref)
	return false
}

// copy sends frames until the stream or the caller ends, and says how it ended.
func (s *streaming) copy(ctx context.Context) {
	f := s.f
	for {
		if f.a.Frames(s.frame.Raw, !s.frames.Ready()) != nil {
			f.res.Outcome = call.ClientGone
			return
		}
		s.note()
		var err error
		if s.frame, err = s.frames.Next(); err != nil {
			s.end(ctx, err)
			return
		}
	}
}

// note measures and keeps the frame that was just sent.
func (s *streaming) note() {
	if s.frame.MessageType() == eventstream.MessageEvent {
		event := s.frame.EventType()
		s.usage.Event(event, s.frame.Payload)
		_, told := s.usage.Usage()
		s.ended = event == "metadata" || event == "chunk" && told
	} else {
		s.ended = true // exception and error frames are ends of their own
		s.f.res.Outcome = call.Upstream
		s.f.res.ErrorType, s.f.res.Message = exceptionOf(s.frame)
	}
	s.keep(s.frame.Raw)
}

func (s *streaming) keep(raw []byte) {
	if len(s.part) > 0 && len(s.part)+len(raw) > maxPart {
		s.f.a.Part(s.part)
		s.part = s.part[:0]
	}
	s.part = append(s.part, raw...)
}

// end judges how a stream ended and, unless it is whole, says so to the caller.
func (s *streaming) end(ctx context.Context, err error) {
	f := s.f
	switch {
	case ctx.Err() != nil:
		f.res.Outcome = call.ClientGone
		return
	case errors.Is(err, io.EOF) && s.ended:
		if f.res.Outcome != call.Upstream {
			f.res.Outcome = call.OK
		}
		return
	}
	f.res.Outcome = call.Truncated
	f.res.ErrorType, f.res.Message = "ModelStreamErrorException", "The model's answer ended early."
	raw := eventstream.AppendException(nil, "modelStreamErrorException", []byte(`{"message":"`+f.res.Message+`"}`))
	f.a.Frames(raw, true)
	s.keep(raw)
}

// settle turns what was measured into usage and cost.
func (s *streaming) settle() {
	f := s.f
	f.res.Body = s.part
	if u, ok := s.usage.Usage(); ok {
		f.bill(u, true)
		return
	}
	f.estimate(s.usage.TextBytes())
}

func exceptionOf(frame eventstream.Frame) (code, message string) {
	code = frame.ExceptionType()
	if code != "" {
		return string(code[0]&^0x20) + code[1:], errorMessage(frame.Payload)
	}
	if v, ok := frame.Header(":error-code"); ok {
		code = string(v.Bytes)
	}
	return code, ""
}
