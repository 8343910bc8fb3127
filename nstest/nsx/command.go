package nsx

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// A Command is how a probe is executed by somebody else than this package: Path with Args, the first of which is its
// name, in the environment Env, and with Files as its files from number 3 on.
type Command struct {
	Path      string
	Args, Env []string
	Files     []*os.File
}

// commandFile is the number of a command's first file that is not a standard one, and commandVariable says that it counts.
const (
	commandFile     = 3
	commandVariable = "NSTEST_PROBE_COMMAND"
)

// RunBy runs a probe to its end in a process that run brings about, such as a command of an nstest.Host: there it has
// what namespaces alone do not give it, a seccomp filter for one. run returns when the process has ended. The program
// has to be found at its own path there.
//
// The probe's own error is a *ProbeError. One of run is returned if the probe has said nothing.
func RunBy[In, Out any](run func(Command) error, probe Probe[In, Out], in In) (Out, error) {
	var out Out
	image, err := os.Executable()
	if err != nil {
		return out, fmt.Errorf("run probe %s: %w", probe.name, err)
	}
	input, err := json.Marshal(in)
	if err != nil {
		return out, fmt.Errorf("run probe %s: write input: %w", probe.name, err)
	}
	ours, theirs, err := newPair()
	if err != nil {
		return out, fmt.Errorf("run probe %s: %w", probe.name, err)
	}
	// Of several variables with one name the last counts in a command.
	env := append(os.Environ(), variable+"="+probe.name, filesVariable+"=0", commandVariable+"=1", "GORACE=atexit_sleep_ms=0")
	ran := make(chan error, 1)
	go func() {
		err := run(Command{Path: image, Args: []string{"nstest-probe", probe.name}, Env: env, Files: []*os.File{theirs}})
		ran <- errors.Join(err, theirs.Close()) // which is the end of what receive waits for
	}()
	_ = ours.send(message{Value: input}) // if nobody has ever read it, run says why
	var m message
	received := ours.receive(&m)
	ours.file.Close() // who waits for an answer learns that there is none
	err = <-ran
	switch {
	case received != nil:
		return out, fmt.Errorf("run probe %s: it has ended without a result: %w", probe.name, errors.Join(err, received))
	case m.Kind == failure:
		return out, &ProbeError{probe.name, m.Text, m.Errno}
	case m.Kind == report:
		return out, fmt.Errorf("run probe %s: it reports %s and would wait for an answer: use Spawn", probe.name, m.Value)
	}
	return out, json.Unmarshal(m.Value, &out)
}
