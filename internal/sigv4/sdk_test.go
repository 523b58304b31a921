package sigv4_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/logging"

	"gatehouse/internal/sigv4"
)

const testSecret = "secretsecret"

var sdkSigner = v4.NewSigner()

// sdkSign signs r as an AWS SDK would and returns what a server then sees of
// it, with the canonical request that the SDK signed.
func sdkSign(t testing.TB, r *http.Request, body []byte, token string, now time.Time) (*sigv4.Request, string) {
	t.Helper()
	sum := sha256.Sum256(body)
	var canonical string
	capture := func(o *v4.SignerOptions) {
		o.LogSigning = true
		o.Logger = logging.LoggerFunc(func(_ logging.Classification, _ string, v ...any) { canonical = v[0].(string) })
	}
	creds := aws.Credentials{AccessKeyID: "GTHKABCDEFGHIJKLMNOP", SecretAccessKey: testSecret, SessionToken: token}
	if err := sdkSigner.SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), service, region, now, capture); err != nil {
		t.Fatal(err)
	}
	return &sigv4.Request{Method: r.Method, RawPath: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Authority: r.Host,
		ContentLength: r.ContentLength, Header: r.Header, PayloadHash: sum}, canonical
}

// TestAgreesWithSDK: 100,000 random requests signed by the SDK are accepted,
// our canonical request is the SDK's, and our own signature is accepted too.
// Of every hundredth, each mutation is refused.
func TestAgreesWithSDK(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	start := at(t, "20261122T000000Z")
	for n := range 100_000 {
		now := start.Add(time.Duration(rnd.IntN(86400)) * time.Second)
		req, body, token := randomRequest(t, rnd)
		rawQuery := req.URL.RawQuery
		r, want := sdkSign(t, req, body, token, now)
		authorization := r.Header.Get("Authorization")
		if err := verify(now, r, authorization, testSecret, region, service); err != nil {
			t.Fatalf("request %d: %v\n%+v\n%s", n, err, r, want)
		}
		a, _ := sigv4.ParseAuthorization(authorization)
		r.RawQuery = rawQuery // as written, before the SDK made it canonical
		if got := string(sigv4.CanonicalRequest(r, a.SignedHeaders, true)); got != want {
			t.Fatalf("request %d: got\n%s\nwant\n%s", n, got, want)
		}
		if n%100 == 0 {
			mutate(t, rnd, now, r, authorization)
		}
		r.Header.Del("Authorization")
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: a.KeyID, Secret: testSecret, SessionToken: sigv4.Secret(token)}, region, service, now)
		if err := verify(now, r, r.Header.Get("Authorization"), testSecret, region, service); err != nil {
			t.Fatalf("request %d, signed by us: %v", n, err)
		}
	}
}

// pick returns one of a few.
func pick[T any](rnd *rand.Rand, of ...T) T { return of[rnd.IntN(len(of))] }

