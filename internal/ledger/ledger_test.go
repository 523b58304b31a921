package ledger

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/internal/awslog"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/seal"
)

// MarshalJSONTo lets the tests derive from the struct tags what AppendMeta
// must write.
func (a Amounts) MarshalJSONTo(e *jsontext.Encoder) error {
	out := make([]amount, len(a))
	for i := range a {
		out[i] = amount(a[i])
	}
	return json.MarshalEncode(e, out)
}

// AppendText is for the same purpose.
func (s Sum) AppendText(dst []byte) ([]byte, error) { return hex.AppendEncode(dst, s[:]), nil }

var equal = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.EquateEmpty(),
}

// metas makes one meta of each kind, with members zero or random.
func metas(r *rand.Rand) map[journal.Kind]Meta {
	all := map[journal.Kind]Meta{
		KindAdmit: new(Admit), KindPart: new(Part), KindResult: new(Result),
		KindRefused: new(Refused), KindTally: new(Tally), KindAccount: new(Account),
	}
	for _, m := range all {
		fill(r, reflect.ValueOf(m).Elem())
	}
	all[KindRefused].(*Refused).ID = "r"
	all[KindAdmit].(*Admit).ID = "a"
	all[KindPart].(*Part).ID = "p"
	all[KindResult].(*Result).ID = "r"
	return all
}

func fill(r *rand.Rand, v reflect.Value) {
	optional := r.IntN(3) == 0
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = time.Unix(r.Int64N(4e9), r.Int64N(1e9)).UTC()
	case *netip.Addr:
		if !optional {
			*p = addr(r)
		}
	case *netip.Prefix:
		if !optional {
			*p, _ = addr(r).Prefix(32)
		}
	case *Sum:
		if !optional {
			p[r.IntN(32)] = byte(1 + r.IntN(255))
		}
	case *string:
		if !optional {
			*p = []string{"a", "GTHK<&>", "é\u2028\x00\n\"\\", "😀", strings.Repeat("x", 300)}[r.IntN(5)]
		}
	case *int64:
		if !optional {
			*p = r.Int64()
		}
	case *bool:
		*p = optional
	case *call.Outcome:
		*p = call.Truncated
	case *seal.ID:
		if !optional {
			*p = "a1b2c3d4"
		}
	case *Amounts:
		for range r.IntN(4) {
			*p = append(*p, call.Amount{Limit: "l", Key: "u\"", Item: []string{"", "m"}[r.IntN(2)], N: r.Int64() - r.Int64(), At: r.Int64()})
		}
	case *[]Note:
		for range r.IntN(3) {
			*p = append(*p, Note{Stage: "guard", Name: "n\"", Action: "mask", Observe: optional, Detail: []string{"", "d"}[r.IntN(2)]})
		}
	default:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	}
}

func addr(r *rand.Rand) netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(r.Uint32())})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(r.Uint32())})
}

