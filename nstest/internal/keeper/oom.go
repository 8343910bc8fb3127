package keeper

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An oomCounter tells whether the kernel has killed for lack of memory since it was asked before. Environments are in the
// keeper's control group, or in one below it; without one that counts memory, what counts is the machine's.
type oomCounter struct {
	mu   sync.Mutex
	file string
	last uint64
}

// cgroupRoot is where the keeper sees control groups of version 2.
const cgroupRoot = "/sys/fs/cgroup"

func (c *oomCounter) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.file = oomFile()
	c.last = oomBefore.read(c.file)
}

// oomFile is the file that counts.
var oomFile = sync.OnceValue(func() string {
	if data, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		for line := range strings.Lines(string(data)) {
			if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
				if events := filepath.Join(cgroupRoot, path, "memory.events"); exists(events) {
					return events
				}
			}
		}
	}
	return "/proc/vmstat"
})

// oomBefore is what environments begin with. The file is read once a second at most, since that of the machine takes as long as
// much else that is recorded: what was killed within that second may be taken for an environment's that begins after it.
var oomBefore oomReading

type oomReading struct {
	mu    sync.Mutex
	at    time.Time
	count uint64
}

func (r *oomReading) read(file string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.at.IsZero() || now.Sub(r.at) > time.Second {
		r.count, r.at = oomKills(file), now
	}
	return r.count
}

// raise notes what somebody has read meanwhile.
func (r *oomReading) raise(count uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count = max(r.count, count)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// killed is to be asked when a process was ended by SIGKILL.
func (c *oomCounter) killed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.last
	c.last = oomKills(c.file)
	oomBefore.raise(c.last)
	return c.last > before
}

// oomKills is the number in a file with a line "oom_kill N", 0 where there is none.
func oomKills(file string) uint64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if text, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
			return n
		}
	}
	return 0
}
