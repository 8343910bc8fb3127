package smoke_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A probe is a question that the suite's own program answers inside a host, so that the suite needs no programs of the
// machine. What it returns crosses as JSON; of its error the text and the errno.
type probe func(args []string) (any, error)

// probeVariable names, in the environment of the suite's program, the probe that it is to be.
const probeVariable = "SMOKE_PROBE"

type reply struct {
	Value json.RawMessage `json:",omitempty"`
	Error string          `json:",omitempty"`
	Errno syscall.Errno   `json:",omitempty"`
}

// A probeError is the error of a probe that ran elsewhere.
type probeError struct {
	text  string
	errno syscall.Errno
}

func (e *probeError) Error() string { return e.text }
func (e *probeError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// runProbe is the whole life of a process that is a probe. It returns the exit status.
func runProbe(name string, args []string) int {
	p, ok := probes[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no probe %q\n", name)
		return 2
	}
	value, err := p(args)
	var r reply
	if err != nil {
		r.Error = err.Error()
		r.Errno = errnoOf(err)
	} else if r.Value, err = json.Marshal(value); err != nil {
		r.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return 3
	}
	return 0
}

func errnoOf(err error) syscall.Errno {
	for err != nil {
		if errno, ok := err.(syscall.Errno); ok {
			return errno
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return 0
		}
		err = u.Unwrap()
	}
	return 0
}

// probing is the command that runs a probe on a host.
func probing(host *nstest.Host, name string, args ...string) *nstest.Cmd {
	GinkgoHelper()
	self, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	cmd := host.Command(self, args...)
	cmd.Env = append(os.Environ(), probeVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// ask runs a probe on a host. Its error is that of the probe; the spec fails if the probe cannot be run.
func ask[T any](host *nstest.Host, name string, args ...string) (T, error) {
	GinkgoHelper()
	return answer[T](probing(host, name, args...))
}

// answer runs the command of a probe.
func answer[T any](cmd *nstest.Cmd) (T, error) {
	GinkgoHelper()
	var value T
	output, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred(), "%s", output)
	var r reply
	Expect(json.Unmarshal(output, &r)).To(Succeed(), "%s", output)
	if r.Error != "" {
		return value, &probeError{r.Error, r.Errno}
	}
	Expect(json.Unmarshal(r.Value, &value)).To(Succeed(), "%s", output)
	return value, nil
}

// attempt is ask for a probe whose answer is of no interest.
func attempt(host *nstest.Host, name string, args ...string) error {
	GinkgoHelper()
	_, err := ask[any](host, name, args...)
	return err
}

// here runs a probe in this process, as the control of what it finds inside.
func here[T any](name string, args ...string) (T, error) {
	value, err := probes[name](args)
	if err != nil {
		var none T
		return none, err
	}
	return value.(T), nil
}

// A holder is a process on a host that holds something until the spec ends or release is called.
type holder struct {
	*nstest.Process
	release func()
}

// hold runs a probe that says "holding" once it holds what it is to hold, and then waits for the end of its input.
func hold(host *nstest.Host, name string, args ...string) *holder {
	GinkgoHelper()
	cmd := probing(host, name, args...)
	stdin, err := cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	stdout, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	released := false
	h := &holder{Process: cmd.Process, release: func() {
		if !released {
			released = true
			_ = stdin.Close()
			_, _ = io.Copy(io.Discard, stdout)
			_ = cmd.Wait()
		}
	}}
	DeferCleanup(h.release)
	line := make([]byte, len(holding))
	_, err = io.ReadFull(stdout, line)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(line)).To(Equal(holding))
	return h
}

const holding = "holding\n"

// holdOn is how a probe waits for its release.
func holdOn() (any, error) {
	fmt.Print(holding)
	_, err := io.Copy(io.Discard, os.Stdin)
	return strings.TrimSpace(holding), err
}
