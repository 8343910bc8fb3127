package lan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/tap"
)

// Tap sees the frames that pass the switch's ports, those that come later too: twice each, where they come in and where they
// go out to. A frame is Outbound if it goes to whoever hangs on the port. snap is how many bytes of each are kept, 0 = all.
// The caller closes the tap; the end of the lease does too.
func (s *Switch) Tap(snap int, see func(PortID, tap.Frame)) (*tap.Tap, error) {
	b, done, err := s.use()
	if err != nil {
		return nil, fmt.Errorf("tap the switch: %w", err)
	}
	defer done()
	t, err := tap.Open(b.net, tap.Config{Snap: snap}, func(f tap.Frame) {
		if f.Device >= firstPort {
			see(PortID(f.Device), f)
		}
	})
	if err != nil {
		return nil, err
	}
	s.portMu.Lock()
	defer s.portMu.Unlock()
	if s.released.Err() != nil {
		return nil, errors.Join(ErrReleased, t.Close())
	}
	s.taps = append(slices.DeleteFunc(s.taps, (*tap.Tap).Closed), t)
	return t, nil
}
