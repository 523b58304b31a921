package ledger

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Sum is a SHA-256. Zero means none.
type Sum [32]byte

// UnmarshalText reads 64 hex digits.
func (s *Sum) UnmarshalText(b []byte) error {
	if len(b) != 2*len(s) {
		return errors.New("a SHA-256 has 64 hex digits")
	}
	_, err := hex.Decode(s[:], b)
	return err
}

// AppendMeta implements [Meta].
func (a *Admit) AppendMeta(dst []byte) []byte {
	return append(a.Stored.append(a.Asked.append(append(dst, '{'))), '}')
}

func (s *Stored) append(dst []byte) []byte {
	dst = appendTrue(dst, "redacted", s.Redacted)
	return appendOptional(dst, "sealed", string(s.Sealed))
}

func (a *Asked) append(dst []byte) []byte {
	dst = appendString(dst, "id", a.ID)
	dst = appendOptional(dst, "request_id", a.RequestID)
	dst = appendTime(dst, "time", a.Time)
	dst = appendOptional(dst, "operation", a.Operation)
	dst = appendOptional(dst, "model_asked", a.ModelAsked)
	dst = appendOptional(dst, "model", a.Model)
	dst = appendOptional(dst, "account", a.Account)
	dst = appendOptional(dst, "region", a.Region)
	dst = appendPrincipal(dst, "principal", &a.Principal)
	dst = appendAddr(dst, "ip", a.IP)
	dst = appendOptional(dst, "user_agent", a.UserAgent)
	dst = appendOptional(dst, "host", a.Host)
	dst = appendOptional(dst, "proto", a.Proto)
	dst = appendOptional(dst, "tls", a.TLS)
	dst = appendOptional(dst, "tls_cipher", a.TLSCipher)
	dst = appendOptional(dst, "sdk_invocation", a.SDKInvocation)
	dst = appendOptional(dst, "content_type", a.ContentType)
	dst = appendOptional(dst, "accept", a.Accept)
	dst = appendOptional(dst, "guardrail", a.Guardrail)
	dst = appendOptional(dst, "request_metadata", a.Metadata)
	dst = appendCount(dst, "body_bytes", a.BodyBytes)
	dst = appendSum(dst, "body_sha256", &a.BodySHA256)
	dst = appendSum(dst, "original_sha256", &a.OriginalSHA256)
	dst = appendCount(dst, "max_tokens", a.MaxTokens)
	dst = appendCount(dst, "input_estimate", a.InputEstimate)
	dst = appendCount(dst, "answers", a.Answers)
	dst = appendCount(dst, "images", a.Images)
	dst = appendOptional(dst, "country", a.Country)
	dst = appendAmounts(dst, "amounts", a.Amounts)
	return appendNotes(dst, "notes", a.Notes)
}

// AppendMeta implements [Meta].
func (p *Part) AppendMeta(dst []byte) []byte {
	dst = appendString(append(dst, '{'), "id", p.ID)
	dst = appendCount(dst, "index", p.Index)
	dst = appendCount(dst, "bytes", p.Bytes)
	dst = appendSum(dst, "sha256", &p.SHA256)
	return append(p.Stored.append(dst), '}')
}

// AppendMeta implements [Meta].
func (r *Result) AppendMeta(dst []byte) []byte {
	dst = appendString(append(dst, '{'), "id", r.ID)
	dst = appendOptional(dst, "request_id", r.RequestID)
	dst = appendTime(dst, "time", r.Time)
	dst = appendString(dst, "outcome", string(r.Outcome))
	dst = appendCount(dst, "status", r.Status)
	dst = appendOptional(dst, "error_type", r.ErrorType)
	dst = appendOptional(dst, "message", r.Message)
	dst = appendOptional(dst, "region", r.Region)
	dst = appendUsage(dst, "usage", &r.Usage)
	dst = appendCount(dst, "cost", r.Cost)
	dst = appendCount(dst, "latency_ns", r.Latency)
	dst = appendCount(dst, "first_byte_ns", r.FirstByte)
	dst = appendOptional(dst, "content_type", r.ContentType)
	dst = appendTrue(dst, "stream", r.Stream)
	dst = appendTrue(dst, "worked", r.Worked)
	dst = appendCount(dst, "parts", r.Parts)
	dst = appendCount(dst, "body_bytes", r.BodyBytes)
	dst = appendSum(dst, "sha256", &r.SHA256)
	dst = appendAmounts(dst, "settled", r.Settled)
	dst = appendNotes(dst, "notes", r.Notes)
	return append(r.Stored.append(dst), '}')
}

// AppendMeta implements [Meta].
func (r *Refused) AppendMeta(dst []byte) []byte {
	dst = r.Asked.append(append(dst, '{'))
	dst = appendOptional(dst, "method", r.Method)
	dst = appendOptional(dst, "path", r.Path)
	dst = appendString(dst, "reason", r.Reason)
	dst = appendCount(dst, "status", r.Status)
	dst = appendOptional(dst, "error_type", r.ErrorType)
	dst = appendOptional(dst, "message", r.Message)
	dst = appendOptional(dst, "limit", r.Limit)
	dst = appendOptional(dst, "detail", r.Detail)
	return append(dst, '}')
}

