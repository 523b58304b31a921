package bedrocklimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"gatehouse/bedrocklimit"
	"gatehouse/internal/sim/emulator"
)

const haiku = "anthropic.claude-3-haiku-20240307-v1:0"

// direct is a Bedrock without a network, so that time can be false.
type direct struct {
	h    http.Handler
	sent atomic.Int64
	fail func(r *http.Request) error // instead of an answer
}

func (d *direct) Do(r *http.Request) (*http.Response, error) {
	d.sent.Add(1)
	if d.fail != nil {
		if err := d.fail(r); err != nil {
			return nil, err
		}
	}
	in := httptest.NewRequest(r.Method, r.URL.RequestURI(), r.Body)
	in.Host = r.URL.Host
	in.Header = r.Header
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, in)
	out := w.Result()
	for name, values := range out.Header { // as they would come off the wire
		delete(out.Header, name)
		out.Header[http.CanonicalHeaderKey(name)] = values
	}
	return out, nil
}

func begin(t *testing.T, o bedrocklimit.Options, faults ...emulator.Fault) (*bedrockruntime.Client, *bedrocklimit.Limiter, *direct) {
	t.Helper()
	o.User = userOf
	l, err := bedrocklimit.New(o)
	if err != nil {
		t.Fatal(err)
	}
	d := &direct{h: emulator.New(emulator.Options{Anonymous: true, Seed: 1, Faults: faults})}
	return client(l, d), l, d
}

func client(l *bedrocklimit.Limiter, d *direct) *bedrockruntime.Client {
	return bedrockruntime.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://bedrock.test"), HTTPClient: d,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "EXAMPLE", SecretAccessKey: "example"}, nil
		}),
	}, l.Limit)
}

func as(user string) context.Context {
	return context.WithValue(context.Background(), userKey{}, user)
}

func says(text string) []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: text}}}}
}

func ask(c *bedrockruntime.Client, user string) error {
	return askModel(c, user, haiku)
}

func askModel(c *bedrockruntime.Client, user, model string) error {
	_, err := c.Converse(as(user), &bedrockruntime.ConverseInput{ModelId: aws.String(model), Messages: says("hello")})
	return err
}

func per(name string, m bedrocklimit.Measure, most int64, window time.Duration, by ...bedrocklimit.Per) bedrocklimit.Limit {
	return bedrocklimit.Limit{Name: name, Per: by, Measure: m, Max: most, Window: window}
}

// TestDefault: each user gets a hundred calls a minute, over all clients.
func TestDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l, d := begin(t, bedrocklimit.Options{})
		clients := []*bedrockruntime.Client{c, client(l, d)}
		for i := range 100 {
			if err := ask(clients[i%2], "ann"); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		err := ask(c, "ann")
		var throttled *types.ThrottlingException
		var api smithy.APIError
		var refused *bedrocklimit.RefusedError
		if !errors.As(err, &throttled) || !errors.As(err, &api) || api.ErrorCode() != "ThrottlingException" || api.ErrorFault() != smithy.FaultClient {
			t.Fatalf("got %v, want a ThrottlingException", err)
		}
		if !errors.As(err, &refused) || refused.Limit != "requests" || refused.RetryAfter < time.Minute || refused.RetryAfter > 62*time.Second || refused.Detail == "" {
			t.Errorf("got %+v, want the limit and about a minute", refused)
		}
		if n := d.sent.Load(); n != 100 {
			t.Errorf("%d were sent, want 100: the refused one was not", n)
		}
		if err := ask(c, "ben"); err != nil {
			t.Errorf("another user: %v", err)
		}
		time.Sleep(refused.RetryAfter)
		if err := ask(c, "ann"); err != nil {
			t.Errorf("after the time it was told: %v", err)
		}
	})
}

func TestConcurrent(t *testing.T) {
	c, _, d := begin(t, bedrocklimit.Options{})
	errs := make(chan error)
	for range 1000 {
		go func() { errs <- ask(c, "") }()
	}
	var answered int
	for range 1000 {
		if <-errs == nil {
			answered++
		}
	}
	if n := d.sent.Load(); answered != 100 || n != 100 {
		t.Errorf("%d were answered and %d sent, want 100: calls of nobody share one limit", answered, n)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := per("slow", bedrocklimit.Requests, 2, 10*time.Second, bedrocklimit.PerUser)
		limit.Wait = 30 * time.Second
		c, _, d := begin(t, bedrocklimit.Options{Limits: []bedrocklimit.Limit{limit}})
		begun := time.Now()
		for range 6 {
			if err := ask(c, "ann"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("six calls at two in ten seconds took %v, want twenty seconds", took)
		}
		ctx, cancel := context.WithTimeout(as("ann"), time.Second)
		defer cancel()
		_, err := c.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: says("hello")})
		var cancelled *smithy.CanceledError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &cancelled) || d.sent.Load() != 6 {
			t.Errorf("whose caller leaves: got %v and %d sent, want the context's error and 6", err, d.sent.Load())
		}
	})
}

