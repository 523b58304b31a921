package record

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/seal"
	"gatehouse/internal/testkit/disk"
)

const (
	secret  = "hunter2-hunter2"
	request = `{"ask":"` + secret + `"}`
	answer  = `{"say":"` + secret + `"}`
)

func testKeys(t testing.TB) *seal.Keys {
	t.Helper()
	k, err := seal.ParseKeys([]byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// masks is a Redact that finds the secret in one piece only.
func masks(_ *call.Call, _ Piece, _ string, b []byte) ([]byte, bool) {
	return bytes.ReplaceAll(b, []byte(secret), []byte("***")), true
}

func unsure(*call.Call, Piece, string, []byte) ([]byte, bool) { return nil, false }

func panics(*call.Call, Piece, string, []byte) ([]byte, bool) { panic("in a rule") }

// make one whole and one streamed call of a team, whose answer is cut in the
// middle of the secret: two parts and a rest.
func twoCalls(t *testing.T, g *rig, team string) (whole, stream *call.Call) {
	t.Helper()
	whole, stream = newCall("Converse", request), newCall("ConverseStream", request)
	for _, c := range []*call.Call{whole, stream} {
		c.Principal.Team = team
		if refusal := g.Admit(c); refusal != nil {
			t.Fatal(refusal)
		}
	}
	for _, part := range []string{answer[:5], answer[5:12]} {
		if err := g.Part(stream, []byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	g.Result(whole, ok(answer))
	res := ok(answer[12:])
	res.ContentType = eventStream
	g.Result(stream, res)
	return whole, stream
}

// TestPolicy: what of a call is in the journal, by mode, and what its records say.
func TestPolicy(t *testing.T) {
	masked := strings.NewReplacer(secret, "***")
	for _, tt := range []struct {
		name            string
		o               Options
		team            string
		request, answer string // as recorded; empty: not
		hashes, noted   bool
	}{
		{name: "full", request: request, answer: answer, hashes: true},
		{name: "hash", o: Options{Bodies: Hash}, hashes: true},
		{name: "off", o: Options{Bodies: Off}},
		{name: "redacted", o: Options{Bodies: Redacted, Redact: masks}, request: masked.Replace(request), answer: masked.Replace(answer), hashes: true},
		{name: "redacted without a redactor", o: Options{Bodies: Redacted}, hashes: true, noted: true},
		{name: "redactor is not sure", o: Options{Bodies: Redacted, Redact: unsure}, hashes: true, noted: true},
		{name: "redactor panics", o: Options{Bodies: Redacted, Redact: panics}, hashes: true, noted: true},
		{name: "full but for a team", o: Options{Teams: map[string]Bodies{"legal": Off}}, team: "legal"},
		{name: "full but for another team", o: Options{Teams: map[string]Bodies{"legal": Off}}, team: "red", request: request, answer: answer, hashes: true},
		{name: "off but for callers without a team", o: Options{Bodies: Off, Teams: map[string]Bodies{"default": Redacted}, Redact: masks},
			request: masked.Replace(request), answer: masked.Replace(answer), hashes: true},
	} {
		for _, keys := range []*seal.Keys{nil, testKeys(t)} {
			t.Run(fmt.Sprintf("%s/sealed=%v", tt.name, keys != nil), func(t *testing.T) {
				tt.o.Keys = keys
				g := start(t, disk.New(0), tt.o, journal.Options{})
				whole, stream := twoCalls(t, g, tt.team)
				g.end()
				if left := g.Recorder.waiting.Load(); left != 0 {
					t.Errorf("%d bytes still wait to be masked", left)
				}
				for _, c := range []*call.Call{whole, stream} {
					r := g.opened(t, keys)[c.ID]
					if got := string(r.Request.Bytes); got != tt.request || r.Request.Whole() != (tt.request != "") {
						t.Errorf("%s: request is recorded as %q, want %q", r.Operation, got, tt.request)
					}
					if got := string(r.Response.Bytes); got != tt.answer || r.Response.Whole() != (tt.answer != "") {
						t.Errorf("%s: answer is recorded as %q, want %q", r.Operation, got, tt.answer)
					}
					if got, want := r.BodySHA256, sha256.Sum256([]byte(request)); tt.hashes && got != want || !tt.hashes && got != (ledger.Sum{}) {
						t.Errorf("%s: hash of the request: %x", r.Operation, got)
					}
					if noted := len(r.Notes) == 1 && len(r.Result.Notes) == 1; noted != tt.noted {
						t.Errorf("%s: noted %v, want %v: %+v %+v", r.Operation, noted, tt.noted, r.Notes, r.Result.Notes)
					}
				}
				plain := keys == nil && tt.request == request
				if got := g.disk.Synced([]byte("hunter2")); got != plain {
					t.Errorf("the secret is on the disk: %v, want %v", got, plain)
				}
				if report, err := journal.Verify(g.disk, "main"); err != nil || !report.OK() {
					t.Errorf("verify: %v, %v", &report, err)
				}
			})
		}
	}
}

func (g *rig) opened(t testing.TB, keys *seal.Keys) map[string]*ledger.Record {
	t.Helper()
	out := map[string]*ledger.Record{}
	for r, err := range ledger.Join(journal.Read(g.disk, "main", 0), ledger.JoinOptions{Keys: keys}) {
		if err != nil {
			t.Fatal(err)
		}
		out[r.ID] = r
	}
	return out
}

// TestPartsSaid: of a stream that is masked, each part tells its own hash.
func TestPartsSaid(t *testing.T) {
	g := start(t, disk.New(0), Options{Bodies: Redacted, Redact: masks}, journal.Options{})
	twoCalls(t, g, "")
	g.end()
	var parts int
	for _, e := range g.read(t, "main") {
		if e.Kind != ledger.KindPart {
			continue
		}
		m, _ := ledger.Decode(e.Kind, e.Meta)
		want := sha256.Sum256([]byte([]string{answer[:5], answer[5:12]}[parts]))
		if p := m.(*ledger.Part); p.SHA256 != want || e.BodySum != want || e.Body != nil {
			t.Errorf("part %d: %+v", parts, p)
		}
		parts++
	}
	if parts != 2 {
		t.Errorf("%d parts", parts)
	}
}

// TestTooLong: a stream that is too long to wait in memory is recorded by its
// hashes, says so, and holds no memory.
func TestTooLong(t *testing.T) {
	g := start(t, disk.New(0), Options{Bodies: Redacted, Redact: masks}, journal.Options{})
	c := newCall("ConverseStream", request)
	if ref := g.Admit(c); ref != nil {
		t.Fatal(ref)
	}
	frames := make([]byte, maxMasked/4)
	for range 6 {
		if err := g.Part(c, frames); err != nil {
			t.Fatal(err)
		}
	}
	if held := len(g.parts[c.ID].frames); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	g.Result(c, ok(answer))
	g.end()
	r := g.records(t)[c.ID]
	if len(r.Response.Bytes) != 0 || r.Result.Parts != 6 || len(r.Result.Notes) != 1 || !strings.Contains(r.Result.Notes[0].Detail, "too long") {
		t.Errorf("%d bytes, %+v", len(r.Response.Bytes), r.Result)
	}
	if g.waiting.Load() != 0 {
		t.Error("its bytes still count")
	}
}

// TestSetPolicy: a new policy is for the next call; a stream goes on as it
// began; a bad one changes nothing.
func TestSetPolicy(t *testing.T) {
	g := start(t, disk.New(0), Options{}, journal.Options{})
	begun := newCall("ConverseStream", request)
	g.Admit(begun)
	g.Part(begun, []byte("12"))
	if err := g.SetPolicy(Policy{Teams: map[string]Bodies{"a": "nope"}}); err == nil || !strings.Contains(err.Error(), "team a") || g.Bodies("") != Full {
		t.Errorf("a bad policy: %v", err)
	}
	if err := g.SetPolicy(Policy{Bodies: Off}); err != nil {
		t.Fatal(err)
	}
	next := newCall("Converse", request)
	g.Admit(next)
	g.Part(begun, []byte("34"))
	g.Result(begun, ok("5"))
	g.Result(next, ok("x"))
	g.end()
	records := g.records(t)
	if b, n := records[begun.ID], records[next.ID]; string(b.Response.Bytes) != "12345" || len(n.Request.Bytes)+len(n.Response.Bytes) != 0 {
		t.Errorf("%q, %q", b.Response.Bytes, n.Response.Bytes)
	}
}

// TestHeld: a result that waits for the journal claims no body that it lost.
func TestHeld(t *testing.T) {
	g := start(t, disk.New(0), Options{Bodies: Redacted, Redact: masks, Keys: testKeys(t)}, journal.Options{QueueBytes: 4096})
	c := newCall("Converse", "")
	if ref := g.Admit(c); ref != nil {
		t.Fatal(ref)
	}
	g.Result(c, ok(strings.Repeat(answer, 1000)))
	g.resend()
	g.end()
	if r := g.records(t)[c.ID]; r.Result.Redacted || r.Result.Sealed != "" || r.Result.Outcome != call.OK {
		t.Errorf("%+v", r.Result)
	}
}

func BenchmarkSealed(b *testing.B) {
	for _, keys := range []*seal.Keys{nil, testKeys(b)} {
		b.Run(fmt.Sprint(keys != nil), func(b *testing.B) {
			p := Policy{Bodies: Full, Keys: keys}
			body1 := body{bytes: make([]byte, 8<<10)}
			var s ledger.Stored
			b.ReportAllocs()
			for b.Loop() {
				sealed := p.seal(body1, &s, ledger.KindAdmit, "id", 0)
				sealed.free()
			}
		})
	}
}
