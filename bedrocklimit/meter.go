package bedrocklimit

import (
	"io"
	"net/http"
	"sync"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/strictjson"
)

// maxWhole is how much of a whole answer is kept to be read: more than the
// images of one call take.
const maxWhole = 64 << 20

// whole is an answer that the SDK reads to its end before it returns.
type whole struct {
	io.ReadCloser
	family  *bedrock.Family
	headers http.Header
	kept    []byte
	size    int64
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.size += int64(n)
	w.kept = append(w.kept, p[:min(n, maxWhole-len(w.kept))]...)
	return n, err
}

func (w *whole) usage() (bedrock.Usage, bool) {
	if u, ok := bedrock.UsageFromHeaders(w.headers); ok {
		return u, true
	}
	var doc strictjson.Document
	if w.family != nil && w.size <= maxWhole && doc.Parse(w.kept, strictjson.Options{}) == nil {
		if u, ok := w.family.UsageFromBody(&doc); ok {
			return u, true
		}
	}
	return bedrock.Usage{Output: tokens(w.size)}, false
}

// tokens is how many tokens a text of n bytes is taken for.
func tokens(n int64) int64 { return (n + 3) / 4 }

// stream is an answer that is read frame by frame, after the SDK returned. One
// goroutine reads it; another may close it.
type stream struct {
	k      *running
	body   io.ReadCloser
	frames *eventstream.Reader
	rest   []byte // of the frame that is being read

	mu  sync.Mutex
	use *bedrock.StreamUsage
}

func newStream(k *running, body io.ReadCloser, f *bedrock.Family) *stream {
	if f == nil {
		f = bedrock.FamilyOf("converse") // it will understand nothing but the metrics block
	}
	return &stream{k: k, body: body, frames: eventstream.NewReader(body, eventstream.MaxFrame), use: f.NewStreamUsage()}
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		f, err := s.frames.Next()
		if err != nil {
			return 0, err // the SDK closes what has ended
		}
		s.rest = f.Raw
		s.see(f)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) see(f eventstream.Frame) {
	if f.MessageType() != eventstream.MessageEvent {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.use.Event(f.EventType(), f.Payload)
}

// Close settles the call with what was seen of it.
func (s *stream) Close() error {
	err := s.body.Close()
	s.k.settle(nil)
	return err
}

func (s *stream) usage() (bedrock.Usage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, told := s.use.Usage()
	if told {
		return u, true
	}
	return bedrock.Usage{Output: max(u.Output, tokens(s.use.TextBytes()))}, false
}
