package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Credentials are those of AWS, or a Gatehouse key pair.
type Credentials struct {
	AccessKeyID  string
	Secret       Secret
	SessionToken Secret // empty for long-lived keys
}

// Signer signs requests and remembers the last signing key. The zero value is
// ready. It is safe for concurrent use; one for each region saves deriving.
type Signer struct {
	last atomic.Pointer[derived]
}

// derived is a signing key and what it was derived from.
type derived struct {
	secret                Secret
	date, region, service string
	key                   SigningKey
}

// Sign signs r as [Signer.Sign] does, with a key derived anew.
func Sign(r *Request, c Credentials, region, service string, now time.Time) {
	new(Signer).Sign(r, c, region, service, now)
}

// unsigned are headers that a proxy or client library may change on the way.
var unsigned = map[string]bool{
	"Authorization": true, "User-Agent": true, "X-Amzn-Trace-Id": true, "Expect": true,
	"Transfer-Encoding": true, "Connection": true, "Content-Length": true, "Host": true,
}

// lower spells the usual headers in lower case without allocating.
var lower = func() map[string]string {
	m := make(map[string]string)
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Content-Type", dateHeader, tokenHeader, hashHeader,
		"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request",
		"X-Amzn-Bedrock-Accept", "X-Amzn-Bedrock-Trace",
		"X-Amzn-Bedrock-Guardrailidentifier", "X-Amzn-Bedrock-Guardrailversion",
		"X-Amzn-Bedrock-Performanceconfig-Latency", "X-Amzn-Bedrock-Service-Tier", "X-Amzn-Bedrock-Request-Metadata",
	} {
		m[name] = strings.ToLower(name)
	}
	return m
}()

func lowerCase(name string) string {
	if l, ok := lower[name]; ok {
		return l
	}
	return strings.ToLower(name)
}

// Sign sets X-Amz-Date, X-Amz-Security-Token and Authorization in r.Header,
// over the host, the content length if there is content, and every other
// header but those that may change on the way. The header's keys must be in
// canonical form, and r.PayloadHash set. A query that [CanonicalRequest]
// refuses gets a signature that nobody accepts.
func (s *Signer) Sign(r *Request, c Credentials, region, service string, now time.Time) {
	date := now.UTC().Format(timeFormat)
	fields := make([]string, 0, 3)
	set := func(name, value string) {
		fields = append(fields, value)
		r.Header[name] = fields[len(fields)-1:][:1:1]
	}
	set(dateHeader, date)
	delete(r.Header, tokenHeader)
	if c.SessionToken != "" {
		set(tokenHeader, string(c.SessionToken))
	}

	m := pool.Get().(*scratch)
	defer pool.Put(m)
	m.names = signable(m.names[:0], r)
	m.build(r, m.names, true)
	hash := sha256.Sum256(m.canonical)
	m.canonical = appendStringToSign(m.canonical[:0], date, region, service, hash)
	signature := mac(s.key(c.Secret, date[:dateLen], region, service), m.canonical)

	b := append(append(m.canonical[:0], Algorithm+" Credential="...), c.AccessKeyID...)
	b = appendScope(append(b, '/'), date[:dateLen], region, service)
	b = append(b, ", SignedHeaders="...)
	for i, name := range m.names {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	m.canonical = hex.AppendEncode(append(b, ", Signature="...), signature[:])
	set("Authorization", string(m.canonical))
}

// signable lists what is signed of r, in lower case and sorted.
func signable(names []string, r *Request) []string {
	names = append(names, "host")
	if r.ContentLength > 0 {
		names = append(names, "content-length")
	}
	for name := range r.Header {
		if unsigned[name] {
			continue
		}
		names = append(names, lowerCase(name))
	}
	slices.Sort(names)
	return names
}

func (s *Signer) key(secret Secret, date, region, service string) SigningKey {
	if d := s.last.Load(); d != nil && d.date == date && d.secret == secret && d.region == region && d.service == service {
		return d.key
	}
	d := &derived{secret, date, region, service, DeriveKey(secret, date, region, service)}
	s.last.Store(d)
	return d.key
}
