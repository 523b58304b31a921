package limit

import (
	"bytes"
	"net/netip"
	"strings"

	"gatehouse/internal/call"
)

// similarPrompt is the part that stands last in a key, since what is like what
// is looked up among the prompts of the same other parts.
const similarPrompt = "similar_prompt"

// parts are what can be counted by: each appends its value of a call. A call
// for which a part is empty has no bucket of the limit: a login token has no
// key, a list operation no model.
var parts = map[string]func(dst []byte, c *call.Call) []byte{
	"key":  func(dst []byte, c *call.Call) []byte { return append(dst, c.Principal.Key...) },
	"user": func(dst []byte, c *call.Call) []byte { return append(dst, c.Principal.UserID...) },
	"team": func(dst []byte, c *call.Call) []byte { return append(dst, orDefault(c.Principal.Team)...) },
	"ip":   func(dst []byte, c *call.Call) []byte { return appendNetwork(dst, c.IP) },
	"country": func(dst []byte, c *call.Call) []byte {
		if c.Country == "" {
			return append(dst, "unknown"...)
		}
		return append(dst, c.Country...)
	},
	"model": func(dst []byte, c *call.Call) []byte {
		if c.Model.Model == nil {
			return dst
		}
		return append(dst, c.Model.ID...)
	},
	"family": func(dst []byte, c *call.Call) []byte {
		if c.Model.Model == nil {
			return dst
		}
		return append(dst, c.Model.Family...)
	},
	"everyone":    func(dst []byte, _ *call.Call) []byte { return append(dst, "everyone"...) },
	similarPrompt: nil, // by rule.appendKey
}

func orDefault(team string) string {
	if team == "" {
		return "default"
	}
	return team
}

// appendNetwork appends what counts as one client: an IPv4 address, a /64 of IPv6.
func appendNetwork(dst []byte, ip netip.Addr) []byte {
	switch {
	case !ip.IsValid():
		return append(dst, "unknown"...)
	case ip.Is6():
		p, _ := ip.WithZone("").Prefix(64)
		return p.AppendTo(dst)
	}
	return ip.AppendTo(dst)
}

// appendKey appends the bucket of a call: the values of Per, escaped and joined
// by ",". It appends nothing when the limit does not count the call.
func (r *rule) appendKey(dst []byte, c *call.Call, s *sketcher) []byte {
	start := len(dst)
	for i, part := range r.parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		from := len(dst)
		if part == nil {
			dst = r.similar.appendCluster(dst, dst[start:from], c, s)
		} else {
			dst = part(dst, c)
		}
		if len(dst) == from {
			return dst[:start]
		}
		dst = escape(dst, from)
	}
	return dst
}

// escape keeps the parts of a key apart: no two lists of values give one key.
func escape(key []byte, from int) []byte {
	if part := key[from:]; bytes.IndexByte(part, '%') < 0 && bytes.IndexByte(part, ',') < 0 {
		return key
	}
	return append(key[:from], escaper.Replace(string(key[from:]))...)
}

var escaper = strings.NewReplacer("%", "%25", ",", "%2C")
