// Package policy decides whether a principal may make a call at all: the
// networks the gateway serves, then what the key itself allows — its expiry,
// its client networks, its operations and its models. How much a principal may
// call is gateway/limit's question.
package policy

import (
	"net/netip"
	"strconv"
	"time"

	"gatehouse/internal/call"
)

// Networks are the client addresses that are served. An empty Allow admits
// every address; Deny wins.
type Networks struct {
	Allow, Deny []netip.Prefix
}

// Admits reports whether a client at ip is served at all. It is asked before
// authentication. An address that could not be parsed is not.
func (n *Networks) Admits(ip netip.Addr) bool {
	if !ip.IsValid() || contains(n.Deny, ip) {
		return false
	}
	return len(n.Allow) == 0 || contains(n.Allow, ip)
}

// Check returns nil when c's principal may make c now. Model is checked only on
// operations that name one.
func Check(c *call.Call, now time.Time) *call.Refusal {
	p := c.Principal
	switch {
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return call.ExpiredCredential
	case len(p.Scope.Networks) > 0 && !contains(p.Scope.Networks, c.IP):
		return call.NetworkDenied.With("key " + string(p.Key) + " is not for " + c.IP.String())
	case len(p.Scope.Operations) > 0 && !anyMatch(p.Scope.Operations, c.Operation.Name):
		return call.OperationDenied.With("key " + string(p.Key) + " is not for " + c.Operation.Name)
	case c.Model.Model == nil && c.Target.Model != "" && len(p.Scope.Models) > 0:
		return call.ModelDenied.With("key " + string(p.Key) + " is for named models, not for " + strconv.Quote(c.Target.Model))
	case c.Model.Model != nil && !Allows(p, c.Model.ID):
		return call.ModelDenied.With("key " + string(p.Key) + " is not for model " + strconv.Quote(c.Model.ID))
	}
	return nil
}

// Allows reports whether p's key is for the model with this normalised id, so
// that a geo profile or ARN cannot reach a model that its plain id could not.
func Allows(p *call.Principal, id string) bool {
	return len(p.Scope.Models) == 0 || anyMatch(p.Scope.Models, id)
}

func contains(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func anyMatch(globs []string, s string) bool {
	for _, g := range globs {
		if Match(g, s) {
			return true
		}
	}
	return false
}

// Match reports whether s matches glob, in which * stands for any run of
// characters and everything else for itself. It takes time linear in len(s)
// for each star and allocates nothing.
func Match(glob, s string) bool {
	star, mark, g, i := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, i
			g++
		case g < len(glob) && glob[g] == s[i]:
			g, i = g+1, i+1
		case star >= 0:
			mark++
			g, i = star+1, mark
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}
