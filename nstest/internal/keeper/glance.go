package keeper

import (
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/inspect"
	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// glanceLimit is how long a process may live on because somebody looks at it before it is killed.
const glanceLimit = 100 * time.Millisecond

// recordLast writes down what a process and its children do just before it is killed, if the environment is recorded: it may be
// killed because it has hung, and nothing would tell in what.
func (e *environment) recordLast(number int, p *process) {
	if e.recorder.Load() == nil {
		return
	}
	select {
	case p.host.looking <- struct{}{}:
	default: // somebody looks at the host, and has perhaps to wait for it
		return
	}
	seen := make(chan string, 1)
	go func() {
		defer func() { <-p.host.looking }()
		text := ""
		if pid, err := inspect.PIDOf(p.child.PIDFD); err == nil && pid != 0 {
			text = inspect.Family(pid, e.servesFiles())
		}
		seen <- text
	}()
	late := time.NewTimer(glanceLimit)
	defer late.Stop()
	select {
	case text := <-seen:
		if text != "" {
			e.record(record.Event{Kind: record.KindNote, Host: p.host.name, Process: number, PID: p.child.PID, Text: "before it was killed: " + text})
		}
	case <-late.C:
	}
}
