package nat_test

import "net/netip"

// Behaviour is what RFC 4787 says of a NAT. The values are those of RFC 5780.
type behaviour struct{ mapping, filtering string }

const (
	none        = "no translation"
	independent = "endpoint-independent"
	byAddress   = "address-dependent"
	byPort      = "address- and port-dependent"
)

// kind is the name that RFC 3489 has for it.
func (b behaviour) kind() string {
	names := map[behaviour]string{
		{none, independent}:        "open",
		{independent, independent}: "full-cone",
		{independent, byAddress}:   "address-restricted",
		{independent, byPort}:      "port-restricted",
		{byPort, byPort}:           "symmetric",
	}
	if name := names[b]; name != "" {
		return name
	}
	return "mapping " + b.mapping + ", filtering " + b.filtering
}

// mapping is what is told by the addresses that servers have seen: one, another with the first's port, and the other with
// another port.
func mapping(local, first, address, port netip.AddrPort) string {
	switch {
	case first == local && address == local && port == local:
		return none
	case first == address && first == port:
		return independent
	case address == port:
		return byAddress
	default:
		return byPort
	}
}

// filtering is what is told by who reaches the client, which has sent to one port of one address alone.
func filtering(fromOtherAddress, fromOtherPort bool) string {
	switch {
	case fromOtherAddress:
		return independent
	case fromOtherPort:
		return byAddress
	default:
		return byPort
	}
}