// TestMetaRoundTrip is the property that holds the hand-written encoder to the
// struct tags the decoder reads by: same bytes, and back to the same value.
func TestMetaRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		for kind, m := range metas(r) {
			got := m.AppendMeta([]byte("before "))[len("before "):]
			want, err := json.Marshal(m)
			if err != nil || string(got) != string(want) {
				t.Fatalf("kind %d:\n got %s\nwant %s, %v", kind, got, want, err)
			}
			back, err := Decode(kind, got)
			if err != nil {
				t.Fatalf("kind %d: %v: %s", kind, err, got)
			}
			if d := cmp.Diff(m, back, equal); d != "" {
				t.Fatalf("kind %d: (-in +back)\n%s", kind, d)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	at := `"time":"2026-03-01T12:00:00Z"`
	for _, tt := range []struct {
		name string
		kind journal.Kind
		meta string
		want string // "" for accepted
	}{
		{"minimal admit", KindAdmit, `{"id":"x",` + at + `}`, ""},
		{"unknown members are for later versions", KindAdmit, `{"id":"x",` + at + `,"new":{"a":[1]}}`, ""},
		{"snapshot is not ours", journal.KindSnapshot, `{}`, "unknown kind"},
		{"unknown kind", 200, `{}`, "unknown kind"},
		{"not JSON", KindAdmit, `{"id":"x"`, "EOF"},
		{"array", KindAdmit, `[]`, "array"},
		{"trailing data", KindPart, `{"id":"x"}{}`, "after"},
		{"repeated key", KindPart, `{"id":"x","id":"y"}`, "duplicate"},
		{"no id", KindAdmit, `{` + at + `}`, "bad id"},
		{"other case is another key", KindPart, `{"ID":"x"}`, "bad id"},
		{"long id", KindPart, `{"id":"` + strings.Repeat("x", 65) + `"}`, "bad id"},
		{"number for string", KindPart, `{"id":1}`, "string"},
		{"string for number", KindPart, `{"id":"x","index":"1"}`, "int64"},
		{"fraction", KindPart, `{"id":"x","index":1.5}`, "int64"},
		{"overflow", KindPart, `{"id":"x","index":9223372036854775808}`, "range"},
		{"negative", KindPart, `{"id":"x","index":-1}`, "negative"},
		{"bad UTF-8", KindPart, "{\"id\":\"\xff\"}", "UTF-8"},
		{"lone surrogate", KindPart, `{"id":"\ud800"}`, "surrogate"},
		{"short hash", KindPart, `{"id":"x","sha256":"00"}`, "64 hex"},
		{"bad hash", KindPart, `{"id":"x","sha256":"` + strings.Repeat("zz", 32) + `"}`, "hex"},
		{"no time", KindResult, `{"id":"x","time":""}`, "time"},
		{"time before year 1", KindAccount, `{"time":"0000-01-01T00:00:00+23:00"}`, "range"},
		{"negative cost", KindResult, `{"id":"x",` + at + `,"cost":-5}`, "negative"},
		{"refused without reason is still a record", KindRefused, `{"id":"x",` + at + `}`, ""},
		{"bad address", KindAdmit, `{"id":"x",` + at + `,"ip":"1.2.3"}`, "IP"},
		{"amounts of another type", KindAdmit, `{"id":"x",` + at + `,"amounts":[{"limit":1}]}`, "string"},
		{"too many amounts", KindAdmit, `{"id":"x",` + at + `,"amounts":[{}` + strings.Repeat(`,{}`, maxAmounts) + `]}`, "amounts"},
		{"too long", KindPart, `{"id":"x","pad":"` + strings.Repeat("x", MaxMeta) + `"}`, "too long"},
	} {
		_, err := Decode(tt.kind, []byte(tt.meta))
		if tt.want == "" && err == nil {
			continue
		}
		if err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestAppendIsAlwaysReadable(t *testing.T) {
	r := Result{ID: "x", Time: time.Unix(0, 0), Latency: -5, Message: "bad \xff", Usage: Usage{Input: -1}}
	m, err := Decode(KindResult, r.AppendMeta(nil))
	want := &Result{ID: "x", Time: time.Unix(0, 0).UTC(), Message: "bad \uFFFD"}
	if d := cmp.Diff(Meta(want), m, equal); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	a := Admit{Asked: Asked{ID: "x", Time: time.Unix(0, 0), IP: netip.MustParseAddr("fe80::1%eth0")}}
	if m, err := Decode(KindAdmit, a.AppendMeta(nil)); err != nil || m.(*Admit).IP.Zone() != "" {
		t.Errorf("zone: %v, %v", m, err)
	}
}

func FuzzDecode(f *testing.F) {
	for kind, m := range metas(rand.New(rand.NewPCG(3, 4))) {
		f.Add(uint8(kind), m.AppendMeta(nil))
	}
	f.Add(uint8(KindAccount), []byte(`{"time":"0001-01-01T00:00:00+01:00"}`))
	f.Fuzz(func(t *testing.T, kind uint8, meta []byte) {
		m, err := Decode(journal.Kind(kind), meta)
		if err != nil {
			return
		}
		again := m.AppendMeta(nil)
		back, err := Decode(journal.Kind(kind), again)
		if err != nil {
			t.Fatalf("%s -> %s: %v", meta, again, err)
		}
		if s := back.AppendMeta(nil); string(s) != string(again) {
			t.Fatalf("%s -> %s -> %s", meta, again, s)
		}
	})
}

// FuzzRender gives a Record arbitrary bodies: as they are, and, line by line,
// as the payloads of well-formed frames. What comes out is always a line of JSON.
func FuzzRender(f *testing.F) {
	f.Add([]byte("{}"), []byte("{}"), "application/json")
	f.Add([]byte(`{"requestMetadata":{"a":"b"}}`), []byte(`{"role":"assistant"}
{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"n"}}}
{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"},"text":"x","citation":{},"reasoningContent":{"text":"r"}}}
{"stopReason":"end_turn"}
{"usage":{"inputTokens":1},"metrics":{}}
{"bytes":"e30="}`), "application/vnd.amazon.eventstream")
	types := []string{"messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "chunk"}
	f.Fuzz(func(t *testing.T, request, response []byte, contentType string) {
		var framed []byte
		for i, line := range bytes.Split(response, []byte("\n")) {
			framed = eventstream.AppendEvent(framed, types[i%len(types)], line)
		}
		for op := range logged {
			for _, answer := range [][]byte{response, framed} {
				r := Record{Asked: Asked{Operation: op}, Request: Body{Bytes: request, Size: int64(len(request))}, Response: Body{Bytes: answer, Size: int64(len(answer))}}
				r.Result = Result{Status: 200, ContentType: contentType}
				v, ok := r.Invocation(RenderOptions{})
				line, err := awslog.AppendLine(nil, v)
				if !ok || err != nil || bytes.Count(line, []byte("\n")) != 1 || !jsontext.Value(line).IsValid() {
					t.Fatalf("%v, %v: %s", ok, err, line)
				}
			}
		}
	})
}

func TestClipAndQuote(t *testing.T) {
	for _, tt := range []struct{ in, want string }{{"ab", "ab"}, {"abcd", "abc"}, {"abé", "ab"}, {"a😀", "a"}, {"\xff\xff\xff\xff", "\xff\xff\xff"}} {
		if got := clip(tt.in, 3); got != tt.want {
			t.Errorf("clip(%q, 3) = %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{{"", ""}, {"a\r\n", `"a\r\n"`}, {"\x1b[2Jé", `"\x1b[2J\u00e9"`}, {"\xff", `"\xff"`}} {
		if got := Quote(tt.in, 64); got != tt.want {
			t.Errorf("Quote(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func benchAdmit() *Admit {
	return &Admit{Asked: Asked{
		ID: "01961111-0000-7000-8000-000000000001", RequestID: "0a0a0a0a-0000-4000-8000-000000000001",
		Time: time.Unix(1772366400, 123456789), Operation: "Converse",
		ModelAsked: "us.anthropic.claude-3-5-haiku-20241022-v1:0", Model: "anthropic.claude-3-5-haiku-20241022-v1:0",
		Account: "000000000000", Region: "us-east-1",
		Principal: Principal{"5b1f4a52-3e0e-4d0b-8b1a-2f0c6f6f0001", "ann@example.com", "research", "GTHKABCDEFGHIJKLMNOP", "sigv4"},
		IP:        netip.MustParseAddr("192.0.2.10"), UserAgent: "Boto3/1.40.0 md/Botocore#1.40.0 ua/2.0 os/linux lang/python#3.13.0",
		Host: "127.0.0.1:8080", Proto: "HTTP/1.1", ContentType: "application/json", Accept: "application/json",
		SDKInvocation: "c0ffee00-0000-4000-8000-000000000001", BodyBytes: 1024, BodySHA256: Sum{1}, MaxTokens: 512, InputEstimate: 900,
		Amounts: Amounts{{Limit: "requests", Key: "5b1f4a52", N: 1, At: 1772366400123456789}, {Limit: "chat-day", Key: "5b1f4a52", N: 1, At: 1772366400123456789}},
	}}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	a := benchAdmit()
	res := &Result{ID: a.ID, Time: a.Time, Outcome: call.OK, Settled: a.Amounts, Usage: Usage{Input: 1, Exact: true}, SHA256: Sum{1}}
	part := &Part{ID: a.ID, Index: 1, Bytes: 5, SHA256: Sum{2}}
	refused := &Refused{Asked: a.Asked, Reason: "rate_limited"}
	for _, m := range []Meta{a, res, part, refused} {
		if n := testing.AllocsPerRun(100, func() { buf = m.AppendMeta(buf[:0]) }); n != 0 {
			t.Errorf("%T: %v allocations", m, n)
		}
	}
}

func BenchmarkAppendAdmit(b *testing.B) {
	b.ReportAllocs()
	buf, a := make([]byte, 0, 4096), benchAdmit()
	for b.Loop() {
		buf = a.AppendMeta(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkAppendResult(b *testing.B) {
	b.ReportAllocs()
	a := benchAdmit()
	r := a.Interrupted(a.Time)
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		buf = r.AppendMeta(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeAdmit(b *testing.B) {
	b.ReportAllocs()
	meta := benchAdmit().AppendMeta(nil)
	b.SetBytes(int64(len(meta)))
	for b.Loop() {
		if _, err := Decode(KindAdmit, meta); err != nil {
			b.Fatal(err)
		}
	}
}