// AppendMeta implements [Meta].
func (s *Tally) AppendMeta(dst []byte) []byte {
	dst = appendString(append(dst, '{'), "reason", s.Reason)
	if s.Prefix != (netip.Prefix{}) {
		dst = append(s.Prefix.AppendTo(append(appendKey(dst, "prefix"), '"')), '"')
	}
	dst = appendPrincipal(dst, "principal", &s.Principal)
	dst = strconv.AppendInt(appendKey(dst, "count"), s.Count, 10)
	dst = appendTime(dst, "first", s.First)
	dst = appendTime(dst, "last", s.Last)
	dst = appendOptional(dst, "path", s.Path)
	dst = appendOptional(dst, "user_agent", s.Agent)
	return append(dst, '}')
}

// AppendMeta implements [Meta].
func (a *Account) AppendMeta(dst []byte) []byte {
	dst = appendTime(append(dst, '{'), "time", a.Time)
	dst = appendString(dst, "event", a.Event)
	dst = appendOptional(dst, "subject", a.Subject)
	dst = appendOptional(dst, "actor", a.Actor)
	dst = appendAddr(dst, "ip", a.IP)
	dst = appendString(dst, "outcome", a.Outcome)
	dst = appendOptional(dst, "detail", a.Detail)
	return append(dst, '}')
}

// appendKey appends a member's name, which needs no escaping, and the comma
// before it.
func appendKey(dst []byte, key string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(append(append(dst, '"'), key...), '"', ':')
}

// appendString replaces what is not UTF-8 by U+FFFD: header fields are bytes.
func appendString(dst []byte, key, v string) []byte {
	dst, _ = jsontext.AppendQuote(appendKey(dst, key), v)
	return dst
}

func appendOptional(dst []byte, key, v string) []byte {
	if v == "" {
		return dst
	}
	return appendString(dst, key, v)
}

// appendCount leaves out zero, and also what is below it: a latency measured
// while the clock stepped back must not make the record unreadable.
func appendCount(dst []byte, key string, n int64) []byte {
	if n <= 0 {
		return dst
	}
	return strconv.AppendInt(appendKey(dst, key), n, 10)
}

func appendTrue(dst []byte, key string, v bool) []byte {
	if !v {
		return dst
	}
	return append(appendKey(dst, key), "true"...)
}

func appendTime(dst []byte, key string, t time.Time) []byte {
	dst = append(appendKey(dst, key), '"')
	return append(t.UTC().AppendFormat(dst, time.RFC3339Nano), '"')
}

func appendAddr(dst []byte, key string, a netip.Addr) []byte {
	if !a.IsValid() {
		return dst
	}
	return append(a.WithZone("").AppendTo(append(appendKey(dst, key), '"')), '"')
}

func appendSum(dst []byte, key string, s *Sum) []byte {
	if *s == (Sum{}) {
		return dst
	}
	return append(hex.AppendEncode(append(appendKey(dst, key), '"'), s[:]), '"')
}

func appendPrincipal(dst []byte, key string, p *Principal) []byte {
	if *p == (Principal{}) {
		return dst
	}
	dst = append(appendKey(dst, key), '{')
	dst = appendOptional(dst, "user_id", p.UserID)
	dst = appendOptional(dst, "user", p.User)
	dst = appendOptional(dst, "team", p.Team)
	dst = appendOptional(dst, "key", p.Key)
	dst = appendOptional(dst, "scheme", p.Scheme)
	return append(dst, '}')
}

func appendUsage(dst []byte, key string, u *Usage) []byte {
	if *u == (Usage{}) {
		return dst
	}
	dst = append(appendKey(dst, key), '{')
	dst = appendCount(dst, "input", u.Input)
	dst = appendCount(dst, "output", u.Output)
	dst = appendCount(dst, "cache_read", u.CacheRead)
	dst = appendCount(dst, "cache_write", u.CacheWrite)
	dst = appendCount(dst, "cache_write_1h", u.Write1h)
	dst = appendCount(dst, "images", u.Images)
	dst = appendTrue(dst, "exact", u.Exact)
	return append(dst, '}')
}

func appendAmounts(dst []byte, key string, amounts Amounts) []byte {
	if len(amounts) == 0 {
		return dst
	}
	dst = append(appendKey(dst, key), '[')
	for i := range amounts {
		if i > 0 {
			dst = append(dst, ',')
		}
		a := &amounts[i]
		dst = appendString(append(dst, '{'), "limit", a.Limit)
		dst = appendOptional(dst, "key", a.Key)
		dst = appendOptional(dst, "item", a.Item)
		dst = strconv.AppendInt(appendKey(dst, "n"), a.N, 10)
		if a.At != 0 {
			dst = strconv.AppendInt(appendKey(dst, "at"), a.At, 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendNotes(dst []byte, key string, notes []Note) []byte {
	if len(notes) == 0 {
		return dst
	}
	dst = append(appendKey(dst, key), '[')
	for i := range notes {
		if i > 0 {
			dst = append(dst, ',')
		}
		n := &notes[i]
		dst = appendString(append(dst, '{'), "stage", n.Stage)
		dst = appendString(dst, "name", n.Name)
		dst = appendString(dst, "action", n.Action)
		dst = appendTrue(dst, "observe", n.Observe)
		dst = appendOptional(dst, "detail", n.Detail)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}
