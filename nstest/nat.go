package nstest

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// NAT lets hosts share the addresses that a router has outside (RFC 4787, RFC 5382). Only Outside is required.
type NAT struct {
	Outside string   // the network on which the router's addresses stand for those inside
	Inside  []string // the networks that are translated; default: all others of the router

	Kind       NATKind
	Hairpin    bool          // hosts inside reach each other by the outside address
	Forwards   []Forward     // ports that lead inside
	UDPTimeout time.Duration // without traffic, in whole seconds; default: 30 s
	TCPTimeout time.Duration // of an established connection; default: 2 h 4 min

	NAT66 bool         // IPv6 too
	NPTv6 netip.Prefix // IPv6 prefix translation (RFC 6296): what the inside prefix is outside
}

// NATKind says whom a mapping lets in. The names are those of RFC 3489.
type NATKind int

// The kinds, with the terms of RFC 4787.
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

// A Forward is a port of the outside that leads inside.
type Forward struct {
	Network string // "tcp" or "udp"
	Port    uint16
	To      netip.AddrPort
}

// NAT64 lets hosts that have IPv6 alone reach those that have IPv4 (RFC 6146). See DNSConfig.DNS64 for the names.
type NAT64 struct {
	Outside string       // the network on which the router's IPv4 address stands for those inside
	Prefix  netip.Prefix // default: 64:ff9b::/96 (RFC 6052)
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

// SetNAT replaces the router's translations at one instant; connections that exist are cut.
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
