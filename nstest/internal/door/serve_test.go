package door

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// serve opens a door behind which every question has an answer. It stays open, as a keeper's does.
func serve(t *testing.T) (name string) {
	t.Helper()
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(int(d.Socket.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	k, err := d.Open()
	if err != nil {
		t.Fatal(err)
	}
	k.silence = time.Millisecond
	go k.Serve(func(context.Context, *wire.Request) (wire.Reply, error) { return wire.Reply{}, nil })
	return strings.TrimPrefix(at.(*unix.SockaddrUnix).Name, "@")
}

// guest is a connection through a door, without a look at who is behind it: here that is no keeper.
func guest(t *testing.T, name string) *wire.Client {
	t.Helper()
	conn, _, err := dial(t.Context(), name, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := wire.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func ask(t *testing.T, c *wire.Client) error {
	t.Helper()
	pids, err := pidNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer pids.Close()
	_, err = c.Call(t.Context(), "anything", nil, nil, pids)
	return err
}

// A guest that is slow to ask is answered all the same, unless it has the room that others need.
func TestSilentGuests(t *testing.T) {
	slow := guest(t, serve(t)) // for longer than those who are hung up on at the other door
	full := serve(t)
	var silent []*wire.Client
	for range maxGuests + 4 { // and tests of other packages may come, looking for keepers
		silent = append(silent, guest(t, full))
	}
	var err error
	for range 1000 { // it may be silent for too long too, before it has asked
		if err = ask(t, guest(t, full)); !errors.Is(err, wire.ErrClosed) {
			break
		}
	}
	if err != nil {
		t.Errorf("one who comes when all the room is taken by the silent got %v", err)
	}
	if !slices.ContainsFunc(silent, func(c *wire.Client) bool { return errors.Is(ask(t, c), wire.ErrClosed) }) {
		t.Error("nobody was hung up on")
	}
	if err := ask(t, slow); err != nil {
		t.Errorf("one that was slow where there is room got %v", err)
	}
}
