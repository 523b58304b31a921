package policy

import (
	"net/netip"
	"strconv"
	"time"

	"gatehouse/internal/call"
)

// checkKey returns nil when the key of c's principal is for c now. Model is
// checked only on operations that name one.
func checkKey(c *call.Call, now time.Time) *call.Refusal {
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
	case c.Model.Model != nil && !allows(p, c.Model.ID):
		return call.ModelDenied.With("key " + string(p.Key) + " is not for model " + strconv.Quote(c.Model.ID))
	}
	return nil
}

// allows reports whether p's key is for the model with this normalised id, so
// that a geo profile or ARN cannot reach a model that its plain id could not.
func allows(p *call.Principal, id string) bool {
	return len(p.Scope.Models) == 0 || anyMatch(p.Scope.Models, id)
}

// contains reports whether ip is in one of prefixes. A zone only names the
// interface that the address was seen on.
func contains(prefixes []netip.Prefix, ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func anyMatch(globs []string, s string) bool {
	for _, g := range globs {
		if match(g, s) {
			return true
		}
	}
	return false
}

// match reports whether s matches glob, in which * stands for any run of
// characters and everything else for itself. It takes time linear in len(s)
// for each star and allocates nothing.
func match(glob, s string) bool {
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
