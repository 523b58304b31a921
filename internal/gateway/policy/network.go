package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"gatehouse/internal/call"
)

// Networks are the client addresses that are served. An empty Allow admits
// every address; Deny wins.
type Networks struct {
	Allow, Deny []netip.Prefix
}

// admits reports whether a client at ip is served at all. An address that
// could not be parsed is not.
func (n *Networks) admits(ip netip.Addr) bool {
	if !ip.IsValid() || contains(n.Deny, ip) {
		return false
	}
	return len(n.Allow) == 0 || contains(n.Allow, ip)
}

// Countries are the countries that are served, as two upper-case letters. An
// empty Allow admits all of them, and addresses of none; Deny wins.
type Countries struct {
	Allow, Deny []string
}

func (c *Countries) check(geo func(netip.Addr) string) error {
	if geo == nil && len(c.Allow)+len(c.Deny) > 0 {
		return errors.New("rules of countries need a database of addresses")
	}
	for _, code := range slices.Concat(c.Allow, c.Deny) {
		if len(code) != 2 || code[0]-'A' > 25 || code[1]-'A' > 25 {
			return fmt.Errorf("bad country %.16q: write its two upper-case letters, such as DE", code)
		}
	}
	return nil
}

func (c *Countries) admits(country string) bool {
	if slices.Contains(c.Deny, country) {
		return false
	}
	return len(c.Allow) == 0 || slices.Contains(c.Allow, country)
}

// Enter decides whether the client of c is served at all, by its address, and
// sets c.Country where there is a database. It is asked before authentication
// and never only observes.
//
// An address without a known country passes unless countries are listed that
// may call: then it is refused. Loopback and private addresses have no country
// anywhere; those that the networks name are let in all the same.
func (p *Policy) Enter(c *call.Call) *call.Refusal {
	if !p.networks.admits(c.IP) {
		return call.NetworkDenied.With("address " + c.IP.String())
	}
	if p.geo == nil {
		return nil
	}
	c.Country = p.geo(c.IP)
	switch {
	case p.countries.admits(c.Country):
		return nil
	case c.Country == "" && local(c.IP) && contains(p.networks.Allow, c.IP):
		return nil
	case c.Country == "":
		return call.CountryDenied.With("address " + c.IP.String() + " of no known country")
	}
	return call.CountryDenied.With("address " + c.IP.String() + " of " + c.Country)
}

func local(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
}
