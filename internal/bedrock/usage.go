package bedrock

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"

	"gatehouse/internal/strictjson"
)

// Answer says where a document tells what was consumed.
type Answer struct {
	Input, Output, CacheRead, CacheWrite, Images Path
	Write1h                                      Path

	Mark  string // key to look for before a stream document is parsed
	Final bool   // of a stream: the output count is of the whole answer, not a running one
}

// metrics is what Bedrock itself adds to the last document of an
// InvokeModelWithResponseStream, whatever the model. It wins over the model's
// own counts.
var metrics = Answer{
	Input:      "amazon-bedrock-invocationMetrics.inputTokenCount",
	Output:     "amazon-bedrock-invocationMetrics.outputTokenCount",
	CacheRead:  "amazon-bedrock-invocationMetrics.cacheReadInputTokenCount",
	CacheWrite: "amazon-bedrock-invocationMetrics.cacheWriteInputTokenCount",
	Mark:       "amazon-bedrock-invocationMetrics",
	Final:      true,
}

// read takes from doc into u what it has, and reports whether that was
// anything, and whether the output was told.
func (a *Answer) read(doc *strictjson.Document, u *Usage) (found, output bool) {
	for _, f := range [...]struct {
		path Path
		to   *int64
	}{{a.Input, &u.Input}, {a.CacheRead, &u.CacheRead}, {a.CacheWrite, &u.CacheWrite}, {a.Write1h, &u.Write1h}, {a.Images, &u.Images}, {a.Output, &u.Output}} {
		output = false
		if f.path == "" {
			continue
		}
		if v, ok := f.path.sum(doc, 0); ok {
			*f.to, found, output = v, true, true
		}
	}
	return found, output
}

// UsageFromHeaders reads the token counts that Bedrock puts into the headers of
// a whole InvokeModel answer. It is false when neither input nor output is told,
// or a count is malformed.
func UsageFromHeaders(h http.Header) (Usage, bool) {
	var u Usage
	found := false
	for _, f := range [...]struct {
		name string
		to   *int64
	}{
		{"X-Amzn-Bedrock-Input-Token-Count", &u.Input},
		{"X-Amzn-Bedrock-Output-Token-Count", &u.Output},
		{"X-Amzn-Bedrock-Cache-Read-Input-Token-Count", &u.CacheRead},
		{"X-Amzn-Bedrock-Cache-Write-Input-Token-Count", &u.CacheWrite},
	} {
		s := h.Get(f.name)
		if s == "" {
			continue
		}
		v, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return Usage{}, false
		}
		*f.to, found = int64(v), true
	}
	return u, found
}

// UsageFromBody reads what a whole answer tells. It is false when it tells
// nothing.
func (f *Family) UsageFromBody(doc *strictjson.Document) (Usage, bool) {
	var u Usage
	found, _ := f.Answer.read(doc, &u)
	return u, found
}

// StreamUsage measures a stream as its frames pass. Frames that tell nothing
// are searched, not parsed, and nothing is allocated for them. It is for one
// goroutine.
type StreamUsage struct {
	family *Family
	doc    strictjson.Document
	inner  []byte // the native document of a chunk
	usage  Usage
	told   bool // the whole output was told
	billed bool // by the metrics block, which is not overwritten
	ended  bool // the last event ends a whole stream
	text   int64
}

// NewStreamUsage begins to measure one stream of the family.
func (f *Family) NewStreamUsage() *StreamUsage { return &StreamUsage{family: f} }

// Event takes one event: its :event-type, and its payload, which is a Converse
// event or a chunk with a native document in base64. Payloads that are not
// understood tell nothing.
func (s *StreamUsage) Event(eventType string, payload []byte) {
	native := eventType == "chunk"
	s.ended = eventType == "metadata"
	if native {
		var ok bool
		if payload, ok = s.open(payload); !ok {
			return
		}
	}
	s.text += s.family.deltaBytes(payload)
	if native && hasKey(payload, metrics.Mark) && s.measured(payload) {
		return
	}
	if s.billed {
		return
	}
	for i := range s.family.Stream {
		if s.tells(payload, &s.family.Stream[i]) {
			return
		}
	}
}

// Ended reports whether the last event was the one that ends a whole stream:
// metadata of Converse, the chunk with the metrics block of native streams. Counts
// of the model's own are no end: some models repeat them in every chunk.
func (s *StreamUsage) Ended() bool { return s.ended }

// Usage returns what the stream has told so far. It is true once the whole
// output was told; until then Output is a running count or zero, and the caller
// estimates from TextBytes.
func (s *StreamUsage) Usage() (Usage, bool) { return s.usage, s.told }

// TextBytes returns the length of the answer's text so far, as it stands in
// JSON: never less than its length in UTF-8.
func (s *StreamUsage) TextBytes() int64 { return s.text }

// measured reads the metrics block of a native document, and reports whether it
// tells anything that was not told before.
func (s *StreamUsage) measured(payload []byte) bool {
	if s.doc.Parse(payload, strictjson.Options{}) != nil || s.doc.Kind(s.doc.Get(0, metrics.Mark)) != strictjson.Object {
		return false
	}
	s.ended = true
	if s.billed {
		return false
	}
	found, output := metrics.read(&s.doc, &s.usage)
	s.billed = output
	s.told = s.told || output
	return found
}

// tells reads payload when it has the mark of a.
func (s *StreamUsage) tells(payload []byte, a *Answer) bool {
	if !hasKey(payload, a.Mark) || s.doc.Parse(payload, strictjson.Options{}) != nil {
		return false
	}
	found, output := a.read(&s.doc, &s.usage)
	s.told = s.told || output && a.Final
	return found
}

// hasKey reports whether key stands in a JSON text in quotes. Within a string
// the quotes would be escaped, so text cannot pass for a key.
func hasKey(payload []byte, key string) bool {
	for i := 0; ; {
		j := bytes.Index(payload[i:], []byte(key))
		if j < 0 {
			return false
		}
		i += j + len(key)
		if start := i - len(key); start > 0 && payload[start-1] == '"' && i < len(payload) && payload[i] == '"' {
			return true
		}
	}
}

var bytesMember = []byte(`"bytes":"`)

// open returns the native document of a chunk.
func (s *StreamUsage) open(payload []byte) ([]byte, bool) {
	i := bytes.Index(payload, bytesMember)
	if i < 0 {
		return nil, false
	}
	coded := payload[i+len(bytesMember):]
	end := bytes.IndexByte(coded, '"')
	if end < 0 {
		return nil, false
	}
	var err error
	s.inner, err = base64.StdEncoding.AppendDecode(s.inner[:0], coded[:end])
	return s.inner, err == nil
}

// deltaBytes returns the length of the strings in payload that are the answer.
func (f *Family) deltaBytes(payload []byte) int64 {
	total := 0
	for _, needle := range f.needles {
		for rest := payload; ; {
			i := bytes.Index(rest, needle)
			if i < 0 {
				break
			}
			rest = rest[i+len(needle):]
			total += stringLen(rest)
		}
	}
	return int64(total)
}

// stringLen returns the length of the string that follows a key, 0 when it is
// no string.
func stringLen(b []byte) int {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 || b[0] != ':' {
		return 0
	}
	b = bytes.TrimLeft(b[1:], " \t\r\n")
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	n := 0
	for b = b[1:]; n < len(b) && b[n] != '"'; n++ {
		if b[n] == '\\' {
			n++
		}
	}
	return min(n, len(b))
}
