package keeper

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// A view of a host whose init this process stands for.
func newView(t *testing.T) *view {
	t.Helper()
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	pidfd := os.NewFile(uintptr(fd), "pidfd")
	t.Cleanup(func() { pidfd.Close() })
	e := &environment{cell: cell{init: &ns.Process{PIDFD: pidfd}}}
	return &view{environment: e, host: newHost(self, nil)}
}

func TestLook(t *testing.T) {
	v := newView(t)
	if s := v.look(t.Context(), nil); len(s.Mounts) == 0 || !slices.Equal(s.Errors, []string{"its network is that of whoever has made the environment"}) {
		t.Errorf("%+v", s)
	}
}

// One who looks and waits for ever keeps those who come later from doing so too, and neither keeps the caller.
func TestLookDoesNotWaitForEver(t *testing.T) {
	v := newView(t)
	ctx, cancel := context.WithCancel(t.Context())
	v.mu.Lock() // so that the one who looks waits at the first thing
	result := make(chan record.HostState)
	go func() { result <- v.look(ctx, nil) }()
	for len(v.host.looking) == 0 { // until he has begun
		if t.Context().Err() != nil {
			t.Fatal("nobody looks")
		}
	}
	later := &view{environment: v.environment, host: v.host}
	lost, giveUp := context.WithCancel(t.Context())
	giveUp()
	if s := later.look(lost, nil); len(s.Errors) != 1 || !strings.Contains(s.Errors[0], "somebody has begun to look at it before") {
		t.Errorf("the later one: %+v", s)
	}
	cancel()
	v.at = "sockets"
	v.mu.Unlock()
	if s := <-result; len(s.Errors) != 1 || !strings.HasPrefix(s.Errors[0], "sockets: not all was seen: ") && !strings.HasPrefix(s.Errors[0], "network: not all was seen: ") {
		t.Errorf("%+v", s)
	}
	v.host.looking <- struct{}{} // which is free when he has gone
}

// What is told of all hosts together has a limit.
func TestTellHasALimit(t *testing.T) {
	var size atomic.Int64
	told := func() (s record.HostState) {
		t.Helper()
		v := newView(t)
		if err := json.Unmarshal(v.tell(t.Context(), nil, &size), &s); err != nil || s.Name != self {
			t.Fatalf("%+v, %v", s, err)
		}
		return s
	}
	if s := told(); len(s.Mounts) == 0 || size.Load() < 100 {
		t.Errorf("with room: %d bytes, %+v", size.Load(), s)
	}
	size.Store(mostState - 1)
	for range 2 { // one that is found to be too large, and one that is not looked at
		if s := told(); len(s.Mounts) > 0 || len(s.Errors) != 1 || !strings.Contains(s.Errors[0], "is more than 67108864 bytes") {
			t.Errorf("without room: %+v", s)
		}
	}
}
