package arrive

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"gatehouse/internal/event"
	"gatehouse/internal/testkit/disk"
)

func openIntake(t testing.TB, d *disk.Disk, o IntakeOptions) *Intake {
	t.Helper()
	o.Dir, o.FS = "intake", d
	if o.StopBytes == 0 {
		o.StopBytes = -1
	}
	in, err := OpenIntake(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// drain delivers what the intake holds.
func drain(t testing.TB, d *disk.Disk, cursor string) *sink {
	t.Helper()
	s := newSink()
	if err := NewTail(d, "intake").Run(t.Context(), cursor, s.deliver); err != nil {
		t.Fatal(err)
	}
	return s
}

func request(target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "localhost:8082"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func zstded(text string) string {
	z, _ := zstd.NewWriter(nil)
	return string(z.EncodeAll([]byte(text), nil))
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

const (
	version   = "X-Amz-Firehose-Protocol-Version"
	requestID = "X-Amz-Firehose-Request-Id"
	accessKey = "X-Amz-Firehose-Access-Key"
)

// TestPush is one push a row: what is answered, and what the intake holds then.
func TestPush(t *testing.T) {
	gz := string(packed("{\"n\":1}\n"))
	big := strings.Repeat("x", 5000)
	fire := func(id string, records ...string) string {
		return fmt.Sprintf(`{"requestId":%q,"timestamp":1700000000000,"records":[%s]}`, id, strings.Join(records, ","))
	}
	rec := func(text string) string { return `{"data":"` + b64(text) + `"}` }
	for _, c := range []struct {
		name   string
		r      *http.Request
		secret string
		status int
		reply  string // the whole of it, or a part
		taken  string // lines in the intake
	}{
		{"JSON", request("/ingest/management", `{"n":1}`), "", 200, `{"bytes":7}`, `{"n":1}`},
		{"gzip", request("/ingest/auto", gz, "Content-Encoding", "gzip"), "", 200, `{"bytes":`, `{"n":1}`},
		{"gzip without saying so", request("/ingest/auto", gz), "", 200, `{"bytes":`, `{"n":1}`},
		{"zstd stays zstd", request("/ingest/auto", zstded("{}\n"), "Content-Encoding", "zstd"), "", 200, `{"bytes":`, strings.ReplaceAll(zstded("{}\n"), "\n", " ")},
		{"what is no JSON", request("/ingest/endpoint", "type=EXECVE"), "", 200, `{"bytes":11}`, "type=EXECVE"},

		{"nothing", request("/ingest/auto", ""), "", 400, "empty", ""},
		{"gzip that is none", request("/ingest/auto", "{}", "Content-Encoding", "gzip"), "", 400, "not gzip", ""},
		{"gzip cut short", request("/ingest/auto", gz[:len(gz)-9]), "", 400, "does not unpack", ""},
		{"an unknown encoding", request("/ingest/auto", "{}", "Content-Encoding", "br"), "", 415, "gzip, zstd", ""},
		{"a form", request("/ingest/auto", "{}", "Content-Type", "multipart/form-data; boundary=x"), "", 415, "form", ""},
		{"too long", request("/ingest/auto", big), "", 413, "longer than 4096", ""},
		{"too long once unpacked", request("/ingest/auto", string(packed(strings.Repeat(big, 20)))), "", 413, "unpacks to more", ""},
		{"an unknown strand", request("/ingest/audit", "{}"), "", 404, "management", ""},
		{"the gateway's own strand", request("/ingest/gateway", "{}"), "", 404, "", ""},
		{"no strand", request("/ingest/", "{}"), "", 404, "", ""},
		{"another method", httptestGet("/ingest/auto"), "", 405, "POST", ""},

		{"the secret", request("/ingest/auto", "{}", "Authorization", "Bearer s3cret"), "s3cret", 200, "", "{}"},
		{"the secret as access key", request("/ingest/auto", "{}", accessKey, "s3cret"), "s3cret", 200, "", "{}"},
		{"no secret", request("/ingest/auto", "{}"), "s3cret", 401, "secret", ""},
		{"the wrong secret", request("/ingest/auto", "{}", "Authorization", "Bearer s3cre"), "s3cret", 401, "", ""},
		{"the secret as password", request("/ingest/auto", "{}", "Authorization", "Basic s3cret"), "s3cret", 401, "", ""},
		{"the secret is asked for before anything else", request("/ingest/nowhere", big), "s3cret", 401, "", ""},
		{"from outside with the secret", from("10.0.0.9:1", request("/ingest/auto", "{}", accessKey, "k")), "k", 200, "", "{}"},
		{"from outside", from("10.0.0.9:1", request("/ingest/auto", "{}")), "", 403, "this machine", ""},
		{"through a proxy", request("/ingest/auto", "{}", "X-Forwarded-For", "10.0.0.9"), "", 403, "X-Forwarded-For", ""},
		{"from a page in a browser", request("/ingest/auto", "{}", "Origin", "https://x.example"), "", 403, "Origin", ""},
		{"by a name that points here", named("x.example", request("/ingest/auto", "{}")), "", 403, "localhost", ""},
		{"IPv6 loopback", named("[::1]:8082", from("[::1]:9", request("/ingest/auto", "{}"))), "", 200, "", "{}"},

		{"Firehose", request("/ingest/auto", fire("id-1", rec(`{"n":1}`), rec(`{"n":2}`+"\n")), version, "1.0", requestID, "id-1", accessKey, "k"), "k",
			200, `{"requestId":"id-1","timestamp":1700000000123}` + "\n", `{"n":1} {"n":2}`},
		{"Firehose, gzip around and inside", request("/ingest/data", string(packed(fire("id-1", rec(gz), rec(gz), rec("{}")))), version, "1.0", requestID, "id-1", "Content-Encoding", "gzip"), "",
			200, `"requestId":"id-1"`, `{"n":1} {"n":1} {}`},
		{"Firehose, a damaged archive among whole ones", request("/ingest/data", fire("i", rec(gz), rec(gz[:len(gz)-4]), rec(gz)), version, "1.0", requestID, "i"), "",
			200, `"requestId":"i"`, `{"n":1} bad gzip {"n":1}`},
		{"Firehose, no records", request("/ingest/auto", fire("id-1"), version, "1.0", requestID, "id-1"), "", 200, `"requestId":"id-1"`, ""},
		{"Firehose without its key", request("/ingest/auto", fire("id-1", rec("{}")), version, "1.0", requestID, "id-1"), "k",
			401, `{"requestId":"id-1","timestamp":1700000000123,"errorMessage":"the secret is missing or wrong"}` + "\n", ""},
		{"Firehose, another version", request("/ingest/auto", fire("id-1", rec("{}")), version, "2.0", requestID, "id-1"), "", 400, `"errorMessage":"protocol version`, ""},
		{"Firehose, another id", request("/ingest/auto", fire("id-2", rec("{}")), version, "1.0", requestID, "id-1"), "", 400, `"requestId":"id-1"`, ""},
		{"Firehose, too long", request("/ingest/auto", fire("id-1", rec(big)), version, "1.0", requestID, "id-1"), "", 413, `"requestId":"id-1"`, ""},
		{"Firehose, too long once unpacked", request("/ingest/auto", string(packed(fire("id-1", rec(big)))), version, "1.0", requestID, "id-1"), "", 413, `"requestId":"id-1"`, ""},
		{"Firehose, records that unpack to too much", request("/ingest/auto", fire("i", rec(string(packed(strings.Repeat(big, 20))))), version, "1.0", requestID, "i"), "", 413, `unpack to more`, ""},
		{"Firehose, no JSON", request("/ingest/auto", "x", version, "1.0", requestID, "id-1"), "", 400, `"requestId":"id-1"`, ""},
		{"Firehose, cut short", request("/ingest/auto", fire("id-1", rec("{}"))[:60], version, "1.0", requestID, "id-1"), "", 400, "", ""},
		{"Firehose, more behind it", request("/ingest/auto", fire("id-1", rec("{}"))+"{}", version, "1.0", requestID, "id-1"), "", 400, "more behind", ""},
		{"Firehose, no base64: nothing of it is taken", request("/ingest/auto", fire("id-1", rec("{}"), `{"data":"*"}`), version, "1.0", requestID, "id-1"), "", 400, "base64", ""},
		{"Firehose, records that are none", request("/ingest/auto", `{"requestId":"id-1","records":[1]}`, version, "1.0", requestID, "id-1"), "", 400, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := disk.New(0)
			in := openIntake(t, d, IntakeOptions{})
			p := NewPush(in, PushOptions{Secret: c.secret, MaxBody: 4096, MaxUnpacked: 50_000, Now: func() time.Time { return time.UnixMilli(1700000000123) }})
			w := httptest.NewRecorder()
			p.ServeHTTP(w, c.r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.reply) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.reply)
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/json" {
				t.Errorf("content type %q", ct)
			}
			d.Crash() // what was acknowledged must be on the disk
			s := drain(t, d, "")
			if got := strings.Join(s.order, " "); got != c.taken {
				t.Errorf("the intake holds %q, want %q", got, c.taken)
			}
			if p.free != p.o.MaxHeld {
				t.Errorf("%d bytes of memory are still held", p.o.MaxHeld-p.free)
			}
		})
	}
}

func httptestGet(target string) *http.Request {
	r := request(target, "")
	r.Method = "GET"
	return r
}

func from(addr string, r *http.Request) *http.Request  { r.RemoteAddr = addr; return r }
func named(host string, r *http.Request) *http.Request { r.Host = host; return r }

// What is delivered says where it came from.
func TestPushedOrigin(t *testing.T) {
	d := disk.New(0)
	in := openIntake(t, d, IntakeOptions{})
	NewPush(in, PushOptions{Secret: "k"}).ServeHTTP(httptest.NewRecorder(), from("10.0.0.9:7", request("/ingest/endpoint", "{}", accessKey, "k")))
	s := drain(t, d, "")
	if len(s.all) != 1 {
		t.Fatalf("%d deliveries", len(s.all))
	}
	got := s.all[0]
	if got.How != ByPush || got.Strand != event.Endpoint || got.Origin.Host != "10.0.0.9" || got.Received.IsZero() || got.Cursor == "" {
		t.Errorf("delivery %+v", got)
	}
}

// TestPushIsRefused while the intake has no room: with 503 and when to try
// again, without reading the body.
func TestPushIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     IntakeOptions
		room  int64
		wreck func(*disk.Disk, *Intake)
		retry string
	}{
		{"too much waits", IntakeOptions{MaxBytes: 10}, 0, func(_ *disk.Disk, in *Intake) {
			if err := in.append(pushed{Name: "push"}, []byte("long enough")); err != nil {
				t.Fatal(err)
			}
		}, "10"},
		{"little space is left", IntakeOptions{StopBytes: 1 << 20}, 100_000, func(*disk.Disk, *Intake) {}, "30"},
		{"the disk is broken", IntakeOptions{}, 0, func(d *disk.Disk, in *Intake) {
			d.Hook(func(op disk.Op) error { return errors.New("broken") })
			_ = in.append(pushed{Name: "push"}, []byte("x"))
		}, "30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := disk.New(0)
			d.SetCapacity(c.room)
			in := openIntake(t, d, c.o)
			c.wreck(d, in)
			body := &reads{}
			r := request("/ingest/auto", "")
			r.Body, r.ContentLength = io.NopCloser(body), 100
			w := httptest.NewRecorder()
			NewPush(in, PushOptions{}).ServeHTTP(w, r)
			if w.Code != 503 || w.Header().Get("Retry-After") != c.retry || body.n != 0 {
				t.Errorf("%d, Retry-After %q, %d bytes read; want 503, %s, none", w.Code, w.Header().Get("Retry-After"), body.n, c.retry)
			}
		})
	}
}

