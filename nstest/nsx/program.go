package nsx

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Environ is for processes that something else than this package starts, such as a container, or a Command of an
// environment: the variables that make the probe of this program, os.Executable, when it is executed there. Such a probe
// has no parent to report to; it writes what it returns to standard output, which [Probe.Read] understands.
func (p Probe[In, Out]) Environ(in In) ([]string, error) {
	input, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("write input of probe %s: %w", p.name, err)
	}
	return []string{variable + "=" + p.name, inputVariable + "=" + string(input), "GORACE=atexit_sleep_ms=0"}, nil
}

// Read is what a probe has returned that was started with Environ. The error is a *ProbeError if it is the probe's own.
func (p Probe[In, Out]) Read(output []byte) (Out, error) {
	var out Out
	var m message
	if err := json.Unmarshal(output, &m); err != nil {
		return out, fmt.Errorf("probe %s has ended without a result, having printed %q: %w", p.name, output, err)
	}
	if m.Kind == failure {
		return out, &ProbeError{p.name, m.Text, m.Errno}
	}
	return out, json.Unmarshal(m.Value, &out)
}

// inputVariable has the input of a probe that has no parent.
const inputVariable = "NSTEST_PROBE_INPUT"

// ErrNoParent is what Report returns in a process that was started with Environ.
var ErrNoParent = errors.New("nobody to report to: the probe was not started by Spawn")

// beAlone is the life of a process that is a probe without a parent.
func beAlone(f func(*Parent, json.RawMessage) (any, error), input string) {
	if err := errors.Join(os.Unsetenv(variable), os.Unsetenv(inputVariable)); err != nil {
		os.Exit(3)
	}
	value, err := f(&Parent{}, json.RawMessage(input))
	if err := json.NewEncoder(os.Stdout).Encode(last(value, err)); err != nil {
		os.Exit(3)
	}
	os.Exit(0)
}
