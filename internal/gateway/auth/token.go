package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

// Login tokens are compact JWS of our own making, so nothing of the standard's
// freedom is needed and none is allowed: bounded size before anything is split,
// exactly three segments of canonical base64url, a header of alg, kid and typ
// only, an algorithm that is the key's and not the token's choice, claims
// without duplicates. The library verifies the signature and the times.

const (
	maxToken = 4 << 10 // bytes
	maxKID   = 32
	maxJTI   = 64
	leeway   = 30 * time.Second // for iat and nbf
	maxTime  = 253402300799     // 9999-12-31T23:59:59Z
)

var errToken = errors.New("malformed token")

func newValidator(o Options) *jwt.Validator {
	return jwt.NewValidator(jwt.WithTimeFunc(o.Now), jwt.WithLeeway(leeway), jwt.WithIssuedAt(),
		jwt.WithExpirationRequired(), jwt.WithIssuer(o.Issuer), jwt.WithAudience(o.Audience))
}

// token verifies a login token.
func (a *Authenticator) token(s string) (*call.Principal, *call.Refusal) {
	payload, err := openJWS(s, maxKID, a.o.Tokens.TokenKey)
	if err != nil {
		return nil, call.BadToken.With(err.Error())
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, call.BadToken.With(err.Error())
	}
	if refusal := a.checkTimes(c); refusal != nil {
		return nil, refusal
	}
	user, epoch, ok := a.o.Tokens.TokenUser(c.Subject)
	switch {
	case !ok:
		return nil, call.BadToken.With("no such user, or disabled")
	case c.IssuedAt.Unix() < epoch:
		return nil, call.BadToken.With("token of user " + c.Subject + " is from before its reset")
	}
	p := *user
	p.Scheme, p.Expires = call.Token, c.ExpiresAt.Time
	return &p, nil
}

// checkTimes gives exp no leeway: the clock that set it is ours.
func (a *Authenticator) checkTimes(c *jwt.RegisteredClaims) *call.Refusal {
	if !a.o.Now().Before(c.ExpiresAt.Time) {
		return call.ExpiredCredential.With("token of user " + c.Subject)
	}
	if err := a.validator.Validate(c); err != nil {
		return call.BadToken.With(err.Error())
	}
	if c.ExpiresAt.Sub(c.IssuedAt.Time) > a.o.TokenLife {
		return call.BadToken.With("token lives longer than any we issue")
	}
	return nil
}

// openJWS verifies a compact JWS and returns its payload. key returns the key
// of a kid and the algorithm that kid is for.
func openJWS(s string, maxKID int, key func(kid string) (alg string, key []byte, ok bool)) ([]byte, error) {
	if len(s) > maxToken || strings.Count(s, ".") != 2 {
		return nil, errToken
	}
	signed, signature := s[:strings.LastIndexByte(s, '.')], s[strings.LastIndexByte(s, '.')+1:]
	header, payload, _ := strings.Cut(signed, ".")
	h, err1 := decodeSegment(header)
	p, err2 := decodeSegment(payload)
	sig, err3 := decodeSegment(signature)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, errToken
	}
	alg, kid, err := parseHeader(h, maxKID)
	if err != nil {
		return nil, err
	}
	want, secret, ok := key(kid)
	if !ok {
		return nil, errors.New("unknown kid")
	}
	// One algorithm is enabled. A second one is a second case here, never a
	// lookup by what the token says.
	if alg != want || want != "HS256" {
		return nil, errors.New("alg is not that of the key")
	}
	if err := jwt.SigningMethodHS256.Verify(signed, sig, secret); err != nil {
		return nil, err
	}
	return p, nil
}

var base64url = base64.RawURLEncoding.Strict()

// decodeSegment decodes base64url that is not empty and has one spelling. The
// decoder alone would skip line breaks.
func decodeSegment(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return nil, errToken
	}
	return base64url.DecodeString(s)
}

func parseHeader(h []byte, maxKID int) (alg, kid string, err error) {
	var d strictjson.Document
	if err := d.Parse(h, strictjson.Options{Depth: 1, MaxNodes: 4}); err != nil {
		return "", "", errToken
	}
	typ := "JWT"
	for n := d.First(0); n != strictjson.None; n = d.Next(n) {
		var ok bool
		switch d.Key(n) {
		case "alg":
			alg, ok = d.String(n)
		case "kid":
			kid, ok = d.String(n)
		case "typ":
			typ, ok = d.String(n)
		}
		if !ok {
			return "", "", errors.New("header member that no token of ours has")
		}
	}
	if typ != "JWT" || !isKID(kid, maxKID) {
		return "", "", errors.New("typ or kid that no token of ours has")
	}
	return alg, kid, nil
}

// isKID matches [A-Za-z0-9_-]+.
func isKID(s string, max int) bool {
	for i := range len(s) {
		c := s[i]
		if c-'0' > 9 && c|0x20-'a' > 25 && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= max
}

// parseClaims reads the claims. All but nbf are required, each of one type.
func parseClaims(payload []byte) (*jwt.RegisteredClaims, error) {
	var d strictjson.Document
	if err := d.Parse(payload, strictjson.Options{Depth: 4, MaxNodes: 64}); err != nil {
		return nil, errToken
	}
	text := func(key string, max int) string {
		s, _ := d.String(d.Get(0, key))
		if len(s) > max {
			return ""
		}
		return s
	}
	date := func(key string) *jwt.NumericDate {
		n, ok := d.Int(d.Get(0, key))
		if !ok || n < 0 || n > maxTime {
			return nil
		}
		return jwt.NewNumericDate(time.Unix(n, 0))
	}
	c := &jwt.RegisteredClaims{
		Issuer: text("iss", maxToken), Subject: text("sub", maxJTI), ID: text("jti", maxJTI),
		Audience: jwt.ClaimStrings{text("aud", maxToken)}, // one string: a list with ours in it is not ours
		IssuedAt: date("iat"), ExpiresAt: date("exp"), NotBefore: date("nbf"),
	}
	badNBF := c.NotBefore == nil && d.Kind(d.Get(0, "nbf")) != strictjson.Missing
	if c.Issuer == "" || c.Subject == "" || c.ID == "" || c.IssuedAt == nil || c.ExpiresAt == nil || badNBF {
		return nil, errors.New("claim missing or of the wrong type")
	}
	return c, nil
}
