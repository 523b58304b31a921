package auth

import (
	"crypto/sha256"
	"hash/crc32"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/apikey"
	"gatehouse/internal/call"
	"gatehouse/internal/sigv4"
)

const (
	issuer   = "gatehouse"
	audience = "gatehouse-chat"
	userID   = "5d2f8fcd-85e2-4ff3-80bd-dc946c8501d7"
	body     = `{"messages":[]}`
)

var now = time.Date(2026, 11, 22, 15, 4, 47, 500_000_000, time.UTC)

// book is the lookups over plain maps, which counts what is asked of it.
type book struct {
	mu      sync.Mutex
	keys    map[call.KeyID]bookKey
	api     map[string]bookKey
	tokens  map[string]tokenKey
	users   map[string]bookUser
	lookups int
	used    []call.KeyID
}

type bookKey struct {
	secret sigv4.Secret
	sum    [32]byte
	p      call.Principal
}

type tokenKey struct {
	alg string
	key []byte
}

type bookUser struct {
	p     call.Principal
	epoch int64
}

func (b *book) SigningKey(id call.KeyID, date, region, service string) (sigv4.SigningKey, *call.Principal, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lookups++
	k, ok := b.keys[id]
	p := k.p
	p.Scheme = call.SigV4
	return sigv4.DeriveKey(k.secret, date, region, service), &p, ok
}

func (b *book) APIKey(id string) ([32]byte, *call.Principal, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lookups++
	k, ok := b.api[id]
	p := k.p
	p.Scheme = call.APIKey
	return k.sum, &p, ok
}

func (b *book) Used(id call.KeyID, _ time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = append(b.used, id)
}

func (b *book) TokenKey(kid string) (string, []byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lookups++
	k, ok := b.tokens[kid]
	return k.alg, k.key, ok
}

func (b *book) TokenUser(id string) (*call.Principal, int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, ok := b.users[id]
	return &u.p, u.epoch, ok
}

// gate is an Authenticator with one live key, one expired key and one user.
type gate struct {
	*Authenticator
	book  *book
	creds sigv4.Credentials
	api   apikey.Key
	old   sigv4.Credentials // expired
	oldAP apikey.Key
	now   time.Time
}

