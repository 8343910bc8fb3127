package nstest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ginkgo/specs"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// holding reports whether a failed test waits for somebody to look at its environment, which NSTEST_HOLD asks for, or at
// least says how to, as Ginkgo waits by itself (--sleep-on-failure).
func holding() (hint, wait bool) {
	wait, _ = strconv.ParseBool(os.Getenv("NSTEST_HOLD"))
	return specs.Sleeps(), wait && twin.This() == nil // nobody gets into an environment in an environment
}

// holdFor is hold for a test beside whose program the environment is.
func (e *Env) holdFor(tb TB) {
	t, ok := tb.(interface{ Failed() bool })
	if !ok || !t.Failed() || twin.This() != nil {
		return
	}
	if _, wait := holding(); wait {
		e.hold(context.Background(), tb.Name(), "", true)
	}
}

// hold tells people how to look at the environment in which a test has just failed, once a test. Then it waits, if it is to, until
// somebody types Enter on the terminal or Ctrl-C, or releases the environment, or it has ended, or ctx.
func (e *Env) hold(ctx context.Context, test, message string, wait bool) {
	if _, again := e.held.LoadOrStore(test, true); again {
		return
	}
	if wait && interrupted.Load() {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	defer signal.Stop(signals)
	_ = e.call(ctx, wire.MethodName, wire.NameParams{Name: test}, nil) // or it may not be in the list yet
	console, say := openConsole()
	if console != nil {
		defer console.Close()
	}
	say(e.invitation(test, message, wait))
	if !wait {
		return
	}
	released := make(chan error, 1)
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { released <- e.call(asked, wire.MethodHold, nil, nil) }()
	select {
	case err := <-released:
		if err != nil && ctx.Err() == nil && !isEnd(err) {
			say(fmt.Sprintf("nstest: cannot hold environment %s: %v\n", e.ID(), err))
		}
	case <-enter(console):
		say(fmt.Sprintf("nstest: environment %s is released\n", e.ID()))
	case <-signals:
		interrupted.Store(true)
	case <-ctx.Done():
	}
}

// interrupted is that somebody who was to look has ended that by a signal, which means all tests of this program.
var interrupted atomic.Bool

// invitation says how to look at the environment.
func (e *Env) invitation(test, message string, wait bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nnstest: %q has failed", test)
	if first, _, _ := strings.Cut(strings.TrimSpace(message), "\n"); first != "" {
		fmt.Fprintf(&b, ": %s", first)
	}
	nstest, id := tool(), e.ID()
	fmt.Fprintf(&b, "\nIts environment is as it was then. To look at it:\n")
	line := func(arguments, what string) { fmt.Fprintf(&b, "  %-44s # %s\n", nstest+" "+arguments, what) }
	line("enter "+id, "a shell where the test is")
	const most = 8
	hosts := e.hostNames()
	for _, h := range hosts[:min(len(hosts), most)] {
		line("enter "+id+"/"+h, "on host "+h)
	}
	if more := len(hosts) - most; more > 0 {
		fmt.Fprintf(&b, "  … and %d further hosts\n", more)
	}
	line("capture "+id+" | tshark -r -", "packets, as they pass")
	switch {
	case wait:
		fmt.Fprintf(&b, "It goes on after Enter on the terminal of the tests, Ctrl-C, or\n  %s release %s\n\n", nstest, id)
	default:
		fmt.Fprintf(&b, "It goes on when --sleep-on-failure is over, or after Ctrl-C.\n\n")
	}
	return b.String()
}

// hostNames are the hosts of the environment but its own.
func (e *Env) hostNames() []string {
	t, err := e.Topology()
	if err != nil {
		return nil
	}
	var names []string
	for _, h := range t.Hosts {
		if h.Name != e.self.name {
			names = append(names, h.Name)
		}
	}
	return names
}

// openConsole opens the terminal that somebody may sit at, and is nil if there is none. say prints there: where "go test" has
// several packages, it keeps to itself what tests print, until they have ended. Where it does not, what is printed to standard
// error comes to the same terminal: so say prints to that as well only if this program is in the background, and perhaps nobody
// sees the terminal.
func openConsole() (console *os.File, say func(string)) {
	console, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, func(text string) { _, _ = io.WriteString(os.Stderr, text) }
	}
	return console, func(text string) {
		_, _ = io.WriteString(console, text)
		if !isForeground(console) && !isTerminal(os.Stderr) {
			_, _ = io.WriteString(os.Stderr, text)
		}
	}
}

func isTerminal(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	cerr := raw.Control(func(fd uintptr) { _, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	return cerr == nil && err == nil
}

// isForeground reports whether this program is in the foreground of its terminal.
func isForeground(console *os.File) bool {
	raw, err := console.SyscallConn()
	if err != nil {
		return false
	}
	group := 0
	cerr := raw.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	return cerr == nil && err == nil && group == unix.Getpgrp()
}

// enter has something when somebody types a line on the terminal. A program in the background reads none, or it would be
// stopped.
func enter(console *os.File) <-chan struct{} {
	if console == nil {
		return nil
	}
	typed := make(chan struct{}, 1)
	go func() {
		key := make([]byte, 1)
		for {
			if !isForeground(console) {
				if console.SetReadDeadline(time.Now()) != nil {
					return // it is closed
				}
				time.Sleep(lookAgain)
				continue
			}
			if console.SetReadDeadline(time.Now().Add(lookAgain)) != nil {
				return
			}
			n, err := console.Read(key)
			switch {
			case n == 1 && key[0] == '\n':
				typed <- struct{}{}
				return
			case err != nil && !os.IsTimeout(err):
				return
			}
		}
	}()
	return typed
}

// lookAgain is how often it is looked whether the tests are in the foreground.
const lookAgain = 200 * time.Millisecond