func randomRequest(t testing.TB, rnd *rand.Rand) (r *http.Request, body []byte, token string) {
	path := ""
	for range 1 + rnd.IntN(5) {
		path += "/"
		for range rnd.IntN(6) {
			path += pick(rnd, "a", "Z", "0", "-", ".", "_", "~", ":", "@", "!", "$", "&", "'", "(", ")", "*", "+", ",", "=",
				"%3A", "%2F", "%20", "%25", "%C3%A9", "anthropic.claude-3-haiku-20240307-v1:0", "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ax%2Fabc")
		}
	}
	query := ""
	for range pick(rnd, 0, 0, 0, 1, 2, 7) {
		query += pick(rnd, "", "&") + pick(rnd, "a", "b", "ab", "a-", "A", "", "%41", "a%20b", "a+b", "\u00e9", "%C3%A9", "*", "/") +
			pick(rnd, "", "=", "=") + pick(rnd, "", "1", "a/b", "a-b", "=", "x%3Dy", "%7E", "~", "?", ":", "\u1234") + "&"
	}
	target := path
	if query != "" {
		target += "?" + query
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || u.EscapedPath() != path {
		return randomRequest(t, rnd) // the standard library would send something else
	}
	body = []byte(strings.Repeat("x", pick(rnd, 0, 0, 1, 20, 1000)))
	r = &http.Request{Method: pick(rnd, "GET", "POST", "PUT", "DELETE"), URL: u, Header: make(http.Header),
		Host: pick(rnd, "127.0.0.1:8080", "gatehouse.example.com", "[::1]:8080", "EXAMPLE.com"), ContentLength: int64(len(body))}
	for range rnd.IntN(6) {
		r.Header.Add(pick(rnd, "Content-Type", "Accept", "Amz-Sdk-Request", "X-Amzn-Bedrock-Trace", "X-Amzn-Bedrock-GuardrailIdentifier", "X-A", "x-b_c.d", "User-Agent", "X-Amzn-Trace-Id"),
			pick(rnd, "", "a", " a", "a  ", "a   b", "  a  b    c ", `"a   b"`, "attempt=1; max=3", "application/json", "\u00e9", "a\tb", "\ta\t"))
	}
	if rnd.IntN(3) == 0 {
		r.Header.Set("X-Amz-Content-Sha256", fmt.Sprintf("%x", sha256.Sum256(body)))
	}
	return r, body, pick(rnd, "", "", "TOKENTOKEN//+==")
}

// mutate changes every part of a signed request in turn: none may be accepted.
func mutate(t *testing.T, rnd *rand.Rand, now time.Time, r *sigv4.Request, authorization string) {
	t.Helper()
	a, err := sigv4.ParseAuthorization(authorization)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, m sigv4.Request, authorization string) {
		t.Helper()
		if err := verify(now, &m, authorization, testSecret, region, service); err == nil {
			t.Errorf("accepted with another %s: %+v\nwas %+v", what, m, *r)
		}
	}
	with := func(edit func(*sigv4.Request)) sigv4.Request {
		m := *r
		m.Header = r.Header.Clone()
		edit(&m)
		return m
	}
	refused("method", with(func(m *sigv4.Request) { m.Method += "S" }), authorization)
	refused("path", with(func(m *sigv4.Request) { m.RawPath += "x" }), authorization)
	refused("path", with(func(m *sigv4.Request) { m.RawPath = flip(rnd, m.RawPath) }), authorization)
	refused("path", with(func(m *sigv4.Request) { m.RawPath = "/" + m.RawPath }), authorization)
	refused("query", with(func(m *sigv4.Request) { m.RawQuery += "&zz=1" }), authorization)
	refused("query", with(func(m *sigv4.Request) { m.RawQuery = "=;" }), authorization)
	refused("host", with(func(m *sigv4.Request) { m.Authority = "x" + m.Authority }), authorization)
	refused("body", with(func(m *sigv4.Request) { m.PayloadHash[rnd.IntN(32)] ^= 1 << rnd.IntN(8) }), authorization)
	for _, name := range a.SignedHeaders {
		key := http.CanonicalHeaderKey(name)
		switch name {
		case "host":
			continue
		case "content-length":
			refused(name, with(func(m *sigv4.Request) { m.ContentLength++ }), authorization)
			continue
		}
		refused(name, with(func(m *sigv4.Request) { m.Header.Del(key) }), authorization)
		refused(name, with(func(m *sigv4.Request) { m.Header.Add(key, "z") }), authorization)
		refused(name, with(func(m *sigv4.Request) { m.Header[key][0] += "z" }), authorization)
	}
	for what, edit := range map[string][2]string{
		"scope region":   {"/" + region + "/", "/us-east-2/"},
		"scope service":  {"/" + service + "/", "/s3/"},
		"scope date":     {"/" + a.Date + "/", "/20261121/"},
		"signed headers": {";x-amz-date", ""},
		"header added":   {"SignedHeaders=", "SignedHeaders=a;"},
		"signature":      {authorization[len(authorization)-8:], flipHex(authorization[len(authorization)-8:])},
	} {
		refused(what, *r, strings.Replace(authorization, edit[0], edit[1], 1))
	}
	if a.Verify(r, sigv4.DeriveKey("another", a.Date, region, service)) {
		t.Error("accepted with another key")
	}
	a.Signature[rnd.IntN(32)] ^= 1 << rnd.IntN(8)
	if a.Verify(r, sigv4.DeriveKey(testSecret, a.Date, region, service)) {
		t.Error("accepted with a bit of the signature flipped")
	}
}

func flip(rnd *rand.Rand, s string) string {
	b := []byte(s)
	b[rnd.IntN(len(b))] ^= 1
	return string(b)
}

func flipHex(s string) string {
	if s[0] == '0' {
		return "1" + s[1:]
	}
	return "0" + s[1:]
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=GTHKABCD/20261122/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64))
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=:authority,Signature=")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := sigv4.ParseAuthorization(s)
		if err != nil {
			var typed *sigv4.Error
			if !errors.As(err, &typed) || strings.Contains(err.Error(), "Signature=") {
				t.Fatalf("got %#v", err)
			}
			return
		}
		again := "AWS4-HMAC-SHA256 Credential=" + a.KeyID + "/" + a.Date + "/" + a.Region + "/" + a.Service + "/aws4_request, SignedHeaders=" +
			strings.Join(a.SignedHeaders, ";") + ", Signature=" + hex.EncodeToString(a.Signature[:])
		if strings.ReplaceAll(s, ", ", ",") != strings.ReplaceAll(again, ", ", ",") {
			t.Fatalf("got %q from %q", again, s)
		}
		r := &sigv4.Request{Header: header("X-Amz-Date: 20261122T150447Z"), Authority: "x"}
		a.Check(at(t, "20261122T150447Z"), r, region, service)
		if a.Verify(r, sigv4.SigningKey{}) {
			t.Fatal("verified with the zero key")
		}
	})
}

