// Package sigv4 verifies and makes AWS Signature Version 4, in the one form
// that Bedrock's clients use: an Authorization header over a hashed body.
// Presigned queries, SigV4A, SigV2, unsigned and chunk-signed payloads are
// refused. The package looks nothing up and serves nothing.
//
// Verification has two phases, because a gateway wants to refuse before it
// reads a body:
//
//	a, err := ParseAuthorization(header)     // grammar
//	err = a.Check(now, request, region, service) // scope, clock, what must be signed
//	…look up a.KeyID; read the body; request.PayloadHash = sha256.Sum256(body)
//	ok := a.Verify(request, key)             // the signature, in constant time
//
// The caller keeps the derived key of a day ([DeriveKey]) beside the account
// it belongs to; for an unknown key id it verifies with some other key, so
// that a stranger cannot tell by the clock which ids exist.
//
// The canonical path is the path as sent, percent-encoded once more; "/" stays.
// Nothing is cleaned: the router refuses dot segments and empty ones. curl
// before 8 signs the path as sent instead, and [Authorization.Verify] takes
// that too, except for a path with "%25" in it: only there could one signature
// mean two different paths.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
)

// Algorithm is the only one there is here.
const Algorithm = "AWS4-HMAC-SHA256"

const (
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateLen    = len("20060102")

	dateHeader  = "X-Amz-Date"
	tokenHeader = "X-Amz-Security-Token"
	hashHeader  = "X-Amz-Content-Sha256"
)

// Request is what a signature covers.
type Request struct {
	Method        string
	RawPath       string // percent-encoded, as on the request line
	RawQuery      string // without "?"
	Authority     string // Host, or :authority
	ContentLength int64  // -1 if unknown; the header map has none in Go's server
	Header        http.Header
	PayloadHash   [32]byte // SHA-256 of the body
}

// The classes of errors, for errors.Is. Each error is an [*Error].
var (
	ErrMalformed = errors.New("malformed authorization")       // AWS: IncompleteSignatureException, 400
	ErrKeyID     = errors.New("impossible access key id")      // no such key can exist: UnrecognizedClientException, 403
	ErrScope     = errors.New("wrong credential scope")        // InvalidSignatureException, 403
	ErrExpired   = errors.New("outside the clock's tolerance") // InvalidSignatureException, 403; the text is for the caller
	ErrUnsigned  = errors.New("not signed as required")        // InvalidSignatureException, 403
	ErrSignature = errors.New("impossible signature")          // InvalidSignatureException, 403
)

// Error is why an authorization was refused. It never quotes a signature.
type Error struct {
	Class error  // one of those above
	Text  string // for [ErrExpired] as AWS words it, otherwise for the operator
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the class.
func (e *Error) Unwrap() error { return e.Class }

func refuse(class error, text string) error { return &Error{class, "sigv4: " + text} }

const redacted = "[redacted]"

// Secret is a secret access key or a session token. It prints as "[redacted]"
// in every way but two, which Go leaves no hook for: as the key of a map in
// JSON, and by fmt from an unexported field of a struct without a String
// method. string(s) is the secret.
type Secret string

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }

// SigningKey signs the requests of one key for one day, region and service.
// It prints as "[redacted]".
type SigningKey [32]byte

func (SigningKey) String() string               { return redacted }
func (SigningKey) GoString() string             { return redacted }
func (SigningKey) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (SigningKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (SigningKey) LogValue() slog.Value         { return slog.StringValue(redacted) }

// DeriveKey derives the signing key of a day, written YYYYMMDD.
func DeriveKey(s Secret, date, region, service string) SigningKey {
	key := []byte("AWS4" + string(s))
	for _, part := range [...]string{date, region, service, terminator} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return SigningKey(key)
}

// StringToSign is what is signed: date is that of X-Amz-Date.
func StringToSign(date, region, service string, canonical []byte) []byte {
	return appendStringToSign(nil, date, region, service, sha256.Sum256(canonical))
}

func appendStringToSign(dst []byte, date, region, service string, canonical [32]byte) []byte {
	dst = append(append(append(dst, Algorithm+"\n"...), date...), '\n')
	dst = append(appendScope(dst, date[:dateLen], region, service), '\n')
	return hex.AppendEncode(dst, canonical[:])
}

func appendScope(dst []byte, date, region, service string) []byte {
	dst = append(append(dst, date...), '/')
	dst = append(append(dst, region...), '/')
	dst = append(append(dst, service...), '/')
	return append(dst, terminator...)
}

// mac is HMAC-SHA-256 (RFC 2104) of a short message. That of the standard
// library allocates its state for every key.
func mac(key SigningKey, message []byte) [32]byte {
	const block = sha256.BlockSize
	var stack [block + 512]byte
	inner := stack[:block]
	copy(inner, key[:])
	for i := range inner {
		inner[i] ^= 0x36
	}
	sum := sha256.Sum256(append(inner, message...))

	var outer [block + 32]byte
	copy(outer[:], key[:])
	for i := range block {
		outer[i] ^= 0x5c
	}
	copy(outer[block:], sum[:])
	return sha256.Sum256(outer[:])
}
