package nstest

import (
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// Outbound lets an environment reach what the program can reach. Without one, nothing inside reaches anything outside:
// that is what tests should rest on, and this is for the few that cannot.
//
// The first network gets a host named "outside", which is its gateway. It ends TCP connections and UDP flows to addresses
// that are nowhere in the environment, and the keeper begins them anew in the network namespace of the program, with the
// rights of its user; root is not needed. So a server outside sees the machine's address, and a connection that it refuses
// is reset after it was accepted inside. ICMP does not pass, nor does anything from outside in. The machine's loopback,
// link-local and multicast addresses cannot be reached.
//
// Names that the environment does not know are asked of the machine's resolvers, those of /etc/resolv.conf.
type Outbound struct {
	// Allow are the destinations. None means every one.
	Allow []netip.Prefix

	// Deny are exceptions.
	Deny []netip.Prefix

	// NoNames keeps the environment to the names that it knows.
	NoNames bool
}

func (o *Outbound) params() *wire.Outbound {
	if o == nil {
		return nil
	}
	w := wire.Outbound(*o)
	return &w
}