type reads struct{ n int }

func (r *reads) Read(b []byte) (int, error) { r.n += len(b); return len(b), nil }

// TestPushMemoryIsBounded lets many bodies come at once, slowly: those that
// would need more than all may hold are sent away, and nothing stays held.
func TestPushMemoryIsBounded(t *testing.T) {
	in := openIntake(t, disk.New(0), IntakeOptions{})
	p := NewPush(in, PushOptions{MaxHeld: 4 * 64 << 10})
	begin, end := make(chan struct{}, 100), make(chan struct{})
	var mu sync.Mutex
	codes := map[int]int{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			r := request("/ingest/auto", "")
			r.Body, r.ContentLength = io.NopCloser(&slow{begin: begin, end: end}), -1
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			mu.Lock()
			defer mu.Unlock()
			codes[w.Code]++
			if w.Code == 429 && w.Header().Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
			if w.Code == 429 && codes[429] == 16 {
				close(end) // all others are being received
			}
		})
	}
	all.Wait()
	if codes[200] != 4 || codes[429] != 16 || p.free != p.o.MaxHeld {
		t.Errorf("answers %v, %d bytes free; want 4 taken, 16 sent away, %d free", codes, p.free, p.o.MaxHeld)
	}
}

// slow is a body that begins, and goes on when it may.
type slow struct {
	begin chan<- struct{}
	end   <-chan struct{}
	begun bool
}

