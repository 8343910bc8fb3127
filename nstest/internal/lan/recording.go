package lan

import (
	"errors"
	"fmt"

	"github.com/hermetic-go/nstest/nstest/internal/tap"
)

// recordBlocks is the size of a tap that stays with its switch, in blocks of 256 KiB.
const recordBlocks = 8

// Record is Tap with a tap that stays with the switch from lease to lease and rests meanwhile: the first time it takes some
// tens of milliseconds, and later some microseconds. A lease has one at most. The caller ends it with EndRecord; the end of the
// lease does too.
func (s *Switch) Record(snap int, see func(PortID, tap.Frame)) error {
	b, done, err := s.use()
	if err != nil {
		return fmt.Errorf("record the switch: %w", err)
	}
	defer done()
	t, err := b.openTap()
	if err != nil {
		return fmt.Errorf("record the switch: %w", err)
	}
	s.portMu.Lock()
	defer s.portMu.Unlock()
	switch {
	case s.released.Err() != nil:
		return fmt.Errorf("record the switch: %w", ErrReleased)
	case s.recorded:
		return errors.New("record the switch: it is recorded already")
	}
	if err := t.Resume(snap, func(f tap.Frame) {
		if f.Device >= firstPort {
			see(PortID(f.Device), f)
		}
	}); err != nil {
		return err
	}
	s.recorded = true
	return nil
}

// EndRecord returns when what was begun by Record has seen all, and how many frames it has lost, because they came faster than
// they were taken. Nobody may send frames any more.
func (s *Switch) EndRecord() (lost uint64, err error) {
	b, done, err := s.use()
	if err != nil {
		return 0, fmt.Errorf("end the record of the switch: %w", err)
	}
	defer done()
	s.portMu.Lock()
	defer s.portMu.Unlock()
	if !s.recorded {
		return 0, nil
	}
	s.recorded = false
	t, err := b.openTap() // which it is already
	if err != nil {
		return 0, err
	}
	err = t.Rest()
	_, lost, serr := t.Statistics()
	return lost, errors.Join(err, serr)
}

// openTap is the bridge's tap, which it opens if there is none yet.
func (b *bridge) openTap() (_ *tap.Tap, err error) {
	b.tapping.Lock()
	defer b.tapping.Unlock()
	switch {
	case b.untap:
		return nil, ErrReleased
	case b.tap == nil:
		b.tap, err = tap.Open(b.net, tap.Config{Blocks: recordBlocks, Idle: true}, nil)
	}
	return b.tap, err
}

// tapped reports whether the bridge has a tap, or will have one at once.
func (b *bridge) tapped() bool {
	if !b.tapping.TryLock() {
		return true
	}
	defer b.tapping.Unlock()
	return b.tap != nil
}
