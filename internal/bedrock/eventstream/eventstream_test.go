package eventstream_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/internal/bedrock/eventstream"
)

// Frames that the AWS SDKs for Python, JavaScript and Go decode alike.
var golden = []struct {
	name, hex  string
	headers    [3][2]string
	payload    string
	build      func() []byte
	exception  string
	event      string
	document   string
	isDocument bool
}{
	{
		name:    "event",
		hex:     "00000081000000526cc176930b3a6576656e742d7479706507000c6d65737361676553746172740d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2270223a2261626364222c22726f6c65223a22617373697374616e74227df512a005",
		headers: [3][2]string{{":event-type", "messageStart"}, {":content-type", "application/json"}, {":message-type", "event"}},
		payload: `{"p":"abcd","role":"assistant"}`,
		event:   "messageStart",
		build: func() []byte {
			return eventstream.AppendEvent(nil, "messageStart", []byte(`{"p":"abcd","role":"assistant"}`))
		},
	},
	{
		name:      "exception",
		hex:       "0000008900000061e3615c440f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074696f6e7b226d657373616765223a2022736c6f7720646f776e227da1eca625",
		headers:   [3][2]string{{":exception-type", "throttlingException"}, {":content-type", "application/json"}, {":message-type", "exception"}},
		payload:   `{"message": "slow down"}`,
		exception: "throttlingException",
		build: func() []byte {
			return eventstream.AppendException(nil, "throttlingException", []byte(`{"message": "slow down"}`))
		},
	},
	{
		name:       "chunk",
		hex:        "000000870000004b87ea2bf30b3a6576656e742d747970650700056368756e6b0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b226279746573223a2265794a68496a6f7866513d3d222c2270223a226162636465666768696a6b6c6d227d3d637339",
		headers:    [3][2]string{{":event-type", "chunk"}, {":content-type", "application/json"}, {":message-type", "event"}},
		payload:    `{"bytes":"eyJhIjoxfQ==","p":"abcdefghijklm"}`,
		event:      "chunk",
		document:   `{"a":1}`,
		isDocument: true,
		build: func() []byte {
			return eventstream.AppendChunk(nil, []byte(`{"a":1}`), eventstream.Padding[:13])
		},
	},
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			raw, err := hex.DecodeString(g.hex)
			if err != nil {
				t.Fatal(err)
			}
			m, err := eventstream.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			var headers [3][2]string
			for i, h := range m.Headers {
				headers[i] = [2]string{h.Name, h.Value.Text()}
			}
			if headers != g.headers || string(m.Payload) != g.payload {
				t.Errorf("got %v %s, want %v %s", headers, m.Payload, g.headers, g.payload)
			}
			if got := eventstream.Append(nil, &m); !bytes.Equal(got, raw) {
				t.Errorf("encoded again: got %x, want %x", got, raw)
			}
			if got := g.build(); !bytes.Equal(got, raw) {
				t.Errorf("built: got %x, want %x", got, raw)
			}
			f, err := eventstream.NewReader(bytes.NewReader(raw), 0).Next()
			if err != nil {
				t.Fatal(err)
			}
			if f.EventType() != g.event || f.ExceptionType() != g.exception || f.MessageType() != g.headers[2][1] || !bytes.Equal(f.Raw, raw) {
				t.Errorf("frame: got %q %q %q, want %q %q %q", f.EventType(), f.ExceptionType(), f.MessageType(), g.event, g.exception, g.headers[2][1])
			}
			document, ok := eventstream.AppendChunkDocument(nil, f.Payload)
			if ok != g.isDocument || string(document) != g.document {
				t.Errorf("document: got %q %v, want %q %v", document, ok, g.document, g.isDocument)
			}
		})
	}
}

func TestChunkDocument(t *testing.T) {
	for _, tt := range []struct {
		payload, want string
		ok            bool
	}{
		{`{"bytes":"e30="}`, `{}`, true},
		{`{"bytes":"e30=","p":"ab"}`, `{}`, true},
		{`{ "p" : "ab", "bytes" : "e30=" }`, `{}`, true},
		{`{"bytes":"\u006530="}`, `{}`, true},
		{`{"bytes":""}`, ``, true},
		{`{"bytes":"*"}`, ``, false},
		{`{"bytes":"e30=`, ``, false},
		{`{"bytes":null}`, ``, false},
		{`{"p":"ab"}`, ``, false},
		{``, ``, false},
	} {
		got, ok := eventstream.AppendChunkDocument([]byte("x"), []byte(tt.payload))
		if string(got) != "x"+tt.want || ok != tt.ok {
			t.Errorf("%s: got %q %v, want %q %v", tt.payload, got, ok, "x"+tt.want, tt.ok)
		}
	}
}

