package rtnetlink

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// AddAddr gives a device an address. One of IPv6 can be used at once: nobody is asked whether it is taken.
func AddAddr(name string, p netip.Prefix) error {
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	return AddAddrIndex(index, p)
}

// AddAddrIndex is AddAddr by the device's number.
func AddAddrIndex(index int, p netip.Prefix) error {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0], header[1] = family(p.Addr()), byte(p.Bits())
	if p.Addr().Is6() {
		header[2] = unix.IFA_F_NODAD
	}
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	return request("add address "+p.String(), unix.RTM_NEWADDR, netlink.Create|netlink.Excl, append(header, attributes(func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.IFA_LOCAL, p.Addr().AsSlice())
		e.Bytes(unix.IFA_ADDRESS, p.Addr().AsSlice())
	})...))
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
