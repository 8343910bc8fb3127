package lan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/tap"
)

// ErrReleased is returned by the methods of a Switch that was put back.
var ErrReleased = errors.New("the switch was put back")

// Switch is a leased switch. Its methods may be called concurrently.
type Switch struct {
	released context.Context // ends with the lease; interrupts those that wait
	end      context.CancelCauseFunc

	mu     sync.RWMutex // read-locked by those that use the bridge, locked by the end of the lease
	bridge *bridge      // nil after the lease

	number int // tells the switch's addresses from those of others in its segment; 0 where nobody ever sees them

	portMu sync.Mutex
	ports  map[PortID]bool // that were attached, whether or not they have vanished
	trunks map[PortID]bool // those among them that lead to switches
	next   int             // index of the next port; never used twice in a lease, since a port that vanished may still be on its way

	taps     []*tap.Tap // guarded by portMu
	recorded bool       // likewise: the bridge's own does not rest
	mute     error      // likewise: why it is not told what is dropped

	watching sync.Mutex   // guards what follows; taken after all others
	watches  []*DropWatch // of what is dropped; not changed, but replaced

	hub bool // written before the first port is attached
}

// PortID is the number of a port: the index of its device in the switch's namespace. The first one of every lease is 3.
type PortID int

// Port describes a cable from the switch to a host.
type Port struct {
	NetNS *os.File         // the host's network namespace, open until Attach returns
	Name  string           // of the host's end: "eth0"
	Index int              // of the host's end, at least 2
	MAC   net.HardwareAddr // of the host's end, not beginning with 02:6e:73; nil = the kernel's choice
	MTU   int              // in bytes, of both ends; 0 = 1500
}

// plugLimit bounds the wait for a cable to be in operation, which takes a second at most on a kernel before Linux 6.10, and
// two forward delays more where the switch speaks the spanning tree protocol.
const plugLimit = 5*time.Second + 2*forwardDelay

func newSwitch(b *bridge) *Switch {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Switch{released: ctx, end: cancel, bridge: b, ports: map[PortID]bool{}, trunks: map[PortID]bool{}, next: firstPort}
}

// use returns the bridge, which stays until done is called. A nil Switch is one that was put back.
func (s *Switch) use() (b *bridge, done func(), err error) {
	if s == nil {
		return nil, nil, ErrReleased
	}
	s.mu.RLock()
	if s.bridge == nil {
		s.mu.RUnlock()
		return nil, nil, ErrReleased
	}
	return s.bridge, s.mu.RUnlock, nil
}

// release ends the lease and returns the bridge, the first time, and whether it ever had a port.
func (s *Switch) release() (b *bridge, used bool) {
	s.end(ErrReleased)
	s.portMu.Lock()
	taps := s.taps
	s.taps = nil
	s.portMu.Unlock()
	for _, t := range taps {
		_ = t.Close() // whoever has it may have closed it
	}
	_, _ = s.EndRecord() // likewise
	if b, done, err := s.use(); err == nil {
		_ = s.endDrops(b) // what was dropped is told as far as it can be
		done()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, s.bridge = s.bridge, nil
	return b, s.next > firstPort
}

// Attach makes a cable for each port, all in one message to the kernel, and returns their numbers in the same order. The
// host's end is down; the switch's end is in operation once the other is up (WaitUp). It disappears with the host's
// namespace. After an error no port is left.
func (s *Switch) Attach(ctx context.Context, ports ...Port) ([]PortID, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("attach ports: %w", err)
	}
	for _, p := range ports {
		if p.NetNS == nil || p.Index < 2 {
			return nil, fmt.Errorf("attach port %q: it needs a network namespace and an index of at least 2, not %d", p.Name, p.Index)
		}
		if Reserved(p.MAC) {
			return nil, fmt.Errorf("attach port %q: addresses that begin with %s are the switch's own", p.Name, p.MAC[:3])
		}
	}
	b, done, err := s.use()
	if err != nil {
		return nil, fmt.Errorf("attach ports: %w", err)
	}
	defer done()
	first, err := s.take(len(ports))
	if err != nil {
		return nil, fmt.Errorf("attach %d ports: %w", len(ports), err)
	}
	ids := make([]PortID, len(ports))
	var msgs rtnl.Batch
	for i, p := range ports {
		index := first + i
		ids[i] = PortID(index)
		msgs.Veth(rtnl.VethSpec{
			Name: portName(index), Index: index, Master: bridgeIndex, MTU: p.MTU, MAC: s.mac(index), Up: b.silent,
			Peer: rtnl.VethPeer{Name: p.Name, Index: p.Index, MAC: p.MAC, NetNS: p.NetNS},
		})
		s.admit(b, &msgs, index)
		if !b.silent {
			msgs.LinkUp(index)
		}
	}
	if err := b.route.Send(&msgs); err != nil {
		return nil, errors.Join(fmt.Errorf("attach ports: %w", full(err)), b.detach(ids))
	}
	s.portMu.Lock()
	defer s.portMu.Unlock()
	for _, id := range ids {
		s.ports[id] = true
	}
	return ids, nil
}

