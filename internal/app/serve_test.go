package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/journal"
	"gatehouse/internal/testkit/disk"
)

// converse asks with a bearer credential and returns the reply and its body.
func (g *gate) converse(t *testing.T, bearer, operation, prompt string) (*http.Response, []byte) {
	t.Helper()
	resp, err := g.send(bearer, operation, prompt)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func (g *gate) send(bearer, operation, prompt string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(g.ctx, "POST", "http://"+g.addr+"/model/amazon.nova-lite-v1:0/"+operation,
		strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"`+prompt+`"}]}]}`))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	return http.DefaultClient.Do(r)
}

func (g *gate) apiKey(name string) string { return string(g.keys[name].APIKey) }

// fault tells the emulator to misbehave.
func (g *gate) fault(t *testing.T, spec string) {
	t.Helper()
	resp, err := http.Post(g.upstream+"/_emulator/faults", "application/json", strings.NewReader(`["`+spec+`"]`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		t.Fatalf("fault %s: %d %s", spec, resp.StatusCode, body)
	}
}

// Nothing reaches the upstream before its admit record is on the disk. The disk
// forgets what was not synced, so that a missing sync cannot hide.
func TestAdmitIsDurableFirst(t *testing.T) {
	d := disk.New(1)
	var wrong atomic.Int64
	g := startGate(t, func(g *gate) {
		g.disk = d
		g.arrive = func(body []byte) {
			if !d.Synced(body) {
				wrong.Add(1)
			}
		}
	})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if resp, body := g.converse(t, g.apiKey("main"), "converse", fmt.Sprintf("prompt number %d", i)); resp.StatusCode != 200 {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	wg.Wait()
	if n := wrong.Load(); n > 0 || g.calls.Load() != 64 {
		t.Errorf("%d of %d requests arrived before their admit record was durable", n, g.calls.Load())
	}
}

// D05: when the disk fails, nothing more is sent upstream and the process is told to end.
func TestFailedDisk(t *testing.T) {
	d := disk.New(1)
	g := startGate(t, func(g *gate) { g.disk = d })
	var broken atomic.Bool
	d.Hook(func(op disk.Op) error {
		if broken.Load() && op.Kind == disk.Sync {
			return syscall.EIO
		}
		return nil
	})
	g.converse(t, g.apiKey("main"), "converse", "before")
	broken.Store(true)
	before := g.calls.Load()
	resp, body := g.converse(t, g.apiKey("main"), "converse", "after")
	if resp.StatusCode != 503 || g.calls.Load() != before {
		t.Errorf("got %d %s, %d calls sent", resp.StatusCode, body, g.calls.Load()-before)
	}
	if resp.Header.Get("Retry-After") == "" || !strings.HasPrefix(resp.Header.Get("X-Amzn-Errortype"), "ServiceUnavailableException") {
		t.Errorf("headers %v", resp.Header)
	}
	select {
	case <-g.server.data.calls.Failed():
	case <-time.After(5 * time.Second):
		t.Error("the failure of the journal is not announced")
	}
	if resp, err := http.Get("http://" + g.addr + "/healthz"); err != nil || resp.StatusCode != 503 {
		t.Errorf("health check: %v, %v", resp, err)
	}
	g.stopBroken = true
}

// L01: of a crowd of calls with a login token exactly fifty a day go upstream, and a
// restart does not forget them. A key is not counted against the chat quota.
func TestChatQuota(t *testing.T) {
	g := startGate(t)
	token := g.eve(t)
	ask := func(n int) (admitted int64) {
		var ok atomic.Int64
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				switch resp, body := g.converse(t, token, "converse", "hello"); {
				case resp.StatusCode == 200:
					ok.Add(1)
				case resp.StatusCode != 400 || !strings.HasPrefix(resp.Header.Get("X-Amzn-Errortype"), "ServiceQuotaExceededException"):
					t.Errorf("refused with %d %s", resp.StatusCode, body)
				case resp.Header.Get("Retry-After") == "" || resp.Header.Get("X-Ratelimit-Remaining") != "0":
					t.Errorf("refused without saying when to return: %v", resp.Header)
				}
			})
		}
		wg.Wait()
		return ok.Load()
	}
	if n := ask(120); n != 50 || g.calls.Load() != 50 {
		t.Errorf("%d calls were answered and %d sent, want 50", n, g.calls.Load())
	}
	g.stop()
	g.start(t)
	if n := ask(5); n != 0 {
		t.Errorf("%d calls were admitted after a restart, want 0", n)
	}
	if resp, body := g.converse(t, g.apiKey("main"), "converse", "hello"); resp.StatusCode != 200 {
		t.Errorf("a key is counted too: %d %s", resp.StatusCode, body)
	}
}

// What Bedrock refused before working is given back to the day, though not to
// the rate, which bounds what reaches it; what it may have worked on is not.
func TestQuotaIsReturned(t *testing.T) {
	g := startGate(t, func(g *gate) {
		g.config.Limits[0].Max = "20"
		g.config.Limits = append(g.config.Limits, config.Limit{Name: "daily", Per: []string{"user"}, Measure: "requests", Max: "10", Window: "day", Action: "refuse"})
	})
	left := regexp.MustCompile(`"(daily|requests)";r=(\d+)`)
	expect := func(status int, want string) {
		t.Helper()
		resp, body := g.converse(t, g.apiKey("main"), "converse", "hello")
		var got []string
		for _, m := range left.FindAllStringSubmatch(resp.Header.Get("Ratelimit"), -1) {
			got = append(got, m[1]+" "+m[2])
		}
		if s := strings.Join(got, ", "); resp.StatusCode != status || s != want {
			t.Errorf("got %d %s, left %s; want %d, left %s", resp.StatusCode, body, s, status, want)
		}
	}
	expect(200, "daily 9, requests 19")
	g.fault(t, "429:times=3")
	expect(429, "daily 8, requests 18")
	expect(429, "daily 8, requests 17") // the day gave the last one back, the rate did not
	expect(429, "daily 8, requests 16")
	expect(200, "daily 8, requests 15")
	g.fault(t, "424:times=1")
	expect(424, "daily 7, requests 14")
	expect(200, "daily 6, requests 13") // a failed model run must be charged
}

// A refusal by a rate limit is what the SDKs retry, and says when.
func TestThrottle(t *testing.T) {
	g := startGate(t, func(g *gate) { g.config.Limits[0].Max = "2" })
	for range 2 {
		g.converse(t, g.apiKey("main"), "converse", "hello")
	}
	resp, body := g.converse(t, g.apiKey("main"), "converse", "hello")
	if resp.StatusCode != 429 || !strings.HasPrefix(resp.Header.Get("X-Amzn-Errortype"), "ThrottlingException:") || !bytes.Contains(body, []byte("Too many requests")) {
		t.Errorf("got %d %s %s", resp.StatusCode, resp.Header.Get("X-Amzn-Errortype"), body)
	}
	for _, h := range []string{"Retry-After", "X-Amz-Retry-After", "Retry-After-Ms", "Ratelimit", "Ratelimit-Policy", "X-Ratelimit-Limit", "X-Ratelimit-Reset"} {
		if resp.Header.Get(h) == "" {
			t.Errorf("refusal lacks %s", h)
		}
	}
	if got := g.reason(t, resp.Header.Get("X-Gatehouse-Call-Id")); got != "rate_limited" {
		t.Errorf("audit record says %q", got)
	}
	if g.calls.Load() != 2 {
		t.Errorf("%d calls reached the upstream, want 2", g.calls.Load())
	}
}

// A streamed answer that Bedrock cuts ends in an exception frame at the caller.
func TestCutStream(t *testing.T) {
	g := startGate(t)
	for _, kind := range []string{"cut", "cut-frame", "end", "crc"} {
		g.fault(t, kind+":after=2,times=1")
		_, body := g.converse(t, g.apiKey("main"), "converse-stream", "tell me")
		r, last := eventstream.NewReader(bytes.NewReader(body), 0), ""
		for {
			f, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: the caller got a malformed stream: %v", kind, err)
			}
			last = f.EventType() + f.ExceptionType()
		}
		if last != "modelStreamErrorException" {
			t.Errorf("%s: the caller's stream ends with %s", kind, last)
		}
	}
}

// D11: a stop lets open streams end, takes no new call, and leaves a whole journal.
func TestDrain(t *testing.T) {
	reached := make(chan struct{}, 20)
	g := startGate(t, func(g *gate) { g.arrive = func([]byte) { reached <- struct{}{} } })
	g.fault(t, "slow:delay=1s,times=20")
	var ended sync.WaitGroup
	var arrived atomic.Int64
	for range 20 {
		ended.Go(func() {
			resp, err := g.send(g.apiKey("main"), "converse-stream", "tell me")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Contains(body, []byte("metadata")) {
				t.Errorf("a stream was cut by the stop: %v, %d bytes", err, len(body))
			}
			arrived.Add(1)
		})
	}
	for range 20 { // the emulator has all, and makes them wait
		<-reached
	}
	if err := g.server.drain(); err != nil {
		t.Error(err)
	}
	ended.Wait()
	if _, err := net.DialTimeout("tcp", g.addr, time.Second); err == nil {
		t.Error("the listener is still open")
	}
	g.stop()
	report, err := journal.Verify(nil, filepath.Join(g.dir, callsDir))
	if err != nil || !report.OK() || arrived.Load() != 20 {
		t.Errorf("%d streams ended, journal: %v, %v", arrived.Load(), report.String(), err)
	}
}

// Two processes cannot have one data directory open (D07).
func TestDataInUse(t *testing.T) {
	g := startGate(t)
	if _, err := OpenData(context.Background(), g.dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened a second time: %v", err)
	}
}

// A key that is revoked, or whose user is disabled, is refused at once (S11).
func TestRevocationIsImmediate(t *testing.T) {
	g := startGate(t)
	token := g.eve(t)
	if resp, _ := g.converse(t, g.apiKey("main"), "converse", "hello"); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	if _, err := g.server.data.RevokeKey(context.Background(), string(g.keys["main"].Key.ID)); err != nil {
		t.Fatal(err)
	}
	if resp, _ := g.converse(t, g.apiKey("main"), "converse", "hello"); resp.StatusCode != 403 {
		t.Errorf("a revoked key: %d", resp.StatusCode)
	}
	if _, err := g.server.data.SetDisabled(context.Background(), "eve@example.com", true); err != nil {
		t.Fatal(err)
	}
	if resp, _ := g.converse(t, token, "converse", "hello"); resp.StatusCode != 403 {
		t.Errorf("a disabled user's token: %d", resp.StatusCode)
	}
}

// A call that was open when the process died is closed and charged at the next start.
func TestInterruptedCallIsCharged(t *testing.T) {
	g := startGate(t, func(g *gate) { g.config.Limits[0].Max = "10" })
	g.converse(t, g.apiKey("main"), "converse", "hello")
	c := &call.Call{ID: call.NewID(time.Now()), Principal: &call.Principal{UserID: g.userID(t, "ana"), User: "ana"}, Time: time.Now()}
	if _, ref := g.server.data.limits.Reserve(t.Context(), c, time.Now()); ref != nil {
		t.Fatal(ref)
	}
	if ref := g.server.data.recorder.Admit(c); ref != nil {
		t.Fatal(ref)
	}
	g.stop() // the call has no result: as after a kill
	g.start(t)
	if g.server.data.cut != 1 {
		t.Errorf("%d calls found interrupted, want 1", g.server.data.cut)
	}
	resp, _ := g.converse(t, g.apiKey("main"), "converse", "hello")
	if got := resp.Header.Get("X-Ratelimit-Remaining"); got != "7" {
		t.Errorf("%s left, want 7 of 10 after two calls and an interrupted one", got)
	}
}

func (g *gate) userID(t *testing.T, name string) string {
	u, err := g.server.data.user(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}
