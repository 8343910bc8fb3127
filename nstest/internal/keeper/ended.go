package keeper

import (
	"fmt"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// How much is remembered of a host's processes that have ended badly.
const (
	mostEnded     = 20
	mostArguments = 20  // of each
	mostArgument  = 200 // bytes
)

// brief is the beginning of a command line.
func brief(args []string) []string {
	var out []string
	for i, a := range args {
		switch {
		case i == mostArguments:
			return append(out, "…")
		case len(a) > mostArgument:
			a = a[:mostArgument] + "…"
		}
		out = append(out, a)
	}
	return out
}

// bury remembers a process that has ended, if it has ended badly. The environment's mutex is held.
func (h *host) bury(n int, p *process) {
	if d, ok := p.badEnd(n); ok {
		h.ended = append(h.ended[max(len(h.ended)-mostEnded+1, 0):], d)
	}
}

// badEnd is the end of a process that has ended. The environment's mutex is held.
func (p *process) badEnd(n int) (record.Ended, bool) {
	x := p.child.Exit()
	if x.Status == 0 || x.Lost || p.signaled {
		return record.Ended{}, false
	}
	return record.Ended{PID: p.child.PID, Number: n, Args: p.args, State: statusText(x.Status)}, true
}

// statusText says how a process has ended in the words of package os.
func statusText(s unix.WaitStatus) string {
	switch {
	case s.CoreDump():
		return fmt.Sprintf("signal: %v (core dumped)", s.Signal())
	case s.Signaled():
		return fmt.Sprintf("signal: %v", s.Signal())
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}
