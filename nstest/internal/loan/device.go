package loan

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// A Refusal is a device that cannot be lent.
type Refusal struct {
	Message string
	Errno   unix.Errno
}

func (r *Refusal) Error() string { return r.Message }
func (r *Refusal) Unwrap() error { return r.Errno }

func refuse(errno unix.Errno, format string, args ...any) error {
	return &Refusal{fmt.Sprintf(format, args...), errno}
}

// Lend moves a device from the network namespace of machine, where the caller must be, to another, in which it gets the name
// and the index; it is down there, and bare. What it was like is on record below run, the machine's /run, before it is touched.
func Lend(machine *rtnl.Conn, run, device string, to *os.File, name string, index int) (*Record, error) {
	r, err := look(machine, device)
	if err != nil {
		return nil, err
	}
	if err := r.save(run); err != nil {
		return nil, err
	}
	var msgs rtnl.Batch
	msgs.Move(r.Index, rtnl.MoveSpec{NetNS: to, Name: name, Index: index})
	if err := machine.Send(&msgs); err != nil {
		if errors.Is(err, unix.EINVAL) {
			err = refuse(unix.EINVAL, "the kernel does not let device %q change its network namespace: %v", device, err)
		}
		return nil, errors.Join(err, r.GiveBack(machine, nil, 0))
	}
	return r, nil
}

// look describes a device that can be lent.
func look(machine *rtnl.Conn, device string) (*Record, error) {
	links, err := machine.Links()
	if err != nil {
		return nil, err
	}
	var l *rtnl.Link
	for i := range links {
		if links[i].Name == device {
			l = &links[i]
		}
	}
	if l == nil {
		return nil, refuse(unix.ENODEV, "the machine has no network device %q", device)
	}
	if l.Flags&unix.IFF_LOOPBACK != 0 {
		return nil, refuse(unix.EINVAL, "device %q is the machine's loopback", device)
	}
	if l.Master != 0 {
		return nil, refuse(unix.EBUSY, "device %q is a port of %q: take it out of that first", device, nameOf(links, l.Master))
	}
	for _, o := range links {
		lower, nsid := o.Lower()
		switch {
		case o.Master == l.Index:
			return nil, refuse(unix.EBUSY, "device %q has ports, %q among them", device, o.Name)
		case lower == l.Index && nsid < 0 && o.Kind != "veth" && o.Index != l.Index:
			return nil, refuse(unix.EBUSY, "device %q is above %q, and would be lost", o.Name, device)
		}
	}
	r := &Record{Name: l.Name, Index: l.Index, MAC: l.MAC, MTU: l.MTU, Up: l.Flags&unix.IFF_UP != 0, Hardware: l.Hardware(), Permanent: l.Permanent()}
	switch peer, nsid := l.Lower(); {
	case l.Kind == "veth" && nsid < 0:
		r.Peer = peer
	case l.Kind == "veth":
		return nil, refuse(unix.EINVAL, "device %q is one end of a veth whose other end is elsewhere: make such a device inside instead", device)
	case l.Kind != "" || r.Hardware == "" && len(r.Permanent) == 0:
		return nil, refuse(unix.EINVAL, "device %q is virtual (%s), and would vanish with the host: make such a device inside instead", device, l.Kind)
	}
	s, err := machine.Settings(l.Index)
	switch {
	case err != nil:
		return nil, err
	case s.Default:
		return nil, refuse(unix.EBUSY, "the machine's default route goes out of device %q, and the machine would be cut off: move the route to another device first", device)
	case s.Shared:
		return nil, refuse(unix.EBUSY, "a route goes out of device %q and others (multipath, or by a nexthop object), and would not come back: remove it first", device)
	}
	r.Addrs, r.Routes = s.Addrs, s.Routes
	if r.Boot, r.NetNS, err = here(machine); err != nil {
		return nil, err
	}
	return r, nil
}

func nameOf(links []rtnl.Link, index int) string {
	for _, l := range links {
		if l.Index == index {
			return l.Name
		}
	}
	return strconv.Itoa(index)
}

// here names the machine's boot and the network namespace.
func here(machine *rtnl.Conn) (boot, netns string, err error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", "", err
	}
	f, err := machine.NetNS()
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", "", err
	}
	return strings.TrimSpace(string(id)), strconv.FormatUint(st.Ino, 10), nil
}

// is tells whether a link is the device that was lent. Who has it may call himself anything; hardware cannot be made up by
// the root of a host.
func (r *Record) is(l rtnl.Link) bool {
	if r.Peer != 0 {
		return l.Kind == "veth"
	}
	return l.Kind == "" && l.Hardware() == r.Hardware && bytes.Equal(l.Permanent(), r.Permanent)
}

// GiveBack moves the device back from where it was lent to and makes it what it was; then the record ends. Where host is
// nil, or does not have it any more, the device is looked for among those of the machine: the kernel puts hardware there when
// the namespace that had it dies. After an error the record stays, and Close is up to the caller.
func (r *Record) GiveBack(machine, host *rtnl.Conn, index int) error {
	if host != nil {
		if err := r.fetch(machine, host, index); err != nil {
			return err
		}
	}
	l, err := r.find(machine)
	if err != nil {
		return errors.Join(err, r.expel(machine))
	}
	if err := r.restore(machine, l); err != nil {
		return err
	}
	return r.remove()
}

