package nsx_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"golang.org/x/sys/unix"
)

// dropped has the effective capabilities of a probe before and after it drops one.
var dropped = nsx.Register("dropped", func(_ *nsx.Parent, capability int) (sets [2]uint64, err error) {
	for i := range sets {
		if i > 0 {
			if err := nsx.DropCapability(capability); err != nil {
				return sets, err
			}
		}
		status, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			return sets, err
		}
		_, rest, _ := strings.Cut(string(status), "CapEff:")
		if _, err := fmt.Sscanf(rest, "%x", &sets[i]); err != nil {
			return sets, err
		}
	}
	return sets, nil
})

// A capability is in one of two words of 32.
func TestACapabilityIsDroppedAndNoOther(t *testing.T) {
	for _, capability := range []int{unix.CAP_CHOWN, unix.CAP_SYS_ADMIN, unix.CAP_AUDIT_READ} {
		sets, err := nsx.Run(t.Context(), nsx.Spec{}.AsRoot(), dropped, capability)
		if err != nil {
			t.Fatal(err)
		}
		bit := uint64(1) << capability
		if before, after := sets[0], sets[1]; before&bit == 0 || after != before&^bit {
			t.Errorf("capability %d: %x before and %x after", capability, before, after)
		}
	}
}
