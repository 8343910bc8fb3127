package daemons_test

import (
	"net/netip"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addAddress gives the host's end of a link an address, at once.
func addAddress(l *nstest.Link, address netip.Prefix) error {
	return onLink(l, address, netlink.AddrAdd)
}

// removeAddress takes it away.
func removeAddress(l *nstest.Link, address netip.Prefix) error {
	return onLink(l, address, netlink.AddrDel)
}

func onLink(l *nstest.Link, address netip.Prefix, change func(netlink.Link, *netlink.Addr) error) error {
	return l.Host().Do(func() error {
		device, err := netlink.LinkByName(l.Interface())
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(address.String())
		if err != nil {
			return err
		}
		if address.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		return change(device, a)
	})
}

// neighbour is the MAC address that a host has for a neighbour's address; "" is none.
func neighbour(l *nstest.Link, of netip.Addr) (mac string, err error) {
	family := unix.AF_INET
	if of.Is6() {
		family = unix.AF_INET6
	}
	err = l.Host().Do(func() error {
		list, err := netlink.NeighList(0, family)
		for _, n := range list {
			if n.IP.Equal(of.AsSlice()) {
				mac = n.HardwareAddr.String()
			}
		}
		return err
	})
	return mac, err
}
