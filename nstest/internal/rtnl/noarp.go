package rtnl

import "golang.org/x/sys/unix"

// NoARP keeps a link from asking who has an address, in IPv4 and IPv6: every packet goes to the link's own MAC. The peer of
// a veth, which has another, sees what is for somebody else.
func (b *Batch) NoARP(index int) { b.link("set no ARP on", index, unix.IFF_NOARP, unix.IFF_NOARP) }
