package conform

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/report"
	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

// Options say what to run, and how.
type Options struct {
	Version string   // of nstest
	Labels  []string // Ginkgo's label filters, of which one has to hold; none = every property
	Procs   int      // how many workers at a time; 0 = one a processor
}

// Run runs the specs. The report has those that have ended, also where there is an error. Once ctx is done it ends.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	if o.Procs < 0 {
		return nil, fmt.Errorf("%w: --procs %d is negative", ErrUsage, o.Procs)
	}
	s, err := pick(o.Labels)
	if err != nil {
		return nil, err
	}
	if len(s.specs) > 0 { // else each would fail, and say so of a property that is not at fault
		env, err := nstest.Open(ctx, nstest.Config{Name: suiteName})
		if err = errors.Join(err, env.Close()); err != nil {
			return nil, err
		}
	}
	r := &run{report: report.New(report.Conform, o.Version)}
	for _, a := range s.absent {
		r.report.Properties = append(r.report.Properties, lacking(a))
	}
	beside, alone := s.shares(cmp.Or(o.Procs, runtime.NumCPU()))
	var group errgroup.Group
	for _, ids := range beside {
		group.Go(func() error { return r.work(ctx, ids) })
	}
	err = group.Wait()
	if len(alone) > 0 {
		err = errors.Join(err, r.work(ctx, alone))
	}
	if ctx.Err() != nil {
		err = ctx.Err() // what the workers say is due to that
	}
	r.sort()
	return r.report, err
}

// A run collects what came of the specs.
type run struct {
	mu     sync.Mutex
	report *report.Report
}

// patience is how long a worker has for ending its specs once it is interrupted.
const patience = 30 * time.Second

// work has a worker run the specs with these ids.
func (r *run) work(ctx context.Context, ids []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	pipe, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	defer pipe.Close()
	var printed tail
	cmd := exec.CommandContext(ctx, self, "-ginkgo.no-color", "-ginkgo.label-filter="+strings.Join(ids, " || "))
	cmd.Args[0] = WorkerName
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &printed, &printed, []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's signals come to it through us, once
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = patience
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	missing, receiveErr := r.receive(pipe, ids)
	err = errors.Join(receiveErr, cmd.Wait())
	if len(missing) > 0 {
		err = errors.Join(err, fmt.Errorf("nothing came of %s", strings.Join(missing, ", ")))
	}
	if err != nil {
		return fmt.Errorf("run specs: %w. The last that was printed:\n%s", err, printed.text())
	}
	return nil
}

// receive takes in what came of the specs with these ids, and returns those that nothing came of.
func (r *run) receive(pipe io.Reader, ids []string) (missing []string, err error) {
	missing = slices.Clone(ids)
	in := json.NewDecoder(pipe)
	for {
		var m message
		switch err := in.Decode(&m); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // it has died: who waits for it says why
			return missing, nil
		case err != nil:
			return missing, err
		case m.Failed != "":
			return missing, errors.New(m.Failed)
		}
		i := slices.Index(missing, m.Property.ID)
		if i < 0 {
			continue // it is not among these
		}
		missing = slices.Delete(missing, i, i+1)
		r.mu.Lock()
		r.report.Properties = append(r.report.Properties, m.Property)
		r.mu.Unlock()
	}
}

// sort puts the properties in the table's order.
func (r *run) sort() {
	place := map[string]int{}
	for i, p := range property.All() {
		place[p.ID] = i
	}
	slices.SortFunc(r.report.Properties, func(a, b report.Property) int { return place[a.ID] - place[b.ID] })
}

// tail keeps the end of what a worker prints.
type tail struct{ last []byte }

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	t.last = t.last[max(0, len(t.last)-tailSize):]
	return len(p), nil
}

func (t *tail) text() string { return strings.TrimSpace(string(t.last)) }
