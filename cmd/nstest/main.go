// Command nstest runs commands in hermetic Linux environments, and tells what a machine can do and what it isolates.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/conform"
	"golang.org/x/sys/unix"
)

func main() {
	if conform.IsWorker() {
		os.Exit(conform.Work())
	}
	os.Exit(run(context.Background(), os.Args[1:], system{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ, Notify: notify,
		Suspend: suspend,
	}))
}

// notify delivers the signals that are passed on. One that was ignored when this program started, as nohup(1) does it
// with SIGHUP, stays ignored. stop gives the signals their default effects again.
func notify() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 64)
	for _, sig := range passedOn {
		if !signal.Ignored(sig) {
			signal.Notify(c, sig)
		}
	}
	return c, func() { signal.Stop(c) }
}

// suspend stops this process, and returns when it was continued. The signal is for this thread: one for the process may
// be taken by another thread, and this one runs on until the stop has reached it.
func suspend() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP)
}
