package lan

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/tap"
)

// A switch that is recorded is leased again, with the tap that it has, which sees nothing of the leases before and after.
func TestRecordIsOfOneLease(t *testing.T) {
	p := newPool(t)
	var kept *tap.Tap
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			s := get(t, p)
			var seen atomic.Int64
			record := func() error { return s.Record(0, func(PortID, tap.Frame) { seen.Add(1) }) }
			if recorded := round != 2; recorded {
				if err := record(); err != nil {
					t.Fatal(err)
				}
				if record() == nil {
					t.Error("a lease has two records")
				}
			}
			if round > 0 && s.bridge.tap != kept {
				t.Error("it is another switch, or has another tap")
			}
			kept = s.bridge.tap
			a, b := newHost(t, 1), newHost(t, 2)
			attach(t, s, a, b)
			from, to := a.listen(t, a.v4), b.listen(t, b.v4)
			mustReach(t, "one host by the other", from, to)
			if round%2 == 0 {
				if lost, err := s.EndRecord(); lost != 0 || err != nil {
					t.Error(lost, err)
				}
				before := seen.Load()
				mustReach(t, "one host by the other, later", from, to)
				if got := seen.Load(); got != before || (got > 0) != (round == 0) {
					t.Errorf("%d frames, and %d some time after the end", before, got)
				}
			}
			p.Put(s)
			if round%2 == 1 && seen.Load() == 0 {
				t.Error("no frame was seen until the end of the lease")
			}
			if err := record(); !errors.Is(err, ErrReleased) {
				t.Errorf("after the lease: %v", err)
			}
		})
		eventually(t, "the switch is idle again", func() bool { return p.Stats().Idle == 1 })
	}
}

func TestSwitchThatIsRecordedAndSpentIsClosed(t *testing.T) {
	p := newPool(t)
	a, b := get(t, p), get(t, p)
	if _, err := a.Trunk(within(t, 30*time.Second), b); err != nil {
		t.Fatal(err)
	}
	if err := a.Record(0, func(PortID, tap.Frame) {}); err != nil {
		t.Fatal(err)
	}
	p.Put(a)
	p.Put(b)
	eventually(t, "both are closed", func() bool { return p.Stats().Discarded == 2 })
}

// Of switches that are leased and not recorded some have a tap, and each that is recorded has one.
func TestTapsBeforeRecordAreBounded(t *testing.T) {
	p := newPool(t)
	p.maxEarly = 2
	first := get(t, p)
	p.wg.Wait()
	if first.bridge.tapped() {
		t.Error("a switch has a tap before anybody expects records")
	}
	p.ExpectRecords()
	leases := []*Switch{get(t, p), get(t, p), get(t, p), get(t, p)}
	p.wg.Wait()
	for i, s := range leases {
		if got, want := s.bridge.tapped(), i < 2; got != want {
			t.Errorf("switch %d has a tap: %t, want %t", i, got, want)
		}
	}
	last := leases[len(leases)-1]
	if err := last.Record(0, func(PortID, tap.Frame) {}); err != nil || !last.bridge.tapped() {
		t.Errorf("one beyond the limit is recorded: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(leases, first) {
		p.Put(s)
	}
	if p.early != 0 {
		t.Errorf("%d taps are counted when all switches are closed", p.early)
	}
}
