package sigv4

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxParameters bounds the query parameters of a request that is canonicalised.
const maxParameters = 256

// scratch is the memory of one canonicalisation, used again by the next.
type scratch struct {
	canonical []byte
	query     []byte
	pairs     []pair
	names     []string
}

// pair is one encoded query parameter.
type pair struct{ key, value []byte }

var pool = sync.Pool{New: func() any { return new(scratch) }}

// CanonicalRequest is the text whose hash is signed. The names in signed are
// in lower case and sorted; "host" and ":authority" both mean r.Authority. The
// path is encoded once more, or taken as sent. It is nil for a query that
// cannot be parsed or has more than 256 parameters.
func CanonicalRequest(r *Request, signed []string, doubleEncode bool) []byte {
	s := pool.Get().(*scratch)
	defer pool.Put(s)
	if !s.build(r, signed, doubleEncode) {
		return nil
	}
	return bytes.Clone(s.canonical)
}

// build fills s.canonical.
func (s *scratch) build(r *Request, signed []string, doubleEncode bool) bool {
	b := append(append(s.canonical[:0], r.Method...), '\n')
	switch {
	case r.RawPath == "":
		b = append(b, '/')
	case doubleEncode:
		b = appendEncoded(b, r.RawPath, true)
	default:
		b = append(b, r.RawPath...)
	}
	b, ok := s.appendQuery(append(b, '\n'), r.RawQuery)
	b = append(b, '\n')
	for _, name := range signed {
		b = append(append(b, name...), ':')
		b = append(r.appendValue(b, name), '\n')
	}
	b = append(b, '\n')
	for i, name := range signed {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	s.canonical = hex.AppendEncode(append(b, '\n'), r.PayloadHash[:])
	return ok
}

// appendValue appends the canonical value of a header.
func (r *Request) appendValue(b []byte, name string) []byte {
	switch name {
	case "host", ":authority":
		return appendCollapsed(b, r.Authority)
	case "content-length":
		return strconv.AppendInt(b, r.ContentLength, 10)
	}
	for i, value := range values(r.Header, name) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCollapsed(b, value)
	}
	return b
}

// values looks up a header by its name in lower case, without allocating.
func values(h http.Header, name string) []string {
	var stack [maxName]byte
	canonical := append(stack[:0], name...)
	upper := true
	for i, c := range canonical {
		if upper && 'a' <= c && c <= 'z' {
			canonical[i] = c - 'a' + 'A'
		}
		upper = c == '-'
	}
	return h[string(canonical)]
}

// appendCollapsed appends value trimmed, with runs of spaces made one.
func appendCollapsed(b []byte, value string) []byte {
	value = strings.TrimSpace(value)
	for {
		i := strings.Index(value, "  ")
		if i < 0 {
			return append(b, value...)
		}
		b = append(b, value[:i+1]...)
		value = strings.TrimLeft(value[i:], " ")
	}
}

// appendQuery appends the parameters of a raw query, each decoded and encoded
// again, sorted by their encoded form.
func (s *scratch) appendQuery(b []byte, raw string) ([]byte, bool) {
	if raw == "" {
		return b, true
	}
	s.query, s.pairs = slices.Grow(s.query[:0], 3*len(raw)), s.pairs[:0]
	ok := eachParameter(raw, func(key, value string) bool {
		k, ok1 := s.encodeQuery(key)
		v, ok2 := s.encodeQuery(value)
		s.pairs = append(s.pairs, pair{k, v})
		return ok1 && ok2 && len(s.pairs) <= maxParameters
	})
	slices.SortFunc(s.pairs, func(x, y pair) int {
		if c := bytes.Compare(x.key, y.key); c != 0 {
			return c
		}
		return bytes.Compare(x.value, y.value)
	})
	for i, p := range s.pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.key...), '='), p.value...)
	}
	return b, ok
}

// eachParameter calls f with each parameter of a raw query, still encoded,
// until f returns false. A ";" is refused, as net/url does: it separates
// parameters for some readers and not for others.
func eachParameter(raw string, f func(key, value string) bool) bool {
	for raw != "" {
		var parameter string
		parameter, raw, _ = strings.Cut(raw, "&")
		if strings.Contains(parameter, ";") {
			return false
		}
		if parameter == "" {
			continue
		}
		key, value, _ := strings.Cut(parameter, "=")
		if !f(key, value) {
			return false
		}
	}
	return true
}

// encodeQuery decodes part of a query and encodes it canonically, in memory of
// s that is large enough never to move.
func (s *scratch) encodeQuery(part string) (encoded []byte, ok bool) {
	start := len(s.query)
	for i := 0; i < len(part); i++ {
		c := part[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			var ok bool
			if c, ok = unhex(part[i:]); !ok {
				return nil, false
			}
			i += 2
		}
		s.query = appendByte(s.query, c, false)
	}
	return s.query[start:], true
}

// unhex decodes the "%XX" that s begins with.
func unhex(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	v, err := strconv.ParseUint(s[1:3], 16, 8)
	return byte(v), err == nil
}

func appendEncoded(b []byte, s string, slash bool) []byte {
	for i := range len(s) {
		b = appendByte(b, s[i], slash)
	}
	return b
}

// appendByte percent-encodes all but A–Z a–z 0–9 - . _ ~ and, if asked, "/".
func appendByte(b []byte, c byte, slash bool) []byte {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
		c == '-', c == '.', c == '_', c == '~', c == '/' && slash:
		return append(b, c)
	}
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&15])
}
