package dial

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// policy is the precedence column of RFC 6724's table (section 2.1), most specific prefix first.
var policy = []struct {
	prefix     netip.Prefix
	precedence int
}{
	{netip.MustParsePrefix("::1/128"), 50},
	{netip.MustParsePrefix("::ffff:0:0/96"), 35}, // IPv4
	{netip.MustParsePrefix("::/96"), 1},
	{netip.MustParsePrefix("2001::/32"), 5},
	{netip.MustParsePrefix("2002::/16"), 30},
	{netip.MustParsePrefix("3ffe::/16"), 1},
	{netip.MustParsePrefix("fec0::/10"), 1},
	{netip.MustParsePrefix("fc00::/7"), 3},
	{netip.MustParsePrefix("::/0"), 40},
}

func precedence(addr netip.Addr) int {
	addr = netip.AddrFrom16(addr.As16())
	for _, p := range policy {
		if p.prefix.Contains(addr) {
			return p.precedence
		}
	}
	panic("::/0 does not contain " + addr.String())
}

// inOrder sorts addrs as they are to be tried. Whether the host can reach a family is left to connect(2), which says so
// at once.
func inOrder(addrs []netip.Addr) []netip.Addr {
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return precedence(b) - precedence(a) })
	return addrs
}

// resolve returns what address stands for on n, at least one endpoint, in the order of trying. No host at all is
// the zero address.
func (d *Dialer) resolve(ctx context.Context, n network, address string) ([]endpoint, error) {
	if n.isUnix() {
		return []endpoint{{path: address}}, nil
	}
	var host string
	var port int
	var err error
	if address != "" {
		var service string
		if host, service, err = net.SplitHostPort(address); err != nil {
			return nil, err
		}
		// Names of ports come from /etc/services or a list of package net's own, never from the network.
		if port, err = net.DefaultResolver.LookupPort(ctx, n.name, service); err != nil {
			return nil, err
		}
	}
	addrs := []netip.Addr{{}}
	if host != "" {
		if addrs, err = d.LookupNetIP(ctx, host); err != nil {
			return nil, err
		}
	}
	var list []endpoint
	for _, addr := range addrs {
		if e := (endpoint{ip: netip.AddrPortFrom(addr, uint16(port))}); n.permits(e) {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil, &net.AddrError{Err: "no suitable address found", Addr: host}
	}
	return list, nil
}

func isLocalhost(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") // RFC 6761, section 6.3
}