// FuzzCanonical: no input panics, and where the SDK signs a request our
// canonical form is the one it signed.
func FuzzCanonical(f *testing.F) {
	f.Add("POST", "/model/a%3A0:1/converse", "a=b+c&a=%7E&=", "example.com:80", "x-a", " a  b ", "TOKEN")
	f.Add("GET", "/", "", "h", "content-type", "", "")
	f.Add("GET", "/%25/ü", "a;b", "", "host", "a\tb", "")
	f.Fuzz(func(t *testing.T, method, path, query, host, name, value, token string) {
		r := &sigv4.Request{Method: method, RawPath: path, RawQuery: query, Authority: host, Header: http.Header{name: {value}}}
		sigv4.CanonicalRequest(r, []string{name, "host"}, false)
		sigv4.CanonicalRequest(r, []string{name, "host"}, true)
		sigv4.Presigned(query)

		target := path
		if query != "" {
			target += "?" + query
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || u.EscapedPath() != path || u.RawQuery != query || host == "" || !acceptable(name, value) {
			return
		}
		if _, err := url.ParseQuery(query); err != nil {
			return // the SDK drops what it cannot parse; we refuse the whole
		}
		if strings.TrimSpace(host) != host {
			return // the SDK trims spaces only; no server accepts such a host
		}
		req := &http.Request{Method: method, URL: u, Host: host, Header: http.Header{http.CanonicalHeaderKey(name): {value}}}
		now := at(t, "20261122T150447Z")
		got, want := sdkSign(t, req, nil, token, now)
		got.RawQuery = query
		a, err := sigv4.ParseAuthorization(got.Header.Get("Authorization"))
		if err != nil {
			t.Fatalf("%v: %q", err, got.Header.Get("Authorization"))
		}
		if canonical := string(sigv4.CanonicalRequest(got, a.SignedHeaders, true)); canonical != want && strings.Count(query, "&") < 256 {
			t.Fatalf("got\n%q\nwant\n%q", canonical, want)
		}
	})
}

// acceptable reports whether a server would see such a header: net/http refuses
// others before us, and keeps Host and the lengths out of the map.
func acceptable(name, value string) bool {
	if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz-") != "" {
		return false
	}
	switch http.CanonicalHeaderKey(name) {
	case "", "Host", "Content-Length", "Authorization", "X-Amz-Date", "X-Amz-Security-Token":
		return false
	}
	return len(name) <= 128
}

func benchRequest(b *testing.B) (*http.Request, []byte) {
	body := []byte(`{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`)
	r, err := http.NewRequest("POST", "https://127.0.0.1:8080/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Amz-Sdk-Invocation-Id", "c3ab8ff1-3720-4e8a-9047-39dd0aa5b4c4")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	return r, body
}

func BenchmarkVerify(b *testing.B) {
	req, body := benchRequest(b)
	now := at(b, "20261122T150447Z")
	r, _ := sdkSign(b, req, body, "", now)
	key := sigv4.DeriveKey(testSecret, "20261122", region, service)
	authorization := r.Header.Get("Authorization")
	b.ReportAllocs()
	for b.Loop() {
		a, err := sigv4.ParseAuthorization(authorization)
		if err != nil || a.Check(now, r, region, service) != nil || !a.Verify(r, key) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkSign(b *testing.B) {
	now := at(b, "20261122T150447Z")
	b.Run("ours", func(b *testing.B) {
		req, body := benchRequest(b)
		r := &sigv4.Request{Method: req.Method, RawPath: req.URL.EscapedPath(), Authority: req.Host, ContentLength: req.ContentLength, Header: req.Header, PayloadHash: sha256.Sum256(body)}
		var s sigv4.Signer
		b.ReportAllocs()
		for b.Loop() {
			s.Sign(r, sigv4.Credentials{AccessKeyID: "GTHKABCDEFGHIJKLMNOP", Secret: testSecret}, region, service, now)
		}
	})
	b.Run("sdk", func(b *testing.B) {
		req, body := benchRequest(b)
		sum := sha256.Sum256(body)
		payload := hex.EncodeToString(sum[:])
		creds := aws.Credentials{AccessKeyID: "GTHKABCDEFGHIJKLMNOP", SecretAccessKey: testSecret}
		b.ReportAllocs()
		for b.Loop() {
			if err := sdkSigner.SignHTTP(b.Context(), creds, req, payload, service, region, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
