package rtnetlink

import (
	"context"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Watch hears what happens to the devices of a namespace, from when it was made.
type Watch struct {
	conn  *netlink.Conn
	heard []Event // by Next, and not returned yet
}

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
	return &Watch{conn: conn}, nil
}

// Close ends the watch.
func (w *Watch) Close() error { return w.conn.Close() }

// Until are the events up to the first one of a device's arrival or change, with that. It gives up when ctx ends.
func (w *Watch) Until(ctx context.Context, name string) ([]Event, error) {
	var list []Event
	for {
		e, err := w.Next(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		if e.Kind == "RTM_NEWLINK" && e.Link.Name == name {
			return list, nil
		}
	}
}

// Next is the next event. The error is os.ErrDeadlineExceeded when ctx has ended before it came.
func (w *Watch) Next(ctx context.Context) (Event, error) {
	for len(w.heard) == 0 {
		if err := w.receive(ctx); err != nil {
			return Event{}, fmt.Errorf("watch devices: %w", err)
		}
	}
	e := w.heard[0]
	w.heard = w.heard[1:]
	return e, nil
}

func (w *Watch) receive(ctx context.Context) error {
	if err := w.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = w.conn.SetReadDeadline(time.Unix(1, 0)) })()
	messages, err := w.conn.Receive()
	if err != nil {
		return err
	}
	kinds := map[netlink.HeaderType]string{unix.RTM_NEWLINK: "RTM_NEWLINK", unix.RTM_DELLINK: "RTM_DELLINK"}
	for _, m := range messages {
		l, err := parse(m.Data)
		if err != nil {
			return err
		}
		w.heard = append(w.heard, Event{kinds[m.Header.Type], l})
	}
	return nil
}
