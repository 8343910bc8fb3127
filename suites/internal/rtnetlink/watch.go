package rtnetlink

import (
	"context"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Watch hears what happens to the devices of a namespace, from when it was made.
type Watch struct{ conn *netlink.Conn }

// An Event is what happened to a device.
type Event struct {
	Kind string // RTM_NEWLINK, which is also a change, or RTM_DELLINK
	Link Link
}

// String is the event in short.
func (e Event) String() string { return e.Kind + " " + e.Link.Name }

// NewWatch joins the multicast group of devices. The caller closes it.
func NewWatch() (*Watch, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: unix.RTMGRP_LINK})
	if err != nil {
		return nil, fmt.Errorf("watch devices: %w", err)
	}
	return &Watch{conn}, nil
}

// Close ends the watch.
func (w *Watch) Close() error { return w.conn.Close() }

// Until are the events up to the first one of a device's arrival or change, with that. It gives up when ctx ends.
func (w *Watch) Until(ctx context.Context, name string) ([]Event, error) {
	defer context.AfterFunc(ctx, func() { _ = w.conn.SetReadDeadline(time.Unix(1, 0)) })()
	kinds := map[netlink.HeaderType]string{unix.RTM_NEWLINK: "RTM_NEWLINK", unix.RTM_DELLINK: "RTM_DELLINK"}
	var list []Event
	for {
		messages, err := w.conn.Receive()
		if err != nil {
			return nil, fmt.Errorf("watch devices: %w", err)
		}
		done := false
		for _, m := range messages {
			l, err := parse(m.Data)
			if err != nil {
				return nil, fmt.Errorf("watch devices: %w", err)
			}
			e := Event{kinds[m.Header.Type], l}
			list = append(list, e)
			done = done || e.Kind == "RTM_NEWLINK" && l.Name == name
		}
		if done {
			return list, nil
		}
	}
}