// operations make one call each, by every API, and tell what was used.
var operations = map[string]func(t *testing.T, c *bedrockruntime.Client) (in, out int64){
	"Converse": func(t *testing.T, c *bedrockruntime.Client) (int64, int64) {
		o, err := c.Converse(as("ann"), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: says("hello"), InferenceConfig: bound()})
		if err != nil {
			t.Fatal(err)
		}
		return int64(*o.Usage.InputTokens), int64(*o.Usage.OutputTokens)
	},
	"ConverseStream": func(t *testing.T, c *bedrockruntime.Client) (in, out int64) {
		o, err := c.ConverseStream(as("ann"), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(haiku), Messages: says("hello"), InferenceConfig: bound()})
		if err != nil {
			t.Fatal(err)
		}
		for e := range o.GetStream().Events() {
			if m, ok := e.(*types.ConverseStreamOutputMemberMetadata); ok {
				in, out = int64(*m.Value.Usage.InputTokens), int64(*m.Value.Usage.OutputTokens)
			}
		}
		if err := o.GetStream().Close(); err != nil {
			t.Fatal(err)
		}
		return in, out
	},
	"InvokeModel": func(t *testing.T, c *bedrockruntime.Client) (int64, int64) {
		o, err := c.InvokeModel(as("ann"), &bedrockruntime.InvokeModelInput{ModelId: aws.String(haiku), Body: native()})
		if err != nil {
			t.Fatal(err)
		}
		return counted(t, string(o.Body))
	},
	"InvokeModelWithResponseStream": func(t *testing.T, c *bedrockruntime.Client) (in, out int64) {
		o, err := c.InvokeModelWithResponseStream(as("ann"), &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String(haiku), Body: native()})
		if err != nil {
			t.Fatal(err)
		}
		var last string
		for e := range o.GetStream().Events() {
			last = string(e.(*types.ResponseStreamMemberChunk).Value.Bytes)
		}
		o.GetStream().Close()
		return counted(t, last)
	},
}

func bound() *types.InferenceConfiguration {
	return &types.InferenceConfiguration{MaxTokens: aws.Int32(500)}
}

func native() []byte {
	return []byte(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":500,"messages":[{"role":"user","content":"hello"}]}`)
}

// TestSettle: what was reserved becomes what Bedrock says was used.
func TestSettle(t *testing.T) {
	for name, call := range operations {
		t.Run(name, func(t *testing.T) {
			c, l, _ := begin(t, bedrocklimit.Options{Limits: []bedrocklimit.Limit{
				per("requests", bedrocklimit.Requests, 9, time.Minute, bedrocklimit.PerUser),
				per("input", bedrocklimit.InputTokens, 1e6, time.Minute, bedrocklimit.PerUser),
				per("output", bedrocklimit.OutputTokens, 1e6, time.Minute, bedrocklimit.PerModel),
				per("usd", bedrocklimit.USD, bedrocklimit.Dollar, bedrocklimit.Day, bedrocklimit.PerProgram),
				per("models", bedrocklimit.Models, 2, time.Hour, bedrocklimit.PerUser),
				per("open", bedrocklimit.Open, 1, 0, bedrocklimit.PerUser),
			}})
			in, out := call(t, c)
			if in == 0 || out == 0 || out >= 500 {
				t.Fatalf("the answer tells %d and %d tokens", in, out)
			}
			for limit, want := range map[string]int64{"requests": 1, "input": in, "output": out, "usd": in*250 + out*1250, "models": 1, "open": 0} {
				if got := l.Used(limit); got != want {
					t.Errorf("%s: %d used, want %d", limit, got, want)
				}
			}
			if l.Running() != 0 {
				t.Error("the call has not ended")
			}
		})
	}
}

// TestStreamLeft: whoever closes a stream early has used what was sent, and
// holds nothing any more; who reads it to its end need not close it.
func TestStreamLeft(t *testing.T) {
	_, l, d := begin(t, bedrocklimit.Options{Limits: []bedrocklimit.Limit{
		per("open", bedrocklimit.Open, 1, 0, bedrocklimit.PerUser),
		per("output", bedrocklimit.OutputTokens, 1e6, time.Minute, bedrocklimit.PerUser),
	}})
	leave := []func(s *bedrockruntime.ConverseStreamEventStream){
		func(s *bedrockruntime.ConverseStreamEventStream) { s.Close() },
		func(s *bedrockruntime.ConverseStreamEventStream) { <-s.Events(); s.Close() },
		func(s *bedrockruntime.ConverseStreamEventStream) {
			for range s.Events() {
			}
		},
	}
	for i := range 60 {
		// A client of its own: streams of one client share a decoder in this SDK,
		// to which the race detector objects.
		o, err := client(l, d).ConverseStream(as("ann"), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(haiku), Messages: says("hello"), InferenceConfig: bound()})
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		if l.Running() != 1 {
			t.Fatalf("stream %d: %d calls are open, want this one", i, l.Running())
		}
		leave[i%len(leave)](o.GetStream())
		for end := time.Now().Add(10 * time.Second); l.Running() != 0; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("stream %d has ended and holds its place", i)
			}
		}
	}
	if used := l.Used("output"); used >= 60*500 {
		t.Errorf("%d tokens are used, want less than was reserved", used)
	}
}