// TestSDKVectors runs the vectors in the module of the SDK's own codec.
func TestSDKVectors(t *testing.T) {
	dir := filepath.Join(sdkDir(t), "testdata", "encoded")
	for name, raw := range files(t, filepath.Join(dir, "positive"), 5) {
		t.Run(name, func(t *testing.T) {
			m, err := eventstream.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, m, raw)
			if got := eventstream.Append(nil, &m); !bytes.Equal(got, raw) {
				t.Errorf("encoded again: got %x, want %x", got, raw)
			}
		})
	}
	for name, raw := range files(t, filepath.Join(dir, "negative"), 4) {
		t.Run(name, func(t *testing.T) {
			refuses(t, raw, "")
		})
	}
}

func sdkDir(t *testing.T) string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func files(t *testing.T, dir string, atLeast int) map[string][]byte {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < atLeast {
		t.Fatalf("%s has %d vectors, want at least %d", dir, len(entries), atLeast)
	}
	all := make(map[string][]byte)
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// compare checks that the SDK reads raw as m.
func compare(t *testing.T, m eventstream.Message, raw []byte) {
	t.Helper()
	want, err := sdk.NewDecoder().Decode(bytes.NewReader(raw), nil)
	if err != nil {
		t.Fatalf("we accept what the SDK refuses: %v\n%x", err, raw)
	}
	if !bytes.Equal(m.Payload, want.Payload) {
		t.Fatalf("payload: got %q, want %q", m.Payload, want.Payload)
	}
	if len(m.Headers) != len(want.Headers) {
		t.Fatalf("headers: got %v, want %v", m.Headers, want.Headers)
	}
	for i, h := range m.Headers {
		if got := sdkValue(h.Value); h.Name != want.Headers[i].Name || !cmp.Equal(got, want.Headers[i].Value, cmp.AllowUnexported(sdk.TimestampValue{}), cmpopts.EquateEmpty()) {
			t.Fatalf("header %d: got %q %v, want %v", i, h.Name, got, want.Headers[i])
		}
	}
}

func sdkValue(v eventstream.Value) sdk.Value {
	switch v.Type {
	case eventstream.True, eventstream.False:
		return sdk.BoolValue(v.Type == eventstream.True)
	case eventstream.Int8:
		return sdk.Int8Value(v.Int)
	case eventstream.Int16:
		return sdk.Int16Value(v.Int)
	case eventstream.Int32:
		return sdk.Int32Value(v.Int)
	case eventstream.Int64:
		return sdk.Int64Value(v.Int)
	case eventstream.Bytes:
		return sdk.BytesValue(v.Bytes)
	case eventstream.String:
		return sdk.StringValue(v.Bytes)
	case eventstream.Timestamp:
		return sdk.TimestampValue(time.UnixMilli(v.Int).UTC())
	default:
		return sdk.UUIDValue(v.Bytes)
	}
}

// refuses checks that Decode and Reader both refuse raw with a typed error,
// and that an announced length alone makes the Reader allocate nothing large.
func refuses(t *testing.T, raw []byte, reason string) {
	t.Helper()
	var format *eventstream.FormatError
	if _, err := eventstream.Decode(raw); !errors.As(err, &format) || !strings.Contains(err.Error(), reason) {
		t.Errorf("Decode: got %v, want a FormatError with %q", err, reason)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := eventstream.NewReader(bytes.NewReader(raw), 0)
	_, err := r.Next()
	runtime.ReadMemStats(&after)
	if !errors.As(err, &format) || !strings.Contains(err.Error(), reason) {
		t.Errorf("Next: got %v, want a FormatError with %q", err, reason)
	}
	if _, again := r.Next(); again != err {
		t.Errorf("Next after an error: got %v, want %v again", again, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(4*len(raw)+1<<20) {
		t.Errorf("Next allocated %d bytes for %d bytes of input", n, len(raw))
	}
}

// frame makes a frame with right checksums around whatever is asked.
func frame(total, headersLen uint32, rest string) []byte {
	b := binary.BigEndian.AppendUint32(nil, total)
	b = binary.BigEndian.AppendUint32(b, headersLen)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(b, rest...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func headers(h string) []byte { return frame(uint32(len(h)+16), uint32(len(h)), h) }

func TestMalformed(t *testing.T) {
	many := new(strings.Builder)
	for i := range 65 {
		many.WriteString("\x01" + string(rune('0'+i)) + "\x00")
	}
	flip := func(at int) []byte {
		raw := eventstream.AppendEvent(nil, "chunk", []byte("{}"))
		raw[(at+len(raw))%len(raw)] ^= 1
		return raw
	}
	for _, tt := range []struct {
		name, reason string
		raw          []byte
	}{
		{"total 0", "below 16", frame(0, 0, "")},
		{"total 15", "below 16", frame(15, 0, "")},
		{"payload of 24 MiB + 1", "24 MiB", frame(16+24<<20+1, 0, "")},
		{"headers of 128 KiB + 1", "128 KiB", frame(1<<20, 128<<10+1, "")},
		{"headers longer than total", "longer than the frame", frame(20, 5, "abcd")},
		{"total of all ones", "", frame(0xFFFFFFFF, 0, "")},
		{"both of all ones", "", frame(0xFFFFFFFF, 0xFFFFFFFF, "")},
		{"prelude checksum", "prelude checksum", flip(8)},
		{"total flipped", "prelude checksum", flip(3)},
		{"message checksum", "message checksum", flip(-1)},
		{"payload flipped", "message checksum", flip(-5)},
		{"header flipped", "message checksum", flip(13)},
		{"value type 10", "malformed header", headers("\x01a\x0a")},
		{"value type 255", "malformed header", headers("\x01a\xff")},
		{"repeated name", "repeated", headers("\x01a\x00\x01a\x01")},
		{"empty name", "malformed header", headers("\x00\x00")},
		{"name not UTF-8", "malformed header", headers("\x01\xff\x00")},
		{"text not UTF-8", "malformed header", headers("\x01a\x07\x00\x01\xff")},
		{"name without type", "malformed header", headers("\x01a")},
		{"name cut", "malformed header", headers("\x05a")},
		{"length cut", "malformed header", headers("\x01a\x07\x00")},
		{"value cut", "malformed header", headers("\x01a\x07\x00\x02x")},
		{"int64 cut", "malformed header", headers("\x01a\x051234567")},
		{"value of 32 KiB", "malformed header", headers("\x01a\x07\x80\x00" + strings.Repeat("x", 1<<15))},
		{"65 headers", "too many", headers(many.String())},
	} {
		t.Run(tt.name, func(t *testing.T) { refuses(t, tt.raw, tt.reason) })
	}
}

func TestDecodeWantsOneFrame(t *testing.T) {
	raw := eventstream.AppendEvent(nil, "chunk", []byte("{}"))
	for _, b := range [][]byte{nil, raw[:15], raw[:len(raw)-1], append(bytes.Clone(raw), 0)} {
		if m, err := eventstream.Decode(b); err == nil {
			t.Errorf("%d of %d bytes: got %v, want an error", len(b), len(raw), m)
		}
	}
}

func TestReaderLimit(t *testing.T) {
	raw := eventstream.AppendEvent(nil, "chunk", make([]byte, 1000))
	if _, err := eventstream.NewReader(bytes.NewReader(raw), len(raw)).Next(); err != nil {
		t.Errorf("frame at the limit: %v", err)
	}
	var format *eventstream.FormatError
	if _, err := eventstream.NewReader(bytes.NewReader(raw), len(raw)-1).Next(); !errors.As(err, &format) {
		t.Errorf("frame over the limit: got %v, want a FormatError", err)
	}
}

// TestReaderArrival cuts one stream, with a frame of 10 MB in it, at all kinds
// of places: the frames are always the same, and unchanged.
func TestReaderArrival(t *testing.T) {
	var frames [][]byte
	for i, size := range []int{0, 1, 100, 16 << 10, 10 << 20, 5, 40 << 10, 0} {
		frames = append(frames, eventstream.AppendEvent(nil, "chunk", bytes.Repeat([]byte{byte(i)}, size)))
	}
	whole := bytes.Join(frames, nil)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole":            func(r io.Reader) io.Reader { return r },
		"one byte":         iotest.OneByteReader,
		"half":             iotest.HalfReader,
		"error with data":  iotest.DataErrReader,
		"100 bytes":        func(r io.Reader) io.Reader { return piecewise{r, 100} },
		"two empty, three": func(r io.Reader) io.Reader { return &stutter{r: r} },
	} {
		t.Run(name, func(t *testing.T) {
			r := eventstream.NewReader(wrap(bytes.NewReader(whole)), 0)
			for i, want := range frames {
				f, err := r.Next()
				if err != nil {
					t.Fatalf("frame %d: %v", i, err)
				}
				if !bytes.Equal(f.Raw, want) {
					t.Fatalf("frame %d is changed", i)
				}
			}
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("at the end: got %v, want io.EOF", err)
			}
		})
	}
}

type piecewise struct {
	r io.Reader
	n int
}

func (p piecewise) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.n)]) }

