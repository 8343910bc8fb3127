package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cpuTime runs a command, and returns what it and all processes below it have had of the processors, with those that nobody has
// waited for (perf_event_open(2)). It is 0 where that cannot be counted, which err says then.
func cpuTime(cmd *exec.Cmd) (took time.Duration, uncounted, err error) {
	runtime.LockOSThread() // whose children are counted
	defer runtime.UnlockOSThread()
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Bits: unix.PerfBitInherit,
	}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("perf_event_open: %w: it takes root, or 1 at most in /proc/sys/kernel/perf_event_paranoid", err), cmd.Run()
	}
	counter := os.NewFile(uintptr(fd), "counter")
	err = cmd.Run()
	var value [8]byte
	_, rerr := counter.Read(value[:])
	return time.Duration(binary.NativeEndian.Uint64(value[:])), nil, errors.Join(err, rerr, counter.Close())
}
