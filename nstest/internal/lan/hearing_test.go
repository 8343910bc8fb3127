package lan

import (
	"slices"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/nflog"
)

// What came too fast at the end of a lease is noticed at the next packet, which may be another lease's.
func TestWhatALeaseHasMissedIsNotTheNextOnes(t *testing.T) {
	var h hearing
	for range 2 {
		var missed []int
		s := &Switch{}
		s.watches = []*DropWatch{{s, func(d Drop) { missed = append(missed, d.Missed) }}}
		h.set(s)
		h.see(nflog.Packet{Missed: 5})
		h.see(nflog.Packet{Missed: 2})
		if !slices.Equal(missed, []int{0, 2}) {
			t.Errorf("missed: %v", missed)
		}
		h.set(nil)
		h.see(nflog.Packet{})
	}
}
