package lan

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// SetHub makes a hub of the switch, for this lease: it does not learn who is behind which port, so that every frame goes to
// all of them. It is called before the first port is attached.
func (s *Switch) SetHub() { s.hub = true }

// admit appends to msgs what makes a device that has become a port a silent one, and what its switch is.
func (s *Switch) admit(b *bridge, msgs *rtnl.Batch, index int) {
	if !b.silent {
		msgs.AddrGenNone(index)
	}
	if s.hub {
		msgs.Learning(index, false)
	}
}

// take returns the numbers of n new ports.
func (s *Switch) take(n int) (first int, err error) {
	s.portMu.Lock()
	defer s.portMu.Unlock()
	limit := lastPort
	if s.number > 0 {
		limit = lastNumberedPort
	}
	if s.next+n > limit {
		return 0, fmt.Errorf("the switch has had %d ports: %w", s.next-firstPort, unix.ENOSPC)
	}
	first = s.next
	s.next += n
	return first, nil
}

// Detach deletes a cable: when it returns, its end in the host is gone too. One that has disappeared with its host is fine.
func (s *Switch) Detach(id PortID) error {
	b, done, err := s.use()
	if err != nil {
		return fmt.Errorf("detach port %d: %w", id, err)
	}
	defer done()
	if err := s.check(id); err != nil {
		return fmt.Errorf("detach port: %w", err)
	}
	s.forget(id)
	return b.detach([]PortID{id})
}

func (s *Switch) forget(id PortID) {
	s.portMu.Lock()
	defer s.portMu.Unlock()
	delete(s.ports, id)
}

// SetMTU sets the largest packet of the switch's end of a cable, in bytes.
func (s *Switch) SetMTU(id PortID, n int) error {
	b, done, err := s.use()
	if err == nil {
		defer done()
		err = s.check(id)
	}
	if err == nil {
		var msgs rtnl.Batch
		msgs.MTU(int(id), n)
		err = b.route.Send(&msgs)
	}
	if err != nil {
		return fmt.Errorf("set MTU of port %d: %w", id, err)
	}
	return nil
}

// Move plugs the switch's end of a cable into another switch, and returns the number of the port there, which is down
// (SetPort). The host has seen its carrier go; its device is the same. After an error the cable is gone, unless it is that
// the port does not exist or ctx has ended before anything was done.
//
// The switch that was left is not used again: it has a number for the namespace of the other one.
func (s *Switch) Move(ctx context.Context, id PortID, to *Switch) (PortID, error) {
	moved, err := s.move(ctx, id, to)
	if err != nil {
		return 0, fmt.Errorf("move port %d: %w", id, err)
	}
	return moved, nil
}

func (s *Switch) move(ctx context.Context, id PortID, to *Switch) (PortID, error) {
	if s == to {
		return 0, fmt.Errorf("it is on this switch already: %w", unix.EINVAL)
	}
	from, done, err := s.use()
	if err != nil {
		return 0, err
	}
	defer done()
	there, done, err := to.use()
	if err != nil {
		return 0, err
	}
	defer done()
	if err := s.check(id); err != nil {
		return 0, err
	}
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	index, err := to.take(1)
	if err != nil {
		return 0, err
	}
	s.portMu.Lock()
	from.marked = true
	s.portMu.Unlock()
	s.forget(id)
	err = carry(ctx, from, int(id), there, index, to.mac(index))
	if err == nil {
		var msgs rtnl.Batch
		to.admit(there, &msgs, index)
		err = there.route.Send(&msgs)
	}
	if err != nil {
		return 0, errors.Join(err, from.detach([]PortID{id}), there.detach([]PortID{PortID(index)}))
	}
	to.portMu.Lock()
	defer to.portMu.Unlock()
	to.ports[PortID(index)] = true
	return PortID(index), nil
}

// carry moves a device from one bridge to another. The host has seen it go before it can see it come.
func carry(ctx context.Context, from *bridge, id int, to *bridge, index int, mac net.HardwareAddr) error {
	var down, move rtnl.Batch
	down.LinkDown(id)
	if err := from.route.Send(&down); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, plugLimit)
	defer cancel()
	if err := from.route.WaitCarrierLoss(ctx, id); err != nil {
		return err
	}
	move.Move(id, rtnl.MoveSpec{NetNS: to.net, Name: portName(index), Index: index, Master: bridgeIndex, MAC: mac})
	return from.route.Send(&move)
}
