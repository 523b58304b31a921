package upstream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/sigv4"
)

type staticCredentials sigv4.Credentials

func (c staticCredentials) Retrieve(context.Context) (sigv4.Credentials, error) {
	return sigv4.Credentials(c), nil
}

// rawServer answers every request on every connection with the bytes that
// reply returns for its number; close ends the connection behind them.
type rawServer struct {
	url      *url.URL
	requests atomic.Int64
	conns    atomic.Int64
	seen     chan *http.Request // heads, when there is room
}

func serveRaw(t *testing.T, reply func(n int64, c net.Conn) (raw string, closeAfter bool)) *rawServer {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s := &rawServer{url: &url.URL{Scheme: "http", Host: ln.Addr().String()}, seen: make(chan *http.Request, 16)}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go s.conn(c, reply)
		}
	}()
	return s
}

func (s *rawServer) conn(c net.Conn, reply func(int64, net.Conn) (string, bool)) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		select {
		case s.seen <- r:
		default:
		}
		raw, closeAfter := reply(s.requests.Add(1), c)
		if _, err := io.WriteString(c, raw); err != nil || closeAfter {
			return
		}
	}
}

func open(t *testing.T, u *url.URL, change ...func(*Options)) *Upstream {
	o := Options{
		Region: "us-east-1", Runtime: u, Control: u, UserAgent: "gatehouse/test", Log: slog.New(slog.DiscardHandler),
		Credentials:  staticCredentials{AccessKeyID: "AKIAOURSOURSOURSOURS", Secret: "ours", SessionToken: "our-token"},
		FirstContent: 10 * time.Second, Total: 10 * time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	up := New(o)
	t.Cleanup(up.Close)
	return up
}

// answer is what a caller saw.
type answer struct {
	status  int
	header  http.Header
	body    bytes.Buffer
	refused *call.Refusal
	parts   int
	flushes int
	fail    int // fail the n-th write of frames
	over    int // end the answer with the n-th
	more    int // how often more tokens are given
	writes  int
	written func(n int) // called after the n-th write of frames
	end     string      // "finished" or "aborted", as a stream was told to end
}

func (a *answer) Whole(status int, h http.Header, body []byte, _ *call.Result) error {
	a.status, a.header = status, h
	a.body.Write(body)
	return nil
}

func (a *answer) Start(h http.Header) error { a.status, a.header = 200, h; return nil }

func (a *answer) Frames(raw []byte, flush bool) ([]byte, error) {
	if a.writes++; a.writes == a.fail {
		return nil, io.ErrClosedPipe
	}
	if flush {
		a.flushes++
	}
	a.body.Write(raw)
	if a.written != nil {
		a.written(a.writes)
	}
	if a.writes == a.over {
		return raw, ErrEnded
	}
	return raw, nil
}

func (a *answer) More(int64) *call.Refusal {
	if a.more--; a.more < 0 {
		return call.TokensLimited
	}
	return nil
}

func (a *answer) Part([]byte) error        { a.parts++; return nil }
func (a *answer) Finish(*call.Result)      { a.end += "finished" }
func (a *answer) Abort()                   { a.end += "aborted" }
func (a *answer) Refuse(ref *call.Refusal) { a.refused = ref }

func (a *answer) frames(t *testing.T) (types []string) {
	r := eventstream.NewReader(&a.body, 0)
	for {
		f, err := r.Next()
		if err == io.EOF {
			return types
		}
		if err != nil {
			t.Fatalf("the caller got a malformed stream: %v", err)
		}
		code, _ := f.Header(eventstream.ErrorCodeHeader)
		types = append(types, f.EventType()+f.ExceptionType()+code.Text())
	}
}

func testCall(t *testing.T, operation, body string) *call.Call {
	m, err := model.Default().Resolve("amazon.nova-lite-v1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &call.Call{
		ID: call.NewID(time.Now()), RequestID: call.NewRequestID(), Method: "POST", Operation: bedrock.OperationOf(operation),
		Model: m, CallerARN: "arn:aws:iam::000000000000:user/red/ana", InputEstimate: 100, MaxTokens: 100_000,
	}
	c.Target = bedrock.Target{Operation: c.Operation, Model: "amazon.nova-lite-v1:0"}
	c.SetBody([]byte(body))
	return c
}

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-amzn-RequestId: aaaaaaaa-0000\r\nSet-Cookie: a=b\r\nServer: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

const converse = `{"metrics":{"latencyMs":1},"output":{"message":{"content":[{"text":"hi"}],"role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":1000,"outputTokens":500,"totalTokens":1500}}`

func TestWhole(t *testing.T) {
	s := serveRaw(t, func(int64, net.Conn) (string, bool) { return ok(converse), false })
	up := open(t, s.url)
	for range 3 {
		c, a, res := testCall(t, "Converse", `{"messages":[]}`), &answer{}, &call.Result{}
		c.Header = http.Header{"Accept": {"application/json"}}
		up.Forward(context.Background(), c, a, res)
		if a.status != 200 || a.body.String() != converse || res.Outcome != call.OK || c.RequestID != "aaaaaaaa-0000" {
			t.Fatalf("got %d %q, %+v", a.status, a.body.String(), res)
		}
		// 1,000 × 0.06 + 500 × 0.24 USD a million
		if res.Usage != (call.Usage{Input: 1000, Output: 500, Exact: true}) || res.Cost != 180_000 {
			t.Errorf("usage %+v, cost %d", res.Usage, res.Cost)
		}
		if len(a.header) != 1 {
			t.Errorf("headers beyond the allow-list came back: %v", a.header)
		}
		r := <-s.seen
		if r.RequestURI != "/model/amazon.nova-lite-v1%3A0/converse" || r.Header.Get("X-Amz-Security-Token") != "our-token" ||
			!strings.Contains(r.Header.Get("Authorization"), "Credential=AKIAOURSOURSOURSOURS/") || r.Header.Get("Accept") == "" {
			t.Errorf("upstream got %s %v", r.RequestURI, r.Header)
		}
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections for three calls, want 1", n)
	}
}

// The headers count what was written to the cache, and only the body tells for
// how long; it cannot tell more than they do.
func TestLongWrites(t *testing.T) {
	for body, want := range map[string]call.Usage{
		`{"usage":{"cacheDetails":[{"ttl":"1h","inputTokens":300}],"cacheWriteInputTokens":320}}`: {Input: 4, Output: 8, CacheWrite: 320, Write1h: 300, Exact: true},
		`{"usage":{"cacheDetails":[{"ttl":"1h","inputTokens":999}]}}`:                             {Input: 4, Output: 8, CacheWrite: 320, Write1h: 320, Exact: true},
		`{"usage":`: {Input: 4, Output: 8, CacheWrite: 320, Exact: true},
	} {
		head := "X-Amzn-Bedrock-Input-Token-Count: 4\r\nX-Amzn-Bedrock-Output-Token-Count: 8\r\nX-Amzn-Bedrock-Cache-Write-Input-Token-Count: 320\r\nContent-Length"
		s := serveRaw(t, func(int64, net.Conn) (string, bool) {
			return strings.Replace(ok(body), "Content-Length", head, 1), false
		})
		c, res := testCall(t, "Converse", `{"messages":[]}`), &call.Result{}
		open(t, s.url).Forward(context.Background(), c, &answer{}, res)
		if res.Usage != want {
			t.Errorf("%s: got %+v, want %+v", body, res.Usage, want)
		}
	}
}

// A connection that died while idle is replaced; one that dies under a call is
// not. See TestSentOnce.
func TestStaleConnection(t *testing.T) {
	s := serveRaw(t, func(n int64, _ net.Conn) (string, bool) { return ok(converse), true })
	up := open(t, s.url)
	for i := range 5 {
		for _, c := range up.runtime.idle {
			for c.quiet() { // until the close has arrived
				runtime.Gosched()
			}
		}
		a, res := &answer{}, &call.Result{}
		up.Forward(context.Background(), testCall(t, "Converse", `{}`), a, res)
		if a.status != 200 {
			t.Fatalf("call %d: %+v", i, res)
		}
	}
	if n := s.requests.Load(); n != 5 {
		t.Errorf("five calls arrived as %d requests", n)
	}
	dead := serveRaw(t, func(int64, net.Conn) (string, bool) { return "", true })
	a, res := &answer{}, &call.Result{}
	open(t, dead.url).Forward(context.Background(), testCall(t, "Converse", `{}`), a, res)
	if dead.requests.Load() != 1 || a.refused != call.UpstreamUnavailable || !res.Worked || res.Outcome != call.Unreachable {
		t.Errorf("%d requests, refused with %v, %+v", dead.requests.Load(), a.refused, res)
	}
}

// An admitted call runs at most once: what reached Bedrock whole is not sent again,
// on whatever connection it went.
func TestSentOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		operation, method string
		broken            bool // the pooled connection refuses the request's last byte
		requests          int64
		again             bool // the second call is answered
	}{
		"closed after the request":            {"Converse", "POST", false, 2, false},
		"closed before the request was whole": {"Converse", "POST", true, 2, true},
		"read-only":                           {"ListFoundationModels", "GET", false, 3, true},
	} {
		s := serveRaw(t, func(n int64, _ net.Conn) (string, bool) {
			if n == 2 && !tt.broken {
				return "", true
			}
			return ok(converse), false
		})
		up := open(t, s.url)
		var a *answer
		var res *call.Result
		for i := range 2 {
			c := testCall(t, tt.operation, "")
			c.Method = tt.method
			if p := up.endpointOf(c).pool; i == 1 && tt.broken {
				p.idle[0].Conn = brokenPipe{p.idle[0].Conn}
			}
			a, res = &answer{}, &call.Result{}
			up.Forward(context.Background(), c, a, res)
		}
		if n := s.requests.Load(); n != tt.requests || (a.status == 200) != tt.again || !res.Worked {
			t.Errorf("%s: %d requests, answered %v, %+v", name, n, a.status == 200, res)
		}
		if !tt.again && (a.refused != call.UpstreamUnavailable || res.Outcome != call.Unreachable) {
			t.Errorf("%s: refused with %v, %+v", name, a.refused, res)
		}
	}
}

