package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/call"
)

// H21: a caller who stops reading a stream is given up after half a minute.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Rules: &Rules{}})
		began := time.Now()
		var took atomic.Int64
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x := newExchange(g, w, r)
			frame := make([]byte, 1<<10)
			x.Start(nil)
			for err := error(nil); err == nil; {
				_, err = x.Frames(frame, true)
			}
			took.Store(int64(time.Since(began)))
		})}
		ln := make(pipes, 1)
		go s.Serve(ln)
		client, server := net.Pipe()
		ln <- server
		fmt.Fprintf(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		io.ReadFull(client, make([]byte, 10<<10))
		time.Sleep(5 * time.Minute)
		if took := time.Duration(took.Load()); took == 0 || took > writeTimeout+2*time.Second {
			t.Errorf("the handler was held for %s, want about %s", took, writeTimeout)
		}
		client.Close()
		close(ln)
		s.Close()
		time.Sleep(time.Minute)
	})
}

// pipes is a listener over net.Pipe, whose deadlines follow the test's clock.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// P14, P15, P19: only what our own proxies appended is believed.
func TestClientIP(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		remote    string
		forwarded []string
		trusted   []netip.Prefix
		want      string
	}{
		{"192.0.2.1:5", nil, nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"10.0.0.1"}, trusted, "192.0.2.1"},
		{"10.0.0.1:5", []string{"198.51.100.7"}, nil, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7"}, trusted, "198.51.100.7"},
		{"10.0.0.1:5", []string{"6.6.6.6, 198.51.100.7, 10.0.0.2"}, trusted, "198.51.100.7"},
		{"10.0.0.1:5", []string{"6.6.6.6", "198.51.100.7"}, trusted, "198.51.100.7"},
		{"10.0.0.1:5", []string{"198.51.100.7, garbage"}, trusted, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7, fe80::1%eth0"}, trusted, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7, 010.0.0.2"}, trusted, "10.0.0.1"},
		{"10.0.0.1:5", []string{"::ffff:198.51.100.7"}, trusted, "198.51.100.7"},
		{"[::ffff:10.0.0.1]:5", []string{"2001:db8::1"}, trusted, "2001:db8::1"},
		{"[fd00::1]:5", []string{"10.0.0.3"}, trusted, "10.0.0.3"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = tt.remote, tt.forwarded
		r.Header.Set("X-Real-IP", "6.6.6.6")
		if got := clientIP(r, tt.trusted).String(); got != tt.want {
			t.Errorf("%s forwarding %q: %s, want %s", tt.remote, tt.forwarded, got, tt.want)
		}
	}
}

// What HTTP/2 could carry and no Bedrock client sends.
func TestCheckRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*http.Request)
		want   *call.Refusal
	}{
		"plain":              {func(r *http.Request) {}, nil},
		"method":             {func(r *http.Request) { r.Method = "CONNECT" }, call.BadMethod},
		"fields":             {func(r *http.Request) { r.Header["A"] = make([]string, maxFields) }, call.HeadersTooLarge},
		"authority":          {func(r *http.Request) { r.ProtoMajor, r.Host = 2, "a@b" }, call.BadRequest},
		"no authority":       {func(r *http.Request) { r.ProtoMajor, r.Host = 2, "" }, call.BadRequest},
		"asterisk":           {func(r *http.Request) { r.RequestURI = "*" }, call.BadRequest},
		"encoded body":       {func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }, call.BodyEncoded},
		"not encoded at all": {func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") }, nil},
	} {
		r := httptest.NewRequest("POST", "/model/a/converse", nil)
		r.RequestURI = "/model/a/converse"
		r.Header.Set("X", "y")
		tt.change(r)
		got := checkRequest(r)
		if got == nil && tt.want == nil {
			continue
		}
		if got == nil || tt.want == nil || got.Reason != tt.want.Reason {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}
