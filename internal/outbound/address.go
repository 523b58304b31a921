package outbound

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// block is a range of addresses that is not the public Internet.
type block struct {
	prefix  netip.Prefix
	what    string
	private bool // reachable with Options.AllowPrivate
}

// blocks are the ranges in question; the first that holds an address decides.
// They are written out, since netip calls several of them global unicast and
// none of them private. Of IPv6 only 2000::/3 is in use, which allowedV6 says;
// its exceptions are here.
var blocks = []block{
	// Whatever is allowed, what hands out the machine's own credentials is not.
	{prefix("169.254.0.0/16"), "link-local, with metadata services", false},
	{prefix("fe80::/10"), "link-local", false},
	{prefix("fd00:ec2::/32"), "metadata service", false},
	{prefix("fd20:ce::/32"), "metadata service", false},
	{prefix("100.100.100.200/32"), "metadata service", false},
	{prefix("168.63.129.16/32"), "metadata service", false},

	{prefix("127.0.0.0/8"), "loopback", true},
	{prefix("::1/128"), "loopback", true},
	{prefix("10.0.0.0/8"), "private", true},
	{prefix("172.16.0.0/12"), "private", true},
	{prefix("192.168.0.0/16"), "private", true},
	{prefix("100.64.0.0/10"), "shared by carriers", true},
	{prefix("fc00::/7"), "private", true},

	{prefix("0.0.0.0/8"), "this host", false},
	{prefix("192.0.0.0/24"), "protocol assignments", false},
	{prefix("192.0.2.0/24"), "documentation", false},
	{prefix("192.88.99.0/24"), "6to4 relays", false},
	{prefix("198.18.0.0/15"), "benchmarking", false},
	{prefix("198.51.100.0/24"), "documentation", false},
	{prefix("203.0.113.0/24"), "documentation", false},
	{prefix("224.0.0.0/4"), "multicast", false},
	{prefix("240.0.0.0/4"), "reserved", false},

	// These carry an IPv4 address that someone else would unwrap.
	{prefix("64:ff9b::/96"), "NAT64", false},
	{prefix("64:ff9b:1::/48"), "NAT64", false},
	{prefix("2002::/16"), "6to4", false},
	{prefix("2001::/23"), "protocol assignments, Teredo", false},
	{prefix("2001:db8::/32"), "documentation", false},
	{prefix("3fff::/20"), "documentation", false},
}

var allowedV6 = prefix("2000::/3")

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// checkAddr says whether a may be connected to.
func (c *Client) checkAddr(a netip.Addr) error {
	if a.Zone() != "" {
		return fmt.Errorf("%w: %s has a zone", ErrAddress, a)
	}
	a = a.Unmap()
	for _, b := range blocks {
		if b.prefix.Contains(a) {
			if b.private && c.o.AllowPrivate {
				return nil
			}
			return fmt.Errorf("%w: %s is %s (%s)", ErrAddress, a, b.what, b.prefix)
		}
	}
	if !a.Is4() && !allowedV6.Contains(a) {
		return fmt.Errorf("%w: %s is not in use on the Internet", ErrAddress, a)
	}
	return nil
}

// control runs between the making of a socket and its connecting: nothing can
// change the address behind it.
func (c *Client) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrAddress, address)
	}
	return c.checkAddr(ap.Addr())
}
