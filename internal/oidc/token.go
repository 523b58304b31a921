package oidc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/call"
	"gatehouse/internal/strictjson"
)

const (
	maxToken = 4 << 10
	maxKID   = 128
	maxText  = 255              // of a claim that is used
	leeway   = 30 * time.Second // for clocks that differ, of iat and nbf; exp has none
	maxLife  = 24 * time.Hour
	maxTime  = 253402300799 // 9999-12-31T23:59:59Z
)

var errToken = errors.New("malformed token")

var strictOptions = strictjson.Options{Depth: 8, MaxNodes: 1024}

// token is a JWT taken apart, nothing of which has been verified yet.
type token struct {
	signed    string // what the signature is of
	signature []byte
	alg, kid  string
	claims    claims
}

// open takes a compact JWS apart: three segments of canonical base64url, a
// header and claims of strict JSON.
func open(s string) (*token, error) {
	if len(s) > maxToken || strings.Count(s, ".") != 2 {
		return nil, errToken
	}
	dot := strings.LastIndexByte(s, '.')
	t := &token{signed: s[:dot]}
	header, payload, _ := strings.Cut(t.signed, ".")
	h, err1 := decode(header)
	p, err2 := decode(payload)
	sig, err3 := decode(s[dot+1:])
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, errToken
	}
	t.signature = sig
	if err := t.claims.Parse(p, strictOptions); err != nil {
		return nil, errToken
	}
	return t, t.header(h)
}

var base64url = base64.RawURLEncoding.Strict()

// decode decodes base64url that is not empty and has one spelling. The decoder
// alone would skip line breaks.
func decode(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return nil, errToken
	}
	return base64url.DecodeString(s)
}

// header reads the header. Members that bring a key, point to one or change
// what is signed are refused, and so is all that is not known to be harmless.
func (t *token) header(h []byte) error {
	var d claims
	if err := d.Parse(h, strictjson.Options{Depth: 1, MaxNodes: 8}); err != nil {
		return errToken
	}
	for n := d.First(0); n != strictjson.None; n = d.Next(n) {
		switch d.Key(n) {
		case "alg", "kid", "typ", "x5t", "x5t#S256":
			if d.Kind(n) != strictjson.String {
				return errToken
			}
		default:
			return errToken
		}
	}
	t.alg, t.kid = d.text("alg"), d.text("kid")
	switch strings.ToLower(d.text("typ")) {
	case "jwt", "at+jwt", "application/at+jwt":
	case "":
		if d.Kind(d.Get(0, "typ")) != strictjson.Missing {
			return errToken
		}
	default:
		return errToken
	}
	return nil
}

// verify checks everything that a token of i must be, the signature first.
func (i *issuer) verify(t *token, now time.Time) (*call.Principal, *call.Refusal) {
	if ref := i.signature(t, now); ref != nil {
		return nil, ref
	}
	expires, ref := i.times(t, now)
	if ref != nil {
		return nil, ref
	}
	if !t.claims.isOnly("aud", i.Audience) {
		return nil, i.bad("is for another audience")
	}
	for claim, want := range i.Require {
		if !t.claims.holds(claim, want) {
			return nil, i.bad(fmt.Sprintf("lacks %q of %q", want, claim))
		}
	}
	return i.principal(t, expires)
}

// bad refuses a token; what says why, to the operator.
func (i *issuer) bad(what string) *call.Refusal {
	return call.BadToken.With("token of " + i.URL + " " + what)
}

func (i *issuer) signature(t *token, now time.Time) *call.Refusal {
	if !slices.Contains(i.Algs, t.alg) {
		return i.bad("has an algorithm that is not accepted")
	}
	k, known, ready := i.key(t.kid, now)
	switch {
	case !ready:
		return call.AuthBusy.With("the keys of " + i.URL + " have not been fetched")
	case !known:
		return i.bad(fmt.Sprintf("has the unknown kid %.*q", maxKID, t.kid))
	case !slices.Contains(k.algs, t.alg):
		return i.bad("has an algorithm that is not that of its key")
	case methods[t.alg].Verify(t.signed, t.signature, k.public) != nil:
		return i.bad("has a bad signature")
	}
	return nil
}

