package eventstream

import (
	"io"
)

// Frame is one frame of a stream, checked but not copied: its slices are
// valid until the next call of [Reader.Next] and must not be changed.
type Frame struct {
	Raw     []byte // the whole frame, to forward unchanged
	Payload []byte
	headers []byte
}

// MessageType is "event", "exception" or "error"; empty when absent.
func (f Frame) MessageType() string { return f.text(MessageTypeHeader) }

// EventType names the event of an event frame; empty when absent.
func (f Frame) EventType() string { return f.text(EventTypeHeader) }

// ExceptionType names the error of an exception frame, in camel case; empty
// when absent.
func (f Frame) ExceptionType() string { return f.text(ExceptionTypeHeader) }

// Header returns the value of the header called name. Its bytes share the
// frame's memory.
func (f Frame) Header(name string) (Value, bool) {
	for rest := f.headers; len(rest) > 0; {
		var key []byte
		var v Value
		key, v, rest, _ = field(rest)
		if string(key) == name {
			return v, true
		}
	}
	return Value{}, false
}

// text returns a header's text. For the words that Bedrock uses it allocates
// nothing.
func (f Frame) text(name string) string {
	v, ok := f.Header(name)
	if !ok || v.Type != String {
		return ""
	}
	if word, ok := words[string(v.Bytes)]; ok {
		return word
	}
	return string(v.Bytes)
}

var words = func() map[string]string {
	m := make(map[string]string)
	for _, w := range []string{
		MessageEvent, MessageException, MessageError,
		"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata",
		"chunk",
		"internalServerException", "modelStreamErrorException", "modelTimeoutException",
		"serviceUnavailableException", "throttlingException", "validationException",
	} {
		m[w] = w
	}
	return m
}()

// Reader cuts a stream into frames. It keeps one buffer, which grows with the
// bytes that have arrived, never with a length that was only announced. A
// Reader is for one goroutine.
type Reader struct {
	r      io.Reader
	max    int
	buf    []byte // buf[start:end] was read and not yet returned
	start  int
	end    int
	offset int64 // of buf[start] in the stream
	err    error // sticky; returned once what was read before it is used up
}

// initialBuffer holds some dozens of ordinary frames.
const initialBuffer = 16 << 10

// NewReader returns a Reader of r that refuses frames longer than max bytes.
// 0 means [MaxFrame].
func NewReader(r io.Reader, max int) *Reader {
	if max <= 0 || max > MaxFrame {
		max = MaxFrame
	}
	return &Reader{r: r, max: max}
}

// Next returns the next frame. The error is io.EOF when the stream ends
// between two frames, io.ErrUnexpectedEOF when it ends inside one, a
// [*FormatError] when the bytes are not a frame, or that of the underlying
// reader. After an error every further call returns it again.
func (r *Reader) Next() (Frame, error) {
	if err := r.fill(preludeLen); err != nil {
		return Frame{}, err
	}
	total, reason := prelude(r.buf[r.start:r.end], r.max)
	if reason != "" {
		return Frame{}, r.malformed(reason)
	}
	if err := r.fill(total); err != nil {
		return Frame{}, err
	}
	raw := r.buf[r.start : r.start+total : r.start+total]
	f, reason := parse(raw)
	if reason != "" {
		return Frame{}, r.malformed(reason)
	}
	r.start += total
	r.offset += int64(total)
	return f, nil
}

// Ready reports whether the next frame has arrived whole, so that Next will not
// wait for it.
func (r *Reader) Ready() bool {
	have := r.buf[r.start:r.end]
	if len(have) < preludeLen {
		return false
	}
	total, reason := prelude(have, r.max)
	return reason != "" || len(have) >= total
}

// malformed makes a format error the last thing this Reader says.
func (r *Reader) malformed(reason string) error {
	r.err = &FormatError{Offset: r.offset, Reason: reason}
	r.end = r.start
	return r.err
}

// fill reads until n bytes are buffered.
func (r *Reader) fill(n int) error {
	for idle := 0; r.end-r.start < n; {
		if r.err != nil {
			if r.err == io.EOF && r.end > r.start {
				return io.ErrUnexpectedEOF
			}
			return r.err
		}
		r.makeRoom(n)
		read, err := r.r.Read(r.buf[r.end:])
		r.end += read
		r.err = err
		if idle++; read > 0 {
			idle = 0
		}
		if idle == 100 {
			r.err = io.ErrNoProgress
		}
	}
	return nil
}

// makeRoom leaves free space at the end of the buffer for a frame of n bytes
// of which a part has arrived.
func (r *Reader) makeRoom(n int) {
	if r.end < len(r.buf) && (r.start == 0 || r.start+n <= len(r.buf)) {
		return
	}
	have := copy(r.buf, r.buf[r.start:r.end])
	r.start, r.end = 0, have
	if have < len(r.buf) {
		return
	}
	bigger := make([]byte, max(initialBuffer, min(2*len(r.buf), r.max)))
	copy(bigger, r.buf)
	r.buf = bigger
}
