// Package inside runs the probes of nsx as processes of an environment: what they see is what the engine gives a command.
package inside

import (
	"errors"
	"fmt"
	"os"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
)

// Run runs a probe in a host.
func Run[In, Out any](h *nstest.Host, probe nsx.Probe[In, Out], in In) (Out, error) {
	cmd, err := Command(h, probe, in)
	if err != nil {
		var none Out
		return none, err
	}
	return Result(cmd, probe)
}

// Command is the command that runs a probe in a host. Its result is read from its standard output: Result.
func Command[In, Out any](h *nstest.Host, probe nsx.Probe[In, Out], in In) (*nstest.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	env, err := probe.Environ(in)
	if err != nil {
		return nil, err
	}
	cmd := h.Command(exe)
	cmd.Env = append(os.Environ(), env...)
	return cmd, nil
}

// Result runs a Command, and is what its probe returns.
func Result[In, Out any](cmd *nstest.Cmd, probe nsx.Probe[In, Out]) (Out, error) {
	output, err := cmd.Output()
	var exit *nstest.ExitError
	if errors.As(err, &exit) { // the probe has died: what it printed is the cause
		return probe.Read(append(output, exit.Stderr...))
	}
	if err != nil {
		var none Out
		return none, err
	}
	return probe.Read(output)
}
