package main

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that nstest passes on to the command that it runs.
var passedOn = []os.Signal{
	unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGTSTP, unix.SIGCONT,
}

// So many SIGINT within so short a time are somebody who has lost patience.
const (
	impatience       = 3
	impatienceWithin = time.Second
)

// A relay takes the signals of this process and passes them on to a command. SIGTSTP becomes SIGSTOP, because the kernel
// ignores SIGTSTP where nobody outside of the session could continue the process, and stops this process too.
type relay struct {
	deliver func(unix.Signal) error // to the command; nil before it runs
	early   unix.Signal             // what would have ended the command before it ran
	cancel  func()                  // ends what comes before the command
	suspend func() error
	now     func() time.Time
	ints    []time.Time // the last times of SIGINT

	mu   sync.Mutex
	quit chan struct{}
	done chan struct{}
	stop func()
}

// newRelay begins to take signals. Until the command runs, one that would end it calls cancel. The caller closes the
// relay.
func newRelay(sys *system, cancel func()) *relay {
	signals, stop := sys.Notify()
	r := &relay{cancel: cancel, suspend: sys.Suspend, now: time.Now, stop: stop, quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			select {
			case sig := <-signals:
				if s, ok := sig.(unix.Signal); ok {
					r.take(s)
				}
			case <-r.quit:
				return
			}
		}
	}()
	return r
}

// to passes signals on to the command from now on, beginning with one that came early.
func (r *relay) to(deliver func(unix.Signal) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deliver = deliver
	if r.early != 0 {
		_ = deliver(r.early) // a command that has ended already needs no signal
	}
}

// interrupted is the signal that came before the command ran, or 0.
func (r *relay) interrupted() unix.Signal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.early
}

// close gives the signals their default effects again.
func (r *relay) close() {
	r.stop()
	close(r.quit)
	<-r.done
}

func (r *relay) take(sig unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case sig == unix.SIGTSTP:
		_ = r.pass(unix.SIGSTOP)
		_ = r.suspend()
		_ = r.pass(unix.SIGCONT)
	case r.deliver == nil:
		if sig != unix.SIGWINCH && sig != unix.SIGCONT && r.early == 0 {
			r.early = sig
			r.cancel()
		}
	case sig == unix.SIGINT && r.impatient():
		_ = r.pass(unix.SIGKILL)
	default:
		_ = r.pass(sig)
	}
}

// pass delivers a signal to the command if there is one. That it has ended meanwhile is no error.
func (r *relay) pass(sig unix.Signal) error {
	if r.deliver == nil {
		return nil
	}
	if err := r.deliver(sig); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (r *relay) impatient() bool {
	r.ints = append(r.ints, r.now())
	if len(r.ints) < impatience {
		return false
	}
	r.ints = r.ints[len(r.ints)-impatience:]
	return r.ints[impatience-1].Sub(r.ints[0]) <= impatienceWithin
}