func (s *slow) Read(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.begin <- struct{}{}
		return copy(b, "{"), nil
	}
	<-s.end
	return copy(b, "}"), io.EOF
}

// TestSlowBody is cut off by the clock.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := openIntake(t, disk.New(0), IntakeOptions{})
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		srv := &http.Server{Handler: NewPush(in, PushOptions{MaxTime: 10 * time.Second})}
		go srv.Serve(l)
		conn := l.dial()
		io.WriteString(conn, "POST /ingest/auto HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
		began := time.Now()
		reply, err := io.ReadAll(conn)
		if took := time.Since(began); err != nil || !bytes.HasPrefix(reply, []byte("HTTP/1.1 408 ")) || took != 10*time.Second {
			t.Errorf("after %v: %v %s; want 408 after 10 s", took, err, reply)
		}
		srv.Close()
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
}

// pipes is a listener of connections in memory, whose deadlines know virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- local127{there}
	return here
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8082} }

type local127 struct{ net.Conn }

func (local127) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000} }

// TestIntakeKilled crashes the disk at random while pushes come and are
// delivered, sealed and retained: what was acknowledged is delivered, always.
func TestIntakeKilled(t *testing.T) {
	for seed := range uint64(25) {
		d := disk.New(seed + 1)
		s := newSink()
		s.sealEvery = 3
		acknowledged := map[string]bool{}
		for round := range 8 {
			in := openIntake(t, d, IntakeOptions{SegmentBytes: 1500})
			p := NewPush(in, PushOptions{})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			s.killAt = s.n + 10
			go func() { defer close(done); s.run(t, ctx, in) }()
			for n := range 20 {
				line := fmt.Sprintf(`{"round":%d,"n":%d,"pad":"%0100d"}`, round, n, n)
				w := httptest.NewRecorder()
				p.ServeHTTP(w, request("/ingest/auto", line))
				if w.Code == 200 {
					acknowledged[line] = true
				}
				if n%5 == 4 {
					s.mu.Lock()
					sealed := s.cursor
					s.mu.Unlock()
					if err := in.Retain(ctx, sealed); err != nil {
						t.Fatal(err)
					}
				}
			}
			cancel()
			<-done
			d.Crash()
			s.crash()
		}
		rest := drain(t, d, s.cursor)
		for line := range acknowledged {
			if s.lines[line]+rest.lines[line] == 0 {
				t.Errorf("seed %d: %s is lost", seed, line)
			}
		}
	}
}