var tokenSecret = []byte("0123456789abcdef0123456789abcdef")

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{
		now:   now,
		creds: sigv4.Credentials{AccessKeyID: "GTHKAAAAAAAAAAAAAAAA", Secret: "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00"},
		old:   sigv4.Credentials{AccessKeyID: "GTHKBBBBBBBBBBBBBBBB", Secret: "00000000000000000000000000000000000000000"},
		api:   apikey.New(), oldAP: apikey.New(),
	}
	live := call.Principal{UserID: userID, User: "alice@example.com", Team: "red", Key: call.KeyID(g.creds.AccessKeyID), Expires: now.Add(time.Hour)}
	dead := live
	dead.Key, dead.Expires = call.KeyID(g.old.AccessKeyID), now
	g.book = &book{
		keys: map[call.KeyID]bookKey{live.Key: {secret: g.creds.Secret, p: live}, dead.Key: {secret: g.old.Secret, p: dead}},
		api:  map[string]bookKey{}, tokens: map[string]tokenKey{"k1": {"HS256", tokenSecret}},
		users: map[string]bookUser{userID: {p: call.Principal{UserID: userID, User: "alice@example.com", Scheme: call.Token}}},
	}
	for k, p := range map[apikey.Key]call.Principal{g.api: live, g.oldAP: dead} {
		id, sum, _ := apikey.Parse(string(k))
		g.book.api[id] = bookKey{sum: sum, p: p}
	}
	var err error
	g.Authenticator, err = New(Options{
		Keys: g.book, Tokens: g.book, Regions: []string{"us-east-1", "eu-west-1"}, Issuer: issuer, Audience: audience, Now: func() time.Time { return g.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// request is one call before authentication.
type request struct {
	header http.Header
	query  string
	body   string
}

func (q request) call() (*call.Call, *http.Request) {
	const path = "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"
	target := path
	if q.query != "" {
		target += "?" + q.query
	}
	r := httptest.NewRequest("POST", "http://gate.example", strings.NewReader(q.body))
	r.RequestURI, r.Header = target, q.header
	return &call.Call{Method: "POST", RawPath: path, RawQuery: q.query, Host: "gate.example", IP: netip.MustParseAddr("192.0.2.1")}, r
}

// signed is a request signed as an SDK does it.
func signed(c sigv4.Credentials, region, service string, at time.Time) request {
	q := request{header: http.Header{"Content-Type": {"application/json"}}, body: body}
	cl, _ := q.call()
	sigv4.Sign(&sigv4.Request{
		Method: cl.Method, RawPath: cl.RawPath, Authority: cl.Host, ContentLength: int64(len(body)),
		Header: q.header, PayloadHash: sha256.Sum256([]byte(body)),
	}, c, region, service, at)
	return q
}

func bearer(s string) request {
	return request{header: http.Header{"Authorization": {"Bearer " + s}}, body: body}
}

func (q request) with(name string, values ...string) request {
	q.header = maps.Clone(q.header)
	q.header[name] = values
	return q
}

func (g *gate) authenticate(q request) (*call.Principal, *call.Refusal) {
	c, r := q.call()
	p, refusal := g.Begin(c, r)
	if refusal != nil {
		return c.Principal, refusal
	}
	refusal = p.Finish(sha256.Sum256([]byte(q.body)))
	return c.Principal, refusal
}

func reason(r *call.Refusal) call.Reason {
	if r == nil {
		return "ok"
	}
	return r.Reason
}

// Every row names the line of the attack catalogue it stands for. A refusal
// never comes with a principal, an acceptance always does.
func TestSchemes(t *testing.T) {
	g := newGate(t)
	good := signed(g.creds, "us-east-1", "bedrock", now)
	authorization := good.header["Authorization"][0]
	token := mint(nil, nil)
	for _, c := range []struct {
		id   string
		q    request
		want call.Reason
	}{
		{"none", request{header: http.Header{}}, "no_credentials"},
		{"sigv4", good, "ok"},
		{"sigv4, second region", signed(g.creds, "eu-west-1", "bedrock", now), "ok"},
		{"api key", bearer(string(g.api)), "ok"},
		{"token", bearer(token), "ok"},

		{"P11 two headers", good.with("Authorization", authorization, authorization), "ambiguous_credentials"},
		{"P11 bearer and sigv4", good.with("Authorization", "Bearer "+string(g.api), authorization), "ambiguous_credentials"},
		{"P11 header and query", request{header: good.header, query: "X-Amz-Signature=00", body: body}, "ambiguous_credentials"},
		{"P11 bearer and query", request{header: bearer(token).header, query: "a=b&x-amz-credential=x", body: body}, "ambiguous_credentials"},
		{"S13 presigned", request{header: http.Header{}, query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=60&X-Amz-Signature=00"}, "bad_authorization"},
		{"S14 sigv4a", good.with("Authorization", strings.Replace(authorization, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1)), "bad_authorization"},
		{"S14 sigv2", good.with("Authorization", "AWS GTHKAAAAAAAAAAAAAAAA:frJIUN8DYpKDtOLCwo//yllqDzg="), "bad_authorization"},
		{"basic", good.with("Authorization", "Basic YWxpY2U6cGFzcw=="), "bad_authorization"},
		{"empty", good.with("Authorization", ""), "bad_authorization"},
		{"scheme alone", good.with("Authorization", "AWS4-HMAC-SHA256"), "bad_authorization"},
		{"scheme, no space", good.with("Authorization", "AWS4-HMAC-SHA256Credential=x"), "bad_authorization"},
		{"lower case", good.with("Authorization", "bearer "+string(g.api)), "bad_authorization"},
		{"bearer alone", good.with("Authorization", "Bearer"), "bad_authorization"},
		{"bearer of nothing", bearer(""), "bad_api_key"},
		{"bearer, two spaces", bearer(" " + string(g.api)), "bad_api_key"},

		{"S04 301 s late", signed(g.creds, "us-east-1", "bedrock", now.Add(-301*time.Second)), "signature_expired"},
		{"S04 301 s early", signed(g.creds, "us-east-1", "bedrock", now.Add(301*time.Second)), "signature_expired"},
		{"S04 299 s late", signed(g.creds, "us-east-1", "bedrock", now.Add(-299*time.Second)), "ok"},
		{"S04 299 s early", signed(g.creds, "us-east-1", "bedrock", now.Add(299*time.Second)), "ok"},
		{"S04 no date", good.with("X-Amz-Date"), "bad_authorization"},
		{"S05 region", signed(g.creds, "us-west-2", "bedrock", now), "bad_scope"},
		{"S05 service", signed(g.creds, "us-east-1", "s3", now), "bad_scope"},
		{"S06 header absent", good.with("Content-Type"), "bad_signature"},
		{"S07 header changed", good.with("Content-Type", "text/plain"), "bad_signature"},
		{"S08 unsigned payload", good.with("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), "bad_signature"},
		{"S09 one bit", good.with("Authorization", flip(authorization)), "bad_signature"},
		{"S09 upper case", good.with("Authorization", authorization[:len(authorization)-64]+strings.ToUpper(authorization[len(authorization)-64:])), "bad_signature"},
		{"body changed", request{header: good.header, body: body + " "}, "bad_signature"},
		{"S10 unknown key", signed(sigv4.Credentials{AccessKeyID: "GTHKCCCCCCCCCCCCCCCC", Secret: g.creds.Secret}, "us-east-1", "bedrock", now), "unknown_key"},
		{"S10 wrong secret", signed(sigv4.Credentials{AccessKeyID: g.creds.AccessKeyID, Secret: "other"}, "us-east-1", "bedrock", now), "bad_signature"},
		{"S11 expired", signed(g.old, "us-east-1", "bedrock", now), "expired_credential"},
		{"S11 expired, wrong secret", signed(sigv4.Credentials{AccessKeyID: g.old.AccessKeyID, Secret: "other"}, "us-east-1", "bedrock", now), "bad_signature"},
		{"S16 quote", good.with("Authorization", strings.Replace(authorization, g.creds.AccessKeyID, "' OR '1'='1", 1)), "unknown_key"},
		{"S16 long", good.with("Authorization", strings.Replace(authorization, g.creds.AccessKeyID, strings.Repeat("K", 4096), 1)), "unknown_key"},
		{"S16 NUL", good.with("Authorization", strings.Replace(authorization, g.creds.AccessKeyID, "GTHK\x00", 1)), "unknown_key"},
		{"S16 escaped", good.with("Authorization", strings.Replace(authorization, g.creds.AccessKeyID, "GTHK%27", 1)), "unknown_key"},
		{"S16 bearer quote", bearer("' OR '1'='1"), "bad_api_key"},
		{"S16 bearer long", bearer(strings.Repeat("K", maxToken+1)), "bad_api_key"},
		{"S16 bearer NUL", bearer("gth_\x00"), "bad_api_key"},

		{"J10 dots", bearer(strings.Repeat(".", 4000)), "bad_api_key"},
		{"J15 token as X-Api-Key", request{header: http.Header{"X-Api-Key": {token}}}, "no_credentials"},
		{"J15 key as X-Api-Key", request{header: http.Header{"X-Api-Key": {string(g.api)}}}, "no_credentials"},
		{"J15 API key as token", bearer(string(g.api) + ".a.b"), "bad_api_key"},
		{"J15 access key id", bearer(g.creds.AccessKeyID), "bad_api_key"},
		{"J15 AWS short-term key", bearer("bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t"), "bad_api_key"},
		{"J15 AWS long-term key", bearer("ABSKQmVkcm9ja0FQSUtleS"), "bad_api_key"},
		{"J16 checksum", bearer(string(g.api)[:len(g.api)-1] + "!"), "bad_api_key"},
		{"J16 one character off", bearer(string(g.api)[:30] + flip(string(g.api)[30:31]) + string(g.api)[31:]), "bad_api_key"},
		{"J16 unknown id", bearer(string(apikey.New())), "bad_api_key"},
		{"J16 other environment", bearer(strings.Replace(string(g.api), "gth_live_", "gth_test_", 1)), "bad_api_key"},
		{"J17 prefix", bearer("gth_"), "bad_api_key"},
		{"J17 prefix and garbage", bearer("gth_live_garbage"), "bad_api_key"},
		{"S11 expired API key", bearer(string(g.oldAP)), "expired_credential"},
		{"J20 token in the query", request{header: http.Header{}, query: "token=" + token}, "no_credentials"},
		{"J20 key in the query", request{header: http.Header{}, query: "api_key=" + string(g.api)}, "no_credentials"},
		{"J20 beside a good one", request{header: bearer(token).header, query: "token=x"}, "ok"},
	} {
		t.Run(c.id, func(t *testing.T) {
			p, refusal := g.authenticate(c.q)
			if reason(refusal) != c.want || (p != nil) != (c.want == "ok") {
				t.Fatalf("got %s and principal %v, want %s", reason(refusal), p, c.want)
			}
			if p != nil && (p.UserID != userID || p.Expires.IsZero()) {
				t.Errorf("got principal %+v", p)
			}
			leaks(t, g, refusal, token)
		})
	}
}

func flip(s string) string {
	b := []byte(s)
	if b[len(b)-1] ^= 1; !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", rune(b[len(b)-1])) {
		b[len(b)-1] = 'x'
	}
	return string(b)
}

// leaks checks that what the caller or the operator sees holds no secret.
func leaks(t *testing.T, g *gate, refusal *call.Refusal, token string) {
	t.Helper()
	if refusal == nil {
		return
	}
	for _, secret := range []string{string(g.creds.Secret), string(g.old.Secret), string(g.api)[22:], token[strings.LastIndexByte(token, '.'):]} {
		if strings.Contains(refusal.Error(), secret) {
			t.Errorf("the refusal holds a secret: %v", refusal)
		}
	}
}

func TestPrincipals(t *testing.T) {
	g := newGate(t)
	for scheme, q := range map[call.Scheme]request{
		call.SigV4: signed(g.creds, "us-east-1", "bedrock", now), call.APIKey: bearer(string(g.api)), call.Token: bearer(mint(nil, nil)),
	} {
		g.book.used = nil
		p, refusal := g.authenticate(q)
		if refusal != nil || p.Scheme != scheme || p.User != "alice@example.com" {
			t.Errorf("%v: got %+v, %v", scheme, p, refusal)
			continue
		}
		if want := map[bool]int{true: 0, false: 1}[scheme == call.Token]; len(g.book.used) != want || (p.Key == "") != (scheme == call.Token) {
			t.Errorf("%v: key %q, noted as used %v", scheme, p.Key, g.book.used)
		}
	}
	// A stranger's use of a key is no use.
	g.book.used = nil
	g.authenticate(signed(sigv4.Credentials{AccessKeyID: g.creds.AccessKeyID, Secret: "other"}, "us-east-1", "bedrock", now))
	g.authenticate(bearer(string(g.oldAP)))
	if len(g.book.used) > 0 {
		t.Errorf("noted as used: %v", g.book.used)
	}
}

// AWS's own words tell a caller's clock from ours (bedrock-wire A4).
func TestSignatureExpiredText(t *testing.T) {
	g := newGate(t)
	_, refusal := g.authenticate(signed(g.creds, "us-east-1", "bedrock", now.Add(-6*time.Minute)))
	const want = "Signature expired: 20261122T145847Z is now earlier than 20261122T145947Z (20261122T150447Z - 5 min.)"
	if refusal == nil || refusal.Message != want {
		t.Errorf("got %v, want %s", refusal, want)
	}
}

// S10: an unknown key and a wrong secret cost the same: one lookup, one
// verification. Counted, not timed.
func TestUnknownKeyCostsTheSame(t *testing.T) {
	g := newGate(t)
	verified := 0
	g.verify = func(a *sigv4.Authorization, r *sigv4.Request, k sigv4.SigningKey) bool {
		verified++
		return a.Verify(r, k)
	}
	for _, c := range []sigv4.Credentials{
		{AccessKeyID: g.creds.AccessKeyID, Secret: "other"}, {AccessKeyID: "GTHKCCCCCCCCCCCCCCCC", Secret: "other"}, {AccessKeyID: g.old.AccessKeyID, Secret: "other"},
	} {
		verified, g.book.lookups = 0, 0
		if p, refusal := g.authenticate(signed(c, "us-east-1", "bedrock", now)); p != nil || refusal == nil || verified != 1 || g.book.lookups != 1 {
			t.Errorf("%s: %v after %d verifications and %d lookups, want 1 and 1", c.AccessKeyID, refusal, verified, g.book.lookups)
		}
	}
}

// J16: what was never issued costs no lookup.
func TestBadChecksumCostsNoLookup(t *testing.T) {
	g := newGate(t)
	for _, k := range []string{"gth_", "gth_live_", string(g.api)[1:], string(g.api) + "x", string(g.api)[:40] + flip(string(g.api)[40:41]) + string(g.api)[41:]} {
		if _, refusal := g.authenticate(bearer(k)); refusal == nil || g.book.lookups != 0 {
			t.Errorf("%q: %v after %d lookups", k, refusal, g.book.lookups)
		}
	}
	// The right id with a secret of its own making has to be looked up.
	forged := forge(g.api)
	if _, refusal := g.authenticate(bearer(forged)); reason(refusal) != "bad_api_key" || g.book.lookups != 1 {
		t.Errorf("right id, wrong secret: %v after %d lookups", refusal, g.book.lookups)
	}
}

// forge gives a secret of its own the id of k, under a checksum that fits.
func forge(k apikey.Key) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	own := string(apikey.New())
	s := string(k)[:22] + own[22:len(own)-6]
	sum := ""
	for v, i := crc32.ChecksumIEEE([]byte(s)), 0; i < 6; v, i = v/62, i+1 {
		sum = digits[v%62:v%62+1] + sum
	}
	return s + sum
}

// S12: the same request again inside the window is served again, as AWS does.
func TestReplayInsideTheWindow(t *testing.T) {
	g := newGate(t)
	q := signed(g.creds, "us-east-1", "bedrock", now)
	for range 3 {
		if _, refusal := g.authenticate(q); refusal != nil {
			t.Fatal(refusal)
		}
	}
	g.now = now.Add(301 * time.Second)
	if _, refusal := g.authenticate(q); reason(refusal) != "signature_expired" {
		t.Errorf("after the window: %v", refusal)
	}
}

// S11: a change shows on the next request.
func TestRevocation(t *testing.T) {
	g := newGate(t)
	q, a := signed(g.creds, "us-east-1", "bedrock", now), bearer(string(g.api))
	for _, q := range []request{q, a} {
		if _, refusal := g.authenticate(q); refusal != nil {
			t.Fatal(refusal)
		}
	}
	clear(g.book.keys)
	clear(g.book.api)
	if _, refusal := g.authenticate(q); reason(refusal) != "unknown_key" {
		t.Errorf("SigV4: %v", refusal)
	}
	if _, refusal := g.authenticate(a); reason(refusal) != "bad_api_key" {
		t.Errorf("API key: %v", refusal)
	}
}

// A Pending that Begin did not give is nobody's.
func TestZeroPending(t *testing.T) {
	var p Pending
	if refusal := p.Finish([32]byte{}); refusal == nil {
		t.Error("accepted")
	}
	g := newGate(t)
	c, r := bearer("nonsense").call()
	p, _ = g.Begin(c, r)
	if refusal := p.Finish([32]byte{}); refusal == nil || c.Principal != nil {
		t.Error("accepted after a refusal")
	}
}

func TestTokenOnly(t *testing.T) {
	g := newGate(t)
	for name, c := range map[string]struct {
		q    request
		want call.Reason
	}{
		"token":   {bearer(mint(nil, nil)), "ok"},
		"API key": {bearer(string(g.api)), "bad_token"},
		"sigv4":   {signed(g.creds, "us-east-1", "bedrock", now), "bad_authorization"},
		"none":    {request{header: http.Header{}}, "no_credentials"},
		"two":     {bearer("a").with("Authorization", "Bearer a", "Bearer b"), "ambiguous_credentials"},
	} {
		_, r := c.q.call()
		p, refusal := g.Token(r)
		if reason(refusal) != c.want || (p != nil) != (refusal == nil) {
			t.Errorf("%s: got %s, %v, want %s", name, reason(refusal), p, c.want)
		}
	}
}

func TestNewChecksOptions(t *testing.T) {
	b := &book{}
	for _, o := range []Options{
		{}, {Keys: b, Tokens: b, Issuer: "i", Audience: "a"}, {Keys: b, Tokens: b, Regions: []string{"r"}, Audience: "a"},
		{Keys: b, Tokens: b, Regions: []string{"r"}, Issuer: "i"}, {Keys: b, Regions: []string{"r"}, Issuer: "i", Audience: "a"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// FuzzBearer: whatever stands in the header, nobody is let in but by the
// credentials that were issued, and nothing panics.
func FuzzBearer(f *testing.F) {
	g := newGate(f)
	good := signed(g.creds, "us-east-1", "bedrock", now)
	for _, s := range []string{
		"", "Bearer ", "Bearer gth_live_x", "Bearer a.b.c", "Bearer " + mint(nil, nil)[:50], "AWS4-HMAC-SHA256 ",
		flip(good.header["Authorization"][0]), "Basic x", "AWS4-ECDSA-P256-SHA256 x", "Bearer ..", "bearer x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, refusal := g.authenticate(good.with("Authorization", s))
		if s != good.header["Authorization"][0] && (p != nil || refusal == nil) {
			t.Errorf("%q was let in", s)
		}
	})
}

func BenchmarkBegin(b *testing.B) {
	g := newGate(b)
	sum := sha256.Sum256([]byte(body))
	for name, q := range map[string]request{
		"sigv4": signed(g.creds, "us-east-1", "bedrock", now), "api_key": bearer(string(g.api)), "token": bearer(mint(nil, nil)),
	} {
		b.Run(name, func(b *testing.B) {
			c, r := q.call()
			b.ReportAllocs()
			for b.Loop() {
				p, refusal := g.Begin(c, r)
				if refusal == nil {
					refusal = p.Finish(sum)
				}
				if refusal != nil {
					b.Fatal(refusal)
				}
			}
		})
	}
}
