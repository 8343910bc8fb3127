package nstest

import (
	"fmt"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Firewall is what a host lets through: what is for it, what it sends and, if it is a router, what it forwards. The first
// rule that fits counts. It is stateful: answers to what was let through pass.
type Firewall struct {
	Rules     []FirewallRule
	Default   Verdict // of what no rule fits
	Stateless bool    // every packet needs a rule of its own
}

// A FirewallRule fits packets to which all of it applies.
type FirewallRule struct {
	Verdict   Verdict
	Direction Direction
	From, To  string         // the name of a host or network, an address, or a prefix; "" is anybody
	Protocol  string         // "tcp", "udp" or "icmp" (both versions); "" is any
	Ports     []PortRange    // of the destination
	Redirect  netip.AddrPort // a captive portal: TCP connections are led there instead
}

// A Verdict is what becomes of a packet.
type Verdict int

// The values of Verdict.
const (
	Allow  Verdict = iota
	Drop           // without a word
	Reject         // answered by TCP RST or ICMP
)

// A Direction is the way of a packet, as the host sees it.
type Direction int

// The values of Direction.
const (
	AnyDirection Direction = iota
	In                     // for the host itself
	Out                    // from the host itself
	Through                // forwarded
)

// PortRange is the ports from First to Last; Last 0 is First alone.
type PortRange struct{ First, Last uint16 }

// SetFirewall replaces the host's firewall at one instant. The zero value lets everything through.
func (h *Host) SetFirewall(f Firewall) error { panic("still to be built") }

func (f Firewall) params() (wire.Firewall, error) {
	p := wire.Firewall{Stateless: f.Stateless}
	var err error
	if p.Default, err = f.Default.params(); err != nil {
		return p, err
	}
	for _, r := range f.Rules {
		rule := wire.FirewallRule{From: r.From, To: r.To, Protocol: r.Protocol, Redirect: r.Redirect}
		if rule.Verdict, err = r.Verdict.params(); err != nil {
			return p, err
		}
		if r.Direction < AnyDirection || r.Direction > Through {
			return p, fmt.Errorf("%d is none of the directions of a packet", int(r.Direction))
		}
		rule.Direction = [...]string{"", "in", "out", "forward"}[r.Direction]
		for _, ports := range r.Ports {
			rule.Ports = append(rule.Ports, wire.PortRange(ports))
		}
		p.Rules = append(p.Rules, rule)
	}
	return p, nil
}

func (v Verdict) params() (string, error) {
	if v < Allow || v > Reject {
		return "", fmt.Errorf("%d is none of the verdicts", int(v))
	}
	return [...]string{"", "drop", "reject"}[v], nil
}
