package record

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
	"gatehouse/internal/journal"
	"gatehouse/internal/ledger"
	"gatehouse/internal/testkit/disk"
)

// rig is a Recorder over two journals on one disk that forgets.
type rig struct {
	*Recorder
	disk      *disk.Disk
	main      *journal.Journal
	strangers *journal.Journal
}

func start(t testing.TB, d *disk.Disk, o Options, j journal.Options) *rig {
	t.Helper()
	g := &rig{disk: d}
	j.FS, j.BallastBytes = d, -1
	var err error
	j.Dir = "main"
	if g.main, _, err = journal.Open(context.Background(), j, nil); err != nil {
		t.Fatal(err)
	}
	if g.strangers, _, err = journal.Open(context.Background(), journal.Options{Dir: "strangers", FS: d, BallastBytes: -1}, nil); err != nil {
		t.Fatal(err)
	}
	o.Journal, o.Strangers, o.Account, o.Region = g.main, g.strangers, "000000000000", "us-east-1"
	if g.Recorder, err = New(o); err != nil {
		t.Fatal(err)
	}
	return g
}

// end closes all; errors are for the tests that break things.
func (g *rig) end() {
	g.Recorder.Close()
	g.main.Close()
	g.strangers.Close()
}

func (g *rig) read(t testing.TB, dir string) []journal.Entry {
	t.Helper()
	var out []journal.Entry
	for e, err := range journal.Read(g.disk, dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func (g *rig) records(t testing.TB) map[string]*ledger.Record {
	t.Helper()
	out := map[string]*ledger.Record{}
	for r, err := range ledger.Join(journal.Read(g.disk, "main", 0), ledger.JoinOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		out[r.ID] = r
	}
	return out
}

func newCall(op string, body string) *call.Call {
	c := &call.Call{ID: call.NewID(time.Now()), RequestID: call.NewRequestID(), Time: time.Now(), IP: netip.MustParseAddr("192.0.2.1"),
		Principal: &call.Principal{UserID: "u", User: "ann", Key: "GTHKABCDEFGHIJKLMNOP", Scheme: call.SigV4}}
	for i := range bedrock.Operations {
		if bedrock.Operations[i].Name == op {
			c.Operation = &bedrock.Operations[i]
		}
	}
	c.SetBody([]byte(body))
	c.OriginalSHA256 = c.BodySHA256
	return c
}

func ok(body string) *call.Result {
	return &call.Result{Time: time.Now(), Outcome: call.OK, Status: 200, Region: "us-east-1", ContentType: "application/json", Body: []byte(body), Worked: true}
}

// stall blocks the syncs of the main journal until the returned function is called.
func stall(d *disk.Disk) (release func()) {
	gate := make(chan struct{})
	d.Hook(func(op disk.Op) error {
		if op.Kind == disk.Sync && strings.HasPrefix(op.Name, "main") {
			<-gate
		}
		return nil
	})
	return sync.OnceFunc(func() { close(gate); d.Hook(nil) })
}

func TestAdmitIsSynced(t *testing.T) {
	g := start(t, disk.New(0), Options{}, journal.Options{})
	defer g.end()
	for range 10 {
		c := newCall("Converse", `{"messages":[]}`)
		if refusal := g.Admit(c); refusal != nil {
			t.Fatal(refusal)
		}
		if !g.disk.Synced([]byte(c.ID)) || !g.disk.Synced(c.Body) {
			t.Fatalf("call %s was admitted before its admit was durable", c.ID)
		}
	}
}

// TestCrash pulls the plug at some sync while calls run: whatever was admitted
// is in the journal, and what has no result is found by ledger.Open.
func TestCrash(t *testing.T) {
	for seed := range uint64(20) {
		g := start(t, disk.New(seed+1), Options{}, journal.Options{SegmentBytes: 64 << 10})
		left := int(seed%7) + 3
		g.disk.Hook(func(op disk.Op) error {
			if op.Kind == disk.Sync && strings.HasPrefix(op.Name, "main") {
				if left--; left == 0 {
					g.disk.Crash()
				}
			}
			return nil
		})
		var mu sync.Mutex
		admitted := map[string]bool{}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					c := newCall("Converse", "{}")
					if g.Admit(c) != nil {
						return
					}
					mu.Lock()
					admitted[c.ID] = true
					mu.Unlock()
					g.Result(c, ok("{}"))
				}
			})
		}
		wg.Wait()
		g.end()

		g.disk.Hook(nil)
		open := ledger.Open{}
		seen := map[string]bool{}
		j, _, err := journal.Open(context.Background(), journal.Options{Dir: "main", FS: g.disk, BallastBytes: -1}, func(e journal.Entry) error {
			if e.Kind == ledger.KindAdmit {
				m, err := ledger.Decode(e.Kind, e.Meta)
				if err != nil {
					return err
				}
				seen[m.(*ledger.Admit).ID] = true
			}
			return open.Add(&e)
		})
		if err != nil {
			t.Fatal(err)
		}
		for id := range admitted {
			if !seen[id] {
				t.Errorf("seed %d: call %s was admitted and is not in the journal", seed, id)
			}
		}
		for _, a := range open.Interrupted() {
			if !seen[a.ID] {
				t.Errorf("seed %d: %s is open but was never admitted", seed, a.ID)
			}
		}
		j.Close()
	}
}

