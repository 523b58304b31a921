package read

import (
	"bufio"
	"bytes"
	"crypto/sha256"
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

// What Parse fills in, and what it takes for an upper bound.
func TestParse(t *testing.T) {
	rd := New(model.Default())
	for _, tt := range []struct {
		operation, model, body string
		max, estimate          int64
		want                   call.Reason
	}{
		{"Converse", "amazon.nova-lite-v1:0", `{"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":7}}`, 7, 7, ""},
		{"Converse", "us.amazon.nova-lite-v1:0", `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`, 0, 7, ""},
		{"InvokeModel", "anthropic.claude-3-haiku-20240307-v1:0", `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`, 9, 7, ""},
		{"InvokeModel", "openai.gpt-oss-20b-1:0", `{"messages":[{"role":"user","content":"hello"}],"max_tokens":5,"max_completion_tokens":50}`, 50, 7, ""},
		{"CountTokens", "amazon.nova-lite-v1:0", `{"input":{"invokeModel":{"body":"eyJhIjoxLCJhIjoyfQ=="}}}`, 0, 0, "malformed_body"},
		{"Converse", "no.such-model", `{}`, 0, 0, "unknown_model"},
	} {
		c := &call.Call{Operation: bedrock.OperationOf(tt.operation)}
		c.Target = bedrock.Target{Operation: c.Operation, Model: tt.model}
		c.SetBody([]byte(tt.body))
		if got := reason(rd.Parse(c)); got != tt.want {
			t.Errorf("%s %s: refused with %q, want %q", tt.operation, tt.body, got, tt.want)
		}
		if tt.want == "" && (c.MaxTokens != tt.max || c.InputEstimate < 5 || c.InputEstimate > 2*tt.estimate+30) {
			t.Errorf("%s %s: max tokens %d, estimate %d, want %d and at least 5", tt.operation, tt.body, c.MaxTokens, c.InputEstimate, tt.max)
		}
	}
}
