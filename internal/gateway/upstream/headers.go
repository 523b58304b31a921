package upstream

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/bedrock"
	"gatehouse/internal/call"
	"gatehouse/internal/sigv4"
)

// passed are the caller's headers that reach Bedrock, on operations that have them.
var passed = []string{
	"Accept",
	"X-Amzn-Bedrock-Accept",
	"X-Amzn-Bedrock-Guardrailidentifier",
	"X-Amzn-Bedrock-Guardrailversion",
	"X-Amzn-Bedrock-Performanceconfig-Latency",
	"X-Amzn-Bedrock-Request-Metadata",
	"X-Amzn-Bedrock-Service-Tier",
	"X-Amzn-Bedrock-Trace",
}

// returned are the headers of an answer that reach the caller. Length, framing
// and connection headers are our own.
var returned = []string{
	"Content-Type",
	"X-Amzn-Errortype",
	"X-Amz-Retry-After",
	"Retry-After",
	"X-Amzn-Bedrock-Cache-Read-Input-Token-Count",
	"X-Amzn-Bedrock-Cache-Write-Input-Token-Count",
	"X-Amzn-Bedrock-Content-Type",
	"X-Amzn-Bedrock-Input-Token-Count",
	"X-Amzn-Bedrock-Invocation-Latency",
	"X-Amzn-Bedrock-Output-Token-Count",
	"X-Amzn-Bedrock-Performanceconfig-Latency",
	"X-Amzn-Bedrock-Service-Tier",
}

// Passed returns those of a request's headers that are forwarded, or the name of
// one that is repeated and so could be read two ways.
func Passed(h http.Header) (kept http.Header, repeated string) {
	for _, name := range passed {
		switch v := h[name]; {
		case len(v) > 1:
			return nil, name
		case len(v) == 1:
			if kept == nil {
				kept = make(http.Header, 2)
			}
			kept[name] = v
		}
	}
	return kept, ""
}

func responseHeaders(h http.Header) http.Header {
	kept := make(http.Header, 8)
	for _, name := range returned {
		if v := h[name]; len(v) > 0 {
			kept[name] = v[:1]
		}
	}
	return kept
}

// head builds and signs the request's head, into b.
func (u *Upstream) head(b []byte, c *call.Call, to *endpoint, creds sigv4.Credentials, now time.Time) []byte {
	path := string(bedrock.AppendPath([]byte(to.base), c.Target))
	h := make(http.Header, len(c.Header)+4)
	for k, v := range c.Header {
		h[k] = v
	}
	if c.Operation.HasBody {
		h["Content-Type"] = contentType
	}
	r := sigv4.Request{
		Method: c.Method, RawPath: path, RawQuery: c.RawQuery, Authority: to.host,
		ContentLength: int64(len(c.Body)), Header: h, PayloadHash: c.BodySHA256,
	}
	u.signer.Sign(&r, creds, u.o.Region, "bedrock", now)

	b = append(append(b, c.Method...), ' ')
	b = append(b, path...)
	if c.RawQuery != "" {
		b = append(append(b, '?'), c.RawQuery...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), to.host...)
	b = append(append(b, "\r\nUser-Agent: "...), u.o.UserAgent...)
	for k, v := range h {
		b = append(append(b, "\r\n"...), k...)
		b = append(append(b, ": "...), v[0]...)
	}
	if c.Operation.HasBody {
		b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(c.Body)), 10)
	}
	return append(b, "\r\n\r\n"...)
}

var contentType = []string{"application/json"}

// ourCredentials are the codes by which AWS says that the gateway, not the
// caller, is not known or not trusted.
var ourCredentials = map[string]bool{
	"UnrecognizedClientException": true, "InvalidSignatureException": true, "ExpiredTokenException": true, "ExpiredToken": true,
	"IncompleteSignature": true, "IncompleteSignatureException": true, "MissingAuthenticationTokenException": true,
	"InvalidClientTokenId": true, "MissingAuthenticationToken": true, "SignatureDoesNotMatch": true,
}

// worked reports whether a call that ended in this error may have been counted or
// billed by Bedrock. What was refused before a model ran was not.
func worked(status int, code string) bool {
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return false
	case status == http.StatusRequestTimeout, status == http.StatusFailedDependency, status == http.StatusInternalServerError:
		return true
	}
	return status >= 500
}

// errorCode reads the error's name the way the SDKs do: header, then code, then
// __type, cut at a colon and after a number sign.
func errorCode(h http.Header, body []byte) string {
	code := h.Get("X-Amzn-Errortype")
	if code == "" {
		var e struct {
			Code  string `json:"code"`
			Type_ string `json:"__type"`
		}
		json.Unmarshal(body, &e)
		if code = e.Code; code == "" {
			code = e.Type_
		}
	}
	code, _, _ = strings.Cut(code, ":")
	if i := strings.LastIndexByte(code, '#'); i >= 0 {
		code = code[i+1:]
	}
	if len(code) > 128 {
		code = code[:128]
	}
	return code
}

func errorMessage(body []byte) string {
	var e struct {
		Message string `json:"message"` // also Message: encoding/json ignores case
	}
	json.Unmarshal(body, &e)
	return clip(e.Message)
}

// clip bounds a message, in bytes.
func clip(s string) string {
	const max = 1024
	if len(s) > max {
		s = strings.ToValidUTF8(s[:max], "")
	}
	return s
}

// plain accepts an id or a name that can stand in a header and a record.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 64
}