// TestRetain gives back what is sealed and no more, and says so where it must
// give up something that is not.
func TestRetain(t *testing.T) {
	for _, c := range []struct {
		name   string
		max    int64
		sealed string
		left   string // the first entries that can still be read
		gap    bool
	}{
		{"nothing is sealed", 0, "", "1", false},
		{"a part is sealed", 0, "12", "", false},
		{"all is sealed", 0, "41", "", false},
		{"too much waits", 2000, "", "", true},
		{"too much waits, but is sealed", 2000, "41", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := disk.New(0)
			var gaps []Gap
			in := openIntake(t, d, IntakeOptions{SegmentBytes: 1500, MaxBytes: c.max, Gap: func(g Gap) { gaps = append(gaps, g) }})
			for n := range 40 {
				if err := in.append(pushed{Name: "push"}, fmt.Appendf(nil, "%0100d", n+1)); err != nil {
					t.Fatal(err)
				}
			}
			before := in.j.Stats().Bytes
			if err := in.Retain(t.Context(), c.sealed); err != nil {
				t.Fatal(err)
			}
			sealed, _ := parseSeq(c.sealed)
			s := newSink()
			r := &intakeRun{m: &in.meter, now: time.Now, gap: in.o.Gap, deliver: s.deliver, f: follower{disk: d, dir: "intake", next: 1}}
			if err := r.pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			first := strings.TrimLeft(s.order[0], "0")
			var n uint64
			fmt.Sscan(first, &n)
			if c.left != "" && first != c.left {
				t.Errorf("entry %d is the first left, want %s", n, c.left)
			}
			if !c.gap && n > sealed {
				t.Errorf("entry %d is the first left, but %d is not sealed", n, sealed)
			}
			if c.gap != (len(gaps) > 0) {
				t.Errorf("gaps %+v, want some: %v", gaps, c.gap)
			}
			for _, g := range gaps {
				if g.First != 1 || g.Last+1 != n || g.Bytes == 0 || g.From.IsZero() || g.To.Before(g.From) || g.Reason == "" {
					t.Errorf("gap %+v; want from entry 1 to the one ahead of %d", g, n)
				}
			}
			if c.sealed == "41" && in.j.Stats().Bytes > before/4 {
				t.Errorf("%d bytes of %d are left though all is sealed", in.j.Stats().Bytes, before)
			}
		})
	}
}

