package nsx_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"golang.org/x/sys/unix"
)

// masks are what each of the probe's threads blocks, by their numbers; 0 is the probe's own.
var masks = nsx.Register("masks", func(*nsx.Parent, any) (map[int]uint64, error) {
	blocked := map[int]uint64{}
	threads, err := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		text, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/status")
		if err != nil {
			return nil, err
		}
		_, after, _ := strings.Cut(string(text), "SigBlk:\t")
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			return nil, err
		}
		if tid == unix.Gettid() {
			tid = 0
		}
		line, _, _ := strings.Cut(after, "\n")
		if blocked[tid], err = strconv.ParseUint(line, 16, 64); err != nil {
			return nil, err
		}
	}
	return blocked, err
})

func TestSignalsAreBlockedInAllThreads(t *testing.T) {
	for _, blocked := range [][]syscall.Signal{nil, {syscall.SIGUSR1, syscall.SIGIO}} {
		var want uint64
		for _, s := range blocked {
			want |= 1 << (s - 1)
		}
		got, err := nsx.Run(t.Context(), nsx.Spec{Blocked: blocked}, masks, nil)
		if err != nil || len(got) < 2 {
			t.Errorf("threads %v, %v", got, err)
		}
		if got[0] != want {
			t.Errorf("the probe blocks %x, want %x", got[0], want)
		}
		for thread, mask := range got {
			if mask&want != want { // while it starts another one, a thread blocks all
				t.Errorf("thread %d blocks %x, want %x", thread, mask, want)
			}
		}
	}
	if _, err := nsx.Run(t.Context(), nsx.Spec{Blocked: []syscall.Signal{0}}, masks, nil); err == nil {
		t.Error("signal 0 is blocked")
	}
}
