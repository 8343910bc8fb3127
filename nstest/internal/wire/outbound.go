package wire

import "net/netip"

// Outbound lets an environment reach what its keeper can reach.
type Outbound struct {
	Allow, Deny []netip.Prefix
	NoNames     bool
}
