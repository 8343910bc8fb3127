package lan

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// A Trunk is a cable between two switches, which makes them one segment. It lasts as long as both leases do.
type Trunk struct {
	here     *Switch
	herePort PortID
}

// trunkMTU lets pass whatever a host's cable does.
const trunkMTU = 65535

// Trunk cables s to another switch. It returns when frames pass; where a switch speaks the spanning tree protocol, that is
// still to find out whether they may, in no more time than a port that is attached later takes.
//
// s must be the caller's alone until Trunk returns: nobody else puts it back meanwhile, or cables it to a third one.
// Switches that had a trunk are not used again after their leases.
func (s *Switch) Trunk(ctx context.Context, other *Switch) (*Trunk, error) {
	if s == other {
		return nil, errors.New("cable switches: one cannot be cabled to itself")
	}
	far, done, err := other.use() // first: this one may be put back at any time, and s cannot
	if err != nil {
		return nil, fmt.Errorf("cable switches: %w", err)
	}
	defer done()
	near, done, err := s.use()
	if err != nil {
		return nil, fmt.Errorf("cable switches: %w", err)
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, plugLimit)
	defer cancel()
	defer context.AfterFunc(other.released, cancel)()
	here, err := s.take(1)
	if err != nil {
		return nil, fmt.Errorf("cable switches: %w", err)
	}
	there, err := other.take(1)
	if err != nil {
		return nil, fmt.Errorf("cable switches: %w", err)
	}
	s.mark(here)
	other.mark(there)
	var msgs rtnl.Batch
	msgs.Veth(rtnl.VethSpec{
		Name: portName(here), Index: here, Master: bridgeIndex, MTU: trunkMTU, MAC: s.mac(here),
		Peer: rtnl.VethPeer{Name: portName(there), Index: there, MAC: other.mac(there), NetNS: far.net},
	})
	s.admit(near, &msgs, here)
	msgs.LinkUp(here)
	if err := near.route.Send(&msgs); err != nil {
		return nil, fmt.Errorf("cable switches: %w", full(err))
	}
	msgs.Master(there, bridgeIndex)
	other.admit(far, &msgs, there)
	msgs.LinkUp(there)
	err = far.route.Send(&msgs)
	if err == nil {
		err = near.route.WaitUp(ctx, here)
	}
	if err == nil {
		err = far.route.WaitUp(ctx, there)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cable switches: %w", full(err)), near.detach([]PortID{PortID(here)}))
	}
	return &Trunk{s, PortID(here)}, nil
}

// Set plugs or pulls the cable; both switches see their carrier go. A plugged one is in operation when Set returns. Where a
// switch speaks the spanning tree protocol, frames pass some seconds later.
func (t *Trunk) Set(up bool) error { return t.here.SetPort(t.herePort, up) }

// trunkPorts are the indices of the ports that lead to switches.
func (s *Switch) trunkPorts() []int {
	s.portMu.Lock()
	defer s.portMu.Unlock()
	var ports []int
	for id := range s.trunks {
		ports = append(ports, int(id))
	}
	return ports
}

// mark notes that a port belongs to a trunk, and that the switch cannot be used again.
func (s *Switch) mark(port int) {
	s.portMu.Lock()
	defer s.portMu.Unlock()
	s.bridge.marked = true
	s.ports[PortID(port)] = true
	s.trunks[PortID(port)] = true
}

func portName(index int) string { return "p" + strconv.Itoa(index) }

// The shortest times that the kernel permits. IEEE 802.1D-1998 section 8.10.2 wants the forward delay to be longer, for trees
// that are seven switches deep.
const (
	forwardDelay = 2 * time.Second
	helloTime    = time.Second
	maxAge       = 6 * time.Second

	// settleLimit bounds the wait for a tree that changes all the time.
	settleLimit = 3 * (maxAge + 2*forwardDelay)
)

// MaxNumber is the largest number of a switch that speaks the spanning tree protocol.
const MaxNumber = 255

// Span has a switch speak the spanning tree protocol, before it has a port. The one with the smallest number of a segment,
// 1 to MaxNumber, is the root of the tree; no two may have the same. A port then passes frames 4 s after it is plugged in, for
// which Attach's WaitUp and SetPort wait. The switch is not used again after the lease.
func (s *Switch) Span(number int) error {
	b, done, err := s.use()
	if err != nil {
		return fmt.Errorf("set spanning tree: %w", err)
	}
	defer done()
	if number < 1 || number > MaxNumber {
		return fmt.Errorf("set spanning tree: switch number %d is not between 1 and %d", number, MaxNumber)
	}
	s.portMu.Lock()
	defer s.portMu.Unlock()
	if s.next != firstPort {
		return errors.New("set spanning tree: the switch has ports already")
	}
	s.number, b.marked, b.spans = number, true, true
	var msgs rtnl.Batch
	msgs.Span(bridgeIndex, rtnl.SpanSpec{MAC: s.mac(bridgeIndex), ForwardDelay: forwardDelay, Hello: helloTime, MaxAge: maxAge})
	return b.route.Send(&msgs)
}

// waitSettled waits until the spanning tree protocol, if the switch speaks it, has found out what those of the ports that
// are in operation are to do.
func (b *bridge) waitSettled(ctx context.Context, ports ...int) error {
	if !b.spans {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, port := range ports {
		for {
			l, err := b.route.Link(port)
			if err != nil {
				return err
			}
			state, _ := l.PortState()
			if state == rtnl.Forwarding || state == rtnl.Blocking || state == rtnl.Disabled && l.OperState != rtnl.Up {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for the spanning tree: port %d is %s: %w", port, state, context.Cause(ctx))
			case <-tick.C:
			}
		}
	}
	return nil
}
