package keeper

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// That an init has ended is no news of an environment that is closed, and of another one it says what to think of it.
func TestWhyAnInitIsGone(t *testing.T) {
	gone := fmt.Errorf("listen: %w", errors.Join(pid1.ErrGone, unix.EPIPE))
	for _, c := range []struct {
		closed bool
		err    error
		want   error
	}{
		{true, gone, unix.ESHUTDOWN},
		{false, gone, unix.ESRCH},
		{true, unix.EINVAL, unix.EINVAL},
		{false, unix.EINVAL, unix.EINVAL},
	} {
		e := &environment{closed: c.closed}
		if got := e.whyGone(c.err); !errors.Is(got, c.want) || errors.Is(got, pid1.ErrGone) {
			t.Errorf("closed: %t, %v: %v, want %v", c.closed, c.err, got, c.want)
		}
		if got := e.whyGone(nil); got != nil {
			t.Error(got)
		}
	}
}
