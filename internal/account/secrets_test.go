package account

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/store/sqlite"
)

func b64url(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

func TestSecretFiles(t *testing.T) {
	h := open(t, nil)
	for _, name := range []string{"master.key", "token-keys.json", "state.db"} {
		info, err := os.Stat(filepath.Join(h.dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info, err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(h.dir, ".new-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A wrong or a lost master key stops the start; it is never replaced while
// there is something that it sealed.
func TestMasterKey(t *testing.T) {
	for name, spoil := range map[string]func(path string){
		"lost":        func(p string) { os.Remove(p) },
		"another":     func(p string) { os.WriteFile(p, []byte(strings.Repeat("ab", 32)), 0o600) },
		"short":       func(p string) { os.WriteFile(p, []byte("abcd"), 0o600) },
		"not hex":     func(p string) { os.WriteFile(p, []byte(strings.Repeat("x", 64)), 0o600) },
		"for anybody": func(p string) { os.Chmod(p, 0o644) },
		"a folder":    func(p string) { os.Remove(p); os.Mkdir(p, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, nil)
			h.register(alice)
			h.key(alice)
			h.stopAll()
			path := filepath.Join(h.dir, "master.key")
			before, _ := os.ReadFile(path)
			spoil(path)
			db, err := sqlite.Open(ctx, filepath.Join(h.dir, "state.db"))
			must(t, err)
			o := h.o
			o.Store = db
			if _, err := Open(ctx, o); err == nil {
				t.Error("started")
			} else if strings.Contains(err.Error(), string(before[:64])) {
				t.Errorf("the error tells the key: %v", err)
			}
			db.Close()
			os.RemoveAll(path)
			must(t, os.WriteFile(path, before, 0o600))
			h.start() // as it was before
		})
	}
}

func TestSealedSecretIsBoundToItsKey(t *testing.T) {
	v, err := newVault(make([]byte, masterKeyLen))
	must(t, err)
	sealed := v.seal("GTHK1", "secret")
	if s, err := v.unseal("GTHK1", sealed); string(s) != "secret" || err != nil {
		t.Errorf("got %q, %v", string(s), err)
	}
	if _, err := v.unseal("GTHK2", sealed); err == nil {
		t.Error("opened under another key id")
	}
	for i := range sealed {
		sealed[i] ^= 1
		if _, err := v.unseal("GTHK1", sealed); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
		sealed[i] ^= 1
	}
	if _, err := v.unseal("GTHK1", nil); err == nil {
		t.Error("opened nothing")
	}
}

// CONTRACTS: sub, user, iat, exp = iat + 3600, iss, aud, jti.
func TestTokenClaims(t *testing.T) {
	h := open(t, nil)
	r := h.register(alice)
	s, err := h.Login(ctx, home, alice, strong)
	must(t, err)
	c := claims(t, s.Token)
	iat := h.now().Unix()
	want := map[string]string{
		"sub": r.ID, "user": alice, "iat": fmt.Sprint(float64(iat)), "exp": fmt.Sprint(float64(iat + 3600)), "iss": "gatehouse", "aud": "gatehouse-chat",
	}
	for k, v := range want {
		if got := fmt.Sprint(c[k]); got != v {
			t.Errorf("%s: got %s, want %s", k, got, v)
		}
	}
	if jti, _ := c["jti"].(string); len(jti) != 36 || len(c) != 7 {
		t.Errorf("got claims %v", c)
	}
	header, err := b64url(strings.Split(string(s.Token), ".")[0])
	must(t, err)
	kid := (*h.tokens.live.Load())[0].KID
	if want := `{"alg":"HS256","kid":"` + kid + `","typ":"JWT"}`; string(header) != want {
		t.Errorf("got header %s, want %s", header, want)
	}
}

// J14: the old key is good for as long as its tokens; a second rotation ends it.
func TestRotateTokenKey(t *testing.T) {
	h := open(t, nil)
	kid := func() string { return (*h.tokens.live.Load())[0].KID }
	live := func(kid string) bool { _, _, ok := h.TokenKey(kid); return ok }
	first := kid()
	must(t, h.RotateTokenKey())
	second := kid()
	if !live(first) || !live(second) || first == second {
		t.Error("want both keys live")
	}
	h.restart()
	h.pass(TokenLife - time.Second)
	if !live(first) || kid() != second {
		t.Error("want both keys live before the overlap ends, also after a restart")
	}
	h.pass(time.Second)
	if live(first) || !live(second) {
		t.Error("want the first key dead after the overlap")
	}
	must(t, h.RotateTokenKey())
	must(t, h.RotateTokenKey())
	if live(second) || live("") || live("none") {
		t.Error("two rotations leave a key from before live")
	}
}

func TestConfiguredTokenKeys(t *testing.T) {
	secret := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	path := filepath.Join(t.TempDir(), "keys.json")
	must(t, os.WriteFile(path, []byte(`{"keys":[{"kid":"new","alg":"HS256","secret":"`+secret+`"},{"kid":"old","alg":"HS256","secret":"`+secret+`"}]}`), 0o600))
	h := open(t, func(o *Options) { o.TokenKeys = path })
	for _, kid := range []string{"new", "old"} {
		if alg, key, ok := h.TokenKey(kid); !ok || alg != "HS256" || len(key) != 32 {
			t.Errorf("%s: got %s, %d bytes, %v", kid, alg, len(key), ok)
		}
	}
	wantCode(t, h.RotateTokenKey(), "token_keys_configured")
	if _, err := os.Stat(filepath.Join(h.dir, "token-keys.json")); err == nil {
		t.Error("made keys of its own")
	}
}

func TestBadTokenKeys(t *testing.T) {
	secret := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	key := func(kid, alg, secret string) string {
		return fmt.Sprintf(`{"kid":%q,"alg":%q,"secret":%q}`, kid, alg, secret)
	}
	good := key("a", "HS256", secret)
	for name, keys := range map[string]string{
		"none": "", "three": good + "," + key("b", "HS256", secret) + "," + key("c", "HS256", secret), "same kid": good + "," + good,
		"alg none": key("a", "none", secret), "alg RS256": key("a", "RS256", secret), "short": key("a", "HS256", "AAAA"), "not base64url": key("a", "HS256", secret[:42]+"+"),
		"kid path": key("../../dev/null", "HS256", secret), "kid empty": key("", "HS256", secret), "kid long": key(strings.Repeat("k", 33), "HS256", secret), "not JSON": "{",
	} {
		if _, err := parseTokenKeys([]byte(`{"keys":[` + keys + `]}`)); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), secret[:40]) {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
	if _, err := openTokenRing(Options{TokenKeys: filepath.Join(t.TempDir(), "none"), Now: time.Now}); err == nil {
		t.Error("a configured file that is missing was made up")
	}
}