// TestModels: who goes from model to model is stopped, also by models nobody knows.
func TestModels(t *testing.T) {
	c, _, d := begin(t, bedrocklimit.Options{Limits: []bedrocklimit.Limit{per("models", bedrocklimit.Models, 2, time.Hour, bedrocklimit.PerUser)}})
	for _, model := range []string{haiku, "example.unknown-v1:0", haiku} {
		askModel(c, "ann", model)
	}
	before := d.sent.Load()
	var throttled *types.ThrottlingException
	if err := askModel(c, "ann", "amazon.nova-lite-v1:0"); !errors.As(err, &throttled) || d.sent.Load() != before {
		t.Errorf("a third model: got %v and %d sent, want a ThrottlingException and none", err, d.sent.Load()-before)
	}
}

func TestMoney(t *testing.T) {
	budget := []bedrocklimit.Limit{per("usd", bedrocklimit.USD, bedrocklimit.Dollar/100, bedrocklimit.Day, bedrocklimit.PerUser)}
	c, l, d := begin(t, bedrocklimit.Options{Limits: budget})
	var denied *types.AccessDeniedException
	if err := askModel(c, "ann", "example.unknown-v1:0"); !errors.As(err, &denied) || d.sent.Load() != 0 {
		t.Errorf("a model without a price: got %v, want a denial and nothing sent", err)
	}
	var err error
	for err == nil { // each reserves 4,096 tokens of output, at 1.25 dollars a million
		err = ask(c, "ann")
	}
	var quota *types.ServiceQuotaExceededException
	if !errors.As(err, &quota) {
		t.Errorf("got %v, want a ServiceQuotaExceededException", err)
	}
	if used := l.Used("usd"); used > bedrocklimit.Dollar/100 || used < bedrocklimit.Dollar/400 {
		t.Errorf("%d of %d nano-dollars were spent, want most and no more", used, bedrocklimit.Dollar/100)
	}
}

// TestOthers: calls that are not priced by the token count as requests, and one
// whose price nobody can tell is refused where there is a budget.
func TestOthers(t *testing.T) {
	c, l, _ := begin(t, bedrocklimit.Options{Limits: []bedrocklimit.Limit{
		per("requests", bedrocklimit.Requests, 9, time.Minute, bedrocklimit.PerUser),
		per("tokens", bedrocklimit.Tokens, 1e6, time.Minute, bedrocklimit.PerUser),
		per("usd", bedrocklimit.USD, bedrocklimit.Dollar, bedrocklimit.Day, bedrocklimit.PerUser),
	}})
	if _, err := c.ApplyGuardrail(as("ann"), &bedrockruntime.ApplyGuardrailInput{
		GuardrailIdentifier: aws.String(emulator.DefaultGuardrail.ID), GuardrailVersion: aws.String("DRAFT"), Source: types.GuardrailContentSourceInput,
		Content: []types.GuardrailContentBlock{&types.GuardrailContentBlockMemberText{Value: types.GuardrailTextBlock{Text: aws.String("hello")}}},
	}); err != nil {
		t.Error(err)
	}
	if _, err := c.CountTokens(as("ann"), &bedrockruntime.CountTokensInput{ModelId: aws.String(haiku), Input: &types.CountTokensInputMemberConverse{Value: types.ConverseTokensRequest{Messages: says("hello")}}}); err != nil {
		t.Error(err)
	}
	for limit, want := range map[string]int64{"requests": 2, "tokens": 0, "usd": 0} {
		if got := l.Used(limit); got != want {
			t.Errorf("%s: %d used, want %d", limit, got, want)
		}
	}
	_, err := c.StartAsyncInvoke(as("ann"), &bedrockruntime.StartAsyncInvokeInput{
		ModelId: aws.String(haiku), ModelInput: document.NewLazyDocument(map[string]any{"prompt": "a film"}),
		OutputDataConfig: &types.AsyncInvokeOutputDataConfigMemberS3OutputDataConfig{Value: types.AsyncInvokeS3OutputDataConfig{S3Uri: aws.String("s3://bucket")}},
	})
	var denied *types.AccessDeniedException
	if !errors.As(err, &denied) {
		t.Errorf("an asynchronous call: got %v, want a denial", err)
	}
}

