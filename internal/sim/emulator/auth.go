package emulator

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"sync/atomic"

	"gatehouse/internal/sigv4"
)

// service is what requests to runtime and control plane are signed for.
const service = "bedrock"

// key is a credential with the signing key of the last day it was used.
type key struct {
	Credential
	day atomic.Pointer[dayKey]
}

type dayKey struct {
	date    string
	signing sigv4.SigningKey
}

func (k *key) signing(date, region string) sigv4.SigningKey {
	if d := k.day.Load(); d != nil && d.date == date {
		return d.signing
	}
	d := &dayKey{strings.Clone(date), sigv4.DeriveKey(k.Secret, date, region, service)}
	k.day.Store(d)
	return d.signing
}

// authenticate refuses a request that is not by one of the credentials.
func (c *call) authenticate() *wireError {
	if c.e.anonymous {
		return nil
	}
	list := c.r.Header["Authorization"]
	if len(list) != 1 {
		return errNoAuthorization
	}
	if bearer, ok := strings.CutPrefix(list[0], "Bearer "); ok {
		if !c.e.bearers[sha256.Sum256([]byte(bearer))] {
			return errBadBearer
		}
		c.bearer = true
		return nil
	}
	a, err := sigv4.ParseAuthorization(list[0])
	if err != nil {
		return authError(err)
	}
	k := c.e.keys[a.KeyID]
	if k == nil || !c.sameToken(k) {
		return errUnknownKey
	}
	c.user = k.User
	return c.verify(&a, k)
}

// sameToken compares the session token with the credential's.
func (c *call) sameToken(k *key) bool {
	sent := c.r.Header.Get("X-Amz-Security-Token")
	return subtle.ConstantTimeCompare([]byte(sent), []byte(k.SessionToken)) == 1
}

func (c *call) verify(a *sigv4.Authorization, k *key) *wireError {
	if werr := c.scope(a); werr != nil {
		return werr
	}
	r := sigv4.Request{
		Method: c.r.Method, RawPath: c.rawPath, RawQuery: c.rawQuery, Authority: c.r.Host,
		ContentLength: c.r.ContentLength, Header: c.r.Header, PayloadHash: sha256.Sum256(c.body),
	}
	if err := a.Check(c.e.now(), &r, c.e.region, service); err != nil {
		return authError(err)
	}
	if !a.Verify(&r, k.signing(a.Date, c.e.region)) {
		return badSignature(a, &r)
	}
	return nil
}

func invalidSignature(message string) *wireError {
	return &wireError{status: 403, code: "InvalidSignatureException", auth: true, message: message}
}

// scope tells apart what sigv4 calls one error.
func (c *call) scope(a *sigv4.Authorization) *wireError {
	switch {
	case a.Region != c.e.region:
		return invalidSignature("Credential should be scoped to a valid region. ")
	case a.Service != service:
		return invalidSignature("Credential should be scoped to correct service: '" + service + "'. ")
	}
	return nil
}

func authError(err error) *wireError {
	message := strings.TrimPrefix(err.Error(), "sigv4: ")
	switch {
	case errors.Is(err, sigv4.ErrMalformed):
		return &wireError{status: 400, code: "IncompleteSignatureException", auth: true, message: message}
	case errors.Is(err, sigv4.ErrKeyID):
		return errUnknownKey
	}
	return invalidSignature(message)
}

// badSignature is the refusal that shows what should have been signed.
func badSignature(a *sigv4.Authorization, r *sigv4.Request) *wireError {
	canonical := sigv4.CanonicalRequest(r, a.SignedHeaders, true)
	toSign := sigv4.StringToSign(r.Header.Get("X-Amz-Date"), a.Region, a.Service, canonical)
	return invalidSignature("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n" +
		"The Canonical String for this request should have been\n'" + string(canonical) + "'\n\n" +
		"The String-to-Sign should have been\n'" + string(toSign) + "'\n")
}
