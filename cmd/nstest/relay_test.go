package main

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newTestRelay makes a relay whose signals are sent by send, which returns when they have been taken.
func newTestRelay(t *testing.T, cancel func()) (r *relay, send func(...unix.Signal)) {
	t.Helper()
	signals := make(chan os.Signal)
	sys := &system{
		Notify:  func() (<-chan os.Signal, func()) { return signals, func() {} },
		Suspend: func() error { return nil },
	}
	r = newRelay(sys, cancel)
	t.Cleanup(r.close)
	return r, func(list ...unix.Signal) {
		for _, sig := range list {
			signals <- sig
		}
		signals <- nil // taken only after the ones before
	}
}

func TestRelayEarly(t *testing.T) {
	cancelled := 0
	r, send := newTestRelay(t, func() { cancelled++ })
	send(unix.SIGWINCH, unix.SIGCONT)
	if r.interrupted() != 0 || cancelled != 0 {
		t.Error("a signal that ends nothing has cancelled the start")
	}
	send(unix.SIGTERM, unix.SIGINT)
	if r.interrupted() != unix.SIGTERM || cancelled != 1 {
		t.Errorf("interrupted by %v, cancelled %d times", r.interrupted(), cancelled)
	}
	var got []unix.Signal
	r.to(func(sig unix.Signal) error { got = append(got, sig); return nil })
	if !slices.Equal(got, []unix.Signal{unix.SIGTERM}) {
		t.Errorf("the command got %v", got)
	}
}

func TestRelayOrder(t *testing.T) {
	r, send := newTestRelay(t, func() {})
	var got []unix.Signal
	r.to(func(sig unix.Signal) error { got = append(got, sig); return os.ErrProcessDone })
	send(unix.SIGUSR1, unix.SIGTSTP, unix.SIGHUP)
	if want := []unix.Signal{unix.SIGUSR1, unix.SIGSTOP, unix.SIGCONT, unix.SIGHUP}; !slices.Equal(got, want) {
		t.Errorf("the command got %v, want %v", got, want)
	}
}

func TestRelayImpatience(t *testing.T) {
	for _, test := range []struct {
		name    string
		between time.Duration
		want    []unix.Signal
	}{
		{"patient", 600 * time.Millisecond, []unix.Signal{unix.SIGINT, unix.SIGINT, unix.SIGINT, unix.SIGINT}},
		{"impatient", 400 * time.Millisecond, []unix.Signal{unix.SIGINT, unix.SIGINT, unix.SIGKILL, unix.SIGKILL}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, send := newTestRelay(t, func() {})
			var got []unix.Signal
			r.to(func(sig unix.Signal) error { got = append(got, sig); return nil })
			now := time.Unix(0, 0)
			r.now = func() time.Time { now = now.Add(test.between); return now }
			send(unix.SIGINT, unix.SIGINT, unix.SIGINT, unix.SIGINT)
			if !slices.Equal(got, test.want) {
				t.Errorf("the command got %v, want %v", got, test.want)
			}
		})
	}
}