// stutter returns nothing twice, then up to three bytes.
type stutter struct {
	r io.Reader
	n int
}

func (s *stutter) Read(b []byte) (int, error) {
	if s.n++; s.n%3 != 0 {
		return 0, nil
	}
	return s.r.Read(b[:min(len(b), 3)])
}

// TestReaderCut cuts a stream of two frames after every byte: the end is clean
// only between frames.
func TestReaderCut(t *testing.T) {
	first := eventstream.AppendEvent(nil, "messageStart", []byte(`{"role":"assistant"}`))
	whole := eventstream.AppendEvent(bytes.Clone(first), "messageStop", []byte(`{}`))
	for n := range len(whole) + 1 {
		r := eventstream.NewReader(bytes.NewReader(whole[:n]), 0)
		var err error
		frames := -1
		for ; err == nil; frames++ {
			_, err = r.Next()
		}
		want, wantFrames := io.ErrUnexpectedEOF, 0
		if n == 0 || n == len(first) || n == len(whole) {
			want = io.EOF
		}
		if n >= len(first) {
			wantFrames++
		}
		if n == len(whole) {
			wantFrames++
		}
		if err != want || frames != wantFrames {
			t.Errorf("cut at %d: got %d frames, %v, want %d, %v", n, frames, err, wantFrames, want)
		}
	}
}

