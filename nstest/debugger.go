package nstest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// awaitDebugger says how to attach a debugger to a hermetic process, and waits until one is or the process has ended.
func awaitDebugger(ctx context.Context, pid int) error {
	fmt.Fprintf(os.Stderr, "nstest: process %d waits for a debugger: dlv attach %d\n", pid, pid)
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if os.IsNotExist(err) {
			return nil // whoever wants something of it finds out
		}
		if err != nil {
			return fmt.Errorf("wait for a debugger: %w", err)
		}
		for line := range strings.Lines(string(status)) {
			if tracer, ok := strings.CutPrefix(line, "TracerPid:"); ok && strings.TrimSpace(tracer) != "0" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