// TestThrottled: Bedrock throttles twice; the call is sent three times, in a
// loop, and counted once.
func TestThrottled(t *testing.T) {
	for _, kind := range []emulator.FaultKind{emulator.FaultThrottle, emulator.FaultThrottleTokens, emulator.FaultUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			c, l, d := begin(t, bedrocklimit.Options{}, emulator.Fault{Kind: kind, Times: 2, RetryAfter: 1500 * time.Millisecond})
			begun := time.Now()
			if err := ask(c, "ann"); err != nil || d.sent.Load() != 3 || l.Used("requests") != 1 {
				t.Errorf("%s: got %v, %d sent, %d counted, want 3 sent and 1 counted", kind, err, d.sent.Load(), l.Used("requests"))
			}
			if took := time.Since(begun); took < 3*time.Second || took > 4*time.Second {
				t.Errorf("%s: took %v, want twice what it was told, or a little more", kind, took)
			}
		})
	}
}

// TestGivesUp: after the last attempt the error is Bedrock's, and tokens go back.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l, d := begin(t, bedrocklimit.Options{Attempts: 7, MaxDelay: 4 * time.Second, Limits: []bedrocklimit.Limit{
			per("requests", bedrocklimit.Requests, 9, time.Minute, bedrocklimit.PerUser),
			per("tokens", bedrocklimit.Tokens, 1e6, time.Minute, bedrocklimit.PerUser),
		}}, emulator.Fault{Kind: emulator.FaultThrottle})
		begun := time.Now()
		err := ask(c, "ann")
		var throttled *types.ThrottlingException
		var refused *bedrocklimit.RefusedError
		if !errors.As(err, &throttled) || errors.As(err, &refused) || d.sent.Load() != 7 {
			t.Errorf("got %v after %d attempts, want Bedrock's error after 7", err, d.sent.Load())
		}
		if took := time.Since(begun); took > 19*time.Second {
			t.Errorf("took %v, want 1, 2 and four times 4 seconds at most", took)
		}
		if l.Used("tokens") != 0 || l.Used("requests") != 1 || l.Running() != 0 {
			t.Errorf("%d tokens and %d requests are counted, want 0 and 1", l.Used("tokens"), l.Used("requests"))
		}
	})
}

// TestNoAnswer: what Bedrock may have done without our hearing of it is charged;
// where it was never reached, nothing is.
func TestNoAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     error
		charged bool
	}{
		{"broken", io.ErrUnexpectedEOF, true},
		{"not reached", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, false},
	} {
		client, l, d := begin(t, bedrocklimit.Options{Attempts: 1, Limits: []bedrocklimit.Limit{per("tokens", bedrocklimit.Tokens, 1e6, time.Minute, bedrocklimit.PerUser)}})
		d.fail = func(*http.Request) error { return c.err }
		if err := ask(client, "ann"); err == nil {
			t.Errorf("%s: no error", c.name)
		}
		if used := l.Used("tokens"); (used > 4000) != c.charged || (used > 0) != c.charged || l.Running() != 0 {
			t.Errorf("%s: %d tokens are charged, want the reservation: %v", c.name, used, c.charged)
		}
	}
}

