package nstest

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Firewall is what a host lets through: what is for it, what it sends and, if it is a router, what it forwards, by IPv4 and
// IPv6 alike. The first rule that fits counts. The zero value lets everything through.
//
// It is stateful: rules are about connections, which are those of TCP, and for other protocols packets and their answers. A
// connection belongs to the direction in which it was opened, and whoever opened it is From: a rule about In says nothing of
// the answers to what the host itself has asked for. ICMP errors about a connection pass. Destinations, and their ports, are
// those that a translation (NAT) has led to, and From is whoever asked before any translation. A packet of no connection,
// such as one whose way to the host is not the way of the answers, needs a rule of its own.
//
// Rules that refuse count what they have refused, and so does Default: Env.State tells it.
//
// Some things always pass: what the host says to itself, the environment's name service among it; IPv6 neighbour and router
// discovery and multicast listener discovery, without which there is no IPv6 (RFC 4890, section 4.4.1); and the answers of
// Reject. ARP is no business of a firewall.
type Firewall struct {
	Rules   []FirewallRule // at most 200
	Default Verdict        // of what no rule fits

	// Stateless has every packet need a rule of its own, answers too. TCP RST and ICMP errors by which the host's own kernel
	// refuses something pass.
	Stateless bool
}

// A FirewallRule fits packets to which all of it applies. The zero value allows everything.
type FirewallRule struct {
	Verdict   Verdict
	Direction Direction

	// From and To are an address, a prefix, the name of a host, or that of a network; "" is anybody. What could be several of
	// these is the first of them in this order. A host is all its addresses of both families, link-local ones included, and
	// those that an Auto link makes of its network's prefix; the firewall follows it when they change, and fits nobody while the
	// host is removed. A network is its prefixes.
	From, To string

	// Protocol is "tcp", "udp" or "icmp", which is that of the packet's family; "" is any.
	Protocol string

	// Ports are those of the destination, at most 16 ranges; none is all. They need Protocol "tcp" or "udp".
	Ports []PortRange

	// Redirect makes the rule a captive portal: TCP connections that it fits are led there, and the answers come back as if
	// from whoever was asked. The rule fits connections of Redirect's family only. It needs no rule for the connection to the
	// portal. A connection that is older than the rule and would have been led is cut by TCP RST, so that a client that is no
	// longer let through meets the portal; one that was led there goes on after the client is let through, until it ends.
	//
	// The portal may be on the host itself or on another, with Direction Through, In or Out alike. If it is on the network of
	// the clients its answers must come back this way, so that it sees the firewall's host in place of the client.
	Redirect netip.AddrPort
}

// A Verdict is what becomes of a packet. Where it is a process of the host itself that has sent it over UDP or ICMP, the call
// fails with EPERM after both Drop and Reject.
type Verdict int

// The values of Verdict.
const (
	Allow  Verdict = iota
	Drop           // without a word
	Reject         // answered by TCP RST, or ICMP "administratively prohibited": at most six times at once and then once a second
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

// SetFirewall replaces the host's firewall at one instant: every packet meets all of the old one, all of the new one, or, if it
// is on its way just then, both. The zero value removes it, and leaves nothing behind. When SetFirewall fails, the firewall is
// what it was.
//
// Connections that exist are judged by the new rules as if they were opened now: those that it forbids are cut, and the others
// go on. A TCP connection that is older than the first firewall of the host counts as opened by whoever sends first after that.
//
// The firewall is nftables' (Linux 5.2), in a table of its own; the host's processes may see it and add tables of theirs.
func (h *Host) SetFirewall(f Firewall) error {
	const op = "set firewall of"
	p, err := f.params()
	if err != nil {
		return wrap(op, h.env.name, h.name, err)
	}
	return wrap(op, h.env.name, h.name, h.env.call(context.Background(), wire.MethodFirewall, wire.FirewallParams{Host: h.name, Firewall: p}, nil))
}

func (f Firewall) params() (wire.Firewall, error) {
	out := wire.Firewall{Stateless: f.Stateless}
	var err error
	if out.Default, err = nameOf(f.Default, "verdict", "", "drop", "reject"); err != nil {
		return out, err
	}
	for i, r := range f.Rules {
		w := wire.FirewallRule{From: r.From, To: r.To, Protocol: r.Protocol, Redirect: r.Redirect}
		if w.Verdict, err = nameOf(r.Verdict, "verdict", "", "drop", "reject"); err == nil {
			w.Direction, err = nameOf(r.Direction, "direction", "", "in", "out", "forward")
		}
		if err != nil {
			return out, fmt.Errorf("rule %d: %w", i+1, err)
		}
		for _, p := range r.Ports {
			w.Ports = append(w.Ports, wire.PortRange(p))
		}
		out.Rules = append(out.Rules, w)
	}
	return out, nil
}

// nameOf is the name of a constant, from those of all.
func nameOf[T ~int](value T, kind string, names ...string) (string, error) {
	if value < 0 || int(value) >= len(names) {
		return "", fmt.Errorf("%d is no %s: use the constants of package nstest", value, kind)
	}
	return names[value], nil
}
