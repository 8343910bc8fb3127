package rtnl

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// WatchLinks calls done with the indices of the existing links, in ascending order: at once, and again after every change,
// until it returns true or ctx ends. It does not poll: it subscribes to link events (RTNLGRP_LINK) for its duration, and
// an event of a link that has come or gone, or the loss of some (ENOBUFS), leads to a new list.
//
// A device leaves the list while the kernel is still taking it apart under the rtnl lock; whatever takes that lock
// afterwards, such as a message of Send, finds it gone. Nothing else can use c meanwhile.
func (c *Conn) WatchLinks(ctx context.Context, done func(indices []int) bool) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.membership(unix.NETLINK_ADD_MEMBERSHIP); err != nil {
		return fmt.Errorf("watch links: %w", err)
	}
	p := buffers.Get().(*[]byte)
	defer buffers.Put(p)
	defer func() {
		leaveErr := c.membership(unix.NETLINK_DROP_MEMBERSHIP)
		if err == nil {
			err = leaveErr
		}
		for { // events that came too late
			if _, err := c.receiveOnce(*p, false); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
		}
	}()
	var indices []int
	for {
		c.dirty = false
		indices = indices[:0]
		err := c.dumpLocked(unix.RTM_GETLINK, nl.NewIfInfomsg(unix.AF_UNSPEC), func() { indices = indices[:0] }, func(m message) {
			if m.kind == unix.RTM_NEWLINK && len(m.payload) >= unix.SizeofIfInfomsg {
				indices = append(indices, int(nl.DeserializeIfInfomsg(m.payload).Index))
			}
		})
		if err != nil {
			return fmt.Errorf("watch links: %w", err)
		}
		slices.Sort(indices)
		if done(indices) {
			return nil
		}
		for { // to an event that counts, and those that have come since
			var n int
			if !c.dirty {
				n, err = c.receive(ctx, *p)
			} else {
				n, err = c.receiveOnce(*p, false)
			}
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if errors.Is(err, unix.ENOBUFS) {
				c.dirty = true
				continue
			}
			if err != nil {
				return fmt.Errorf("watch links: %w", err)
			}
			if _, err := eachMessage((*p)[:n], func(m message) bool { c.noteChange(m, indices); return false }); err != nil {
				return fmt.Errorf("watch links: %w", err)
			}
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("watch links: %w", err)
		}
	}
}

// noteChange is noteEvent where only another list counts. A port that leaves its bridge is told of as if its device had gone
// (AF_BRIDGE), and the events of a dying namespace are mostly of that sort.
func (c *Conn) noteChange(m message, listed []int) {
	if len(m.payload) < unix.SizeofIfInfomsg {
		c.noteEvent(m)
		return
	}
	link := nl.DeserializeIfInfomsg(m.payload)
	_, known := slices.BinarySearch(listed, int(link.Index))
	if known == (m.kind == unix.RTM_NEWLINK) || m.kind == unix.RTM_DELLINK && link.Family == unix.AF_BRIDGE {
		return
	}
	c.noteEvent(m)
}

func (c *Conn) membership(option int) error {
	var inner error
	if err := c.raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, option, unix.RTNLGRP_LINK)
	}); err != nil {
		return err
	}
	return inner
}
