package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/call"
)

// site is an issuer's web server, without a network. It remembers what it was
// asked for.
type site struct {
	mu    sync.Mutex
	pages map[string]string // URL: body; a body that begins with a status is that status
	asked []string
	down  error
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.String())
	if s.down != nil {
		return nil, s.down
	}
	body, ok := s.pages[r.URL.String()]
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Request: r}
	switch {
	case !ok:
		resp.StatusCode = 404
	case strings.HasPrefix(body, "302 "):
		resp.StatusCode, resp.Header = 302, http.Header{"Location": {body[4:]}}
	}
	resp.Body = io.NopCloser(strings.NewReader(body))
	return resp, nil
}

// now does something between two requests.
func (s *site) now(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

const keysURL = "https://keys.example.com/jwks"

func newSite() *site {
	return &site{pages: map[string]string{
		"https://login.example.com/.well-known/openid-configuration": fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuerURL, keysURL),
		keysURL: string(allKeys()),
	}}
}

func remote(s *site) Issuer {
	return Issuer{URL: issuerURL, Audience: audience, UserClaim: "email", Algs: []string{"ES256"}, Client: &http.Client{Transport: s}}
}

// fresh is a token of the issuer, made now.
func fresh(kid string) string {
	return mint(object{"kid": kid, "key": "p256"}, object{"iat": time.Now().Unix(), "exp": time.Now().Unix() + 600})
}

