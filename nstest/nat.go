package nstest

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// NAT lets hosts share the addresses that a router has outside: network address and port translation of UDP and TCP
// (RFC 4787, RFC 5382), and of other protocols as far as the kernel can. Only Outside is required.
//
// A sender inside keeps its port if nobody else inside has that outside, and else gets a random one. With every Kind but
// Symmetric that port is the sender's for whatever it sends anywhere, until it has sent and received nothing for the
// timeout; there are up to 65536 of them at a time. Echoes, and errors of ICMP, find their way.
//
// What comes from outside without a mapping or forward that lets it in is for the router itself. Where none of the router's
// sockets wants it, nobody answers (RFC 5382, REQ-4), unless a Firewall rejects it. It reaches nobody inside, also where
// somebody outside has a route to there. That holds for the families that are translated; IPv6 is routed as it is, without
// NAT66 or NPTv6.
//
// It needs nftables with maps, numgen and socket, and Linux 5.7.
type NAT struct {
	Outside string   // the network on which the router's addresses stand for those inside
	Inside  []string // the networks that are translated; default: all others of the router

	Kind       NATKind
	Hairpin    bool          // hosts inside reach each other by the outside address, and are seen by theirs (RFC 4787, REQ-9)
	Forwards   []Forward     // ports of the outside that lead inside, for everybody
	UDPTimeout time.Duration // without traffic in either direction, in whole seconds; default: 30 s
	TCPTimeout time.Duration // of an established connection, in whole seconds; default: 2 h 4 min (RFC 5382, REQ-5). Others: 2 min

	// NAT66 is for IPv6 what the rest is for IPv4. Without it, and NPTv6, hosts inside send IPv6 as it is, and those outside
	// need a route to them to answer: where they have none leave IPv6 out of the networks (NetworkConfig.NoIPv6), or names that
	// have addresses of both families are tried over IPv6 in vain first.
	NAT66 bool

	// NPTv6 translates IPv6 addresses one to one, in both directions (RFC 6296), and is what the prefix inside is outside: of at
	// most 64 bits. The prefix inside has as many bits, and the networks inside are all in it. A host inside is reached at the
	// translated address from wherever NPTv6 is routed to the router, whose own packets stay as they are. Packets pass through
	// this program, which some thousands a second do not mind.
	NPTv6 netip.Prefix
}

// NATKind says whom a mapping lets in. The names are those of RFC 3489.
type NATKind int

// The kinds, with the terms of RFC 4787. Filters let in whom a mapping's owner has sent to, at the other kinds than FullCone:
// at the same address, or at the same address and port.
const (
	PortRestricted    NATKind = iota // endpoint-independent mapping, address- and port-dependent filtering
	AddressRestricted                // endpoint-independent mapping, address-dependent filtering
	FullCone                         // endpoint-independent mapping and filtering
	Symmetric                        // address- and port-dependent mapping and filtering
)

func (k NATKind) String() string {
	if k < PortRestricted || k > Symmetric {
		return fmt.Sprintf("NATKind(%d)", int(k))
	}
	return [...]string{"port-restricted", "address-restricted", "full-cone", "symmetric"}[k]
}

// MarshalText is String for encoding/json and the like.
func (k NATKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (k *NATKind) UnmarshalText(text []byte) (err error) {
	*k, err = named(string(text), Symmetric)
	return err
}

// A Forward is a port of the outside that leads inside, to an address on one of the NAT's Inside networks. Its family is
// To's; that of an IPv6 one is NAT66.
type Forward struct {
	Network string // "tcp" or "udp"
	Port    uint16
	To      netip.AddrPort
}

// NAT64 lets hosts that have IPv6 alone reach those that have IPv4 (RFC 6146, RFC 7915): whoever has a route to Prefix through
// the router reaches 10.2.0.3 as 64:ff9b::10.2.0.3, with TCP, UDP and ping, and gets the ICMP errors of the way. It is for
// private IPv4 addresses as well. See DNSConfig.DNS64 for the names.
//
// Other protocols are dropped, as are fragments of ICMP messages. 4095 IPv6 addresses can use it at a time: one more, and the one
// that has been silent for longest loses its connections. Packets pass through this program, which some thousands a second do not
// mind.
type NAT64 struct {
	Outside string       // the network on which the router's IPv4 address stands for those inside; no other is reached
	Prefix  netip.Prefix // a /96; default: 64:ff9b::/96 (RFC 6052)
}

// SetNAT64 replaces the router's NAT64; nil takes it away. Connections that pass through it are cut, unless they go on before
// they have given up. After an error that comes from n nothing has changed.
func (r *Router) SetNAT64(n *NAT64) error {
	p := wire.NAT64Params{Host: r.name, NAT64: (*wire.NAT64)(n)}
	return wrap("set NAT64 of", r.env.name, r.name, r.env.call(context.Background(), wire.MethodNAT64, p, nil))
}

func (n NAT) params() (wire.NAT, error) {
	p := wire.NAT{Outside: n.Outside, Inside: n.Inside, Kind: n.Kind.String(), Hairpin: n.Hairpin,
		UDPTimeout: n.UDPTimeout, TCPTimeout: n.TCPTimeout, NAT66: n.NAT66, NPTv6: n.NPTv6}
	if n.Kind < PortRestricted || n.Kind > Symmetric {
		return p, fmt.Errorf("%v is none of the kinds of NAT", n.Kind)
	}
	for _, f := range n.Forwards {
		p.Forwards = append(p.Forwards, wire.Forward(f))
	}
	return p, nil
}

// SetNAT replaces the router's translations, without any by none: those of a family at one instant, IPv4 first. Connections
// through the router are cut: none of their packets passes any more, and nobody is told. A network that is the Outside now
// has the router for its gateway no longer; one that is not the Outside any more has it for its gateway, if it has no other.
//
// A router has four NATs at most, each with an Outside of its own, with 256 forwards and the same timeouts. A NAT64 stays.
func (r *Router) SetNAT(nat ...NAT) error {
	p := wire.NATParams{Host: r.name}
	for _, n := range nat {
		one, err := n.params()
		if err != nil {
			return wrap("set NAT of", r.env.name, r.name, err)
		}
		p.NAT = append(p.NAT, one)
	}
	return wrap("set NAT of", r.env.name, r.name, r.env.call(context.Background(), wire.MethodNAT, p, nil))
}
