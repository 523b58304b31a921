package app

import (
	"net/netip"

	"gatehouse/internal/config"
	"gatehouse/internal/geo"
)

// newPlaces says where addresses are, by the databases of the configuration. It
// is nil where there are none.
func newPlaces(c *config.Config) (func(netip.Addr) (country string, asn int64, organization string), error) {
	var countries, networks *geo.DB
	var err error
	if name := c.Network.Countries.Database; name != "" {
		if countries, err = geo.Open(name); err != nil {
			return nil, err
		}
	}
	if name := c.Telemetry.ASNDatabase; name != "" {
		if networks, err = geo.OpenASN(name); err != nil {
			return nil, err
		}
	}
	if countries == nil && networks == nil {
		return nil, nil
	}
	return func(ip netip.Addr) (country string, asn int64, organization string) {
		if countries != nil {
			country = countries.Country(ip)
		}
		if networks != nil {
			p := networks.Lookup(ip)
			asn, organization = int64(p.ASN), p.Organization
		}
		return country, asn, organization
	}, nil
}
