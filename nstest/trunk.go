package nstest

import (
	"context"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Trunk is the cable between the switches of two networks (NetworkConfig.Trunks).
type Trunk struct {
	network *Network
	to      string
}

// Trunk is the cable between the switch of this network and that of another, whichever of them was made with the other
// among its Trunks. Whether there is one shows when it is used.
func (n *Network) Trunk(to string) *Trunk { return &Trunk{n, to} }

// Up plugs the cable in again. Frames pass when it returns; where a switch at one of its ends has STP, some seconds later.
func (t *Trunk) Up() error { return t.set("plug trunk of network ", true) }

// Down pulls the cable out. Both switches notice at once. Where they have STP, and the segment another way, frames take
// that after 4 to 10 seconds.
func (t *Trunk) Down() error { return t.set("pull trunk of network ", false) }

func (t *Trunk) set(op string, up bool) error {
	e := t.network.env
	p := wire.TrunkParams{Network: t.network.Name(), To: t.to, Up: up}
	return wrap(op+p.Network, e.name, "", e.call(context.Background(), wire.MethodTrunk, p, nil))
}
