// Package auth answers one question: who is calling? It turns the one
// Authorization header of a request into a [call.Principal], or refuses.
//
// There are three schemes, told apart by how the header begins, strictly:
//
//	AWS4-HMAC-SHA256 …   a SigV4 signature with a Gatehouse key pair
//	Bearer gth_…         a Gatehouse API key
//	Bearer a.b.c         a login token, a JWT of ours; or one of an outside
//	                     issuer, if it says that it is
//
// Everything else is refused: no header, two headers, credentials in the query,
// SigV2, SigV4A, Basic. Other headers that look like credentials (X-Api-Key)
// and query parameters (?token=) are never read.
//
// A SigV4 signature covers the body, so there are two steps:
// [Authenticator.Begin] does all that needs no body and fully verifies bearer
// credentials; [Pending.Finish] verifies the signature. What a caller learns
// from a refusal is in the table of internal/call; an unknown key costs the
// same work as a wrong secret.
//
// Keys and users are looked up through two interfaces that answer from memory.
// What a key may do is the policy stage's question, not this one's.
package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/apikey"
	"gatehouse/internal/call"
	"gatehouse/internal/sigv4"
)

// Keys finds keys. It answers from memory, without I/O; revoked keys and keys
// of disabled users are not found; expired ones are, with the time in
// Principal.Expires. Principals are shared and never changed. A change must
// show within a second.
type Keys interface {
	// SigningKey returns the SigV4 signing key of an access key id for a day
	// (YYYYMMDD), region and service.
	SigningKey(id call.KeyID, date, region, service string) (sigv4.SigningKey, *call.Principal, bool)
	// APIKey returns the SHA-256 of the secret of the API key with this id.
	APIKey(id string) (secretSHA256 [32]byte, p *call.Principal, ok bool)
	// Used notes that the key proved itself.
	Used(id call.KeyID, now time.Time)
}

// Tokens finds what login tokens refer to, from memory.
type Tokens interface {
	// TokenKey returns a live token key and the one algorithm it is for.
	TokenKey(kid string) (alg string, key []byte, ok bool)
	// TokenUser returns the principal of an enabled user, and the Unix second
	// before which tokens issued to it are void.
	TokenUser(userID string) (p *call.Principal, epoch int64, ok bool)
}

// Outside verifies the tokens of other issuers, from memory. known is false
// for a token that says it is of none of them; a login token never says so.
type Outside interface {
	Token(token string) (p *call.Principal, refusal *call.Refusal, known bool)
}

// Options say whose credentials are taken and where they must be scoped to.
type Options struct {
	Keys     Keys
	Tokens   Tokens
	Outside  Outside  // nil: no tokens but ours
	Regions  []string // that a SigV4 scope may name; the first is the usual one
	Service  string   // empty: bedrock
	Issuer   string   // iss of tokens
	Audience string   // aud of tokens
	// TokenLife is how long after its issue a token is taken at most; 0: an hour.
	TokenLife time.Duration
	Now       func() time.Time // nil: time.Now
}

// Authenticator is safe for concurrent use.
type Authenticator struct {
	o         Options
	validator *jwt.Validator
	dummyKey  sigv4.SigningKey // verified with when there is no such key
	verify    func(*sigv4.Authorization, *sigv4.Request, sigv4.SigningKey) bool
}