// brokenPipe is a connection whose other side closes under a write.
type brokenPipe struct{ net.Conn }

func (c brokenPipe) Write(p []byte) (int, error) {
	return len(p) - 1, &net.OpError{Op: "write", Err: syscall.EPIPE}
}

// P22, S17: what an upstream may not do to a caller.
func TestErrors(t *testing.T) {
	head := func(status, errorType, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s X\r\nx-amzn-ErrorType: %s:http://internal.amazon.com/\r\nLocation: http://evil.example/\r\nContent-Length: %d\r\n\r\n%s", status, errorType, len(body), body)
	}
	denied := `{"Message":"User: arn:aws:sts::123456789012:assumed-role/gate/i-0abc is not authorized (key ASIAABCDEFGHIJKLMNOP)"}`
	for name, tt := range map[string]struct {
		reply     string
		status    int
		errorType string
		worked    bool
		body      string // what the caller reads; "" when it is a refusal of ours
	}{
		"throttled":           {head("429", "ThrottlingException", `{"message":"slow down"}`), 429, "ThrottlingException", false, `{"message":"slow down"}`},
		"invalid":             {head("400", "ValidationException", `{"message":"no"}`), 400, "ValidationException", false, `{"message":"no"}`},
		"model error":         {head("424", "ModelErrorException", `{"message":"no"}`), 424, "ModelErrorException", true, `{"message":"no"}`},
		"our role is denied":  {head("403", "AccessDeniedException", denied), 403, "AccessDeniedException", false, `{"Message":"User: arn:aws:iam::000000000000:user/red/ana is not authorized (key REDACTED)"}`},
		"a page":              {head("502", "", "<h1>Bad gateway of account 123456789012</h1>"), 502, "", true, string(masked)},
		"no text":             {head("500", "InternalServerException", ""), 500, "InternalServerException", true, ""},
		"our key is unknown":  {head("403", "UnrecognizedClientException", `{"message":"The security token included in the request is invalid."}`), 503, "ServiceUnavailableException", false, ""},
		"our token is old":    {head("403", "ExpiredTokenException", `{"message":"expired"}`), 503, "ServiceUnavailableException", false, ""},
		"redirect":            {head("302", "", ""), 503, "ServiceUnavailableException", true, ""},
		"huge headers":        {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", 503, "ServiceUnavailableException", true, ""},
		"not HTTP":            {"220 smtp ready\r\n", 503, "ServiceUnavailableException", true, ""},
		"cut in the body":     {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", 503, "ServiceUnavailableException", true, ""},
		"switching protocols": {"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 503, "ServiceUnavailableException", true, ""},
	} {
		s := serveRaw(t, func(int64, net.Conn) (string, bool) { return tt.reply, true })
		a, res := &answer{}, &call.Result{}
		open(t, s.url).Forward(context.Background(), testCall(t, "Converse", `{}`), a, res)
		if a.refused != nil {
			a.status = a.refused.Status
		}
		if a.status != tt.status || res.Status != tt.status || res.ErrorType != tt.errorType || a.body.String() != tt.body {
			t.Errorf("%s: caller got %d %q, result %+v", name, a.status, a.body.String(), res)
		}
		if res.Worked != tt.worked {
			t.Errorf("%s: worked %v, want %v", name, res.Worked, tt.worked)
		}
		if n := s.requests.Load(); n != 1 {
			t.Errorf("%s: %d requests, want 1", name, n)
		}
	}
}

// event is a frame of a Converse stream.
func event(kind, payload string) string {
	return string(eventstream.AppendEvent(nil, kind, []byte(payload)))
}

func chunked(parts ...string) string {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
	}
	return b.String()
}

// B15: a stream that does not end as Bedrock ends it must never look whole.
func TestStream(t *testing.T) {
	start := event("messageStart", `{"role":"assistant"}`)
	delta := event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"twelve bytes"}}`)
	stop := event("messageStop", `{"stopReason":"end_turn"}`)
	metadata := event("metadata", `{"metrics":{"latencyMs":1},"usage":{"inputTokens":7,"outputTokens":9,"totalTokens":16}}`)
	exception := string(eventstream.AppendException(nil, "throttlingException", []byte(`{"message":"slow"}`)))
	secret := string(eventstream.AppendException(nil, "modelStreamErrorException", []byte(`{"message":"arn:aws:sts::123456789012:assumed-role\/gate\/i-0abc","originalStatusCode":400}`)))
	failure := string(eventstream.AppendError(nil, "InternalError", "by arn:aws:iam::123456789012:role/gate"))
	strange := string(eventstream.Append(nil, &eventstream.Message{
		Headers: eventstream.Headers{{Name: ":message-type", Value: eventstream.Text("notice")}, {Name: "role", Value: eventstream.Text("arn:aws:iam::123456789012:role/gate")}},
	}))
	damaged := []byte(delta)
	damaged[len(damaged)-1] ^= 1
	end := "0\r\n\r\n"
	for name, tt := range map[string]struct {
		reply   string
		types   string // that the caller saw
		outcome call.Outcome
		usage   call.Usage
	}{
		"whole":                  {chunked(start, delta, stop, metadata) + end, "messageStart contentBlockDelta messageStop metadata", call.OK, call.Usage{Input: 7, Output: 9, Exact: true}},
		"frames across chunks":   {chunked(start[:9], start[9:]+delta+stop[:40], stop[40:]+metadata) + end, "messageStart contentBlockDelta messageStop metadata", call.OK, call.Usage{Input: 7, Output: 9, Exact: true}},
		"exception":              {chunked(start, delta, exception) + end, "messageStart contentBlockDelta throttlingException", call.Upstream, call.Usage{Input: 100, Output: 3}},
		"our role":               {chunked(start, delta, secret) + end, "messageStart contentBlockDelta modelStreamErrorException", call.Upstream, call.Usage{Input: 100, Output: 3}},
		"our role in an error":   {chunked(start, delta, failure) + end, "messageStart contentBlockDelta InternalError", call.Upstream, call.Usage{Input: 100, Output: 3}},
		"unknown frame":          {chunked(start, delta, strange) + end, "messageStart contentBlockDelta internalServerException", call.Upstream, call.Usage{Input: 100, Output: 3}},
		"goes on after its end":  {chunked(start, delta, metadata, delta) + end, "messageStart contentBlockDelta metadata contentBlockDelta modelStreamErrorException", call.Truncated, call.Usage{Input: 7, Output: 9}},
		"cut in a frame":         {chunked(start, delta, stop[:20]), "messageStart contentBlockDelta modelStreamErrorException", call.Truncated, call.Usage{Input: 100, Output: 3}},
		"ended in a frame":       {chunked(start, delta, stop[:20]) + end, "messageStart contentBlockDelta modelStreamErrorException", call.Truncated, call.Usage{Input: 100, Output: 3}},
		"cut between frames":     {chunked(start, delta), "messageStart contentBlockDelta modelStreamErrorException", call.Truncated, call.Usage{Input: 100, Output: 3}},
		"ended between frames":   {chunked(start, delta) + end, "messageStart contentBlockDelta modelStreamErrorException", call.Truncated, call.Usage{Input: 100, Output: 3}},
		"no metadata at the end": {chunked(start, delta, stop) + end, "messageStart contentBlockDelta messageStop modelStreamErrorException", call.Truncated, call.Usage{Input: 100, Output: 3}},
		"wrong CRC":              {chunked(start, delta, string(damaged), stop, metadata) + end, "messageStart contentBlockDelta modelStreamErrorException", call.Truncated, call.Usage{Input: 100, Output: 3}},
	} {
		s := serveRaw(t, func(int64, net.Conn) (string, bool) { return tt.reply, !strings.HasSuffix(tt.reply, end) })
		a, res := &answer{}, &call.Result{}
		open(t, s.url).Forward(context.Background(), testCall(t, "ConverseStream", `{}`), a, res)
		shown, told := a.body.String(), string(res.Body)+res.Message
		for _, ours := range []string{"123456789012", "gate"} {
			if strings.Contains(shown, ours) || strings.Contains(told, ours) {
				t.Errorf("%s: the caller saw %q, recorded %q", name, shown, told)
			}
		}
		if shown != string(res.Body) || a.end != "finished" {
			t.Errorf("%s: the caller saw %q, recorded %q; %s", name, shown, res.Body, a.end)
		}
		if got := strings.Join(a.frames(t), " "); got != tt.types || res.Outcome != tt.outcome || res.Usage != tt.usage {
			t.Errorf("%s: caller saw %s\noutcome %s, usage %+v\nwant %s\noutcome %s, usage %+v", name, got, res.Outcome, res.Usage, tt.types, tt.outcome, tt.usage)
		}
	}
}

// A stream that fails before its first frame is still an ordinary error.
func TestStreamWithoutFrames(t *testing.T) {
	for name, reply := range map[string]string{
		"nothing":     chunked() + "0\r\n\r\n",
		"cut":         chunked("\x00\x00"),
		"wrong frame": chunked("this is no event stream at all, not at all") + "0\r\n\r\n",
	} {
		s := serveRaw(t, func(int64, net.Conn) (string, bool) { return reply, true })
		a, res := &answer{}, &call.Result{}
		open(t, s.url).Forward(context.Background(), testCall(t, "ConverseStream", `{}`), a, res)
		if a.refused != call.UpstreamUnavailable || a.status != 0 || res.Outcome != call.Truncated {
			t.Errorf("%s: refused with %v, started %d, %+v", name, a.refused, a.status, res)
		}
	}
}

// B17: when the caller leaves, the upstream connection goes, and what was seen is billed.
func TestCallerLeaves(t *testing.T) {
	start := event("messageStart", `{"role":"assistant"}`)
	gone := make(chan struct{})
	s := serveRaw(t, func(_ int64, c net.Conn) (string, bool) {
		io.WriteString(c, chunked(start))
		io.Copy(io.Discard, c) // until the gateway closes
		close(gone)
		return "", true
	})
	ctx, leave := context.WithCancel(context.Background())
	a, res := &answer{}, &call.Result{}
	up := open(t, s.url)
	done := make(chan struct{})
	go func() {
		defer close(done)
		up.Forward(ctx, testCall(t, "ConverseStream", `{}`), a, res)
	}()
	<-s.seen
	leave()
	for _, c := range []chan struct{}{gone, done} {
		select {
		case <-c:
		case <-time.After(5 * time.Second):
			t.Fatal("the upstream connection outlived the caller")
		}
	}
	if res.Outcome != call.ClientGone || res.Usage.Exact || !res.Worked {
		t.Errorf("got %+v", res)
	}
}

// A caller that closes its sending half ends its call, but may still read: it must
// not take what it has for the whole.
func TestCallerHalfCloses(t *testing.T) {
	start := event("messageStart", `{"role":"assistant"}`)
	s := serveRaw(t, func(_ int64, c net.Conn) (string, bool) {
		io.WriteString(c, chunked(start))
		io.Copy(io.Discard, c) // until the gateway closes
		return "", true
	})
	for name, tt := range map[string]struct {
		fail  int
		types string
	}{
		"still reads": {0, "messageStart modelStreamErrorException"},
		"is gone":     {2, "messageStart"},
	} {
		ctx, leave := context.WithCancel(context.Background())
		a, res := &answer{fail: tt.fail, written: func(int) { leave() }}, &call.Result{}
		open(t, s.url).Forward(ctx, testCall(t, "ConverseStream", `{}`), a, res)
		if got := strings.Join(a.frames(t), " "); got != tt.types || a.end != "aborted" || res.Outcome != call.ClientGone {
			t.Errorf("%s: caller saw %s, %s, %+v", name, got, a.end, res)
		}
	}
}

// A caller that leaves when it has everything has had a whole stream.
func TestCallerLeavesAfterTheEnd(t *testing.T) {
	metadata := event("metadata", `{"usage":{"inputTokens":7,"outputTokens":9,"totalTokens":16}}`)
	s := serveRaw(t, func(int64, net.Conn) (string, bool) { return chunked(metadata) + "0\r\n\r\n", false })
	ctx, leave := context.WithCancel(context.Background())
	a, res := &answer{written: func(int) { leave() }}, &call.Result{}
	open(t, s.url).Forward(ctx, testCall(t, "ConverseStream", `{}`), a, res)
	if res.Outcome != call.OK || a.end != "finished" {
		t.Errorf("%s, %+v", a.end, res)
	}
}

// A native stream ends with Bedrock's metrics, whatever the model counts before.
func TestNativeStream(t *testing.T) {
	chunk := func(doc string) string { return string(eventstream.AppendChunk(nil, []byte(doc), "")) }
	text := chunk(`{"choices":[{"delta":{"content":"twelve bytes"}}],"usage":{"prompt_tokens":6,"completion_tokens":1}}`)
	last := chunk(`{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":8},"amazon-bedrock-invocationMetrics":{"inputTokenCount":6,"outputTokenCount":8}}`)
	for name, tt := range map[string]struct {
		frames  []string
		types   string
		outcome call.Outcome
		usage   call.Usage
	}{
		"whole": {[]string{text, text, last}, "chunk chunk chunk", call.OK, call.Usage{Input: 6, Output: 8, Exact: true}},
		"cut":   {[]string{text, text}, "chunk chunk modelStreamErrorException", call.Truncated, call.Usage{Input: 6, Output: 6}},
	} {
		s := serveRaw(t, func(int64, net.Conn) (string, bool) { return chunked(tt.frames...) + "0\r\n\r\n", false })
		c, a, res := testCall(t, "InvokeModelWithResponseStream", `{}`), &answer{}, &call.Result{}
		var err error
		if c.Model, err = model.Default().Resolve("openai.gpt-oss-20b-1:0"); err != nil {
			t.Fatal(err)
		}
		open(t, s.url).Forward(context.Background(), c, a, res)
		if got := strings.Join(a.frames(t), " "); got != tt.types || res.Outcome != tt.outcome || res.Usage != tt.usage {
			t.Errorf("%s: caller saw %s, %s, %+v", name, got, res.Outcome, res.Usage)
		}
	}
}

// A write that fails is the caller's end too, and the connection is not kept.
func TestCallerDoesNotRead(t *testing.T) {
	start := event("messageStart", `{"role":"assistant"}`)
	metadata := event("metadata", `{"usage":{"inputTokens":7,"outputTokens":9,"totalTokens":16}}`)
	s := serveRaw(t, func(int64, net.Conn) (string, bool) { return chunked(start, metadata) + "0\r\n\r\n", false })
	up := open(t, s.url)
	for range 2 {
		a, res := &answer{fail: 2}, &call.Result{}
		up.Forward(context.Background(), testCall(t, "ConverseStream", `{}`), a, res)
		if res.Outcome != call.ClientGone || a.end != "aborted" {
			t.Errorf("%s, %+v", a.end, res)
		}
	}
	if n := s.conns.Load(); n != 2 {
		t.Errorf("a connection with an unread answer was used again: %d connections", n)
	}
}

func TestTimeouts(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	short := func(o *Options) { o.FirstContent, o.Total = 50*time.Millisecond, 50*time.Millisecond }
	for name, operation := range map[string]string{"stream": "ConverseStream", "whole": "Converse"} {
		s := serveRaw(t, func(int64, net.Conn) (string, bool) { <-hang; return "", true })
		a, res := &answer{}, &call.Result{}
		open(t, s.url, short).Forward(context.Background(), testCall(t, operation, `{}`), a, res)
		if a.refused != call.UpstreamTimeout || res.Outcome != call.Unreachable || !res.Worked {
			t.Errorf("%s: refused with %v, %+v", name, a.refused, res)
		}
	}
	refusing := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	a, res := &answer{}, &call.Result{}
	open(t, refusing).Forward(context.Background(), testCall(t, "Converse", `{}`), a, res)
	if a.refused != call.UpstreamUnavailable || res.Worked {
		t.Errorf("nobody listens: refused with %v, %+v", a.refused, res)
	}
}

// A long stream is recorded in parts, in bounded memory.
func TestParts(t *testing.T) {
	delta := event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"`+strings.Repeat("x", 1000)+`"}}`)
	metadata := event("metadata", `{"usage":{"inputTokens":7,"outputTokens":9,"totalTokens":16}}`)
	s := serveRaw(t, func(int64, net.Conn) (string, bool) {
		return chunked(strings.Repeat(delta, 200), metadata) + "0\r\n\r\n", false
	})
	a, res := &answer{}, &call.Result{}
	open(t, s.url).Forward(context.Background(), testCall(t, "ConverseStream", `{}`), a, res)
	if want := 200 * len(delta) / maxPart; a.parts < want || len(res.Body) > maxPart || res.Outcome != call.OK {
		t.Errorf("%d parts, %d bytes left, want at least %d parts: %+v", a.parts, len(res.Body), want, res.Outcome)
	}
	if a.flushes >= 200 {
		t.Errorf("%d flushes for 201 frames that came at once", a.flushes)
	}
}

// What may end a stream in the middle, and what the caller is told.
func TestStopped(t *testing.T) {
	delta := event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"`+strings.Repeat("word ", 40)+`"}}`) // 50 tokens
	last := event("messageStop", `{"stopReason":"end_turn"}`) + event("metadata", `{"usage":{"inputTokens":3,"outputTokens":150}}`)
	reply := chunked(delta, delta, delta, last) + "0\r\n\r\n"
	for name, tt := range map[string]struct {
		bound   int64
		answer  answer
		frozen  bool // by the time the second frame is sent
		outcome call.Outcome
		says    string // the last frame
	}{
		"within its bound":            {150, answer{}, false, call.OK, "metadata"},
		"beyond it, more is given":    {100, answer{more: 1}, false, call.OK, "metadata"},
		"beyond it, nothing is given": {100, answer{}, false, call.Stopped, "throttlingException"},
		"no bound, nothing is given":  {0, answer{}, false, call.Stopped, "throttlingException"},
		"the guard ends it":           {150, answer{over: 2}, false, call.Blocked, "contentBlockDelta"},
		"frozen":                      {150, answer{}, true, call.Stopped, "serviceUnavailableException"},
	} {
		s := serveRaw(t, func(_ int64, c net.Conn) (string, bool) {
			if !tt.frozen {
				return reply, true
			}
			io.WriteString(c, chunked(delta, delta)) // and then the model thinks
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			c.Read(make([]byte, 1)) // until the gateway hangs up
			return "", true
		})
		ctx, stop := context.WithCancelCause(context.Background())
		a, res, c := &tt.answer, &call.Result{}, testCall(t, "ConverseStream", `{}`)
		c.MaxTokens, c.Answers = tt.bound, 1
		if tt.frozen {
			a.written = func(n int) {
				if n == 2 {
					stop(call.Frozen)
				}
			}
		}
		open(t, s.url).Forward(ctx, c, a, res)
		stop(nil)
		if res.Outcome != tt.outcome || a.end != "finished" || !strings.Contains(lastFrame(t, a.body.Bytes()), tt.says) {
			t.Errorf("%s: %s, %s, last frame %s; want %s, %s", name, res.Outcome, a.end, lastFrame(t, a.body.Bytes()), tt.outcome, tt.says)
		}
		if res.Outcome != call.OK && (res.Usage.Output < 50 || res.Cost == 0) {
			t.Errorf("%s: what was seen is not charged: %+v, cost %d", name, res.Usage, res.Cost)
		}
	}
}

