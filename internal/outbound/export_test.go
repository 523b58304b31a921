package outbound

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
)

// ErrWouldConnect is what a client dials to after [Client.DryRun].
var ErrWouldConnect = errors.New("would connect")

// DryRun lets the client's sockets come as far as the check, and no further.
// The addresses that passed it are given to seen.
func (c *Client) DryRun(seen func(netip.Addr)) {
	c.dialer.ControlContext = func(ctx context.Context, network, address string, rc syscall.RawConn) error {
		if err := c.control(ctx, network, address, rc); err != nil {
			return err
		}
		seen(netip.MustParseAddrPort(address).Addr())
		return ErrWouldConnect
	}
}
