package keeper

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/loan"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// loaned is a device of the machine that a host has.
type loaned struct {
	*loan.Record
	index int // in the host
}

// firstLoan is the index of the first borrowed device of a host, beyond those of its cables.
const firstLoan = 1 << 20

// borrowInside is borrow for a process inside, which may have only what the environment was opened with: everything else
// of the machine is none of its business.
func (e *environment) borrowInside(p wire.BorrowParams) (wire.BorrowResult, error) {
	if !slices.Contains(e.params.Lend, p.Device) {
		return wire.BorrowResult{}, &wire.Error{
			Errno: uint32(unix.EPERM), Message: fmt.Sprintf("device %q is the machine's, and this process is inside", p.Device),
			Remedy: fmt.Sprintf("open the environment with Config{Lend: []string{%q}}", p.Device),
		}
	}
	return e.borrow(p)
}

// borrow moves a device of the machine into a host.
func (e *environment) borrow(p wire.BorrowParams) (wire.BorrowResult, error) {
	h, err := e.host(p.Host)
	if err != nil {
		return wire.BorrowResult{}, err
	}
	if !h.own.Net {
		return wire.BorrowResult{}, refuse(unix.EINVAL, "host %q is in the machine's network itself", h.name)
	}
	machine, err := e.server.machineNet()
	if err != nil {
		return wire.BorrowResult{}, err
	}
	defer func() { _ = machine.Close() }()
	netns, err := h.route.NetNS()
	if err != nil {
		return wire.BorrowResult{}, err
	}
	defer netns.Close()
	if err := e.owns(netns); err != nil {
		return wire.BorrowResult{}, err
	}

	e.server.lending.Lock()
	defer e.server.lending.Unlock()
	h.mu.Lock()
	number := firstLoan
	for _, l := range h.loans {
		number = max(number, l.index+1)
	}
	h.mu.Unlock()
	name, err := h.loanName(p.Device, number-firstLoan)
	if err != nil {
		return wire.BorrowResult{}, err
	}
	r, err := loan.Lend(machine, e.server.machine.Run(), p.Device, netns, name, number)
	if err != nil {
		return wire.BorrowResult{}, lendError(err)
	}
	l := &loaned{Record: r, index: number}
	if l.index, err = indexOf(h.route, name); err != nil {
		return wire.BorrowResult{}, errors.Join(err, l.GiveBack(machine, h.route, number))
	}
	// The host may be coming to its end, and with it have given back what it had.
	e.mu.Lock()
	lives := !e.closed && e.hosts[key(p.Host)] == h
	if lives {
		h.mu.Lock()
		h.loans = append(h.loans, l)
		h.mu.Unlock()
	}
	e.mu.Unlock()
	if !lives {
		return wire.BorrowResult{}, errors.Join(refuse(unix.ESHUTDOWN, "host %q has ended", h.name), l.GiveBack(machine, h.route, l.index))
	}
	return wire.BorrowResult{Interface: name}, nil
}

// machineNet is a socket in the network namespace of the machine, over which the keeper must have rights.
func (s *server) machineNet() (*rtnl.Conn, error) {
	conn, err := rtnl.Open()
	if err != nil {
		return nil, err
	}
	netns, err := conn.NetNS()
	if err == nil {
		defer netns.Close()
		var user *os.File
		if user, err = os.Open("/proc/self/ns/user"); err == nil {
			defer user.Close()
			var ours bool
			if ours, err = ns.OwnedBy(netns, user); err == nil && ours {
				return conn, nil
			}
		}
	}
	if err == nil || errors.Is(err, unix.EPERM) {
		err = lendError(unix.EPERM)
	}
	return nil, errors.Join(err, conn.Close())
}

// lendError explains the lack of rights.
func lendError(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	return &wire.Error{
		Kind: wire.KindNotPrivileged, Errno: uint32(unix.EPERM), Message: "lending a device of the machine needs root there (CAP_NET_ADMIN in the owner of its network namespace)",
		Remedy: "run the test as root",
	}
}

// ours are names that cables may want.
var ours = regexp.MustCompile(`^(lo|eth[0-9]+)$`)

// loanName is the name that a device gets in the host: its own, unless somebody else has it or may get it.
func (h *host) loanName(device string, number int) (string, error) {
	links, err := h.route.Links()
	if err != nil {
		return "", err
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(links, func(l rtnl.Link) bool { return l.Name == name })
	}
	name := device
	if ours.MatchString(name) {
		name = fmt.Sprintf("nic%d", number)
	}
	for taken(name) {
		number++
		name = fmt.Sprintf("nic%d", number)
	}
	return name, nil
}

// indexOf finds a device by name; a kernel before Linux 5.16 has chosen its index itself.
func indexOf(route *rtnl.Conn, name string) (int, error) {
	links, err := route.Links()
	if err != nil {
		return 0, err
	}
	for _, l := range links {
		if l.Name == name {
			return l.Index, nil
		}
	}
	return 0, refuse(unix.ENODEV, "device %q has gone", name)
}

// giveBack moves a device back to the machine. One that the host does not have is fine.
func (e *environment) giveBack(p wire.BorrowParams) error {
	h, err := e.host(p.Host)
	if err != nil {
		return err
	}
	return h.returnLoans(e.server, func(l *loaned) bool { return l.Name == p.Device })
}

// giveBackAll is giveBack for a host that ends.
func (h *host) giveBackAll(s *server) error {
	return h.returnLoans(s, func(*loaned) bool { return true })
}

// returnLoans gives back those devices of the host that are meant. One for which that is impossible stays on record, for
// nstest gc.
func (h *host) returnLoans(s *server, meant func(*loaned) bool) error {
	h.mu.Lock()
	none := len(h.loans) == 0
	h.mu.Unlock()
	if none {
		return nil
	}
	machine, err := s.machineNet()
	if err != nil {
		return err
	}
	defer func() { _ = machine.Close() }()
	s.lending.Lock()
	defer s.lending.Unlock()
	h.mu.Lock()
	var back, kept []*loaned
	for _, l := range h.loans {
		if meant(l) {
			back = append(back, l)
		} else {
			kept = append(kept, l)
		}
	}
	h.loans = kept
	h.mu.Unlock()
	var errs []error
	for _, l := range back {
		switch err := l.GiveBack(machine, h.route, l.index); {
		case err == nil:
		case errors.Is(err, unix.ENODEV) && l.IsVirtual():
			errs = append(errs, err, l.Discard())
		default:
			errs = append(errs, fmt.Errorf("give back device %q, which stays on record for nstest gc: %w", l.Name, err), l.Close())
		}
	}
	return errors.Join(errs...)
}
