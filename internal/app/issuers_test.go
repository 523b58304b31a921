package app

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
)

// A token of an outside issuer makes a guarded call as the user and team that
// it names, counts for that user, and is not a token of ours; one that lacks
// what the configuration asks for is refused.
func TestOutsideIssuer(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "k", "alg": "EdDSA", "use": "sig", "x": b64(public)}}})
	}))
	defer keys.Close()
	token := func(change map[string]any) string {
		now := time.Now().Unix()
		claims := map[string]any{"iss": keys.URL, "aud": "gatehouse", "sub": "7", "email": "kim@example.com", "groups": []string{"staff"}, "env": "prod", "iat": now, "exp": now + 600}
		for k, v := range change {
			claims[k] = v
		}
		body, _ := json.Marshal(claims)
		text := b64([]byte(`{"alg":"EdDSA","kid":"k","typ":"JWT"}`)) + "." + b64(body)
		return text + "." + b64(ed25519.Sign(private, []byte(text)))
	}
	g := startGate(t, func(g *gate) {
		g.config.OIDC = []config.OIDC{{
			Issuer: keys.URL, Audience: "gatehouse", JWKS: keys.URL + "/keys", UserClaim: "email", TeamClaim: "groups",
			Teams: map[string]string{"staff": "red"}, Require: map[string]string{"env": "prod"}, Algs: []string{"EdDSA"}, Private: true,
		}}
	})
	for end := time.Now().Add(10 * time.Second); ; { // the keys are fetched in the background
		if resp, _ := g.converse(t, token(nil), "converse", "hello"); resp.StatusCode == 200 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the token is not accepted")
		}
	}
	resp, _ := g.converse(t, token(nil), "converse", "hello")
	admit, _ := g.recordOf(t, resp.Header.Get("X-Gatehouse-Call-Id"))
	if p := admit.Principal; p.User != "kim@example.com" || p.Team != "red" || p.Scheme != "oidc" || p.Key != "" || p.UserID == "" {
		t.Errorf("recorded as %+v", p)
	}
	if h := resp.Header.Get("RateLimit"); strings.Contains(h, "chat-day") || !strings.Contains(h, "requests") {
		t.Errorf("counted by %s", h)
	}
	for name, change := range map[string]map[string]any{
		"another environment": {"env": "test"},
		"another audience":    {"aud": "console"},
		"expired":             {"exp": time.Now().Unix() - 60},
		"no user":             {"email": nil},
	} {
		if resp, body := g.converse(t, token(change), "converse", "hello"); resp.StatusCode != 403 {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	// The chat API's own routes are for login tokens.
	r, _ := http.NewRequest("GET", "http://"+g.addr+"/v1/prompts", nil)
	r.Header.Set("Authorization", "Bearer "+token(nil))
	if resp, err := http.DefaultClient.Do(r); err != nil || resp.StatusCode != 401 {
		t.Errorf("the chat API: %v, %v", resp, err)
	}
}
