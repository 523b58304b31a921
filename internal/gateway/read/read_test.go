package read

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
)

func fetch(b *Budget, body io.Reader, length, max int64) (*call.Call, Held, *call.Refusal) {
	r := httptest.NewRequest("POST", "/", body)
	r.ContentLength = length
	c := &call.Call{}
	held, ref := b.Body(httptest.NewRecorder(), r, c, max)
	return c, held, ref
}

func TestBody(t *testing.T) {
	long := strings.Repeat("x", 200<<10) // beyond the pooled buffers
	for name, tt := range map[string]struct {
		body   string
		length int64
		want   call.Reason
	}{
		"none":             {"", 0, ""},
		"small":            {"{}", 2, ""},
		"length unknown":   {"{}", -1, ""},
		"grows":            {long, int64(len(long)), ""},
		"grows, unknown":   {long, -1, ""},
		"announced beyond": {"", 1 << 20, "body_too_large"},
		"beyond, unknown":  {strings.Repeat("x", 300<<10), -1, "body_too_large"},
		"exactly the most": {strings.Repeat("x", 256<<10), 256 << 10, ""},
	} {
		b := &Budget{Max: 1 << 30}
		c, held, ref := fetch(b, strings.NewReader(tt.body), tt.length, 256<<10)
		if got := reason(ref); got != tt.want {
			t.Errorf("%s: refused with %q, want %q", name, got, tt.want)
		}
		if ref == nil && (string(c.Body) != tt.body || c.BodySHA256 != sha256.Sum256([]byte(tt.body)) && tt.length != 0) {
			t.Errorf("%s: got %d bytes, want %d", name, len(c.Body), len(tt.body))
		}
		held.Free()
		held.Free() // once is enough, twice does no harm
		if n := b.used.Load(); n != 0 {
			t.Errorf("%s: %d bytes of the budget were not given back", name, n)
		}
	}
}

func reason(ref *call.Refusal) call.Reason {
	if ref == nil {
		return ""
	}
	return ref.Reason
}

// Bodies share a budget, and what is freed can be used again.
func TestBudget(t *testing.T) {
	budget := &Budget{Max: 100}
	body := strings.Repeat("x", 80)
	_, first, ref := fetch(budget, strings.NewReader(body), 80, 1000)
	if ref != nil {
		t.Fatal(ref)
	}
	_, second, ref := fetch(budget, strings.NewReader(body), 80, 1000)
	if reason(ref) != "overloaded" {
		t.Errorf("a body beyond the budget: %v", ref)
	}
	second.Free()
	first.Free()
	if _, third, ref := fetch(budget, strings.NewReader(body), 80, 1000); ref != nil || budget.used.Load() != 80 {
		t.Errorf("after all was freed: %v, %d bytes held", ref, budget.used.Load())
	} else {
		third.Free()
	}
}

// pipes is a listener over net.Pipe, whose deadlines follow the test's clock.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// H20: a body that drips is cut once it falls behind a kibibyte a second.
func TestSlowBody(t *testing.T) {
	for name, tt := range map[string]struct {
		first     int // bytes at once, then
		perSecond int
		want      int
	}{
		"a byte a second":        {0, 1, 408},
		"2 KiB a second":         {0, 2048, 200},
		"nothing":                {0, 0, 408},
		"much, and then silence": {30000, 0, 408},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &Budget{Max: 1 << 20}
			s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				held, ref := b.Body(w, r, &call.Call{}, 1<<20)
				held.Free()
				if ref != nil {
					w.Header().Set("Connection", "close")
					w.WriteHeader(ref.Status)
				}
			})}
			ln := make(pipes, 1)
			go s.Serve(ln)
			client, server := net.Pipe()
			ln <- server
			fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 32768\r\n\r\n")
			go func() {
				client.Write(make([]byte, tt.first))
				for range 16 {
					if tt.perSecond > 0 {
						client.Write(bytes.Repeat([]byte("x"), tt.perSecond))
					}
					time.Sleep(time.Second)
				}
			}()
			resp, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err != nil || resp.StatusCode != tt.want {
				t.Errorf("%s: got %v, %v, want %d", name, resp, err, tt.want)
			}
			client.Close()
			close(ln)
			s.Close()
			time.Sleep(time.Minute) // let every timer and goroutine of the bubble end
		})
	}
}

const (
	nova   = "amazon.nova-lite-v1:0"
	haiku  = "anthropic.claude-3-haiku-20240307-v1:0"
	gpt    = "openai.gpt-oss-20b-1:0"
	titan  = "amazon.titan-image-generator-v2:0"
	rerank = "cohere.rerank-v3-5:0" // has no price by token
)

