package lan

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPluggedSaysWhatSetPortHasDone(t *testing.T) {
	p := newPool(t)
	s := get(t, p)
	a, b := newHost(t, 1), newHost(t, 2)
	ids := attach(t, s, a, b)
	for _, up := range []bool{false, true, false} {
		if err := s.SetPort(ids[0], up); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Plugged(ids[0]); got != up || err != nil {
			t.Errorf("the cable that was set to %v: %v, %v", up, got, err)
		}
		if got, err := s.Plugged(ids[1]); !got || err != nil {
			t.Errorf("the other one: %v, %v", got, err)
		}
	}
	if got, err := s.Plugged(ids[1] + 1); err == nil {
		t.Errorf("a port that there is not: %v", got)
	}
	var gone = ids[1]
	if err := s.bridge.detach(ids[1:]); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Plugged(gone); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a port that has gone: %v, %v", got, err)
	}
	p.Put(s)
	if got, err := s.Plugged(ids[0]); !errors.Is(err, ErrReleased) {
		t.Errorf("after the lease: %v, %v", got, err)
	}
}