func TestReaderErrors(t *testing.T) {
	raw := eventstream.AppendEvent(nil, "chunk", []byte("{}"))
	broken := errors.New("broken")
	r := eventstream.NewReader(io.MultiReader(bytes.NewReader(raw), iotest.ErrReader(broken)), 0)
	if _, err := r.Next(); err != nil {
		t.Errorf("frame before the error: %v", err)
	}
	if _, err := r.Next(); err != broken {
		t.Errorf("got %v, want %v", err, broken)
	}
	if _, err := eventstream.NewReader(idle{}, 0).Next(); err != io.ErrNoProgress {
		t.Errorf("idle reader: got %v, want %v", err, io.ErrNoProgress)
	}
	raw[len(raw)-1] ^= 1
	r = eventstream.NewReader(bytes.NewReader(append(eventstream.AppendEvent(nil, "chunk", nil), raw...)), 0)
	r.Next()
	var format *eventstream.FormatError
	if _, err := r.Next(); !errors.As(err, &format) || format.Offset != int64(len(eventstream.AppendEvent(nil, "chunk", nil))) {
		t.Errorf("got %v, want the offset of the second frame", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestReaderDoesNotAllocate(t *testing.T) {
	one := eventstream.AppendEvent(nil, "contentBlockDelta", []byte(`{"contentBlockIndex":0,"delta":{"text":"hi"}}`))
	r := eventstream.NewReader(&repeat{one: one}, 0)
	r.Next()
	if n := testing.AllocsPerRun(1000, func() {
		f, err := r.Next()
		if err != nil || f.EventType() != "contentBlockDelta" || f.MessageType() != "event" || f.ExceptionType() != "" {
			t.Fatal(f, err)
		}
	}); n != 0 {
		t.Errorf("a frame costs %v allocations, want 0", n)
	}
}

// repeat is an endless stream of one frame.
type repeat struct {
	one []byte
	at  int
}

func (r *repeat) Read(b []byte) (n int, err error) {
	for n < len(b) {
		c := copy(b[n:], r.one[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.one)
	}
	return n, nil
}

func TestRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		m := randomMessage(rnd)
		raw := eventstream.Append([]byte("before"), &m)[len("before"):]
		got, err := eventstream.Decode(raw)
		if err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		if d := cmp.Diff(m, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		compare(t, got, raw)
	}
}

func randomMessage(rnd *rand.Rand) (m eventstream.Message) {
	for i := range rnd.IntN(12) {
		v := eventstream.Value{Type: eventstream.Type(rnd.IntN(10))}
		switch v.Type {
		case eventstream.Int8:
			v.Int = int64(int8(rnd.Uint64()))
		case eventstream.Int16:
			v.Int = int64(int16(rnd.Uint64()))
		case eventstream.Int32:
			v.Int = int64(int32(rnd.Uint64()))
		case eventstream.Int64, eventstream.Timestamp:
			v.Int = int64(rnd.Uint64())
		case eventstream.Bytes, eventstream.String:
			v.Bytes = bytes.Repeat([]byte{byte(rnd.IntN(128))}, rnd.IntN(300))
		case eventstream.UUID:
			v.Bytes = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, rnd.Uint64()), rnd.Uint64())
		}
		name := string(rune('a'+i)) + strings.Repeat("é", rnd.IntN(127))
		m.Headers = append(m.Headers, eventstream.Header{Name: name, Value: v})
	}
	m.Payload = make([]byte, rnd.IntN(2000))
	for i := range m.Payload {
		m.Payload[i] = byte(rnd.Uint32())
	}
	return m
}

func TestAppendPanicsBeyondLimits(t *testing.T) {
	header := func(name string, v eventstream.Value) *eventstream.Message {
		return &eventstream.Message{Headers: eventstream.Headers{{Name: name, Value: v}}}
	}
	for name, m := range map[string]*eventstream.Message{
		"payload": {Payload: make([]byte, eventstream.MaxPayload+1)},
		"name":    header(strings.Repeat("x", 256), eventstream.Text("")),
		"no name": header("", eventstream.Text("")),
		"value":   header("x", eventstream.Text(strings.Repeat("x", eventstream.MaxValue+1))),
		"type":    header("x", eventstream.Value{Type: 10}),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			eventstream.Append(nil, m)
		}()
	}
}

