package rtnl

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A first is the beginning of a list that may be of any length, since those who are in the namespace make it.
type first[T any] struct {
	n      int
	parse  func(message) (T, bool)
	wanted func(T) bool
	list   []T
	more   bool
}

func (f *first[T]) reset() { f.list, f.more = nil, false }

func (f *first[T]) each(m message) {
	if f.more {
		return
	}
	switch v, ok := f.parse(m); {
	case !ok || !f.wanted(v):
	case len(f.list) == f.n:
		f.more = true
	default:
		f.list = append(f.list, v)
	}
}

func anyOf[T any](T) bool { return true }

// FirstLinks lists the first n devices, and reports whether there are more.
func (c *Conn) FirstLinks(n int) (links []Link, more bool, err error) {
	f := &first[Link]{n: n, parse: parseLink, wanted: anyOf[Link]}
	if err := c.dump(unix.RTM_GETLINK, nl.NewIfInfomsg(unix.AF_UNSPEC), f.reset, f.each); err != nil {
		return nil, false, fmt.Errorf("list links: %w", err)
	}
	return f.list, f.more, nil
}

// FirstAddrs lists the first n addresses, and reports whether there are more.
func (c *Conn) FirstAddrs(n int) (addrs []Addr, more bool, err error) {
	f := &first[Addr]{n: n, parse: parseAddr, wanted: anyOf[Addr]}
	if err := c.dump(unix.RTM_GETADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC), f.reset, f.each); err != nil {
		return nil, false, fmt.Errorf("list addresses: %w", err)
	}
	return f.list, f.more, nil
}

// FirstRoutes lists the first n of the routes that are wanted, and reports whether there are more.
func (c *Conn) FirstRoutes(n int, wanted func(Route) bool) (routes []Route, more bool, err error) {
	f := &first[Route]{n: n, parse: parseRoute, wanted: wanted}
	if err := c.dump(unix.RTM_GETROUTE, &nl.RtMsg{}, f.reset, f.each); err != nil {
		return nil, false, fmt.Errorf("list routes: %w", err)
	}
	return f.list, f.more, nil
}

// FirstNeighbours lists the first n of the neighbours that are wanted, and reports whether there are more.
func (c *Conn) FirstNeighbours(n int, wanted func(Neighbour) bool) (neighbours []Neighbour, more bool, err error) {
	f := &first[Neighbour]{n: n, parse: parseNeighbour, wanted: wanted}
	if err := c.dump(unix.RTM_GETNEIGH, header{unix.AF_UNSPEC, 11: 0}, f.reset, f.each); err != nil {
		return nil, false, fmt.Errorf("list neighbours: %w", err)
	}
	return f.list, f.more, nil
}