func newCall(operation, model, body string) *call.Call {
	c := &call.Call{Operation: bedrock.OperationOf(operation), Body: []byte(body)}
	c.Target = bedrock.Target{Operation: c.Operation, Model: model}
	return c
}

// What Parse fills in, and what it takes for an upper bound.
func TestParse(t *testing.T) {
	rd := New(Options{Models: model.Default()})
	for _, tt := range []struct {
		operation, model, body string
		max, estimate          int64
	}{
		{"Converse", nova, `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":7}}`, 7, 7},
		{"Converse", "us." + nova, `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`, 4096, 7},
		{"InvokeModel", haiku, `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`, 9, 7},
		{"InvokeModel", gpt, `{"messages":[{"role":"user","content":"hello"}],"max_tokens":5,"max_completion_tokens":50}`, 50, 7},
	} {
		c := newCall(tt.operation, tt.model, tt.body)
		if ref := rd.Parse(c); ref != nil {
			t.Errorf("%s %s: %v", tt.operation, tt.body, ref)
		}
		if c.MaxTokens != tt.max || c.InputEstimate < 5 || c.InputEstimate > 2*tt.estimate+30 {
			t.Errorf("%s %s: max tokens %d, estimate %d, want %d and at least 5", tt.operation, tt.body, c.MaxTokens, c.InputEstimate, tt.max)
		}
	}
}

