package emulator

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/internal/sigv4"
)

// benchBody is a Converse request of about a kilobyte.
var benchBody = []byte(`{"messages":[{"role":"user","content":[{"text":"` + strings.Repeat("The quick brown fox. ", 42) + `"}]}],"inferenceConfig":{"maxTokens":64}}`)

func benchEmulator() *Emulator {
	return New(Options{Seed: 1, Padding: true, Credentials: []Credential{{AccessKeyID: testKey, Secret: testSecret}}})
}

// sign signs r as an SDK does.
func sign(r *http.Request, e *Emulator, body []byte) {
	path, query, _ := strings.Cut(r.URL.RequestURI(), "?")
	sr := &sigv4.Request{Method: r.Method, RawPath: path, RawQuery: query, Authority: r.Host, ContentLength: int64(len(body)), Header: r.Header, PayloadHash: sha256.Sum256(body)}
	sigv4.Sign(sr, sigv4.Credentials{AccessKeyID: testKey, Secret: testSecret}, e.region, service, e.now())
}

// BenchmarkHandler is the emulator alone, signature and all.
func BenchmarkHandler(b *testing.B) {
	for _, op := range []string{"converse", "converse-stream"} {
		b.Run(op, func(b *testing.B) {
			e := benchEmulator()
			r := httptest.NewRequest("POST", "/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/"+op, nil)
			r.RequestURI = r.URL.RequestURI()
			r.ContentLength = int64(len(benchBody))
			sign(r, e, benchBody)
			body, w := bytes.NewReader(benchBody), &discard{header: http.Header{}}
			r.Body = io.NopCloser(body)
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(benchBody)
				clear(w.header)
				e.ServeHTTP(w, r)
			}
			if w.status != 200 {
				b.Fatal(w.status)
			}
		})
	}
}

// discard is a response that goes nowhere.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) FlushError() error           { return nil }

// BenchmarkServe is a whole call over loopback HTTP/1, the client's part too.
func BenchmarkServe(b *testing.B) {
	e := benchEmulator()
	srv := httptest.NewServer(e)
	defer srv.Close()
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequest("POST", srv.URL+"/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/converse", bytes.NewReader(benchBody))
		if err != nil {
			b.Fatal(err)
		}
		sign(r, e, benchBody)
		resp, err := http.DefaultClient.Do(r)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(err, resp)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
