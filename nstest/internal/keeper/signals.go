package keeper

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
)

// unignore ends that signals are ignored because whoever started the program ignores them: nohup(1) does so with SIGHUP,
// and a shell with SIGINT and SIGQUIT in what it runs in the background. execve(2) hands that on, but makes handlers
// default again: a handler here is the default action in everything that the keeper starts.
func unignore() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read ignored signals: %w", err)
	}
	for line := range bytes.Lines(status) {
		value, ok := bytes.CutPrefix(line, []byte("SigIgn:"))
		if !ok {
			continue
		}
		set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err != nil {
			return fmt.Errorf("parse ignored signals: %w", err)
		}
		for n := unix.SIGHUP; n <= unix.SIGSYS; n++ {
			if set&(1<<(n-1)) != 0 {
				signal.Notify(make(chan os.Signal, 1), n)
			}
		}
	}
	return nil
}
