package specs

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// spares are twins that wait for a job: started while a spec runs, so that the next one need not wait for its own. A
// spare that something in the suite's process might have made stale is dropped, so that a spec cannot tell it from one
// that was started for it, but by what the bodies of its containers may have seen while the spec before was running.
type spares struct {
	original *original
	limit    int // 0 or 1

	mu      sync.Mutex
	spare   *spare
	closed  bool
	dropped sync.WaitGroup
}

type spare struct {
	config  any
	among   *node // the container whose specs it has constructed and waits for one of; nil if it can run any
	started chan struct{}
	twin    *twin.Twin // nil if it could not be started
}

// minMemory is how many bytes must be available for a spare.
const minMemory = 1 << 30

// spareLimit is how many spares there may be: 1, or what NSTEST_SPARES says, if that is less. Twins that wait for a
// debugger are not started ahead.
func spareLimit() int {
	if twin.Attaching() {
		return 0
	}
	n, err := strconv.Atoi(os.Getenv("NSTEST_SPARES"))
	if err != nil {
		return 1
	}
	return max(0, min(n, 1))
}

// take hands out a spare with this config that can run unit, nil if there is none.
func (s *spares) take(config any, unit *node) *twin.Twin {
	s.mu.Lock()
	sp := s.spare
	if sp == nil || sp.config != config || sp.among != nil && (unit == nil || unit.kind != types.NodeTypeIt || unit.container != sp.among) {
		s.mu.Unlock()
		return nil
	}
	s.spare = nil
	s.mu.Unlock()
	<-sp.started
	return sp.twin // nil if that failed: starting one anew says why
}

// refill starts a spare with this config. Unless among is nil, it is to be for one of the specs in that container.
func (s *spares) refill(config any, among *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.limit == 0 || s.spare != nil && s.spare.config == config && s.spare.among == among || available() < minMemory {
		return
	}
	s.dropLocked()
	sp := &spare{config: config, among: among, started: make(chan struct{})}
	s.spare = sp
	var first *job
	if among != nil {
		first = s.original.jobAmong(among)
	}
	go func() {
		defer close(sp.started)
		sp.twin, _ = s.original.start(config, s.original.description, false)
		if sp.twin != nil && first != nil {
			_ = sp.twin.Link.Send(order{Job: first}) // if it has ended, whoever waits for it says why
		}
	}()
}

// drop ends the spare, in the background.
func (s *spares) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked()
}

func (s *spares) dropLocked() {
	sp := s.spare
	s.spare = nil
	if sp == nil {
		return
	}
	s.dropped.Go(func() {
		<-sp.started
		if sp.twin != nil {
			s.original.note(sp.twin.Stop())
		}
	})
}

// close ends the spare and waits.
func (s *spares) close() {
	s.mu.Lock()
	s.closed = true
	s.dropLocked()
	s.mu.Unlock()
	s.dropped.Wait()
}

// available is how much memory the machine has left, in bytes. Where it does not say there is enough.
func available() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return minMemory
	}
	n, err := readAvailable(bufio.NewScanner(f))
	if errors.Join(err, f.Close()) != nil {
		return minMemory
	}
	return n
}

func readAvailable(lines *bufio.Scanner) (int64, error) {
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.Join(errors.New("no MemAvailable"), lines.Err())
}
