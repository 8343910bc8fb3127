package keeper

import (
	"net"
	"net/netip"
)

// linkLocal is the address that RFC 4291 derives from a MAC.
func linkLocal(mac net.HardwareAddr) netip.Addr {
	b := [16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
	return netip.AddrFrom16(b)
}

// derivedMAC is a locally administered address that tells which host it belongs to.
func derivedMAC(addrs []netip.Prefix) net.HardwareAddr {
	b := addrs[0].Addr().As16()
	return net.HardwareAddr{0x02, 0x42, b[12], b[13], b[14], b[15]}
}
