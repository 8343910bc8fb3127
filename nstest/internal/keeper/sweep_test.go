package keeper

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A process whose number is a thread's by the time has ended: EINVAL, and ENOENT since Linux 6.15.
func TestSweepPassesOverANumberThatIsAThreads(t *testing.T) {
	threads, done := make(chan int), make(chan struct{})
	defer close(done)
	tid := os.Getpid()
	for tid == os.Getpid() { // the first thread is the process
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			threads <- unix.Gettid()
			<-done
		}()
		tid = <-threads
	}
	var b broom
	if err := b.kill(fmt.Sprintf("/proc/%d/ns/net", tid), "net:[0]"); err != nil || b.found != 0 {
		t.Errorf("%d processes were found, %v", b.found, err)
	}
}
