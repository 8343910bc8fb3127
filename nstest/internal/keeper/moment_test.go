package keeper

import (
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// However many faults are in force, and between however many hosts: a packet that tells of them is no larger than a file.
func TestMomentsLeaveRoomForAPacket(t *testing.T) {
	c := &capture{}
	size := func() (n int) {
		for _, m := range c.notes {
			n += len(m.text)
		}
		return n
	}
	for n := range 10 * maxMoments {
		c.note(record.Event{Time: time.Now(), Kind: record.KindFault, Fault: n + 1, Text: "partition of " + strings.Repeat("häuser, ", maxAbout)})
	}
	if len(c.notes) != maxMoments || size() > minRing*3/4 {
		t.Errorf("%d wait, of %d bytes", len(c.notes), size())
	}
	c.notes = nil // a packet had them
	c.remind()
	if len(c.notes) != maxMoments || size() > minRing*3/4 {
		t.Errorf("%d are told of again, of %d bytes", len(c.notes), size())
	}
}