// mac is the address of a device of the switch.
func (s *Switch) mac(index int) net.HardwareAddr { return deviceMAC(s.number<<16 | index) }

// full explains the kernel's error for a bridge that has no port left.
func full(err error) error {
	if errors.Is(err, unix.EXFULL) {
		return fmt.Errorf("the switch is full: a bridge has %d ports at most (BR_MAX_PORTS), and a further switch is to be cabled to it: %w", MaxPorts, err)
	}
	return err
}

// detach deletes those of the ports that exist.
func (b *bridge) detach(ids []PortID) error {
	var errs []error
	for _, id := range ids {
		var msgs rtnl.Batch
		msgs.DelLink(int(id))
		if err := b.route.Send(&msgs); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("undo: %w", err))
		}
	}
	return errors.Join(errs...)
}

// WaitUp waits until the ports are in operation, and the spanning tree protocol, where the switch speaks it, has found out
// what they and the trunks are to do; frames that hosts send earlier are lost.
func (s *Switch) WaitUp(ctx context.Context, ids ...PortID) error {
	b, done, err := s.use()
	if err != nil {
		return fmt.Errorf("wait for ports: %w", err)
	}
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.released, func() { cancel(ErrReleased) })()
	indices := make([]int, len(ids))
	for i, id := range ids {
		if err := s.check(id); err != nil {
			return fmt.Errorf("wait for ports: %w", err)
		}
		indices[i] = int(id)
	}
	if err := b.route.WaitUp(ctx, indices...); err != nil {
		return err
	}
	return b.waitSettled(ctx, append(indices, s.trunkPorts()...)...)
}

// SetPort plugs or pulls the cable of a host. The host's end loses its carrier; its administrative state and addresses
// stay. A plugged cable is in operation when SetPort returns, unless the host has set its end down.
func (s *Switch) SetPort(id PortID, up bool) error {
	b, done, err := s.use()
	if err == nil {
		defer done()
		err = s.check(id)
	}
	if err == nil {
		var msgs rtnl.Batch
		if up {
			msgs.LinkUp(int(id))
		} else {
			msgs.LinkDown(int(id))
		}
		err = b.route.Send(&msgs)
	}
	if err == nil && up {
		ctx, cancel := context.WithTimeout(s.released, plugLimit)
		err = b.route.WaitVeth(ctx, int(id))
		if err == nil && !s.isTrunk(id) {
			err = b.waitSettled(ctx, int(id))
		}
		cancel()
	}
	if err != nil {
		return fmt.Errorf("set port %d: %w", id, err)
	}
	return nil
}

// Stats are the counters of the switch's own device since the lease began: frames that reached all ports.
func (s *Switch) Stats() (rtnl.Stats, error) {
	b, done, err := s.use()
	if err != nil {
		return rtnl.Stats{}, fmt.Errorf("read counters of switch: %w", err)
	}
	defer done()
	l, err := b.route.Link(bridgeIndex)
	if err != nil {
		return rtnl.Stats{}, fmt.Errorf("read counters of switch: %w", err)
	}
	return l.Stats.Sub(b.base), nil
}

func (s *Switch) isTrunk(id PortID) bool {
	s.portMu.Lock()
	defer s.portMu.Unlock()
	return s.trunks[id]
}

// check refuses the number of a port that the lease never had.
func (s *Switch) check(id PortID) error {
	s.portMu.Lock()
	defer s.portMu.Unlock()
	if !s.ports[id] {
		return fmt.Errorf("no port %d on this switch", id)
	}
	return nil
}