// lastFrame names the last frame of a stream.
func lastFrame(t *testing.T, stream []byte) (name string) {
	frames := eventstream.NewReader(bytes.NewReader(stream), maxFrame)
	for {
		f, err := frames.Next()
		if err != nil {
			return name
		}
		name = f.EventType() + f.ExceptionType()
	}
}

// Whoever hangs up, or waits too short, pays for what Bedrock may have done: all
// that was reserved of an answer in one piece, the prompt of a stream that had not
// begun. What never left costs nothing.
func TestUnseenAnswersAreCharged(t *testing.T) {
	silent := func(_ int64, c net.Conn) (string, bool) {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		c.Read(make([]byte, 1)) // until the gateway hangs up
		return "", true
	}
	cut := func(int64, net.Conn) (string, bool) {
		return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", true
	}
	const in, out = 100, 5000
	for name, tt := range map[string]struct {
		reply     func(int64, net.Conn) (string, bool) // nil: nobody listens
		operation string
		leave     bool
		want      call.Usage
	}{
		"hung up on an answer":        {silent, "Converse", true, call.Usage{Input: in, Output: out}},
		"hung up on a stream":         {silent, "ConverseStream", true, call.Usage{Input: in}},
		"an answer that did not come": {silent, "Converse", false, call.Usage{Input: in, Output: out}},
		"a stream that did not come":  {silent, "ConverseStream", false, call.Usage{Input: in}},
		"an answer cut in the middle": {cut, "Converse", false, call.Usage{Input: in, Output: out}},
		"nobody there":                {nil, "Converse", false, call.Usage{}},
		"counting tokens is free":     {silent, "CountTokens", true, call.Usage{}},
	} {
		ctx, leave := context.WithCancel(context.Background())
		to, timeout := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, 300*time.Millisecond
		if tt.leave {
			timeout = 10 * time.Second
		}
		if tt.reply != nil {
			s := serveRaw(t, tt.reply)
			to = s.url
			if tt.leave {
				go func() { <-s.seen; leave() }()
			}
		}
		up := open(t, to, func(o *Options) { o.FirstContent, o.Total = timeout, timeout })
		c, res := testCall(t, tt.operation, `{}`), &call.Result{}
		c.MaxTokens, c.Answers = out, 1
		up.Forward(ctx, c, &answer{}, res)
		leave()
		if res.Usage != tt.want || (res.Cost > 0) != (tt.want.Input > 0) {
			t.Errorf("%s: charged %+v, cost %d (%s), want %+v", name, res.Usage, res.Cost, res.Outcome, tt.want)
		}
	}
}
