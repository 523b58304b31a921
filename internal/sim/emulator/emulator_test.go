package emulator

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/eventstream"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/sigv4"
)

// TestFamilies: every model of the table has a family here, and every family
// has what its shape needs.
func TestFamilies(t *testing.T) {
	for _, m := range model.Default().All() {
		if familyOf(m.Family) == nil {
			t.Errorf("%s: no family %q", m.ID, m.Family)
		}
	}
	for _, f := range families {
		if f.chat && !f.shape.output {
			t.Errorf("%s: chats without text", f.name)
		}
		if (f.key == "") != (f.other == nil) {
			t.Errorf("%s: half of another shape", f.name)
		}
	}
}

// TestUsage: what the emulator reports is what the shared vocabulary reads out
// of it, by headers, by body, by metrics.
func TestUsage(t *testing.T) {
	e := New(testOptions())
	for _, test := range []struct{ model, body string }{
		{"anthropic.claude-haiku-4-5-20251001-v1:0", `{"anthropic_version":"x","max_tokens":7,"messages":[{"role":"user","content":"hello"}]}`},
		{"amazon.titan-text-express-v1", `{"inputText":"hello","textGenerationConfig":{"maxTokenCount":7}}`},
		{"amazon.nova-micro-v1:0", `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":7}}`},
		{"cohere.command-text-v14", `{"prompt":"hello","max_tokens":7}`},
		{"meta.llama3-8b-instruct-v1:0", `{"prompt":"hello","max_gen_len":7}`},
	} {
		w := do(e, "POST", "/model/"+test.model+"/invoke", test.body)
		u, ok := bedrock.UsageFromHeaders(w.Header())
		if !ok || u.Input != 2 || u.Output != 7 {
			t.Errorf("%s: usage %+v, %v; want 2 and 7", test.model, u, ok)
		}
	}
}

