package op

import (
	"math"
	"net/netip"

	"gatehouse/internal/query/core"
)

// netFunctions work on addresses. What is no address makes a test false and a
// value null; the row stays, since a record may hold a service's name instead.
var netFunctions = []*Function{
	{Name: "isValidIP", Min: 1, Max: 1, Form: "isValidIP(ip)", Help: "true of an IPv4 or IPv6 address",
		lower: func(a args) (*core.Expr, error) { return or(isIPv4(a.text(0)), do(core.IsIPv6, a.text(0))), nil }},
	{Name: "isValidIPv4", Min: 1, Max: 1, Form: "isValidIPv4(ip)", Help: "true of an IPv4 address",
		lower: func(a args) (*core.Expr, error) { return isIPv4(a.text(0)), nil }},
	{Name: "isValidIPv6", Min: 1, Max: 1, Form: "isValidIPv6(ip)", Help: "true of an IPv6 address",
		lower: func(a args) (*core.Expr, error) { return do(core.IsIPv6, a.text(0)), nil }},
	{Name: "isPrivateIP", Min: 1, Max: 1, Form: "isPrivateIP(ip)", Help: "true of an IPv4 address of 10/8, 172.16/12 or 192.168/16",
		lower: func(a args) (*core.Expr, error) { return inNets(a.text(0), privateNets), nil }},
	{Name: "isReservedIP", Min: 1, Max: 1, Form: "isReservedIP(ip)", Help: "true of an IPv4 address that is for special use: this host, loopback, link-local, tests, multicast and above",
		lower: func(a args) (*core.Expr, error) { return inNets(a.text(0), reservedNets), nil }},
	{Name: "isPublicIP", Min: 1, Max: 1, Form: "isPublicIP(ip)", Help: "true of an IPv4 address that is neither private nor reserved",
		lower: func(a args) (*core.Expr, error) {
			return and(isIPv4(a.text(0)), not(inNets(a.text(0), append(privateNets, reservedNets...)))), nil
		}},
	{Name: "compareCIDRPrefix", Min: 3, Max: 3, Form: `compareCIDRPrefix(ip1, ip2, "bits")`, Help: "true when the two IPv4 addresses share that many leading bits", lower: lowerSamePrefix},
	{Name: "getCIDRPrefix", Min: 2, Max: 2, Form: `getCIDRPrefix(ip, "bits")`, Help: "the IPv4 address with all but its leading bits zero", lower: lowerPrefix},
	{Name: "maskFromCIDR", Min: 1, Max: 1, Form: `maskFromCIDR("bits")`, Help: "the mask of that many bits",
		lower: func(a args) (*core.Expr, error) {
			bits, err := a.number(0, "a prefix length", 0, 32)
			return core.Str(dotted(math.MaxUint32 << (32 - bits) & math.MaxUint32)), err
		}},
	{Name: "ipv4ToNumber", Min: 1, Max: 1, Form: "ipv4ToNumber(ip)", Help: "the IPv4 address as a number",
		lower: ofText(core.IPv4Num)},
}

var (
	privateNets  = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
	reservedNets = []string{"0.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"}
)

func isIPv4(x *core.Expr) *core.Expr { return not(isNull(do(core.IPv4Num, x))) }

func inNets(x *core.Expr, nets []string) *core.Expr {
	n := do(core.IPv4Num, x)
	var list []*core.Expr
	for _, s := range nets {
		p := netip.MustParsePrefix(s)
		a := p.Addr().As4()
		low := int64(a[0])<<24 | int64(a[1])<<16 | int64(a[2])<<8 | int64(a[3])
		high := low + 1<<(32-p.Bits()) - 1
		list = append(list, and(do(core.LeNum, core.IntOf(low), n), do(core.LeNum, n, core.IntOf(high))))
	}
	return or(list...)
}

func dotted(n int64) string {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// network is the address as a number, divided by the size of its network.
func network(x *core.Expr, bits int64) *core.Expr {
	n := do(core.ToFloat, do(core.IPv4Num, x))
	return maths("floor", do(core.Div, n, core.Num(float64(int64(1)<<(32-bits)))))
}

func lowerSamePrefix(a args) (*core.Expr, error) {
	bits, err := a.number(2, "a prefix length", 0, 32)
	if err != nil {
		return nil, err
	}
	return do(core.EqNum, network(a.text(0), bits), network(a.text(1), bits)), nil
}

// lowerPrefix prints the network's number as four bytes.
func lowerPrefix(a args) (*core.Expr, error) {
	bits, err := a.number(1, "a prefix length", 0, 32)
	if err != nil {
		return nil, err
	}
	net := do(core.Mul, network(a.text(0), bits), core.Num(float64(int64(1)<<(32-bits))))
	var list []*core.Expr
	for _, shift := range []int{24, 16, 8, 0} {
		part := maths("floor", do(core.Div, net, core.Num(float64(int64(1)<<shift))))
		list = append(list, do(core.ToText, do(core.Mod, part, core.Num(256))), core.Str("."))
	}
	return do(core.Concat, list[:len(list)-1]...), nil
}
