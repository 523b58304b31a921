package emulator

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/http"
	"strings"

	"gatehouse/internal/bedrock/eventstream"
)

// stream writes one answer as frames, flushed one by one. A shape tells it what
// to say: it fills doc and sends it as an event or a chunk. Errors stick, as
// in bufio: after the first nothing more is written.
type stream struct {
	c       *call
	rc      *http.ResponseController
	doc     []byte // the JSON being built
	scratch []byte // of the shape, kept between documents
	frame   []byte
	sent    int    // deltas so far
	fault   *Fault // to come
	mangle  FaultKind
	err     error
}

var (
	errBroken = errors.New("the connection is broken on purpose")
	errEnded  = errors.New("the stream has ended on purpose")
	errGone   = errors.New("the client has gone")
)

func (s *stream) reset() { *s = stream{doc: s.doc[:0], scratch: s.scratch[:0], frame: s.frame[:0]} }

var (
	streamType = []string{"application/vnd.amazon.eventstream"}
	innerType  = jsonType
)

// serveStream sends the answer that was decided.
func (c *call) serveStream() {
	s := &c.stream
	s.c, s.rc, s.fault = c, http.NewResponseController(c.w), c.fault
	if s.fault != nil && s.fault.Kind == FaultBytes {
		s.mangle = FaultBytes // from the first frame on
	}
	if !c.wait(c.answer.firstByte) {
		return
	}
	h := c.w.Header()
	h["Content-Type"] = streamType
	if c.native() {
		h["X-Amzn-Bedrock-Content-Type"] = innerType
		c.setModes()
	}
	c.w.WriteHeader(http.StatusOK)
	c.shape.stream(s)
	switch s.err {
	case nil, errEnded, errGone:
	case errBroken:
		panic(http.ErrAbortHandler)
	default:
		c.e.log.Debug("write stream", "request_id", c.requestID, "err", s.err)
	}
}

// deltas cuts a text into pieces and has each sent, at the pace of the tokens
// in it. done is the number of tokens up to the end of the piece. An empty text
// is one empty piece, and what a guardrail says in place of an answer one whole.
func (s *stream) deltas(text []byte, send func(part []byte, done int64, last bool)) {
	for at := 0; s.err == nil; {
		end := at + piece(text[at:])
		if s.c.answer.stop == intervened {
			end = len(text)
		}
		if !s.c.wait(s.c.e.pace(tokens(end) - tokens(at))) {
			s.err = errGone
			return
		}
		if s.fault != nil && s.sent >= s.fault.After {
			s.suffer()
		}
		send(text[at:end], tokens(end), end == len(text))
		s.sent++
		if at = end; at == len(text) {
			return
		}
	}
}

// textDeltas is deltas of the answer's text, unless there is none and a tool.
func (s *stream) textDeltas(send func(part []byte, done int64, last bool)) {
	if a := &s.c.answer; len(a.text) > 0 || a.toolName == "" {
		s.deltas(a.text, send)
	}
}

// last is called before the frames that end the answer: a fault that has not
// come yet comes now.
func (s *stream) last() {
	if s.fault != nil && s.err == nil {
		s.suffer()
	}
}

// suffer lets the fault come.
func (s *stream) suffer() {
	f := s.fault
	s.fault = nil
	switch f.Kind {
	case FaultCut:
		s.err = errBroken
	case FaultEnd:
		s.err = errEnded
	case FaultException:
		s.frame = eventstream.AppendException(s.frame[:0], f.Type, f.exception())
		s.write()
		s.stop()
	case FaultError:
		s.frame = eventstream.AppendError(s.frame[:0], f.Type, "The emulator was asked to fail.")
		s.write()
		s.stop()
	case FaultOversize:
		s.oversize(f.Size)
	case FaultCutFrame, FaultCRC:
		s.mangle = f.Kind
	}
}

// stop ends the stream in good order.
func (s *stream) stop() {
	if s.err == nil {
		s.err = errEnded
	}
}

// exception is the payload of an exception frame.
func (f *Fault) exception() []byte {
	b := field(nil, `{"message":`, exceptionText(f.Type))
	if f.Type == "modelStreamErrorException" {
		b = number(b, `,"originalStatusCode":`, int64(cmp.Or(f.Status, 500)))
		b = field(b, `,"originalMessage":`, "The emulator was asked to fail.")
	}
	return append(b, '}')
}