// times checks exp, iat and nbf, and returns exp. A token that lives longer
// than a day is refused: it would outlive the person's account.
func (i *issuer) times(t *token, now time.Time) (time.Time, *call.Refusal) {
	exp, ok1 := t.claims.time("exp")
	iat, ok2 := t.claims.time("iat")
	nbf, ok3 := t.claims.time("nbf")
	absent := t.claims.Kind(t.claims.Get(0, "nbf")) == strictjson.Missing
	switch {
	case !ok1 || !ok2 || !ok3 && !absent:
		return exp, i.bad("lacks exp or iat, or has a time that is none")
	case !now.Before(exp):
		return exp, call.ExpiredCredential.With("token of " + i.URL)
	case iat.After(now.Add(leeway)) || nbf.After(now.Add(leeway)):
		return exp, i.bad("is from the future")
	case exp.Sub(iat) > maxLife:
		return exp, i.bad("lives longer than a day")
	}
	return exp, nil
}

// principal is who the token names.
func (i *issuer) principal(t *token, expires time.Time) (*call.Principal, *call.Refusal) {
	subject, user := t.claims.text("sub"), t.claims.text(i.UserClaim)
	switch {
	case subject == "":
		return nil, i.bad("lacks sub")
	case !isName(user):
		return nil, i.bad(fmt.Sprintf("has no claim %q that is a name of at most 254 letters, digits and _+=.@-", i.UserClaim))
	case i.UserClaim == "email" && !t.claims.verified():
		return nil, i.bad("has an e-mail address that is not verified")
	}
	team, ok := i.team(&t.claims)
	if !ok {
		return nil, i.bad(fmt.Sprintf("names no team of ours in %q", i.TeamClaim))
	}
	return &call.Principal{UserID: userID(i.URL, subject), User: strings.ToLower(user), Team: team, Expires: expires}, nil
}

// team is the caller's team: the first of the claim's values that Teams has.
// Without Teams there must be one value. Who is in no team is refused, since
// limits and policies of teams would not hold for them.
func (i *issuer) team(c *claims) (string, bool) {
	if i.TeamClaim == "" {
		return "", true
	}
	values := c.list(i.TeamClaim)
	if len(i.Teams) == 0 {
		return strings.Join(values, ""), len(values) == 1 && isLabel(values[0])
	}
	for _, v := range values {
		if team, ok := i.Teams[v]; ok {
			return team, true
		}
	}
	return "", false
}

// isName is the form of user names, which stand in ARNs: ASCII, and asked
// before letters are lowered, since there are others that become ASCII thereby.
func isName(s string) bool {
	local, domain, mail := strings.Cut(s, "@")
	return len(s) <= 254 && isWord(local, 254) && (!mail || isWord(domain, 254))
}

func isLabel(s string) bool { return isWord(s, 64) }

func isWord(s string, max int) bool {
	for i := range len(s) {
		c := s[i]
		if c-'0' > 9 && c|0x20-'a' > 25 && !strings.ContainsRune("_+=.-", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= max
}

// claims is a JSON object with plain members.
type claims struct{ strictjson.Document }

// text is a text that is not longer than what is used; otherwise empty.
func (c *claims) text(key string) string {
	s, _ := c.String(c.Get(0, key))
	if len(s) > maxText {
		return ""
	}
	return s
}

func (c *claims) time(key string) (time.Time, bool) {
	n, ok := c.Int(c.Get(0, key))
	if !ok || n < 0 || n > maxTime {
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}

// isOnly reports whether a claim is the text want or a list of it alone.
func (c *claims) isOnly(key, want string) bool {
	n := c.Get(0, key)
	if c.Kind(n) == strictjson.Array && c.Len(n) == 1 {
		n = c.First(n)
	}
	return c.Is(n, want)
}

// list is the texts of a claim that is a text or a list.
func (c *claims) list(key string) []string {
	n := c.Get(0, key)
	if c.Kind(n) != strictjson.Array {
		if s, ok := c.String(n); ok {
			return []string{s}
		}
		return nil
	}
	var out []string
	for e := c.First(n); e != strictjson.None; e = c.Next(e) {
		if s, ok := c.String(e); ok {
			out = append(out, s)
		}
	}
	return out
}

// holds reports whether a claim is want, as text, number or truth value, or a
// list with the text want in it.
func (c *claims) holds(key, want string) bool {
	switch n := c.Get(0, key); c.Kind(n) {
	case strictjson.Number, strictjson.True, strictjson.False:
		return string(c.Raw(n)) == want
	}
	return slices.Contains(c.list(key), want)
}

// verified reports whether the issuer says nothing against the e-mail address.
func (c *claims) verified() bool {
	return c.Kind(c.Get(0, "email_verified")) == strictjson.Missing || c.holds("email_verified", "true")
}
