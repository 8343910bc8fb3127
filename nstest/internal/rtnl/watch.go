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
// each event, or the loss of some (ENOBUFS), leads to a new list.
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
		for first := true; ; first = false { // one event, or those that have come since the list was begun
			var n int
			if first && !c.dirty {
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
			if _, err := eachMessage((*p)[:n], func(m message) bool { c.noteEvent(m); return false }); err != nil {
				return fmt.Errorf("watch links: %w", err)
			}
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("watch links: %w", err)
		}
	}
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
