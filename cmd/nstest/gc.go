package main

import (
	"fmt"

	"github.com/hermetic-go/nstest/nstest"
)

type gcCommand struct {
	DryRun bool `short:"n" help:"Say what would be restored, and change nothing."`
}

func (gcCommand) Help() string {
	return `Programs that are killed leave nothing behind, with one exception: the machine's own network devices that were lent to a host. The kernel returns these without addresses and routes. This command makes them what they were. Devices that a living program has are left alone.

The exit status is 0 if nothing is left to do, and 1 otherwise; with --dry-run it is 0.`
}

// Run restores network devices, and says which.
func (c gcCommand) Run(sys *system) error {
	if c.DryRun {
		return c.list(sys)
	}
	devices, err := nstest.RestoreDevices()
	left := false
	for _, d := range devices {
		state := "restored"
		switch {
		case d.Err != nil:
			state, left = fmt.Sprintf("not restored: %v", d.Err), true
		case d.Gone:
			state = "gone for good"
		}
		if _, err := fmt.Fprintf(sys.Stdout, "network device %s: %s\n", d.Name, state); err != nil {
			return fmt.Errorf("print list: %w", err)
		}
		if d.Remedy != "" {
			sys.warnf("network device %s: %s", d.Name, d.Remedy)
		}
	}
	if err == nil && left {
		return exitStatus(1)
	}
	return err
}

// list says which devices there are to restore.
func (gcCommand) list(sys *system) error {
	devices, err := nstest.LostDevices()
	for _, d := range devices {
		if _, err := fmt.Fprintf(sys.Stdout, "network device %s: to be restored\n", d.Name); err != nil {
			return fmt.Errorf("print list: %w", err)
		}
	}
	return err
}
