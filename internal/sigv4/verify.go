package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Skew is how far a caller's clock may be from ours.
const Skew = 5 * time.Minute

// The bounds of an Authorization header.
const (
	maxAuthorization = 16 << 10
	maxKeyID         = 128
	maxSigned        = 64
	maxName          = 128
)

// Authorization is a parsed Authorization header. Its strings share the
// header's memory.
type Authorization struct {
	KeyID         string
	Date          string // YYYYMMDD
	Region        string
	Service       string
	SignedHeaders []string // lower case, sorted, each once
	Signature     [32]byte
}

// ParseAuthorization reads the value of an Authorization header:
//
//	AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX
//
// with one space or none after a comma. Errors are of the classes
// [ErrMalformed], [ErrKeyID] and [ErrSignature].
func ParseAuthorization(h string) (a Authorization, err error) {
	if len(h) > maxAuthorization {
		return a, refuse(ErrMalformed, "authorization header is too long")
	}
	rest, ok := strings.CutPrefix(h, Algorithm+" ")
	if !ok {
		return a, refuse(ErrMalformed, "algorithm is not "+Algorithm)
	}
	credential, rest, ok1 := member(rest, "Credential=")
	signed, rest, ok2 := member(rest, "SignedHeaders=")
	signature, ok3 := strings.CutPrefix(rest, "Signature=")
	if !ok1 || !ok2 || !ok3 {
		return a, refuse(ErrMalformed, "not Credential, SignedHeaders and Signature")
	}
	if err := a.parseCredential(credential); err != nil {
		return a, err
	}
	if err := a.parseSigned(signed); err != nil {
		return a, err
	}
	if !lowerHex(signature) {
		return a, refuse(ErrSignature, "signature is not 64 lower-case hexadecimal digits")
	}
	hex.Decode(a.Signature[:], []byte(signature))
	return a, nil
}

// member cuts "name=value," and one space that may follow off s.
func member(s, name string) (value, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, name)
	value, rest, comma := strings.Cut(s, ",")
	return value, strings.TrimPrefix(rest, " "), ok && comma
}

func (a *Authorization) parseCredential(s string) error {
	if strings.Count(s, "/") != 4 {
		return refuse(ErrMalformed, "credential does not have five parts")
	}
	var end string
	a.KeyID, s, _ = strings.Cut(s, "/")
	a.Date, s, _ = strings.Cut(s, "/")
	a.Region, s, _ = strings.Cut(s, "/")
	a.Service, end, _ = strings.Cut(s, "/")
	switch {
	case end != terminator:
		return refuse(ErrMalformed, "credential does not end in "+terminator)
	case len(a.Date) != dateLen || strings.Trim(a.Date, "0123456789") != "":
		return refuse(ErrMalformed, "credential date is not YYYYMMDD")
	case !plain(a.Region) || !plain(a.Service):
		return refuse(ErrMalformed, "credential region or service is malformed")
	case len(a.KeyID) > maxKeyID || !plain(a.KeyID):
		return refuse(ErrKeyID, "access key id is not one that is ever issued")
	}
	return nil
}

// plain reports whether s is made of letters, digits, "-" and "_".
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}

func (a *Authorization) parseSigned(s string) error {
	n := strings.Count(s, ";") + 1
	if n > maxSigned {
		return refuse(ErrMalformed, "too many signed headers")
	}
	a.SignedHeaders = make([]string, 0, n)
	previous := ""
	for range n {
		var name string
		name, s, _ = strings.Cut(s, ";")
		if !headerName(name) {
			return refuse(ErrMalformed, "signed header name is malformed")
		}
		if name <= previous {
			return refuse(ErrMalformed, "signed headers are not sorted, or one is repeated")
		}
		a.SignedHeaders = append(a.SignedHeaders, name)
		previous = name
	}
	return nil
}

