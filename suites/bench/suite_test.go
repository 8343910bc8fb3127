package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/nstest"
)

// A suite is one of specs that do nothing for a while. This very program runs it, in a process of its own.
type suite struct {
	name       string
	containers int
	specs      int // in each
	body       time.Duration
	spares     int
	keep       string // NSTEST_KEEP
	whole      bool   // it does not stop before each spec
}

// suiteVariable makes the program run a suite: its containers, the specs in each, how long one takes, and whether it runs whole.
const suiteVariable = "NSTEST_BENCH_SUITE"

func (s suite) environ() []string {
	return append(os.Environ(), fmt.Sprintf("%s=%d %d %v %t", suiteVariable, s.containers, s.specs, s.body, s.whole),
		"NSTEST_SPARES="+strconv.Itoa(s.spares), "NSTEST_KEEP="+s.keep)
}

// suites are those that are measured. Specs that last give the next one's process the time to get ready, and what is done
// after one the time to end. Of those that do not last two are measured for comparison.
func suites() []suite {
	const body = 20 * time.Millisecond
	return []suite{
		{name: "10/cold", containers: 1, specs: 10, body: body},
		{name: "2000/cold", containers: 200, specs: 10, body: body},
		{name: "2000-flat/cold", containers: 1, specs: 2000, body: body},
		{name: "10/cold-empty", containers: 1, specs: 10},
		{name: "2000/cold-empty", containers: 200, specs: 10},
		{name: "10/warm", containers: 1, specs: 10, body: body, spares: 1},
		{name: "2000/warm", containers: 200, specs: 10, body: body, spares: 1},
		{name: "2000-flat/warm", containers: 1, specs: 2000, body: body, spares: 1},
	}
}

// The specs are registered before any test runs, as everybody's are.
var _ = registerSuite(os.Getenv(suiteVariable))

func registerSuite(value string) bool {
	var s suite
	var body string
	if _, err := fmt.Sscan(value, &s.containers, &s.specs, &body, &s.whole); err != nil {
		return false
	}
	s.body, _ = time.ParseDuration(body)
	for c := range s.containers {
		ginkgo.Describe("container "+strconv.Itoa(c), func() {
			for i := range s.specs {
				ginkgo.It("spec "+strconv.Itoa(i), func() {
					begin := time.Now()
					if s.body > 0 {
						<-time.After(s.body)
						ginkgo.AddReportEntry(tookEntry, time.Since(begin), types.ReportEntryVisibilityNever)
					}
				})
			}
		})
	}
	if s.whole {
		return true
	}
	c := &conductor{in: bufio.NewReader(os.Stdin)}
	ginkgo.ReportBeforeEach(func(types.SpecReport) { c.stop() })
	ginkgo.ReportAfterEach(func(r types.SpecReport) { c.last = took(r) })
	ginkgo.ReportAfterSuite("", func(types.Report) { c.stop() })
	return true
}

// tookEntry is the name of the report entry that says how long a spec itself took.
const tookEntry = "took"

func took(r types.SpecReport) time.Duration {
	for _, e := range r.ReportEntries {
		if d, err := time.ParseDuration(e.StringRepresentation()); err == nil && e.Name == tookEntry {
			return d
		}
	}
	return 0
}

// A conductor stops the suite before each spec, until the benchmark says so.
type conductor struct {
	in   *bufio.Reader
	last time.Duration // that the spec before took
}

func (c *conductor) stop() {
	fmt.Fprintln(os.Stderr, int64(c.last))
	if _, err := c.in.ReadString('\n'); err != nil {
		os.Exit(0) // that was all
	}
}

// TestSuite is what runs a suite.
func TestSuite(t *testing.T) {
	if os.Getenv(suiteVariable) == "" {
		t.Skip("this is for BenchmarkSpec and BenchmarkKeep")
	}
	nstest.RunSpecs(t, "bench")
}

// A suiteProcess runs a suite again and again, one spec at a time.
type suiteProcess struct {
	suite suite
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	left  int // specs
}

// start lets a new process come to its second spec: the first has to start the keeper.
func (p *suiteProcess) start() error {
	p.cmd = exec.Command("/proc/self/exe", "-test.run=^TestSuite$", "-ginkgo.succinct")
	p.cmd.Env = p.suite.environ()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return err
	}
	p.out = bufio.NewReader(stderr)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.left = p.suite.containers*p.suite.specs - 1
	if _, err := p.await(); err != nil {
		return err
	}
	_, err = p.next()
	return err
}

// await waits for the process to stop before a spec, and returns how long the one before took.
func (p *suiteProcess) await() (time.Duration, error) {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the suite has ended: %w", errors.Join(err, p.cmd.Wait()))
	}
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		rest, _ := io.ReadAll(p.out)
		return 0, fmt.Errorf("the suite has printed: %s%s", line, rest)
	}
	return time.Duration(n), nil
}

// next lets one spec run. It returns what it took, beside what its body took.
func (p *suiteProcess) next() (time.Duration, error) {
	begin := time.Now()
	if _, err := fmt.Fprintln(p.in); err != nil {
		return 0, err
	}
	body, err := p.await()
	return time.Since(begin) - body, err
}

func (p *suiteProcess) do() (time.Duration, error) {
	if p.left == 0 {
		if err := errors.Join(p.stop(), p.start()); err != nil {
			return 0, err
		}
	}
	p.left--
	return p.next()
}

func (p *suiteProcess) stop() error {
	return errors.Join(p.in.Close(), p.cmd.Wait())
}

func (s suite) enter(int) (round, error) {
	p := &suiteProcess{suite: s}
	if err := p.start(); err != nil {
		return round{}, err
	}
	return round{p.do, p.stop}, nil
}

// enterBare starts the program with the suite's specs and ends it at once: fork, exec, init functions, nodes at the top
// level, exit. Between two starts as much time passes as a spec lasts, so that both find the machine as idle.
func (s suite) enterBare(int) (round, error) {
	start := timed(func() error {
		cmd := exec.Command("/proc/self/exe", "-test.run=^$")
		cmd.Env = s.environ()
		return cmd.Run()
	}, func() error { return nil })
	return round{func() (time.Duration, error) {
		<-time.After(s.body)
		return start.do()
	}, start.stop}, nil
}
