package conform

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/report"
	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/all"
)

const (
	// WorkerName is the first argument of a worker: what it is called.
	WorkerName = "nstest-conform"

	suiteName = "conform" // Ginkgo wants a name
	outcomeFD = 3         // a worker's end of the pipe
)

// IsWorker reports whether this process is a worker, or one of a worker's specs.
func IsWorker() bool { return filepath.Base(os.Args[0]) == WorkerName }

// Work is the whole program of a worker. It returns the exit status, which says nothing of what came of the specs.
func Work() int {
	unix.CloseOnExec(outcomeFD) // in a spec's process it is something else, and so already
	flag.Parse()
	gomega.RegisterFailHandler(ginkgo.Fail)
	all.Register()
	ginkgo.ReportAfterEach(send)
	var v verdict
	if passed := nstest.RunSpecs(&v, suiteName); v.failures > 1 || passed && v.failures > 0 {
		return 1 // an environment could not be ended; why has been printed
	}
	return 0
}

// A verdict is a T. Ginkgo fails it at most once, for specs that failed, which is no news.
type verdict struct{ failures int }

func (v *verdict) Fail() { v.failures++ }

// A message is what came of a spec.
type message struct {
	Property report.Property
	Failed   string // why that could not be said
}

// outcomes is the pipe. It is not looked for in a spec's process, which has something else there.
var outcomes = sync.OnceValue(func() *os.File { return os.NewFile(outcomeFD, "outcomes") })

// send sends it. It runs in the worker alone, where Ginkgo reports. A worker that nobody hears ends.
func send(r ginkgo.SpecReport) {
	ran := r.NumAttempts > 0 && !r.State.Is(types.SpecStateInterrupted|types.SpecStateAborted)
	if propertyOf(r) == "" || !ran && !r.State.Is(types.SpecStatePending) {
		return // the filter leaves it out, or a signal
	}
	var m message
	var err error
	if m.Property, err = outcomeOf(r); err != nil {
		m.Failed = err.Error()
	}
	if err := json.NewEncoder(outcomes()).Encode(m); err != nil {
		fmt.Fprintln(os.Stderr, "nstest: send what came of a spec:", err)
		os.Exit(1)
	}
}