// What Parse refuses, beside the rows of the attack catalogue.
func TestRefused(t *testing.T) {
	blocks := func(n int) string {
		return `{"messages":[{"role":"user","content":[` + strings.Repeat(`{"text":"x"},`, n-1) + `{"text":"x"}]}]}`
	}
	inner := func(body string) string {
		return `{"input":{"invokeModel":{"body":"` + base64.StdEncoding.EncodeToString([]byte(body)) + `"}}}`
	}
	rd := New(Options{Models: model.Default()})
	for name, tt := range map[string]struct {
		operation, model, body string
		want                   call.Reason
	}{
		"no such model":              {"Converse", "no.such-model", `{}`, "unknown_model"},
		"no price":                   {"InvokeModel", rerank, `{"query":"q","documents":["d"]}`, "model_denied"},
		"no price, claude":           {"Converse", "anthropic.claude-mythos-preview", `{"messages":[]}`, "model_denied"},
		"no price, streamed":         {"ConverseStream", "anthropic.claude-mythos-preview", `{"messages":[]}`, "model_denied"},
		"no price, counted for free": {"CountTokens", "anthropic.claude-mythos-preview", `{"input":{}}`, ""},
		"no price, looked at":        {"GetFoundationModel", rerank, "", ""},
		"a price by image":           {"InvokeModel", titan, `{"taskType":"TEXT_IMAGE","textToImageParams":{"text":"a cat"}}`, ""},

		"numbers for messages":       {"Converse", nova, `{"messages":[` + strings.Repeat("1,", 1000) + `1]}`, "unparsed_body"},
		"a million numbers":          {"Converse", nova, `{"messages":[` + strings.Repeat("1,", 1_000_000) + `1]}`, "malformed_body"},
		"a million settings":         {"Converse", nova, `{"messages":[],"guardrailConfig":[` + strings.Repeat("1,", 1_000_000) + `1]}`, "malformed_body"},
		"B10 100,000 content blocks": {"Converse", nova, blocks(100_000), "malformed_body"},
		"10,000 content blocks":      {"Converse", nova, blocks(10_000), ""},
		"a prompt as token ids":      {"InvokeModel", gpt, `{"prompt":[15496,995]}`, "unparsed_body"},

		"a bound in a list":     {"Converse", nova, `{"messages":[],"inferenceConfig":[{"maxTokens":1000000000}]}`, "unparsed_body"},
		"priority":              {"Converse", nova, `{"messages":[],"serviceTier":{"type":"priority"}}`, "operation_denied"},
		"reserved":              {"ConverseStream", nova, `{"messages":[],"serviceTier":{"type":"reserved"}}`, "operation_denied"},
		"tier in a list":        {"Converse", nova, `{"messages":[],"serviceTier":[{"type":"priority"}]}`, "unparsed_body"},
		"flex":                  {"Converse", nova, `{"messages":[],"serviceTier":{"type":"flex"}}`, ""},
		"default":               {"Converse", nova, `{"messages":[],"serviceTier":{"type":"default"}}`, ""},
		"no tier":               {"Converse", nova, `{"messages":[],"serviceTier":null}`, ""},
		"optimized latency":     {"Converse", nova, `{"messages":[],"performanceConfig":{"latency":"optimized"}}`, "operation_denied"},
		"standard latency":      {"Converse", nova, `{"messages":[],"performanceConfig":{"latency":"standard"}}`, ""},
		"priority, native":      {"InvokeModel", gpt, `{"messages":[],"service_tier":"priority"}`, "operation_denied"},
		"priority, handed down": {"Converse", gpt, `{"messages":[],"additionalModelRequestFields":{"service_tier":"priority"}}`, "operation_denied"},
		"auto, native":          {"InvokeModel", haiku, `{"messages":[],"max_tokens":5,"service_tier":"auto"}`, ""},

		"inner: twice a key":        {"CountTokens", nova, inner(`{"a":1,"a":2}`), "malformed_body"},
		"inner: no base64":          {"CountTokens", haiku, `{"input":{"invokeModel":{"body":"{\"messages\":[]}"}}}`, "malformed_body"},
		"inner: empty":              {"CountTokens", haiku, `{"input":{"invokeModel":{"body":""}}}`, "malformed_body"},
		"inner: no text":            {"CountTokens", haiku, `{"input":{"invokeModel":{"body":5}}}`, "unparsed_body"},
		"inner: in a list":          {"CountTokens", haiku, `{"input":[{"invokeModel":{"body":"{}"}}]}`, "unparsed_body"},
		"inner: unknown member":     {"CountTokens", haiku, inner(`{"messages":[],"mcp_servers":[{"name":"x"}]}`), "unparsed_body"},
		"inner: another family":     {"CountTokens", haiku, inner(`{"inputText":"x"}`), "unparsed_body"},
		"inner: a link":             {"CountTokens", haiku, inner(`{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://169.254.169.254/"}}]}]}`), "unparsed_body"},
		"inner: good":               {"CountTokens", haiku, inner(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`), ""},
		"inner: in Converse's form": {"CountTokens", nova, `{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"x"}]}]}}}`, ""},
		"inner: a link in it":       {"CountTokens", nova, `{"input":{"converse":{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"s3Location":{"uri":"s3://b/k"}}}}]}]}}}`, "unparsed_body"},

		"16 answers":             {"InvokeModel", gpt, `{"messages":[],"n":16}`, ""},
		"17 answers":             {"InvokeModel", gpt, `{"messages":[],"n":17}`, "bad_max_tokens"},
		"no answer":              {"InvokeModel", gpt, `{"messages":[],"n":0}`, "bad_max_tokens"},
		"minus one answer":       {"InvokeModel", gpt, `{"messages":[],"best_of":-1}`, "bad_max_tokens"},
		"half an answer":         {"InvokeModel", gpt, `{"messages":[],"n":1.5}`, "bad_max_tokens"},
		"2^63 answers":           {"InvokeModel", gpt, `{"messages":[],"n":9223372036854775808}`, "bad_max_tokens"},
		"true answers":           {"InvokeModel", gpt, `{"messages":[],"n":true}`, "bad_max_tokens"},
		"answers as text":        {"InvokeModel", gpt, `{"messages":[],"n":"2"}`, "unparsed_body"},
		"null answers":           {"InvokeModel", gpt, `{"messages":[],"n":null}`, ""},
		"10,000 images":          {"InvokeModel", titan, `{"taskType":"TEXT_IMAGE","imageGenerationConfig":{"numberOfImages":10000}}`, "bad_max_tokens"},
		"many answers by detour": {"Converse", nova, `{"messages":[],"additionalModelRequestFields":{"num_generations":100}}`, "bad_max_tokens"},
	} {
		if got := reason(rd.Parse(newCall(tt.operation, tt.model, tt.body))); got != tt.want {
			t.Errorf("%s: refused with %q, want %q", name, got, tt.want)
		}
	}
}

// Headers choose a tier for InvokeModel.
func TestTierHeaders(t *testing.T) {
	rd := New(Options{Models: model.Default()})
	for value, want := range map[string]call.Reason{
		"default": "", "flex": "", "standard": "",
		"priority": "operation_denied", "Priority": "operation_denied", "reserved": "operation_denied", "optimized": "operation_denied",
	} {
		for _, name := range []string{"X-Amzn-Bedrock-Service-Tier", "X-Amzn-Bedrock-PerformanceConfig-Latency"} {
			c := newCall("InvokeModelWithResponseStream", haiku, `{"max_tokens":5,"messages":[]}`)
			c.Header = http.Header{}
			c.Header.Set(name, value)
			if got := reason(rd.Parse(c)); got != want {
				t.Errorf("%s: %s: refused with %q, want %q", name, value, got, want)
			}
		}
	}
}

// Large bodies are read a few at a time, small ones at once; one that waits too
// long is told to come back.
func TestLargeBodies(t *testing.T) {
	large := `{"messages":[{"role":"user","content":[{"text":"` + strings.Repeat("x", smallBody) + `"}]}]}`
	synctest.Test(t, func(t *testing.T) {
		rd := New(Options{Models: model.Default()})
		for range cap(rd.large) {
			rd.enter()
		}
		start := time.Now()
		if got := reason(rd.Parse(newCall("Converse", nova, large))); got != "overloaded" || time.Since(start) != maxWait {
			t.Errorf("one too many: %q after %v, want overloaded after %v", got, time.Since(start), maxWait)
		}
		if got := reason(rd.Parse(newCall("Converse", nova, `{"messages":[]}`))); got != "" {
			t.Errorf("a small body: %q", got)
		}
		go func() {
			time.Sleep(maxWait / 2)
			rd.leave()
		}()
		for range 3 {
			if got := reason(rd.Parse(newCall("Converse", nova, large))); got != "" {
				t.Errorf("with a place free: %q", got)
			}
		}
		if n := len(rd.large); n != cap(rd.large)-1 {
			t.Errorf("%d places are taken, want %d", n, cap(rd.large)-1)
		}
	})
}

// chat makes a Converse body of about size bytes, in turns of a chat.
func chat(size int) string {
	turn := `{"role":"user","content":[{"text":"` + strings.Repeat("What is the airspeed of a swallow? ", 6) + `\n"}]},` +
		`{"role":"assistant","content":[{"text":"` + strings.Repeat("African or European? ", 6) + `"}]}`
	turns := strings.Repeat(turn+",", max(size/len(turn)-1, 0)) + turn
	return `{"messages":[` + turns + `],"inferenceConfig":{"maxTokens":512,"temperature":0.7},"system":[{"text":"Be brief."}]}`
}

func BenchmarkParse(b *testing.B) {
	rd := New(Options{Models: model.Default()})
	for _, size := range []int{1 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			c := newCall("Converse", "us."+nova, chat(size))
			b.SetBytes(int64(len(c.Body)))
			b.ReportAllocs()
			for b.Loop() {
				if ref := rd.Parse(c); ref != nil {
					b.Fatal(ref)
				}
			}
		})
	}
}

// What is forwarded always has a bound, written where the caller gave none, and
// nothing else is changed.
func TestBound(t *testing.T) {
	for name, tt := range map[string]struct {
		operation, model, body string
		options                Options
		want                   string // the body; "" for the same
		bound                  int64
		refused                call.Reason
	}{
		"none":                      {"Converse", nova, `{"messages":[]}`, Options{}, `{"inferenceConfig":{"maxTokens":4096},"messages":[]}`, 4096, ""},
		"an empty object":           {"Converse", nova, `{"inferenceConfig":{},"messages":[]}`, Options{}, `{"inferenceConfig":{"maxTokens":4096},"messages":[]}`, 4096, ""},
		"null":                      {"Converse", nova, `{"inferenceConfig":{"maxTokens":null}}`, Options{}, `{"inferenceConfig":{"maxTokens":4096}}`, 4096, ""},
		"its own":                   {"Converse", nova, `{"inferenceConfig":{"maxTokens":50}}`, Options{}, "", 50, ""},
		"the site's default":        {"ConverseStream", nova, `{}`, Options{Bound: 77}, `{"inferenceConfig":{"maxTokens":77}}`, 77, ""},
		"the model can do less":     {"InvokeModel", "amazon.titan-text-premier-v1:0", `{"inputText":"x"}`, Options{Bound: 1 << 20}, `{"textGenerationConfig":{"maxTokenCount":32000},"inputText":"x"}`, 32000, ""},
		"native":                    {"InvokeModel", "meta.llama3-8b-instruct-v1:0", `{"prompt":"x"}`, Options{Bound: 512}, `{"max_gen_len":512,"prompt":"x"}`, 512, ""},
		"beyond the site's highest": {"Converse", nova, `{"inferenceConfig":{"maxTokens":101}}`, Options{MaxBound: 100}, "", 0, "bad_max_tokens"},
		"default over the highest":  {"Converse", nova, `{}`, Options{MaxBound: 100}, `{"inferenceConfig":{"maxTokens":100}}`, 100, ""},
		"thought needs more":        {"Converse", "anthropic.claude-3-7-sonnet-20250219-v1:0", `{"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":2000}}}`, Options{}, `{"inferenceConfig":{"maxTokens":6096},"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":2000}}}`, 6096, ""},
		"in the fields beside":      {"Converse", gpt, `{"additionalModelRequestFields":{"max_completion_tokens":9}}`, Options{}, "", 9, ""},
		"an image has none":         {"InvokeModel", titan, `{"taskType":"TEXT_IMAGE","textToImageParams":{"text":"a cat"},"imageGenerationConfig":{"numberOfImages":3}}`, Options{}, "", 0, ""},
		"counting has none":         {"CountTokens", nova, `{"input":{"converse":{"messages":[]}}}`, Options{}, "", 0, ""},
	} {
		tt.options.Models = model.Default()
		c := newCall(tt.operation, tt.model, tt.body)
		ref := New(tt.options).Parse(c)
		if got := reason(ref); got != tt.refused {
			t.Errorf("%s: refused with %q, want %q (%v)", name, got, tt.refused, ref)
			continue
		}
		if tt.want == "" {
			tt.want = tt.body
		}
		if ref == nil && (string(c.Body) != tt.want || c.MaxTokens != tt.bound || c.Bounded != (tt.want != tt.body)) {
			t.Errorf("%s: got %s, bound %d (ours: %v), want %s, %d", name, c.Body, c.MaxTokens, c.Bounded, tt.want, tt.bound)
		}
	}
}

// What the user said last, whatever stands before and after it.
func TestLastTurn(t *testing.T) {
	rd := New(Options{Models: model.Default()})
	for body, want := range map[string]string{
		`{"messages":[{"role":"user","content":[{"text":"a"}]}],"system":[{"text":"s"}]}`:                                                                                                                                                                 "a",
		`{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"assistant","content":[{"text":"b"}]},{"role":"user","content":[{"text":"c\n"},{"text":"d"}]}]}`:                                                                                   "c\n|d",
		`{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"assistant","content":[{"text":"b"}]}]}`:                                                                                                                                           "a", // the beginning of an answer
		`{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"assistant","content":[{"text":"b"},{"toolUse":{"toolUseId":"t","name":"f","input":{}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"t","content":[{"text":"r"}]}}]}]}`: "",
		`{"messages":[{"role":"assistant","content":[{"text":"b"}]},{"role":"user","content":[{"toolResult":{"toolUseId":"t","content":[{"text":"r"}]}}]}],"system":[]}`:                                                                                  "",
	} {
		c := newCall("Converse", nova, body)
		if ref := rd.Parse(c); ref != nil {
			t.Fatalf("%s: %v", body, ref)
		}
		var said []string
		for _, n := range c.LastTurn {
			s, _ := c.Doc.String(n)
			said = append(said, s)
		}
		if got := strings.Join(said, "|"); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
		rd.Release(c)
		if c.Doc != nil || c.LastTurn != nil {
			t.Errorf("%s: still held after Release", body)
		}
	}
}

// Data URLs count like the files they are.
func TestLinkTokens(t *testing.T) {
	rd := New(Options{Models: model.Default()})
	for kind, want := range map[string]int64{"data:image/png;base64,": imageTokens, "data:text/plain;base64,": 100_000} {
		c := newCall("InvokeModel", "mistral.pixtral-large-2502-v1:0", `{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"`+kind+strings.Repeat("A", 100_000)+`"}}]}]}`)
		if ref := rd.Parse(c); ref != nil {
			t.Fatalf("%s: %v", kind, ref)
		}
		if c.InputEstimate < want || c.InputEstimate > want+200 {
			t.Errorf("%s: estimate %d, want %d", kind, c.InputEstimate, want)
		}
	}
}

// A picture is bounded by what a model makes of it, not by its bytes; other
// files by their bytes.
func TestBlobTokens(t *testing.T) {
	rd := New(Options{Models: model.Default()})
	file := func(kind, begin string) string {
		return `{"messages":[{"role":"user","content":[{"` + kind + `":{"format":"x","source":{"bytes":"` + begin + strings.Repeat("A", 400_000-len(begin)) + `"}}}]}]}`
	}
	for name, tt := range map[string]struct {
		body string
		want int64
	}{
		"png":      {file("image", "iVBORw0KGgo"), imageTokens},
		"document": {file("document", "JVBERi0"), 300_000},
		"a document of text that begins like an image": {file("document", "R0lGODlh"), 300_000},
	} {
		c := newCall("Converse", nova, tt.body)
		if ref := rd.Parse(c); ref != nil {
			t.Fatalf("%s: %v", name, ref)
		}
		if c.InputEstimate < tt.want || c.InputEstimate > tt.want+100 {
			t.Errorf("%s: estimate %d, want %d", name, c.InputEstimate, tt.want)
		}
	}
}