func do(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.RequestURI = target
	r.URL.Path, _, _ = strings.Cut(target, "?")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestDeterministic: one seed, model and prompt give one answer; changing any
// gives another.
func TestDeterministic(t *testing.T) {
	say := func(seed uint64, model, prompt string) string {
		o := testOptions()
		o.Seed = seed
		return do(New(o), "POST", "/model/"+model+"/invoke", `{"prompt":"`+prompt+`"}`).Body.String()
	}
	const llama, other = "meta.llama3-8b-instruct-v1:0", "meta.llama3-70b-instruct-v1:0"
	first := say(1, llama, "a")
	if again := say(1, llama, "a"); again != first {
		t.Errorf("got %s, then %s", first, again)
	}
	for _, changed := range []string{say(2, llama, "a"), say(1, other, "a"), say(1, llama, "b")} {
		if changed == first {
			t.Errorf("got %s again", first)
		}
	}
}

// TestPromptCache: a long prefix is written once and then read, until it is
// forgotten, and the input does not count it.
func TestPromptCache(t *testing.T) {
	o, now := testOptions(), testNow
	o.Now = func() time.Time { return now }
	e := New(o)
	body := `{"system":[{"text":"` + strings.Repeat("abcd", 2000) + `"},{"cachePoint":{"type":"default"}}],"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":1}}`
	for i, want := range []string{
		`"cacheReadInputTokens":0,"cacheWriteInputTokens":2000,"inputTokens":2,"outputTokens":1,"serverToolUsage":{},"totalTokens":2003}`,
		`"cacheReadInputTokens":2000,"cacheWriteInputTokens":0,"inputTokens":2,`,
		`"cacheReadInputTokens":0,"cacheWriteInputTokens":2000,"inputTokens":2,`,
	} {
		if i == 2 {
			now = now.Add(cacheLife)
		}
		if got := do(e, "POST", "/model/amazon.nova-lite-v1:0/converse", body).Body.String(); !strings.Contains(got, want) {
			t.Errorf("call %d: got %s, want %s", i, got, want)
		}
	}
}

// TestApplicationProfile: an ARN of the account that hides a model is told, and
// can be called.
func TestApplicationProfile(t *testing.T) {
	const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"
	o := testOptions()
	o.Models = model.Default()
	o.Models.Profiles = map[string]string{arn: "us.amazon.nova-lite-v1:0"}
	e := New(o)
	escaped := url.PathEscape(arn)
	for _, target := range []string{"/inference-profiles/" + escaped, "/inference-profiles?type=APPLICATION"} {
		body := do(e, "GET", target, "").Body.String()
		for _, want := range []string{`"inferenceProfileArn":"` + arn + `"`, `"inferenceProfileId":"abc123def456"`, `foundation-model/amazon.nova-lite-v1:0"`, `"type":"APPLICATION"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s in %s", target, want, body)
			}
		}
	}
	if w := do(e, "POST", "/model/"+escaped+"/converse", `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`); w.Code != 200 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// TestConcurrent: calls and changes of faults at once, for the race detector.
func TestConcurrent(t *testing.T) {
	o := testOptions()
	o.RequestID, o.Control = nil, true
	e := New(o)
	want := do(e, "POST", "/model/meta.llama3-8b-instruct-v1:0/invoke", `{"prompt":"hello"}`).Body.String()
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for range 50 {
				if i == 0 {
					do(e, "POST", "/_emulator/faults", `["503:every=2,model=nothing"]`)
				}
				do(e, "GET", "/_emulator/calls", "")
				if got := do(e, "POST", "/model/meta.llama3-8b-instruct-v1:0/invoke", `{"prompt":"hello"}`).Body.String(); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				do(e, "POST", "/model/amazon.nova-lite-v1:0/converse-stream", `{"messages":[{"role":"user","content":[{"text":"a"}]}]}`)
			}
		})
	}
	group.Wait()
}

// TestArrived: the hook sees request and whole body before anything is decided.
func TestArrived(t *testing.T) {
	var got string
	e := New(Options{Arrived: func(r *http.Request, body []byte) { got = r.RequestURI + " " + string(body) }})
	w := do(e, "POST", "/model/x/invoke", "any bytes")
	if got != "/model/x/invoke any bytes" || w.Code != 403 {
		t.Errorf("arrived %q, answered %d", got, w.Code)
	}
}

func TestBodyTooLarge(t *testing.T) {
	e := New(testOptions())
	for _, length := range []int64{maxBody + 1, -1} {
		r := httptest.NewRequest("POST", "/model/x/invoke", io.LimitReader(zeros{}, maxBody+1))
		r.ContentLength = length
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != 413 {
			t.Errorf("length %d: %d, want 413", length, w.Code)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestPace: an answer begins after TTFT and runs at the asked rate, and says so.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.TTFT, o.TokensPerSecond = 300*time.Millisecond, 10
		e := New(o)
		start := time.Now()
		w := do(e, "POST", "/model/meta.llama3-8b-instruct-v1:0/converse", `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":7}}`)
		if took := time.Since(start); took != time.Second || !strings.Contains(w.Body.String(), `"latencyMs":1000`) {
			t.Errorf("took %v: %s", took, w.Body)
		}
		start = time.Now()
		w = do(e, "POST", "/model/meta.llama3-8b-instruct-v1:0/invoke-with-response-stream", `{"prompt":"hello","max_gen_len":7}`)
		last := chunks(t, w.Body)
		if took := time.Since(start); took != time.Second || !strings.Contains(last[len(last)-1], `"invocationLatency":1000,"firstByteLatency":300`) {
			t.Errorf("took %v: %s", took, last[len(last)-1])
		}
	})
}

// TestSlow: a delay comes before the first byte; a client that goes away ends it.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.Faults = []Fault{{Kind: FaultSlow, Delay: time.Minute}}
		e := New(o)
		for _, target := range []string{"/model/meta.llama3-8b-instruct-v1:0/invoke", "/foundation-models/meta.llama3-8b-instruct-v1:0"} {
			method := "POST"
			if strings.HasPrefix(target, "/f") {
				method = "GET"
			}
			start := time.Now()
			if w := do(e, method, target, `{"prompt":"hello"}`); w.Code != 200 || time.Since(start) != time.Minute {
				t.Errorf("%s: %d after %v", target, w.Code, time.Since(start))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequest("POST", "/model/meta.llama3-8b-instruct-v1:0/invoke-with-response-stream", strings.NewReader(`{"prompt":"hello"}`)).WithContext(ctx)
		w := httptest.NewRecorder()
		start := time.Now()
		e.ServeHTTP(w, r)
		if w.Body.Len() != 0 || time.Since(start) != time.Second {
			t.Errorf("wrote %d bytes, stayed %v", w.Body.Len(), time.Since(start))
		}
	})
}

