package lan

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Plugged reports whether the cable of a port is plugged in: SetPort has not pulled it. The error is ENODEV for a port that
// has disappeared with its host.
func (s *Switch) Plugged(id PortID) (bool, error) {
	b, done, err := s.use()
	if err != nil {
		return false, fmt.Errorf("look at port %d: %w", id, err)
	}
	defer done()
	if err := s.check(id); err != nil {
		return false, fmt.Errorf("look at port: %w", err)
	}
	l, err := b.route.Link(int(id))
	if err != nil {
		return false, fmt.Errorf("look at port %d: %w", id, err)
	}
	return l.Flags&unix.IFF_UP != 0, nil
}
