package nsx_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"golang.org/x/sys/unix"
)

// executed runs a probe as an ordinary child of the test.
func executed[In, Out any](t *testing.T, probe nsx.Probe[In, Out], in In) (Out, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env, err := probe.Environ(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Logf("the probe's process: %v", err)
	}
	return probe.Read(out)
}

// first says what it was given, and where it runs.
var first = nsx.Register("first", func(_ *nsx.Parent, in string) (string, error) {
	if unix.Gettid() != unix.Getpid() {
		return "", errors.New("not on the process's first thread")
	}
	return in + " was given", nil
})

func TestAProbeThatIsExecutedByOthers(t *testing.T) {
	if got, err := executed(t, first, `"this"`); got != `"this" was given` || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	var pe *nsx.ProbeError
	if _, err := executed(t, fail, unix.ENOSPC); !errors.Is(err, unix.ENOSPC) || !errors.As(err, &pe) {
		t.Errorf("its error: %v", err)
	}
	if _, err := executed(t, where, struct{}{}); err == nil || err.Error() != "probe where: report: "+nsx.ErrNoParent.Error() {
		t.Errorf("a report: %v", err)
	}
	if _, err := executed(t, die, nil); err == nil {
		t.Error("its death is not seen")
	}
}
