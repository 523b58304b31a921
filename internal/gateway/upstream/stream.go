package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
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
	s := &streaming{f: f, frames: eventstream.NewReader(resp.Body, maxFrame), usage: f.family().NewStreamUsage(), allowed: f.c.OutputBound()}
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
	if f.res.Outcome == call.ClientGone {
		f.a.Abort()
		return
	}
	f.a.Finish(f.res)
}

type streaming struct {
	f      *forward
	frames *eventstream.Reader
	usage  *bedrock.StreamUsage
	frame  eventstream.Frame
	part   []byte // sent and not yet recorded
	ended  bool   // the last frame is one that Bedrock ends a stream with

	allowed int64 // output tokens that are reserved
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
	switch stop := stopped(ctx); {
	case stop != nil:
		f.res.Outcome, ref = call.Stopped, stop
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
	for {
		raw, event := s.frame.Raw, s.frame.MessageType() == eventstream.MessageEvent
		if !event {
			raw = s.failure()
		}
		if event {
			s.usage.Event(s.frame.EventType(), s.frame.Payload)
			s.ended = s.usage.Ended()
			if ref := s.more(); ref != nil {
				s.stop(ref)
				return
			}
		}
		if !s.send(raw, !s.frames.Ready()) {
			return
		}
		var err error
		if s.frame, err = s.frames.Next(); err != nil {
			s.end(ctx, err)
			return
		}
	}
}

// send sends a frame, and reports whether the stream goes on.
func (s *streaming) send(raw []byte, flush bool) bool {
	sent, err := s.f.a.Frames(raw, flush)
	s.keep(sent)
	switch {
	case errors.Is(err, ErrEnded):
		s.f.res.Outcome = call.Blocked
	case err != nil:
		s.f.res.Outcome = call.ClientGone
	}
	return err == nil
}

// step is how many output tokens are asked for at least beyond what was reserved.
const step = 1024

// more asks for more tokens when the model has written more than was reserved:
// it did not keep to the bound, or there was none. What the model has told is
// believed, and text before that, at four bytes a token.
func (s *streaming) more() *call.Refusal {
	u, _ := s.usage.Usage()
	beyond := max(u.Output, tokens(s.usage.TextBytes())) - s.allowed
	if s.ended || beyond <= 0 {
		return nil
	}
	beyond = max(beyond, step)
	s.allowed += beyond
	return s.f.a.More(beyond)
}

// stop ends the stream with an exception frame that says why.
func (s *streaming) stop(ref *call.Refusal) {
	res := s.f.res
	res.Outcome, res.ErrorType, res.Message = call.Stopped, ref.Type, ref.Message
	name, text := "serviceUnavailableException", stoppedByUs
	if ref.Type == "ThrottlingException" {
		name, text = "throttlingException", ref.Message
	}
	message, _ := json.Marshal(map[string]string{"message": text})
	if !s.send(eventstream.AppendException(nil, name, message), true) {
		res.Outcome = call.ClientGone
	}
}

// failure takes the exception or error frame that arrived, an end of its own, and
// returns the frame that tells the caller: built anew from its type and its
// redacted text, since it may name the gateway's role.
func (s *streaming) failure() []byte {
	res := s.f.res
	res.Outcome, s.ended = call.Upstream, true
	kind := s.frame.MessageType()
	if kind == eventstream.MessageError {
		code, _ := s.frame.Header(eventstream.ErrorCodeHeader)
		text, _ := s.frame.Header(eventstream.ErrorMessageHeader)
		res.ErrorType, res.Message = code.Text(), clip((&redaction{c: s.f.c}).text(text.Text()))
		if !plain(res.ErrorType) {
			res.ErrorType = "InternalFailure"
		}
		return eventstream.AppendError(nil, res.ErrorType, res.Message)
	}
	name, payload := s.frame.ExceptionType(), masked
	if kind == eventstream.MessageException && plain(name) {
		payload = redactBody(s.frame.Payload, s.f.c)
	} else {
		name = "internalServerException"
	}
	res.ErrorType, res.Message = strings.ToUpper(name[:1])+name[1:], errorMessage(payload)
	return eventstream.AppendException(nil, name, payload)
}

func (s *streaming) keep(raw []byte) {
	if len(s.part) > 0 && len(s.part)+len(raw) > maxPart {
		s.f.a.Part(s.part)
		s.part = s.part[:0]
	}
	s.part = append(s.part, raw...)
}

// end judges how a stream ended and, unless it is whole, says so to whoever
// still reads. A caller that cannot be told is gone.
func (s *streaming) end(ctx context.Context, err error) {
	f := s.f
	if errors.Is(err, io.EOF) && s.ended {
		if f.res.Outcome != call.Upstream {
			f.res.Outcome = call.OK
		}
		return
	}
	if ref := stopped(ctx); ref != nil {
		s.stop(ref)
		return
	}
	if ctx.Err() != nil {
		f.res.Outcome = call.ClientGone
	} else {
		f.res.Outcome = call.Truncated
		f.res.ErrorType, f.res.Message = "ModelStreamErrorException", endedEarly
	}
	raw := eventstream.AppendException(nil, "modelStreamErrorException", []byte(`{"message":"`+endedEarly+`"}`))
	s.send(raw, true)
}

const stoppedByUs = "The answer was stopped by the service."

const endedEarly = "The model's answer ended early."

// settle turns what was measured into usage and cost. What a stream told before
// it was cut may be a running count: the text is then the least that is billed.
func (s *streaming) settle() {
	f := s.f
	f.res.Body = s.part
	u, ok := s.usage.Usage()
	switch {
	case !ok:
		f.estimate(s.usage.TextBytes())
	case s.usage.Ended():
		f.bill(u, true)
	default:
		u.Output = max(u.Output, tokens(s.usage.TextBytes()))
		f.bill(u, false)
	}
}
