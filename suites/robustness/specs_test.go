package robustness

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The specs of the victim that runs a suite. They are none of this package's tests.
var _ = Describe("a suite to be killed", func() {
	for i := range 100 {
		It(fmt.Sprint("spec ", i), func() {
			web := nstest.Current().Host("web")
			for _, h := range []*nstest.Host{nstest.Current().Self(), web} {
				Expect(h.Command("sh", "-c", "setsid nohup sleep 7777 >/dev/null 2>&1 &").Run()).To(Succeed())
			}
			l, err := web.Listen("tcp", ":80")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(l.Close)
		})
	}
})

// runSuite is the victim. It is a program, and no test binary.
func runSuite() error {
	RegisterFailHandler(Fail)
	var t failing
	if nstest.RunSpecs(&t, "Victim"); t {
		return errors.New("the suite failed")
	}
	return nil
}

type failing bool

func (f *failing) Fail() { *f = true }

func TestASuiteRunsInAProgram(t *testing.T) {
	s := look()
	v := start(t, "suite")
	var said []string
	for v.lines.Scan() {
		said = append(said, v.lines.Text())
	}
	if err := v.cmd.Wait(); err != nil || !strings.Contains(strings.Join(said, "\n"), "100 Passed | 0 Failed") {
		t.Fatalf("%v\n%s", err, strings.Join(said, "\n"))
	}
	s.gone(t, v, nil, time.Now())
}

// Whenever a suite is killed, nothing of its specs is left: not while a spec starts, while it runs, while it ends.
func TestNothingIsLeftOfAKilledSuite(t *testing.T) {
	random := dice(t)
	var slowest time.Duration
	for i := range times(4, 10, 50) {
		s := look()
		v := start(t, "suite")
		delay := time.Duration(random.IntN(700_000)) * time.Microsecond
		if i%4 > 0 { // else while it is starting
			v.until(t, "Will run")
		}
		<-time.After(delay)
		pids := []int{v.cmd.Process.Pid}
		if keeper := keeperOf(pids[0]); keeper != 0 && i%3 == 0 {
			pids = append(pids, keeper)
		}
		at := kill(t, pids...)
		_ = v.cmd.Wait()
		slowest = max(slowest, s.gone(t, v, nil, at))
		if t.Failed() {
			t.Fatalf("round %d: killed %v after %v", i, pids, delay)
		}
	}
	t.Logf("slowest: nothing is left after %v", slowest.Round(time.Millisecond))
}

// The control: while it runs there is something to be left.
func TestARunningSuiteIsSeen(t *testing.T) {
	s := look()
	v := start(t, "suite")
	v.until(t, "Will run")
	deadline := time.Now().Add(time.Minute)
	for {
		var sleepers int
		for _, p := range below(v.cmd.Process.Pid) {
			if p.args == "sleep 7777" {
				sleepers++
			}
		}
		if sleepers >= 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no spec's process was seen")
		}
		pause()
	}
	at := kill(t, v.cmd.Process.Pid)
	_ = v.cmd.Wait()
	s.gone(t, v, nil, at)
}

// until reads what the victim says until a line begins so.
func (v *victim) until(t *testing.T, prefix string) {
	t.Helper()
	for v.lines.Scan() {
		if strings.HasPrefix(v.lines.Text(), prefix) {
			go drain(v.lines)
			return
		}
	}
	t.Fatalf("the victim ended before it said %q: %v", prefix, v.lines.Err())
}

func drain(lines *bufio.Scanner) {
	for lines.Scan() {
	}
}