// headerName reports whether s is a header's name in lower case, or ":authority".
func headerName(s string) bool {
	if s == ":authority" {
		return true
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxName
}

// lowerHex reports whether s is the hexadecimal form of 32 bytes.
func lowerHex(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// Check makes every test that needs neither key nor body: that the scope is
// region and service, that date, scope and our clock agree within [Skew], that
// what must be signed is, and that the payload is not declared unsigned. Errors
// are of the classes [ErrMalformed], [ErrScope], [ErrExpired], [ErrUnsigned]
// and [ErrSignature].
func (a *Authorization) Check(now time.Time, r *Request, region, service string) error {
	if Presigned(r.RawQuery) {
		return refuse(ErrMalformed, "signature parameters in the query")
	}
	dates := r.Header[dateHeader]
	if len(dates) != 1 || len(dates[0]) != len(timeFormat) {
		return refuse(ErrMalformed, dateHeader+" is missing, repeated or malformed")
	}
	t, err := time.Parse(timeFormat, dates[0])
	if err != nil {
		return refuse(ErrMalformed, dateHeader+" is malformed")
	}
	if dates[0][:dateLen] != a.Date {
		return refuse(ErrScope, "credential date is not that of "+dateHeader)
	}
	if a.Region != region || a.Service != service {
		return refuse(ErrScope, "credential is scoped to another region or service")
	}
	if err := checkSkew(now, t); err != nil {
		return err
	}
	return a.checkSigned(r)
}

// Presigned reports whether a raw query carries parameters of a presigned
// request, which Gatehouse does not take.
func Presigned(rawQuery string) bool {
	const prefix = "x-amz-"
	var s scratch
	found := false
	eachParameter(rawQuery, func(key, _ string) bool {
		s.query = s.query[:0]
		name, ok := s.encodeQuery(key)
		found = ok && len(name) >= len(prefix) && strings.EqualFold(string(name[:len(prefix)]), prefix)
		return !found
	})
	return found
}

// checkSkew words its errors as AWS does.
func checkSkew(now, t time.Time) error {
	now = now.UTC().Truncate(time.Second)
	stamp := func(t time.Time) string { return t.Format(timeFormat) }
	if oldest := now.Add(-Skew); t.Before(oldest) {
		return &Error{ErrExpired, "Signature expired: " + stamp(t) + " is now earlier than " + stamp(oldest) + " (" + stamp(now) + " - 5 min.)"}
	}
	if newest := now.Add(Skew); t.After(newest) {
		return &Error{ErrExpired, "Signature not yet current: " + stamp(t) + " is still later than " + stamp(newest) + " (" + stamp(now) + " + 5 min.)"}
	}
	return nil
}

// checkSigned checks that every signed header is there, and that every header
// is signed that changes who asks or what is asked.
func (a *Authorization) checkSigned(r *Request) error {
	for _, name := range a.SignedHeaders {
		present := false
		switch name {
		case "host", ":authority":
			present = r.Authority != ""
		case "content-length":
			present = r.ContentLength >= 0
		case "authorization": // cannot sign itself
		default:
			present = len(values(r.Header, name)) > 0
		}
		if !present {
			return refuse(ErrUnsigned, "signed header "+name+" is absent")
		}
	}
	if !a.signs("host") && !a.signs(":authority") {
		return refuse(ErrUnsigned, "host is not signed")
	}
	if !a.signs("x-amz-date") {
		return refuse(ErrUnsigned, "x-amz-date is not signed")
	}
	for name := range r.Header {
		if (name == tokenHeader || strings.HasPrefix(name, "X-Amzn-Bedrock-")) && !a.signs(lowerCase(name)) {
			return refuse(ErrUnsigned, lowerCase(name)+" is not signed")
		}
	}
	if sums, ok := r.Header[hashHeader]; ok && (len(sums) != 1 || !lowerHex(sums[0])) {
		return refuse(ErrSignature, "x-amz-content-sha256 is not the hash of the payload")
	}
	return nil
}

func (a *Authorization) signs(name string) bool {
	_, ok := slices.BinarySearch(a.SignedHeaders, name)
	return ok
}

// Verify reports whether the signature is that of r under key, and
// x-amz-content-sha256, if sent, that of r.PayloadHash. The request must have
// passed [Authorization.Check]. The comparison takes the
// same time whatever differs.
func (a *Authorization) Verify(r *Request, key SigningKey) bool {
	s := pool.Get().(*scratch)
	defer pool.Put(s)
	ok := hashAgrees(r)
	if s.build(r, a.SignedHeaders, true) && a.matches(s, r, key) {
		return ok
	}
	asSent := !strings.Contains(r.RawPath, "%25")
	return s.build(r, a.SignedHeaders, false) && a.matches(s, r, key) && asSent && ok
}

// matches compares the signature of s.canonical with that of the header.
func (a *Authorization) matches(s *scratch, r *Request, key SigningKey) bool {
	dates := r.Header[dateHeader]
	if len(dates) != 1 || len(dates[0]) != len(timeFormat) {
		return false
	}
	hash := sha256.Sum256(s.canonical)
	s.canonical = appendStringToSign(s.canonical[:0], dates[0], a.Region, a.Service, hash)
	want := mac(key, s.canonical)
	return subtle.ConstantTimeCompare(want[:], a.Signature[:]) == 1
}

func hashAgrees(r *Request) bool {
	sums, sent := r.Header[hashHeader]
	if !sent {
		return true
	}
	var want [64]byte
	hex.Encode(want[:], r.PayloadHash[:])
	return len(sums) == 1 && sums[0] == string(want[:])
}
