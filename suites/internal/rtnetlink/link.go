package rtnetlink

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Link is a network device.
type Link struct {
	Index   int
	Name    string
	Kind    string // "veth"; "" for lo and what is no software
	Up      bool   // what was set: IFF_UP
	Carrier bool   // whether there is a wire: what ip(8) calls NO-CARRIER if not
	State   State
}

// State is the operational state of a device (RFC 2863).
type State uint8

// The states of the devices here.
const (
	StateUnknown        State = 0 // it has no notion of that, like lo
	StateDown           State = 2
	StateLowerLayerDown State = 3 // what it stands on is down
	StateUp             State = 6
)

// String is the state as ip(8) shows it.
func (s State) String() string {
	names := map[State]string{StateUnknown: "UNKNOWN", StateDown: "DOWN", StateLowerLayerDown: "LOWERLAYERDOWN", StateUp: "UP"}
	if name, ok := names[s]; ok {
		return name
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Links are all devices of the namespace, as they are numbered.
func Links() ([]Link, error) {
	messages, err := execute(unix.RTM_GETLINK, netlink.Dump, linkHeader(0, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var list []Link
	for _, m := range messages {
		l, err := parse(m.Data)
		if err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b Link) int { return a.Index - b.Index })
	return list, nil
}

// Find is the device of that name. The error is ENODEV if there is none.
func Find(name string) (Link, error) {
	list, err := Links()
	if err != nil {
		return Link{}, err
	}
	i := slices.IndexFunc(list, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return Link{}, fmt.Errorf("find device %s: %w", name, unix.ENODEV)
	}
	return list[i], nil
}

// Names are the names of devices.
func Names(list []Link) []string {
	names := make([]string, 0, len(list))
	for _, l := range list {
		names = append(names, l.Name)
	}
	return names
}

// parse reads a message of RTM_NEWLINK and the like.
func parse(data []byte) (Link, error) {
	if len(data) < unix.SizeofIfInfomsg {
		return Link{}, fmt.Errorf("a message about a device has %d bytes", len(data))
	}
	l := Link{
		Index: int(int32(binary.NativeEndian.Uint32(data[4:]))),
		Up:    binary.NativeEndian.Uint32(data[8:])&unix.IFF_UP != 0,
	}
	d, err := netlink.NewAttributeDecoder(data[unix.SizeofIfInfomsg:])
	if err != nil {
		return l, err
	}
	for d.Next() {
		switch d.Type() {
		case unix.IFLA_IFNAME:
			l.Name = d.String()
		case unix.IFLA_CARRIER:
			l.Carrier = d.Uint8() == 1
		case unix.IFLA_OPERSTATE:
			l.State = State(d.Uint8())
		case unix.IFLA_LINKINFO:
			d.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					if d.Type() == unix.IFLA_INFO_KIND {
						l.Kind = d.String()
					}
				}
				return nil
			})
		}
	}
	return l, d.Err()
}

// Add makes a device of a kind that needs nothing but a name: "bridge", "ifb".
func Add(name, kind string) error {
	return add(name, kind, 0, nil)
}

// AddVeth makes a cable with two ends.
func AddVeth(name, peer string) error {
	const vethInfoPeer = 1 // VETH_INFO_PEER
	return add(name, "veth", 0, func(e *netlink.AttributeEncoder) {
		e.Bytes(vethInfoPeer, append(linkHeader(0, 0, 0), attributes(func(e *netlink.AttributeEncoder) { e.String(unix.IFLA_IFNAME, peer) })...))
	})
}

// AddMacvlan makes a device that stands on another one, and ends with it.
func AddMacvlan(name, lower string) error {
	index, err := indexOf(lower)
	if err != nil {
		return err
	}
	return add(name, "macvlan", index, nil)
}

func add(name, kind string, lower int, data func(*netlink.AttributeEncoder)) error {
	return request("add "+kind+" "+name, unix.RTM_NEWLINK, netlink.Create|netlink.Excl, append(linkHeader(0, 0, 0), attributes(func(e *netlink.AttributeEncoder) {
		e.String(unix.IFLA_IFNAME, name)
		if lower != 0 {
			e.Uint32(unix.IFLA_LINK, uint32(lower))
		}
		e.Nested(unix.IFLA_LINKINFO, func(e *netlink.AttributeEncoder) error {
			e.String(unix.IFLA_INFO_KIND, kind)
			if data != nil {
				e.Nested(unix.IFLA_INFO_DATA, func(e *netlink.AttributeEncoder) error { data(e); return nil })
			}
			return nil
		})
	})...))
}

// Up sets a device up. The kernel looks the name up.
func Up(name string) error { return set(name, unix.IFF_UP) }

// Down sets a device down, likewise.
func Down(name string) error { return set(name, 0) }

func set(name string, flags uint32) error {
	return request("set "+name, unix.RTM_NEWLINK, 0, append(linkHeader(0, flags, unix.IFF_UP),
		attributes(func(e *netlink.AttributeEncoder) { e.String(unix.IFLA_IFNAME, name) })...))
}

// UpIndex is Up by the device's number.
func UpIndex(index int) error {
	return request(fmt.Sprintf("set device %d up", index), unix.RTM_NEWLINK, 0, linkHeader(index, unix.IFF_UP, unix.IFF_UP))
}

// SetMaster plugs a device into a bridge.
func SetMaster(name, bridge string) error {
	index, err := indexOf(bridge)
	if err != nil {
		return err
	}
	return change("plug "+name+" into "+bridge, name, func(e *netlink.AttributeEncoder) { e.Uint32(unix.IFLA_MASTER, uint32(index)) })
}

// Move puts a device into another network namespace, under the name as, or its own if that is "".
func Move(name string, to *os.File, as string) error {
	return change("move "+name, name, func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.IFLA_NET_NS_FD, uint32(to.Fd()))
		if as != "" {
			e.String(unix.IFLA_IFNAME, as)
		}
	})
}

// change changes attributes of a device.
func change(what, name string, fill func(*netlink.AttributeEncoder)) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	return request(what, unix.RTM_NEWLINK, 0, append(linkHeader(index, 0, 0), attributes(fill)...))
}

// Delete removes a device.
func Delete(name string) error {
	return request("delete "+name, unix.RTM_DELLINK, 0, append(linkHeader(0, 0, 0),
		attributes(func(e *netlink.AttributeEncoder) { e.String(unix.IFLA_IFNAME, name) })...))
}
