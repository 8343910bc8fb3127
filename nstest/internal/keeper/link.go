package keeper

import (
	"context"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// cable finds the cable of a host to a network; "" is its only one.
func (h *host) cable(networkName string) (*cable, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found *cable
	for _, c := range h.cables {
		if networkName == "" && found != nil {
			return nil, refuse(unix.EINVAL, "host %q is on several networks: say which", h.name)
		}
		if c.network.name == networkName || networkName == "" {
			found = c
		}
	}
	if found == nil {
		return nil, refuse(unix.ENODEV, "host %q has no link to network %q", h.name, networkName)
	}
	return found, nil
}

// link pulls or plugs a cable. A plugged one passes frames again when link returns.
func (e *environment) link(ctx context.Context, p wire.LinkParams) error {
	h, err := e.host(p.Host)
	if err != nil {
		return err
	}
	c, err := h.cable(p.Network)
	if err != nil {
		return err
	}
	if o := c.network.overlay; o != nil {
		return refuse(unix.EOPNOTSUPP, "network %q has no cable: pull that to network %q, which carries it, or set device %s of the host down", c.network.name, o.over.name, c.name())
	}
	if err := c.network.lan.SetPort(c.port, p.Up); err != nil {
		return err
	}
	if !p.Up {
		return nil
	}
	return c.network.lan.WaitUp(ctx, c.port)
}

func (e *environment) addLink(ctx context.Context, p wire.AddLinkParams) (wire.LinkResult, error) {
	return wire.LinkResult{}, refuse(unix.ENOSYS, "this is still to be built")
}

func (e *environment) removeLink(p wire.LinkParams) error {
	return refuse(unix.ENOSYS, "this is still to be built")
}

func (e *environment) moveLink(ctx context.Context, p wire.MoveLinkParams) (wire.LinkResult, error) {
	return wire.LinkResult{}, refuse(unix.ENOSYS, "this is still to be built")
}

func (e *environment) renewLink(ctx context.Context, p wire.RenewLinkParams) (wire.LinkResult, error) {
	return wire.LinkResult{}, refuse(unix.ENOSYS, "this is still to be built")
}

func (e *environment) setLinkMTU(p wire.LinkMTUParams) error {
	return refuse(unix.ENOSYS, "this is still to be built")
}
