package wire

import "net/netip"

// Firewall is what a host lets through.
type Firewall struct {
	Rules     []FirewallRule
	Default   string // "allow", "drop" or "reject"; "" is allow
	Stateless bool
}

// FirewallRule is one rule; the first that fits counts.
type FirewallRule struct {
	Verdict   string // "allow", "drop" or "reject"
	Direction string // "", "in", "out" or "forward"
	From, To  string // a host, a network, an address or a prefix; "" is anybody
	Protocol  string // "", "tcp", "udp" or "icmp"
	Ports     []PortRange
	Redirect  netip.AddrPort // where TCP goes instead
}

// PortRange is the ports from First to Last.
type PortRange struct{ First, Last uint16 }

// FirewallParams replace a host's firewall.
type FirewallParams struct {
	Host     string
	Firewall Firewall
}
