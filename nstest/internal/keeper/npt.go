package keeper

import (
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// setNPT replaces the prefix translations of a router: those of the NATs that have one.
func (e *environment) setNPT(h *host, nats []wire.NAT) error {
	for _, n := range nats {
		if n.NPTv6.IsValid() {
			return refuse(unix.ENOSYS, "this is still to be built")
		}
	}
	return nil
}