func TestBodies(t *testing.T) {
	const request, answer = `{"messages":[]}`, `{"output":{}}`
	frames := eventstream.AppendEvent(nil, "messageStart", []byte(`{"role":"assistant"}`))
	for _, tt := range []struct {
		mode               Bodies
		body, hash, answer bool
	}{{Full, true, true, true}, {"", true, true, true}, {Hash, false, true, false}, {Off, false, false, false}} {
		t.Run(string(tt.mode), func(t *testing.T) {
			g := start(t, disk.New(0), Options{Bodies: tt.mode}, journal.Options{})
			whole, stream := newCall("Converse", request), newCall("ConverseStream", request)
			for _, c := range []*call.Call{whole, stream} {
				if refusal := g.Admit(c); refusal != nil {
					t.Fatal(refusal)
				}
			}
			for range 3 {
				if err := g.Part(stream, frames); err != nil {
					t.Fatal(err)
				}
			}
			g.Result(whole, ok(answer))
			res := ok(string(frames))
			res.ContentType = "application/vnd.amazon.eventstream"
			g.Result(stream, res)
			g.end()

			records := g.records(t)
			r, s := records[whole.ID], records[stream.ID]
			if string(r.Request.Bytes) != request && tt.body || r.Request.Whole() != tt.body || r.Request.Size != int64(len(request)) {
				t.Errorf("request: %+v", r.Request)
			}
			if got := r.BodySHA256 != (ledger.Sum{}); got != tt.hash {
				t.Errorf("request hash recorded: %v", got)
			}
			if r.Response.Whole() != tt.answer || r.Response.Size != int64(len(answer)) {
				t.Errorf("answer: %+v", r.Response)
			}
			if s.Response.Whole() != tt.answer || s.Response.Size != int64(4*len(frames)) || s.Result.Parts != 3 || !s.Result.Stream {
				t.Errorf("stream: %+v, %+v", s.Response, s.Result)
			}
			if want := ledger.Sum(sha256.Sum256([]byte(answer))); tt.mode == Hash && r.Result.SHA256 != want {
				t.Errorf("answer hash: %x, want %x", r.Result.SHA256, want)
			}
			if report, err := journal.Verify(g.disk, "main"); err != nil || !report.OK() {
				t.Errorf("verify: %v, %v", report, err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	for _, mode := range []Bodies{"some", "FULL"} {
		if _, err := New(Options{Bodies: mode}); err == nil || !strings.Contains(err.Error(), string(mode)) {
			t.Errorf("%s: got %v, want an error that names it", mode, err)
		}
	}
}

// TestBrokenDisk: after a failed sync nothing is admitted and nothing heals.
func TestBrokenDisk(t *testing.T) {
	g := start(t, disk.New(0), Options{}, journal.Options{})
	defer g.end()
	g.disk.Hook(func(op disk.Op) error {
		if op.Kind == disk.Sync && strings.HasPrefix(op.Name, "main") {
			return syscall.EIO
		}
		return nil
	})
	for range 2 {
		if refusal := g.Admit(newCall("Converse", "{}")); refusal == nil || refusal.Reason != call.RecorderDown.Reason {
			t.Fatalf("got %v, want recorder_down", refusal)
		}
		g.disk.Hook(nil)
	}
	if err := g.Err(); !errors.Is(err, journal.ErrFailed) {
		t.Errorf("Err() = %v, want ErrFailed", err)
	}
	c := newCall("Converse", "{}")
	g.Refused(c, call.RecorderDown)
	g.Result(c, ok("")) // must not block or panic
	if g.Dropped() != 1 {
		t.Errorf("dropped %d refusals, want 1", g.Dropped())
	}
}

// TestSlowDisk: an admit that is late is refused, and its Refused closes it,
// so that recovery does not charge a call that was never sent.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{}, journal.Options{})
		defer g.end()
		release := stall(g.disk)
		defer release()
		c := newCall("Converse", "{}")
		refusal := g.Admit(c)
		if refusal == nil || refusal.Status != 503 {
			t.Fatalf("got %v, want a refusal", refusal)
		}
		g.Refused(c, refusal)
		release()
		if err := g.main.Sync(); err != nil {
			t.Fatal(err)
		}
		open := ledger.Open{}
		entries := g.read(t, "main")
		for i := range entries {
			if err := open.Add(&entries[i]); err != nil {
				t.Fatal(err)
			}
		}
		if got := open.Interrupted(); len(entries) != 2 || len(got) != 0 {
			t.Errorf("%d entries, open: %v; want the admit and its refusal", len(entries), got)
		}
	})
}

// TestFullQueue: a result that finds the queue full stops admission until it
// is written, and then the gate opens by itself.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, disk.New(0), Options{}, journal.Options{QueueBytes: 4 << 10})
		defer g.end()
		c := newCall("Converse", "{}")
		if refusal := g.Admit(c); refusal != nil {
			t.Fatal(refusal)
		}
		release := stall(g.disk)
		defer release()
		for {
			if err := g.main.Write(ledger.KindAccount, []byte(`{"time":"2026-03-01T12:00:00Z"}`), nil, nil); err != nil {
				break
			}
			synctest.Wait()
		}
		if refusal := g.Admit(newCall("Converse", "{}")); refusal == nil || refusal.Reason != call.Overloaded.Reason {
			t.Errorf("queue full: got %v, want overloaded", refusal)
		}
		g.Result(c, ok(`{"lost":"body"}`))
		if g.Err() == nil {
			t.Error("Err is nil while a result is not written")
		}
		if refusal := g.Admit(newCall("Converse", "{}")); refusal == nil || refusal.Reason != call.RecorderDown.Reason {
			t.Errorf("result waiting: got %v, want recorder_down", refusal)
		}
		release()
		time.Sleep(2 * time.Second)
		if err := g.Err(); err != nil {
			t.Errorf("Err() = %v after the disk is back", err)
		}
		if err := g.main.Sync(); err != nil {
			t.Fatal(err)
		}
		r := g.records(t)[c.ID]
		if r == nil || r.Result.Outcome != call.OK || r.Response.Whole() || r.Response.Size != 15 {
			t.Errorf("got %+v, want the result without its body", r)
		}
	})
}