// Keys come, are renewed, outlive an outage for a day, and are gone after it.
func TestRun(t *testing.T) {
	pairs() // outside the bubble: making keys takes no time inside
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		var log bytes.Buffer
		v, err := New(Options{Issuers: []Issuer{remote(s)}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(step, kid, want string, fetches int) {
			t.Helper()
			synctest.Wait()
			if got := reason(v.Token(fresh(kid))); got != want {
				t.Errorf("%s: got %s, want %s", step, got, want)
			}
			synctest.Wait()
			s.now(func() {
				if len(s.asked) != 2*fetches {
					t.Errorf("%s: %d requests, want %d: %v", step, len(s.asked), 2*fetches, s.asked)
				}
			})
		}
		s.down = errors.New("no route")
		if got := reason(v.Token(fresh("p256"))); got != "auth_busy" {
			t.Errorf("before the first fetch: %s", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { v.Run(ctx); close(done) }()
		synctest.Wait()
		s.now(func() { s.down, s.asked = nil, nil })
		expect("down at the start", "p256", "auth_busy", 0)
		time.Sleep(pause)
		expect("a minute later", "p256", "ok", 1)

		expect("unknown kid, within a minute of a fetch", "new", "bad_token", 1)
		s.now(func() { s.pages[keysURL] = strings.Replace(string(allKeys()), `"p256"`, `"new"`, 1) })
		time.Sleep(pause)
		expect("the new key a minute later", "new", "ok", 2)
		expect("the key that was withdrawn", "p256", "bad_token", 2)
		time.Sleep(pause)
		for range 1000 {
			v.Token(fresh("made-up"))
		}
		expect("a flood of made-up kids, behind the fetch for the one before", "new", "ok", 3)
		time.Sleep(pause - time.Second)
		expect("still within the minute", "new", "ok", 3)
		time.Sleep(time.Second)
		expect("one fetch for all of them", "new", "ok", 4)
		time.Sleep(10 * pause)
		expect("and no more", "new", "ok", 4)

		s.now(func() { s.pages[keysURL] = "<html>maintenance</html>" })
		time.Sleep(23*time.Hour + time.Second)
		s.now(func() { s.asked = nil })
		expect("keys are kept through an outage", "new", "ok", 0)
		if st := v.Status(); len(st) != 1 || st[0].Keys == 0 || st[0].Err == "" {
			t.Errorf("status %+v", st)
		}
		time.Sleep(2 * time.Hour)
		s.now(func() { s.asked = nil })
		expect("but not for ever", "new", "auth_busy", 0)
		if n := strings.Count(log.String(), "could not be fetched"); n != 2 {
			t.Errorf("logged %d times, want once for each outage:\n%s", n, log.String())
		}
		cancel()
		<-done
	})
}

// A new configuration starts with the keys of the old one, of the same issuer
// and place only.
func TestPrevious(t *testing.T) {
	s := newSite()
	old, err := New(Options{Issuers: []Issuer{remote(s)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.issuers[issuerURL].fetch(t.Context(), time.Now); err != nil {
		t.Fatal(err)
	}
	elsewhere := remote(s)
	elsewhere.JWKS = "https://other.example.com/keys"
	for want, i := range map[string]Issuer{"ok": remote(s), "auth_busy": elsewhere} {
		v, err := New(Options{Issuers: []Issuer{i}, Previous: old})
		if err != nil {
			t.Fatal(err)
		}
		if got := reason(v.Token(fresh("p256"))); got != want {
			t.Errorf("keys from %q: got %s, want %s", i.JWKS, got, want)
		}
	}
}

// What an issuer may answer, and that nothing else is believed.
func TestFetch(t *testing.T) {
	const doc = "https://login.example.com/.well-known/openid-configuration"
	for name, tt := range map[string]struct {
		change func(*site, *Issuer)
		want   string // in the error; empty: none
	}{
		"discovered":          {func(*site, *Issuer) {}, ""},
		"given":               {func(s *site, i *Issuer) { i.JWKS = keysURL; delete(s.pages, doc) }, ""},
		"no document":         {func(s *site, i *Issuer) { delete(s.pages, doc) }, "status 404"},
		"document of another": {func(s *site, i *Issuer) { s.pages[doc] = strings.Replace(s.pages[doc], "login", "evil", 1) }, "another issuer"},
		"keys not by https": {func(s *site, i *Issuer) {
			s.pages[doc] = strings.Replace(s.pages[doc], "https://keys", "http://keys", 1)
		}, "not https"},
		"keys nowhere": {func(s *site, i *Issuer) { s.pages[doc] = `{"issuer":"` + issuerURL + `"}` }, "not https"},
		"keys in a file": {func(s *site, i *Issuer) {
			s.pages[doc] = strings.Replace(s.pages[doc], keysURL, "file:///etc/passwd", 1)
		}, "not https"},
		"document is no JSON": {func(s *site, i *Issuer) { s.pages[doc] = "<html>" }, "discovery document"},
		"document twice said": {func(s *site, i *Issuer) {
			s.pages[doc] = strings.Replace(s.pages[doc], "{", `{"jwks_uri":"https://evil.example",`, 1)
		}, "discovery document"},
		"redirected":           {func(s *site, i *Issuer) { s.pages[keysURL] = "302 https://evil.example/jwks" }, "status 302"},
		"too long":             {func(s *site, i *Issuer) { s.pages[keysURL] += strings.Repeat(" ", maxJWKS) }, "longer than 256 KiB"},
		"no keys":              {func(s *site, i *Issuer) { s.pages[keysURL] = `{"keys":[]}` }, "none that can verify"},
		"no such file of keys": {func(s *site, i *Issuer) { i.JWKS = "testdata/none.json" }, "no such file"},
	} {
		s := newSite()
		i := remote(s)
		tt.change(s, &i)
		state := &issuer{Issuer: i}
		err := state.fetch(t.Context(), time.Now)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if (state.keys.Load() != nil) != (err == nil) {
			t.Errorf("%s: keys and the error %v", name, err)
		}
	}
}

// A site that never answers costs five seconds.
func TestFetchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := remote(nil)
		i.JWKS = keysURL
		i.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		start := time.Now()
		err := (&issuer{Issuer: i}).fetch(t.Context(), time.Now)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != fetchTime {
			t.Errorf("%v after %v", err, took)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A file of keys is read again like any other place.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	i := &issuer{Issuer: Issuer{URL: issuerURL, JWKS: path, Algs: []string{"ES256"}}, wake: make(chan struct{}, 1)}
	for _, kid := range []string{"p256", "rsa"} {
		if err := os.WriteFile(path, jwks(pairs()[kid].jwk), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := i.fetch(t.Context(), time.Now); err != nil {
			t.Fatal(err)
		}
		if _, known, ready := i.key(kid, time.Now()); !known || !ready {
			t.Errorf("key %s: known %v, ready %v", kid, known, ready)
		}
	}
	if got := i.signature(&token{alg: "ES256", kid: "p256"}, time.Now()); got == nil || got.Reason != call.BadToken.Reason {
		t.Errorf("the key of before: %v", got)
	}
}