func TestPanic(t *testing.T) {
	client, l, d := begin(t, bedrocklimit.Options{Limits: []bedrocklimit.Limit{
		per("open", bedrocklimit.Open, 1, 0, bedrocklimit.PerUser),
		per("tokens", bedrocklimit.Tokens, 1e6, time.Minute, bedrocklimit.PerUser),
	}})
	d.fail = func(*http.Request) error { panic("broken transport") }
	func() {
		defer func() { recover() }()
		ask(client, "ann")
	}()
	if l.Running() != 0 || l.Used("tokens") < 4096 {
		t.Errorf("%d calls are open and %d tokens used, want none and what was reserved", l.Running(), l.Used("tokens"))
	}
}

func TestDelay(t *testing.T) {
	l, err := bedrocklimit.New(bedrocklimit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(name, value string) error {
		h := http.Header{}
		h.Set(name, value)
		return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 429, Header: h}}, Err: errors.New("throttled")}
	}
	for _, c := range []struct {
		name      string
		attempt   int
		err       error
		low, high time.Duration
	}{
		{"first", 1, io.EOF, 0, time.Second},
		{"first, counted from 0", 0, io.EOF, 0, time.Second},
		{"third", 3, io.EOF, 0, 4 * time.Second},
		{"tenth", 10, io.EOF, 0, 20 * time.Second},
		{"overflow", 62, io.EOF, 0, 20 * time.Second},
		{"thousandth", 999, io.EOF, 0, 20 * time.Second},
		{"seconds", 1, answer("Retry-After", "7"), 7 * time.Second, 7 * time.Second},
		{"milliseconds", 1, answer("X-Amz-Retry-After", "7000"), 7 * time.Second, 7 * time.Second},
		{"no wish", 1, answer("Retry-After", "0"), 0, time.Second},
		{"beyond the bound", 1, answer("Retry-After", "3600"), 20 * time.Second, 20 * time.Second},
		{"absurd", 1, answer("Retry-After", "99999999999999999999"), 0, time.Second},
		{"negative", 1, answer("Retry-After", "-5"), 0, time.Second},
		{"date", 1, answer("Retry-After", "Fri, 31 Dec 2199 23:59:59 GMT"), 20 * time.Second, 20 * time.Second},
		{"date gone by", 1, answer("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"), 0, time.Second},
		{"nonsense", 1, answer("Retry-After", "soon"), 0, time.Second},
		{"no answer", 1, &smithyhttp.ResponseError{Err: io.EOF}, 0, time.Second},
	} {
		seen := map[time.Duration]bool{}
		for range 200 {
			d := l.Delay(c.attempt, c.err)
			if seen[d] = true; d < c.low || d > c.high {
				t.Fatalf("%s: waits %v, want %v to %v", c.name, d, c.low, c.high)
			}
		}
		if c.low == 0 && len(seen) < 100 {
			t.Errorf("%s: waits by chance, want different times, got %d", c.name, len(seen))
		}
	}
}

func TestOptions(t *testing.T) {
	good := per("a", bedrocklimit.Requests, 1, time.Minute, bedrocklimit.PerUser)
	for want, change := range map[string]func(l *bedrocklimit.Limit){
		"per \"ip\" is not available":        func(l *bedrocklimit.Limit) { l.Per = []bedrocklimit.Per{"ip"} },
		"measure \"calls\" is not available": func(l *bedrocklimit.Limit) { l.Measure = "calls" },
		"per is missing":                     func(l *bedrocklimit.Limit) { l.Per = nil },
		"max 0":                              func(l *bedrocklimit.Limit) { l.Max = 0 },
		"window":                             func(l *bedrocklimit.Limit) { l.Window = 0 },
		"name":                               func(l *bedrocklimit.Limit) { l.Name = "A" },
		"wait":                               func(l *bedrocklimit.Limit) { l.Wait = time.Hour },
	} {
		bad := good
		change(&bad)
		if _, err := bedrocklimit.New(bedrocklimit.Options{Limits: []bedrocklimit.Limit{bad}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := bedrocklimit.New(bedrocklimit.Options{Prices: map[string]bedrocklimit.Price{haiku: {Input: "-1"}}}); err == nil {
		t.Error("a negative price was taken")
	}
}

// counted reads the last document of a native answer.
func counted(t *testing.T, doc string) (in, out int64) {
	t.Helper()
	var d struct {
		Usage struct {
			Input  int64 `json:"input_tokens"`
			Output int64 `json:"output_tokens"`
		}
		Metrics struct {
			Input  int64 `json:"inputTokenCount"`
			Output int64 `json:"outputTokenCount"`
		} `json:"amazon-bedrock-invocationMetrics"`
	}
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return d.Usage.Input + d.Metrics.Input, d.Usage.Output + d.Metrics.Output
}