// TestHang: not a byte, until the client goes away.
func TestHang(t *testing.T) {
	o := testOptions()
	o.Faults = []Fault{{Kind: FaultHang}}
	arrived := make(chan bool, 1)
	o.Arrived = func(*http.Request, []byte) { arrived <- true }
	base := startServe(t, New(o))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	r, _ := http.NewRequestWithContext(ctx, "POST", base+"/model/x/invoke", strings.NewReader("{}"))
	if _, err := http.DefaultClient.Do(r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestOnTheWire: the spelling of headers, the chunked stream, and the head that
// the emulator remembers, byte for byte.
func TestOnTheWire(t *testing.T) {
	o := testOptions()
	o.Control = true
	base := startServe(t, New(o))
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"prompt":"hello","max_gen_len":2}`
	head := "POST /model/meta.llama3-8b-instruct-v1%%3A0/%s HTTP/1.1\r\nhost: emu\r\nX-b: 1\r\nauthorization: secret\r\ncontent-length: 34\r\n\r\n"
	in := bufio.NewReader(conn)
	for range 2 { // the second on the same connection
		fmt.Fprintf(conn, head+body, "invoke")
		raw := readHead(t, in)
		for _, want := range []string{"\r\nx-amzn-RequestId: 0", "\r\nX-Amzn-Bedrock-Input-Token-Count: 2\r\n", "\r\nContent-Type: application/json\r\n", "\r\nConnection: keep-alive\r\n", "\r\nContent-Length: ", "\r\nDate: "} {
			if !strings.Contains(raw, want) {
				t.Errorf("no %q in\n%s", want, raw)
			}
		}
		resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(raw), in)), nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
	}
	fmt.Fprintf(conn, head+body, "invoke-with-response-stream")
	if raw := readHead(t, in); !strings.Contains(raw, "\r\nTransfer-Encoding: chunked\r\n") || !strings.Contains(raw, "\r\nContent-Type: application/vnd.amazon.eventstream\r\n") {
		t.Errorf("stream head\n%s", raw)
	}
	resp, err := http.Get(base + "/_emulator/calls")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	report, _ := io.ReadAll(resp.Body)
	want := `"head":"POST /model/meta.llama3-8b-instruct-v1%3A0/invoke HTTP/1.1\r\nhost: emu\r\nX-b: 1\r\nauthorization: [redacted]\r\ncontent-length: 34"`
	if n := bytes.Count(report, []byte(want)); n != 2 {
		t.Errorf("%d heads, want 2 of %s in\n%s", n, want, report)
	}
}

// readHead reads a response's head as it is on the wire.
func readHead(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		head.WriteString(line)
		if line == "\r\n" {
			return head.String()
		}
	}
}

// chunks are the native documents of a stream.
func chunks(t *testing.T, r io.Reader) []string {
	t.Helper()
	var docs []string
	frames := eventstream.NewReader(r, 1<<20)
	for {
		f, err := frames.Next()
		if err == io.EOF {
			return docs
		}
		if err != nil {
			t.Fatal(err)
		}
		doc, ok := eventstream.AppendChunkDocument(nil, f.Payload)
		if !ok {
			t.Fatalf("no chunk: %q", f.Payload)
		}
		docs = append(docs, string(doc))
	}
}

// TestFaultProbability: a probability fires about as often as it says, and the
// same way for one seed.
func TestFaultProbability(t *testing.T) {
	run := func() (fired []bool) {
		f := faults{rng: *rand.NewPCG(7, 1)}
		f.replace([]Fault{{Kind: FaultInternal, Probability: 0.25}})
		for range 1000 {
			fired = append(fired, f.take("InvokeModel", "m", false) != nil)
		}
		return fired
	}
	first, n := run(), 0
	for _, f := range first {
		if f {
			n++
		}
	}
	if n < 200 || n > 300 || fmt.Sprint(run()) != fmt.Sprint(first) {
		t.Errorf("fired %d of 1000, want about 250, and the same again", n)
	}
}

func TestParseFault(t *testing.T) {
	for text, want := range map[string]Fault{
		"429":         {Kind: FaultThrottle},
		"429:times=2": {Kind: FaultThrottle, Times: 2},
		"exception:after=3,type=validationException,model=anthropic.*": {Kind: FaultException, After: 3, Type: "validationException", Model: "anthropic.*"},
		"slow":                         {Kind: FaultSlow, Delay: time.Second},
		"slow:delay=2s,every=10":       {Kind: FaultSlow, Delay: 2 * time.Second, Every: 10},
		"503:probability=0.5":          {Kind: FaultUnavailable, Probability: 0.5},
		"oversize:operation=Converse*": {Kind: FaultOversize, Size: 25 << 20, Operation: "Converse*"},
	} {
		if got, err := ParseFault(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                          `fault "": unknown kind "", want one of 403 408`,
		"nope":                      `unknown kind "nope"`,
		"429:times=x":               "times=x: a whole number",
		"429:tmies=1":               `unknown setting "tmies"`,
		"slow:delay=2":              "delay=2: a duration",
		"slow:delay=-1s":            "delay=-1s: a duration",
		"500:probability=1.5":       "a number from 0 to 1",
		"500:probability=NaN":       "a number from 0 to 1",
		"redirect:location=a\nb":    "control characters",
		"oversize:size=99999999999": "a whole number",
	} {
		if _, err := ParseFault(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "a", true}, {"*", "", true}, {"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "acb", false}, {"*b*", "abc", true}, {"a*b*a", "aba", true}, {"a*a", "a", false},
	} {
		if got := glob(test.pattern, test.text); got != test.want {
			t.Errorf("glob(%q, %q) = %v", test.pattern, test.text, got)
		}
	}
}

func TestLoadScript(t *testing.T) {
	for text, want := range map[string]string{
		"rules:\n- {txet: a}":                       "unknown field",
		"rules:\n- {times: -1}":                     "script rule 1: times is negative",
		"rules:\n- {stop_reason: done}":             `stop_reason "done"`,
		"rules:\n- {tool: {input: {a: 1}}}":         "tool has no name",
		"rules:\n- {fault: nope}\n- {fault: nopes}": "script rule 2: fault \"nopes\"",
		"rules:\n- {usage: {input_tokens: -1}}":     "usage is negative",
		"a: &x 1\nrules: *x":                        "anchors and aliases",
		"rules: [":                                  "script:",
		strings.Repeat("#", maxScript+1):            "at most 1048576 are read",
	} {
		if _, err := LoadScript([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
	}
	if _, err := LoadScript([]byte(`{"rules":[{"prompt":"a","text":"b"}]}`)); err != nil {
		t.Errorf("JSON: %v", err)
	}
}

// TestPieces: the deltas of a text are the text, each of whole runes.
func TestPieces(t *testing.T) {
	for _, text := range []string{"", "one", "one two  three ", strings.Repeat("é", 100), "\n\n\n"} {
		var joined []byte
		for rest := []byte(text); len(rest) > 0; {
			n := piece(rest)
			if n == 0 || !isUTF8(rest[:n]) {
				t.Fatalf("%q: piece %q", text, rest[:n])
			}
			joined, rest = append(joined, rest[:n]...), rest[n:]
		}
		if string(joined) != text {
			t.Errorf("got %q, want %q", joined, text)
		}
	}
}

func isUTF8(b []byte) bool { return validUTF8(string(b)) == string(b) }

// TestSecrets: nothing that is printed of options shows a secret.
func TestSecrets(t *testing.T) {
	o := Options{Credentials: []Credential{{AccessKeyID: "A", Secret: "hidden", SessionToken: "hidden"}}, BearerKeys: []sigv4.Secret{"hidden"}}
	if s := fmt.Sprintf("%+v %#v", o, o); strings.Contains(s, "hidden") {
		t.Errorf("printed %s", s)
	}
}