// TestIntakeWakes delivers what is pushed at once, and again nothing.
func TestIntakeWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := openIntake(t, disk.New(0), IntakeOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		s, done := newSink(), make(chan struct{})
		go func() { defer close(done); s.run(t, ctx, in) }()
		for n := range 100 {
			if err := in.append(pushed{Name: "push"}, fmt.Append(nil, n)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got, _ := s.since(0); len(got) != n+1 {
				t.Fatalf("%d delivered after %d pushes", len(got), n+1)
			}
		}
		cancel()
		<-done
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestBackPressure: a lake that takes nothing makes the intake fill up to its
// bound, and pushes are refused from then on; once it takes again, all comes.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := openIntake(t, disk.New(0), IntakeOptions{SegmentBytes: 2000, MaxBytes: 10_000})
		p := NewPush(in, PushOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		s, done, open := newSink(), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			_ = in.Run(ctx, "", func(d *Delivery) error { <-open; return s.deliver(d) })
		}()
		taken := 0
		for n := range 200 {
			w := httptest.NewRecorder()
			if p.ServeHTTP(w, request("/ingest/auto", fmt.Sprintf("%0100d", n))); w.Code == 200 {
				taken++
			} else if w.Code != 503 {
				t.Fatalf("answer %d", w.Code)
			}
		}
		if b := in.j.Stats().Bytes; taken == 200 || taken == 0 || b > 10_000+2000 {
			t.Errorf("%d of 200 taken, %d bytes; want some refused and about 10000 bytes", taken, b)
		}
		close(open)
		synctest.Wait()
		got, _ := s.since(0)
		if len(got) != taken {
			t.Errorf("%d delivered, want the %d that were taken", len(got), taken)
		}
		s.mu.Lock()
		sealed := s.cursor
		s.mu.Unlock()
		if err := in.Retain(ctx, sealed); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if p.ServeHTTP(w, request("/ingest/auto", "again")); w.Code != 200 {
			t.Errorf("answer %d once there is room again", w.Code)
		}
		cancel()
		<-done
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The clock of retention stands still: one that leaps forward while it reckons
// must not delete what nobody has read.
func TestRetainWithALeapingClock(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	leap := time.Duration(0)
	d := disk.New(0)
	in := openIntake(t, d, IntakeOptions{SegmentBytes: 1500, Now: func() time.Time { now = now.Add(leap + 1); return now }})
	for n := range 40 {
		if err := in.append(pushed{Name: "push"}, fmt.Appendf(nil, "%0100d", n+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.j.Sync(); err != nil {
		t.Fatal(err)
	}
	leap = time.Hour
	if err := in.Retain(t.Context(), "20"); err != nil {
		t.Fatal(err)
	}
	s := drain(t, d, "20")
	if len(s.order) != 21 {
		t.Errorf("%d entries are left behind the cursor, want 21", len(s.order))
	}
}

func FuzzFirehose(f *testing.F) {
	f.Add([]byte(`{"requestId":"a","timestamp":1,"records":[{"data":"e30="},{"data":"H4sIAAAAAAAA/6vmAgBGtoa+AgAAAA=="}]}`))
	f.Add([]byte(`{"records":[[]],"requestId":1}`))
	f.Add([]byte(`{"requestId":"a","records":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		frames, id, err := firehoseFrames(body, 1<<20)
		if err == nil && id == "" {
			t.Error("no id and no error")
		}
		n := 0
		for _, fr := range frames {
			n += len(fr)
		}
		if n > 2*len(body) {
			t.Errorf("%d bytes of records out of %d", n, len(body))
		}
	})
}

func FuzzPush(f *testing.F) {
	f.Add("auto", "gzip", "1.0", []byte("\x1f\x8b"))
	f.Add("data", "", "", []byte("{}"))
	f.Add("metrics", "zstd", "1.0", []byte(`{"requestId":"a","records":[]}`))
	in := openIntake(f, disk.New(0), IntakeOptions{MaxBytes: 1 << 40})
	p := NewPush(in, PushOptions{MaxBody: 1 << 16, MaxUnpacked: 1 << 20})
	f.Fuzz(func(t *testing.T, strand, encoding, protocol string, body []byte) {
		r := request("/ingest/auto", string(body), "Content-Encoding", encoding)
		r.URL.Path = "/ingest/" + strand
		if protocol != "" {
			r.Header.Set(version, protocol)
			r.Header.Set(requestID, "a")
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code >= 500 || p.free != p.o.MaxHeld {
			t.Errorf("answer %d, %d held", w.Code, p.o.MaxHeld-p.free)
		}
	})
}
