package auth

import (
	"testing"

	"gatehouse/internal/call"
)

// others is an outside issuer whose tokens are good, and bad, by what they are.
type others map[string]*call.Principal

func (o others) Token(token string) (*call.Principal, *call.Refusal, bool) {
	p, known := o[token]
	if p == nil && known {
		return nil, call.BadToken, true
	}
	return p, nil, known
}

// A token that an outside issuer owns up to is judged by it alone; no key or
// login token ever reaches one, and the chat API's own routes take neither.
func TestOutside(t *testing.T) {
	g := newGate(t)
	bob := &call.Principal{UserID: "b", User: "bob"}
	login := mint(nil, nil)
	g.o.Outside = others{"a.b.c": bob, "d.e.f": nil, "gth_x": bob, "ab": bob}
	for name, tt := range map[string]struct {
		credential string
		want       call.Reason
	}{
		"theirs":           {"a.b.c", "ok"},
		"theirs and bad":   {"d.e.f", "bad_token"},
		"nobody's":         {"x.y.z", "bad_token"},
		"ours":             {login, "ok"},
		"an API key":       {"gth_x", "bad_api_key"},
		"without segments": {"ab", "bad_api_key"},
	} {
		p, refusal := g.authenticate(bearer(tt.credential))
		if reason(refusal) != tt.want {
			t.Errorf("%s: got %v, want %s", name, refusal, tt.want)
		}
		if tt.want == "ok" && (p == bob) != (name == "theirs") {
			t.Errorf("%s: is %+v", name, p)
		}
	}
	_, r := bearer("a.b.c").call()
	if p, refusal := g.Token(r); reason(refusal) != "bad_token" {
		t.Errorf("on the chat API's own routes: %+v, %v", p, refusal)
	}
}