// FuzzDecode: what we accept, the SDK's decoder reads alike, and our encoder
// gives back byte for byte; Reader and Decode agree.
func FuzzDecode(f *testing.F) {
	for _, g := range golden {
		f.Add(g.build())
	}
	f.Add(headers("\x01a\x00\x01b\x02x\x01c\x080123456789"))
	f.Add(frame(16, 0, ""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		repair(raw)
		m, err := eventstream.Decode(raw)
		frame, readErr := eventstream.NewReader(iotest.HalfReader(bytes.NewReader(raw)), 0).Next()
		if err != nil {
			var format *eventstream.FormatError
			if !errors.As(err, &format) {
				t.Fatalf("got %T, want *FormatError", err)
			}
			return
		}
		if readErr != nil || !bytes.Equal(frame.Raw, raw) || !bytes.Equal(frame.Payload, m.Payload) {
			t.Fatalf("Decode accepts what Next refuses: %v", readErr)
		}
		compare(t, m, raw)
		if again := eventstream.Append(nil, &m); !bytes.Equal(again, raw) {
			t.Fatalf("got %x, want %x", again, raw)
		}
	})
}

// repair makes the checksums right, so that fuzzing gets past them.
func repair(raw []byte) {
	if n := len(raw); n >= 16 {
		binary.BigEndian.PutUint32(raw, uint32(n))
		binary.BigEndian.PutUint32(raw[8:], crc32.ChecksumIEEE(raw[:8]))
		binary.BigEndian.PutUint32(raw[n-4:], crc32.ChecksumIEEE(raw[:n-4]))
	}
}

func BenchmarkReader(b *testing.B) {
	one := eventstream.AppendEvent(nil, "contentBlockDelta", []byte(`{"contentBlockIndex":0,"delta":{"text":"hello there"},"p":"abcdefghijklmnopqrstuvwxyz"}`))
	b.SetBytes(int64(len(one)))
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		r := eventstream.NewReader(&repeat{one: one}, 0)
		for b.Loop() {
			if f, err := r.Next(); err != nil || f.EventType() != "contentBlockDelta" {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		b.ReportAllocs()
		d, r, buf := sdk.NewDecoder(), &repeat{one: one}, make([]byte, 1<<10)
		for b.Loop() {
			if _, err := d.Decode(r, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Ready must not promise a frame that Next would wait for, nor deny one it has.
func TestReaderReady(t *testing.T) {
	one := eventstream.AppendEvent(nil, "messageStart", []byte(`{"role":"assistant"}`))
	two := append(eventstream.AppendEvent(nil, "messageStop", []byte(`{}`)), one...)
	for cut := range len(two) {
		r := eventstream.NewReader(bytes.NewReader(append(one[:len(one):len(one)], two[:cut]...)), 0)
		if r.Ready() {
			t.Fatal("ready before anything was read")
		}
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if got, want := r.Ready(), cut >= len(two)-len(one); got != want {
			t.Errorf("with %d bytes of the next frames: ready %v, want %v", cut, got, want)
		}
	}
}