// New returns an Authenticator.
func New(o Options) (*Authenticator, error) {
	switch {
	case o.Keys == nil || o.Tokens == nil:
		return nil, errors.New("auth: keys and tokens are needed")
	case len(o.Regions) == 0:
		return nil, errors.New("auth: a region is needed")
	case o.Issuer == "" || o.Audience == "":
		return nil, errors.New("auth: tokens need an issuer and an audience")
	}
	if o.Service == "" {
		o.Service = "bedrock"
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Authenticator{o: o, verify: (*sigv4.Authorization).Verify}
	a.validator = newValidator(o)
	rand.Read(a.dummyKey[:])
	return a, nil
}

// Pending is an authentication that may still need the body.
type Pending struct {
	a      *Authenticator
	c      *call.Call
	signed sigv4.Authorization
	r      sigv4.Request
}

// Begin checks all that can be checked before the body is read, and sets
// c.Principal when that is everything. c carries the method, the raw path and
// query and the host of r.
func (a *Authenticator) Begin(c *call.Call, r *http.Request) (Pending, *call.Refusal) {
	header, refusal := authorization(r.Header, c.RawQuery)
	if refusal != nil {
		return Pending{}, refusal
	}
	if bearer, ok := strings.CutPrefix(header, "Bearer "); ok {
		c.Principal, refusal = a.bearer(bearer)
		return Pending{c: c}, refusal
	}
	if !strings.HasPrefix(header, sigv4.Algorithm+" ") {
		return Pending{}, call.BadAuthorization.With("unknown scheme")
	}
	p := Pending{a: a, c: c, r: sigv4.Request{
		Method: c.Method, RawPath: c.RawPath, RawQuery: c.RawQuery, Authority: c.Host,
		ContentLength: r.ContentLength, Header: r.Header,
	}}
	var err error
	if p.signed, err = sigv4.ParseAuthorization(header); err != nil {
		return Pending{}, refusalOf(err)
	}
	if err := p.signed.Check(a.o.Now(), &p.r, a.region(p.signed.Region), a.o.Service); err != nil {
		return Pending{}, refusalOf(err)
	}
	return p, nil
}

// Known reports whether the credential names a live key or has been verified
// already. Of anybody else a caller of Finish reads no long body.
func (p *Pending) Known() bool {
	if p.a == nil {
		return p.c != nil && p.c.Principal != nil
	}
	_, _, known := p.a.o.Keys.SigningKey(call.KeyID(p.signed.KeyID), p.signed.Date, p.signed.Region, p.signed.Service)
	return known
}

// Finish verifies the signature over the body, whose hash is given, and sets
// the call's Principal. After a bearer credential there is nothing left to do.
func (p *Pending) Finish(bodySHA256 [32]byte) *call.Refusal {
	if p.a == nil {
		if p.c == nil || p.c.Principal == nil {
			return call.NoCredentials
		}
		return nil
	}
	a, id := p.a, call.KeyID(p.signed.KeyID)
	p.r.PayloadHash = bodySHA256
	key, principal, known := a.o.Keys.SigningKey(id, p.signed.Date, p.signed.Region, p.signed.Service)
	if !known {
		key = a.dummyKey
	}
	ok := a.verify(&p.signed, &p.r, key)
	switch {
	case !known:
		return call.UnknownKey.With("no live key " + p.signed.KeyID)
	case !ok:
		return call.BadSignature.With("key " + p.signed.KeyID)
	}
	if refusal := a.expired(principal); refusal != nil {
		return refusal
	}
	a.o.Keys.Used(principal.Key, a.o.Now())
	p.c.Principal = principal
	return nil
}

// Token authenticates a request by a login token and nothing else.
func (a *Authenticator) Token(r *http.Request) (*call.Principal, *call.Refusal) {
	header, refusal := authorization(r.Header, r.URL.RawQuery)
	if refusal != nil {
		return nil, refusal
	}
	bearer, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return nil, call.BadAuthorization.With("not a bearer credential")
	}
	return a.token(bearer)
}

// authorization returns the one Authorization header.
func authorization(h http.Header, rawQuery string) (string, *call.Refusal) {
	values := h["Authorization"]
	presigned := rawQuery != "" && sigv4.Presigned(rawQuery)
	switch {
	case len(values) > 1 || len(values) == 1 && presigned:
		return "", call.TwoCredentials
	case presigned:
		return "", call.BadAuthorization.With("presigned query")
	case len(values) == 0:
		return "", call.NoCredentials
	}
	return values[0], nil
}

func (a *Authenticator) region(asked string) string {
	if slices.Contains(a.o.Regions, asked) {
		return asked
	}
	return a.o.Regions[0]
}

func (a *Authenticator) bearer(s string) (*call.Principal, *call.Refusal) {
	switch {
	case len(s) > maxToken:
		return nil, call.BadAPIKey.With("bearer credential too long")
	case strings.HasPrefix(s, "gth_"):
		return a.apiKey(s)
	case strings.Count(s, ".") == 2:
		if a.o.Outside != nil {
			if p, refusal, known := a.o.Outside.Token(s); known {
				return p, refusal
			}
		}
		return a.token(s)
	}
	return nil, call.BadAPIKey.With("neither an API key nor a token")
}

// apiKey verifies an API key. Every way to be wrong has one answer; a key that
// was never issued is mostly told by its checksum, without a lookup.
func (a *Authenticator) apiKey(s string) (*call.Principal, *call.Refusal) {
	id, got, ok := apikey.Parse(s)
	if !ok {
		return nil, call.BadAPIKey.With("malformed API key")
	}
	want, principal, known := a.o.Keys.APIKey(id)
	same := subtle.ConstantTimeCompare(got[:], want[:]) == 1
	switch {
	case !known:
		return nil, call.BadAPIKey.With("no live API key " + id)
	case !same:
		return nil, call.BadAPIKey.With("wrong secret for API key " + id)
	}
	if refusal := a.expired(principal); refusal != nil {
		return nil, refusal
	}
	a.o.Keys.Used(principal.Key, a.o.Now())
	return principal, nil
}

func (a *Authenticator) expired(p *call.Principal) *call.Refusal {
	if p.Expires.IsZero() || a.o.Now().Before(p.Expires) {
		return nil
	}
	return call.ExpiredCredential.With("key " + string(p.Key))
}

// refusalOf gives the refusal for an error of package sigv4.
func refusalOf(err error) *call.Refusal {
	switch {
	case errors.Is(err, sigv4.ErrMalformed):
		return call.BadAuthorization.With(err.Error())
	case errors.Is(err, sigv4.ErrKeyID):
		return call.UnknownKey.With(err.Error())
	case errors.Is(err, sigv4.ErrScope):
		return call.BadScope.With(err.Error())
	case errors.Is(err, sigv4.ErrExpired):
		return call.SignatureExpired.Say(err.Error())
	}
	return call.BadSignature.With(err.Error())
}
