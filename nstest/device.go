package nstest

import (
	"context"
	"errors"

	"github.com/hermetic-go/nstest/nstest/internal/loan"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A Device is a network device of the machine that a host has borrowed.
type Device struct {
	host  *Host
	name  string
	inner string
}

// Borrow moves a real network device of the machine into the host, where it is down and has no address: the test sets it up.
// Nobody else has it until Close, or the end of the host or the environment, gives it back with its name, hardware address,
// MTU, administrative state, addresses and routes of both families. What else it had is lost: queueing disciplines, static
// neighbours, rules, settings below /proc/sys/net, and addresses and routes from router advertisements, which come again.
//
// It needs root in the machine's network namespace; elsewhere the error is ErrNotPrivileged. A process inside, such as a
// hermetic spec, may borrow what its environment was opened with (Config.Lend). Refused by name are devices that do not
// exist, loopback, ports of bridges and bonds, what has ports or other devices above it, what a default route or a route
// with several ways goes out of, and virtual devices, with the exception of a veth whose other end is the machine's too.
//
// After kill -9 of everything the kernel returns hardware to the machine's first network namespace, down and bare, and
// `nstest gc` restores it, from a record in /run/nstest. A veth vanishes then.
func (h *Host) Borrow(device string) (*Device, error) {
	var r wire.BorrowResult
	e := h.env
	if err := e.call(context.Background(), wire.MethodBorrow, wire.BorrowParams{Host: h.name, Device: device}, &r); err != nil {
		return nil, wrap("borrow device "+device+" for", e.name, h.name, err)
	}
	return &Device{h, device, r.Interface}, nil
}

// Host is the host that has the device.
func (d *Device) Host() *Host { return d.host }

// Name is the device's name on the machine.
func (d *Device) Name() string { return d.name }

// Interface is its name in the host: the same, unless the host has a device of that name, or may get one for a link.
func (d *Device) Interface() string { return d.inner }

// Close gives the device back. It may be called more than once, and after the end of the host or environment, which has given
// it back then.
func (d *Device) Close() error {
	e := d.host.env
	err := e.call(context.Background(), wire.MethodGiveBack, wire.BorrowParams{Host: d.host.name, Device: d.name}, nil)
	if errors.Is(err, ErrClosed) || errors.Is(err, unix.ESHUTDOWN) || errors.Is(err, unix.ENOENT) || errors.Is(err, wire.ErrClosed) {
		return nil
	}
	return wrap("give back device "+d.name+" of", e.name, d.host.name, err)
}

// A LostDevice is one that was borrowed by a program that did not live to give it back.
type LostDevice struct {
	Name     string
	Restored bool   // it is what it was before
	Gone     bool   // it does not exist any more, as it was virtual, or the machine was started again since
	Err      error  // why it is neither
	Remedy   string // what to do about that; "" if nothing is known
}

// RestoreDevices makes the network devices that programs have borrowed and did not live to give back what they were. Those
// of living programs are left alone. The error is for records that cannot be read.
func RestoreDevices() ([]LostDevice, error) { return lostDevices(recovered) }

// LostDevices are the network devices that RestoreDevices would restore, or try to. Nothing is changed.
func LostDevices() ([]LostDevice, error) {
	return lostDevices(func(r *loan.Record, _ *rtnl.Conn) LostDevice { return LostDevice{Name: r.Name, Err: r.Close()} })
}

// lostDevices are those on record that nobody has any more, and what each has come to.
func lostDevices(judge func(*loan.Record, *rtnl.Conn) LostDevice) ([]LostDevice, error) {
	machine, err := rtnl.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = machine.Close() }()
	var list []LostDevice
	var errs []error
	for _, dir := range loan.Directories("/run") {
		records, err := loan.Abandoned(dir)
		errs = append(errs, err)
		for _, r := range records {
			list = append(list, judge(r, machine))
		}
	}
	return list, errors.Join(errs...)
}

// recovered gives back what is on record.
func recovered(r *loan.Record, machine *rtnl.Conn) LostDevice {
	d := LostDevice{Name: r.Name}
	boot, netns, err := r.IsOf(machine)
	switch {
	case err != nil:
	case !boot:
		d.Gone, d.Err = true, r.Discard()
		return d
	case !netns:
		err = errors.New("it belongs to another network namespace")
		d.Remedy = "run nstest gc in the network namespace in which it was lent"
	default:
		err = r.GiveBack(machine, nil, 0)
		if err == nil {
			d.Restored = true
			return d
		}
		if errors.Is(err, unix.ENODEV) && r.IsVirtual() {
			d.Gone, d.Err = true, r.Discard()
			return d
		}
		if errors.Is(err, unix.ENODEV) {
			d.Remedy = "wait until the kernel has taken the host's network namespace apart, or end the process that holds it"
		}
	}
	d.Err = errors.Join(err, r.Close())
	return d
}