func TestTooManyUnsentResultsLatch(t *testing.T) {
	g := start(t, disk.New(0), Options{}, journal.Options{})
	g.main.Close()
	c := newCall("Converse", "{}")
	for range maxUnsent + 1 {
		g.Result(c, ok(""))
	}
	if err := g.Err(); err == nil || !strings.Contains(err.Error(), "more results than can be kept") {
		t.Errorf("Err() = %v", err)
	}
	g.end()
}

func TestLowDisk(t *testing.T) {
	const mb = 1 << 20
	for _, tt := range []struct {
		name      string
		low, stop int64
		admitted  bool
		body      bool
	}{
		{"room", -1, -1, true, true},
		{"low: bodies are left out", 100 * mb, -1, true, false},
		{"stop: nothing is admitted", 100 * mb, 50 * mb, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := disk.New(0)
			d.SetCapacity(20 * mb)
			g := start(t, d, Options{}, journal.Options{SegmentBytes: mb, LowBytes: tt.low, StopBytes: tt.stop, LowPercent: -1})
			c := newCall("Converse", "{}")
			refusal := g.Admit(c)
			if (refusal == nil) != tt.admitted || refusal != nil && refusal.Reason != call.RecorderDown.Reason {
				t.Fatalf("got %v", refusal)
			}
			g.Result(c, ok("{}")) // of a call under way: always taken
			g.end()
			if r := g.records(t)[c.ID]; tt.admitted && (r.Request.Whole() != tt.body || r.Response.Whole() != tt.body || r.BodySHA256 == ledger.Sum{}) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestRefusedOfKnownCaller(t *testing.T) {
	g := start(t, disk.New(0), Options{}, journal.Options{})
	c := newCall("Converse", `{"secret":"prompt"}`)
	c.Method, c.RawPath = "POST", "/model/m/converse"
	g.Refused(c, &call.Refusal{Reason: "rate_limited", Status: 429, Type: "ThrottlingException", Message: "m", Limit: "requests", Detail: "d"})
	g.end()
	r := g.records(t)[c.ID]
	if r == nil || r.Refusal == nil || r.Refusal.Limit != "requests" || r.Refusal.Path != c.RawPath || r.Principal.User != "ann" {
		t.Fatalf("got %+v", r)
	}
	if g.disk.Synced([]byte("prompt")) {
		t.Error("the body of a refused request was recorded")
	}
	if n := len(g.read(t, "strangers")); n != 0 {
		t.Errorf("%d entries among the strangers", n)
	}
}

func TestEvents(t *testing.T) {
	g := start(t, disk.New(0), Options{}, journal.Options{})
	for _, a := range []ledger.Account{
		{Event: "key.create", Subject: "GTHK", Actor: "admin", Outcome: OutcomeOK, Detail: strings.Repeat("x", 5000)},
		{Event: "key.revoke", Subject: "GTHK", Actor: "ann", Outcome: "not_allowed"},
		{Event: "login", Subject: "ann", Outcome: "bad_password", IP: netip.MustParseAddr("192.0.2.1")},
	} {
		if err := g.Event(a); err != nil {
			t.Fatal(err)
		}
		if a.Event != "login" && !g.disk.Synced([]byte(a.Event)) {
			t.Errorf("%s is not durable", a.Event)
		}
	}
	g.end()
	if m, s := g.read(t, "main"), g.read(t, "strangers"); len(m) != 2 || len(s) != 1 || !strings.Contains(string(s[0].Meta), "bad_password") || len(m[0].Meta) > 1500 {
		t.Errorf("main %v, strangers %v; want two and one", m, s)
	}
}

func TestConcurrentCalls(t *testing.T) {
	g := start(t, disk.New(0), Options{}, journal.Options{})
	frame := eventstream.AppendEvent(nil, "messageStart", []byte(`{}`))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 20 {
				c := newCall("ConverseStream", fmt.Sprintf(`{"n":%d}`, i))
				if refusal := g.Admit(c); refusal != nil {
					t.Error(refusal)
				}
				for range k % 3 {
					g.Part(c, frame)
				}
				g.Result(c, ok(string(frame)))
				c.Principal = nil
				g.Refused(c, call.BadSignature)
			}
		})
	}
	wg.Wait()
	g.end()
	records := g.records(t)
	for _, r := range records {
		if r.Result.Outcome != call.OK || !r.Request.Whole() || !r.Response.Whole() {
			t.Errorf("got %+v", r)
		}
	}
	if len(records) != 160 || len(g.parts) != 0 {
		t.Errorf("%d records, %d calls still counted; want 160 and none", len(records), len(g.parts))
	}
}

func BenchmarkCall(b *testing.B) {
	dir := b.TempDir()
	j, _, err := journal.Open(b.Context(), journal.Options{Dir: dir, QueueBytes: 1 << 30}, nil)
	if err != nil {
		b.Fatal(err)
	}
	r, err := New(Options{Journal: j, Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		b.Fatal(err)
	}
	c, res := newCall("Converse", strings.Repeat("x", 1024)), ok(strings.Repeat("y", 1024))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if refusal := r.Admit(c); refusal != nil {
				b.Error(refusal)
			}
			r.Result(c, res)
		}
	})
	r.Close()
	j.Close()
}