// exceptionText is what AWS says with an exception, where it is known.
func exceptionText(camel string) string {
	for _, e := range kindError {
		if strings.EqualFold(e.code, camel) && e.code != "ThrottlingException" {
			return e.message
		}
	}
	if camel == "throttlingException" {
		return kindError[FaultThrottleTokens].message
	}
	return "The emulator was asked to fail."
}

// padding appends the member p between before and after, or nothing if payloads
// are not padded. Its length follows from the answer's generator.
func (s *stream) padding(dst []byte, before, after string) []byte {
	pad := s.pad()
	if pad == "" {
		return dst
	}
	return append(field(append(dst, before...), `"p":`, pad), after...)
}

// The lengths of p.
const (
	minPad = 2
	maxPad = 61
)

func (s *stream) pad() string {
	if !s.c.e.padding {
		return ""
	}
	return eventstream.Padding[:minPad+s.c.rng.Uint64()%(maxPad-minPad+1)]
}

// event sends doc as an event of Converse.
func (s *stream) event(kind string) {
	if s.err != nil {
		return
	}
	s.frame = eventstream.AppendEvent(s.frame[:0], kind, s.doc)
	s.write()
}

// chunk sends doc as a chunk of InvokeModelWithResponseStream, with what a
// guardrail adds to it. It must end in a brace.
func (s *stream) chunk() {
	if s.err != nil {
		return
	}
	if s.c.answer.guard != nil {
		s.doc = append(s.c.appendGuardMembers(s.doc[:len(s.doc)-1], false), '}')
	}
	s.frame = eventstream.AppendChunk(s.frame[:0], s.doc, s.pad())
	s.write()
}

// finalChunk sends doc, which lacks its last brace, with the metrics of the
// call, as the last chunk.
func (s *stream) finalChunk() {
	if s.err != nil {
		return
	}
	a := &s.c.answer
	s.doc = s.c.appendGuardMembers(s.doc, true)
	s.doc = number(s.doc, `,"amazon-bedrock-invocationMetrics":{"inputTokenCount":`, a.usage.input)
	s.doc = number(s.doc, `,"outputTokenCount":`, a.usage.output)
	s.doc = number(s.doc, `,"invocationLatency":`, a.latency.Milliseconds())
	s.doc = number(s.doc, `,"firstByteLatency":`, a.firstByte.Milliseconds())
	if s.c.row.caches(s.c.ref.ID) {
		s.doc = number(s.doc, `,"cacheReadInputTokenCount":`, a.usage.cacheRead)
		s.doc = number(s.doc, `,"cacheWriteInputTokenCount":`, a.usage.cacheWrite)
	}
	s.frame = eventstream.AppendChunk(s.frame[:0], append(s.doc, `}}`...), s.pad())
	s.write()
}

// write sends s.frame, spoilt if a fault asks for it.
func (s *stream) write() {
	switch s.mangle {
	case FaultCutFrame:
		s.send(s.frame[:len(s.frame)/2])
		if s.err == nil {
			s.err = errBroken
		}
		return
	case FaultCRC:
		s.frame[len(s.frame)-1] ^= 0xff
		s.mangle = ""
	case FaultBytes:
		s.err = writeBytes(s.c.w, s.rc, s.frame)
		return
	}
	s.send(s.frame)
}

func (s *stream) send(b []byte) {
	if _, s.err = s.c.w.Write(b); s.err == nil {
		s.err = s.rc.Flush()
	}
}

// oversize sends a frame with a payload of size bytes, right in every other
// way, without holding it.
func (s *stream) oversize(size int) {
	const head, foot, block = `{"p":"`, `"}`, 64 << 10
	size = max(size, len(head)+len(foot))
	frame := eventstream.AppendEvent(nil, "padding", nil)
	frame = frame[:len(frame)-crc32.Size]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)+size+crc32.Size))
	binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
	sum := crc32.NewIEEE()
	put := func(b []byte) {
		if s.err == nil {
			sum.Write(b)
			s.send(b)
		}
	}
	put(append(frame, head...))
	filling := []byte(strings.Repeat("x", block))
	for rest := size - len(head) - len(foot); rest > 0; rest -= block {
		put(filling[:min(rest, block)])
	}
	put([]byte(foot))
	if s.err == nil {
		s.send(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	}
}
