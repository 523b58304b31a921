package account

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/apikey"
	"gatehouse/internal/call"
	"gatehouse/internal/secretfile"
)

// TokenLife is how long a login token is good for.
const TokenLife = time.Hour

// Token is a login token. It prints as [redacted]; string(t) is the token.
type Token string

const redacted = "[redacted]"

func (Token) String() string               { return redacted }
func (Token) GoString() string             { return redacted }
func (Token) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// tokenKey is one key of the file. The first of the file signs; one that has
// been rotated out still verifies until the last token it signed has ended.
type tokenKey struct {
	KID     string    `json:"kid"`
	Alg     string    `json:"alg"`    // HS256
	Secret  string    `json:"secret"` // base64url, at least 32 bytes
	Retired time.Time `json:"retired,omitzero"`

	bytes []byte
}

// tokenRing is the live token keys, at most two.
type tokenRing struct {
	path    string
	managed bool // the file is ours to write
	now     func() time.Time

	mu   sync.Mutex // one rotation at a time
	live atomic.Pointer[[]tokenKey]
}

type tokenFile struct {
	Keys []tokenKey `json:"keys"`
}

func openTokenRing(o Options) (*tokenRing, error) {
	t := &tokenRing{path: o.TokenKeys, now: o.Now}
	if t.path == "" {
		t.path, t.managed = filepath.Join(o.Dir, "token-keys.json"), true
	}
	b, err := secretfile.Read(t.path)
	if missing(err) && t.managed {
		return t, t.save([]tokenKey{newTokenKey()})
	}
	if err != nil {
		return nil, fmt.Errorf("token keys: %w", err)
	}
	keys, err := parseTokenKeys(b)
	if err != nil {
		return nil, fmt.Errorf("token keys: %s: %w", t.path, err)
	}
	t.live.Store(&keys)
	return t, nil
}

var kidPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

func parseTokenKeys(b []byte) ([]tokenKey, error) {
	var f tokenFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("not JSON of the form {\"keys\":[{\"kid\",\"alg\",\"secret\"}]}")
	}
	if len(f.Keys) < 1 || len(f.Keys) > 2 {
		return nil, fmt.Errorf("%d keys: want one, or two while one replaces the other", len(f.Keys))
	}
	for i := range f.Keys {
		k := &f.Keys[i]
		var err error
		k.bytes, err = base64.RawURLEncoding.DecodeString(k.Secret)
		switch {
		case !kidPattern.MatchString(k.KID):
			return nil, fmt.Errorf("key %d: a kid is 1 to 32 letters, digits, _ and -", i+1)
		case k.Alg != "HS256":
			return nil, fmt.Errorf("key %s: alg %q: only HS256 is supported", k.KID, k.Alg)
		case err != nil || len(k.bytes) < 32:
			return nil, fmt.Errorf("key %s: the secret is not base64url of at least 32 bytes", k.KID)
		}
	}
	if len(f.Keys) == 2 && f.Keys[0].KID == f.Keys[1].KID {
		return nil, fmt.Errorf("two keys with kid %s", f.Keys[0].KID)
	}
	return f.Keys, nil
}

func newTokenKey() tokenKey {
	b := make([]byte, 32)
	rand.Read(b)
	return tokenKey{KID: apikey.Random(12), Alg: "HS256", Secret: base64.RawURLEncoding.EncodeToString(b), bytes: b}
}

func (t *tokenRing) save(keys []tokenKey) error {
	b, err := json.MarshalIndent(tokenFile{keys}, "", "  ")
	if err != nil {
		return err
	}
	if err := secretfile.Write(t.path, append(b, '\n')); err != nil {
		return fmt.Errorf("token keys: %w", err)
	}
	t.live.Store(&keys)
	return nil
}

// rotate makes a new signing key. The one it replaces verifies for as long as
// its tokens live; one that was replaced before stops at once.
func (t *tokenRing) rotate() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.managed {
		return &Error{Class: Conflict, Code: "token_keys_configured", Message: "the token keys come from a configured file: put the new key first in it and restart"}
	}
	old := (*t.live.Load())[0]
	old.Retired = t.now().UTC()
	return t.save([]tokenKey{newTokenKey(), old})
}

func (t *tokenRing) key(kid string) (alg string, secret []byte, ok bool) {
	for _, k := range *t.live.Load() {
		if k.KID == kid && (k.Retired.IsZero() || t.now().Before(k.Retired.Add(TokenLife))) {
			return k.Alg, k.bytes, true
		}
	}
	return "", nil, false
}

// issue makes a token. epoch is the user's: a token issued in the same second
// as a reset must not be older than it.
func (t *tokenRing) issue(issuer, audience, userID, user string, epoch int64) (Token, time.Time, error) {
	issued := max(t.now().Unix(), epoch)
	expires := issued + int64(TokenLife/time.Second)
	k := (*t.live.Load())[0]
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": userID, "user": user,
		"iat": issued, "exp": expires, "jti": call.NewRequestID(),
	})
	token.Header["kid"] = k.KID
	s, err := token.SignedString(k.bytes)
	return Token(s), time.Unix(expires, 0).UTC(), err
}

// RotateTokenKey makes a new key for login tokens. Tokens stay good until they
// expire; after two rotations all that were issued before are void.
func (s *Service) RotateTokenKey() error {
	err := s.tokens.rotate()
	if err == nil {
		s.o.Event(Event{Kind: "token_key_rotated"})
	}
	return err
}

// TokenKey returns the live token key of that kid and the algorithm it is for.
func (s *Service) TokenKey(kid string) (alg string, key []byte, ok bool) { return s.tokens.key(kid) }