// fetch moves the device from the host.
func (r *Record) fetch(machine, host *rtnl.Conn, index int) error {
	if r.Peer != 0 { // the index may be another veth's by now; the other end knows
		there, err := r.isIn(machine, host)
		if err != nil || !there {
			return err
		}
		l, err := machine.Peer(r.Peer)
		if err != nil {
			return err
		}
		index = l.Index // whatever the host has under the one that it got
	}
	l, err := host.Link(index)
	if errors.Is(err, unix.ENODEV) {
		return nil // somebody has moved it
	}
	if err != nil {
		return err
	}
	if !r.is(l) {
		return nil
	}
	netns, err := machine.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	var errs error
	for _, as := range []int{r.Index, 0} { // its index may be another's by now
		var msgs rtnl.Batch
		msgs.Move(index, rtnl.MoveSpec{NetNS: netns, Name: passing + "%d", Index: as})
		err := host.Send(&msgs)
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

// passing is the name, with a number, that a device has on its way back.
const passing = "nstest"

// isIn tells whether the other end of a veth sees it in the host's network namespace.
func (r *Record) isIn(machine, host *rtnl.Conn) (bool, error) {
	l, err := machine.Link(r.Peer)
	if err != nil {
		return false, refuse(unix.ENODEV, "device %q is gone: a virtual device vanishes with the namespace that it is in", r.Name)
	}
	netns, err := host.NetNS()
	if err != nil {
		return false, err
	}
	defer netns.Close()
	id, err := machine.NSIDOf(netns)
	_, at := l.Lower()
	return err == nil && id >= 0 && id == at, err
}

// expel deletes what the host has put in the place of the device while that was on its way.
func (r *Record) expel(machine *rtnl.Conn) error {
	links, err := machine.Links()
	if err != nil {
		return err
	}
	var msgs rtnl.Batch
	for _, l := range links {
		if number, ok := strings.CutPrefix(l.Name, passing); ok && l.Kind != "" {
			if _, err := strconv.Atoi(number); err == nil {
				msgs.DelLink(l.Index)
			}
		}
	}
	return machine.Send(&msgs)
}

// find is the device among those of the machine.
func (r *Record) find(machine *rtnl.Conn) (rtnl.Link, error) {
	links, err := machine.Links()
	if err != nil {
		return rtnl.Link{}, err
	}
	peer := 0
	if r.Peer != 0 {
		for _, l := range links {
			if lower, nsid := l.Lower(); l.Index == r.Peer && l.Kind == "veth" && nsid < 0 {
				peer = lower
			}
		}
	}
	for _, l := range links {
		if r.Peer != 0 && l.Index == peer && r.is(l) || r.Peer == 0 && r.is(l) {
			return l, nil
		}
	}
	return rtnl.Link{}, refuse(unix.ENODEV, "device %q is not there", r.Name)
}

// restore makes the device what it was. It may be done again.
func (r *Record) restore(machine *rtnl.Conn, l rtnl.Link) error {
	var msgs rtnl.Batch
	if l.Name != r.Name || !bytes.Equal(l.MAC, r.MAC) {
		msgs.LinkDown(l.Index)
	}
	if l.Name != r.Name {
		msgs.Rename(l.Index, r.Name)
	}
	if !bytes.Equal(l.MAC, r.MAC) {
		msgs.Address(l.Index, net.HardwareAddr(r.MAC))
	}
	msgs.MTU(l.Index, r.MTU)
	if r.Up {
		msgs.LinkUp(l.Index)
	}
	errs := []error{machine.Send(&msgs)}
	set := func(s rtnl.Setting) error {
		var msgs rtnl.Batch
		msgs.Setting(s, l.Index)
		if err := machine.Send(&msgs); !errors.Is(err, unix.EEXIST) {
			return err
		}
		return nil
	}
	for _, a := range r.Addrs {
		errs = append(errs, set(a))
	}
	if !r.Up {
		msgs.LinkDown(l.Index)
		return errors.Join(append(errs, machine.Send(&msgs))...)
	}
	var gateways []rtnl.Setting // these want the routes to the gateways first
	for _, route := range r.Routes {
		if err := set(route); err != nil {
			gateways = append(gateways, route)
		}
	}
	for _, route := range gateways {
		errs = append(errs, set(route))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restore device %q: %w", r.Name, err)
	}
	return nil
}

// IsOf reports whether the record is of this boot of the machine, and of the network namespace of machine.
func (r *Record) IsOf(machine *rtnl.Conn) (boot, netns bool, err error) {
	b, n, err := here(machine)
	return b == r.Boot, n == r.NetNS, err
}

// IsVirtual reports whether the device vanishes with the namespace that it is in.
func (r *Record) IsVirtual() bool { return r.Peer != 0 }

// Discard ends a record whose device will not come back.
func (r *Record) Discard() error { return r.remove() }
