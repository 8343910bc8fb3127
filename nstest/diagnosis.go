package nstest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/probe"
)

// A Diagnosis is what the machine can do for the user who asks: Kernel, Arch, OS, Container, UID, Mode ("root",
// "nested" or "rootless") and the Findings. OK reports whether environments can be made, Find finds a finding by its
// name, and WriteTo writes a text for people. As JSON it is stable.
type Diagnosis = probe.Report

// A Finding is what came of one question to the machine: Name, for programs, and Title, for people; Status; Detail, what was
// seen; Cost, what its absence takes away; Remedy, what to do about it, a command or setting a line; and Required,
// whether there are no environments without it.
type Finding = probe.Finding

// A Status says what a question came to.
type Status = probe.Status

// The possible statuses of a Finding.
const (
	StatusOK         = probe.OK         // there
	StatusMissing    = probe.Missing    // the kernel or the machine has no such thing
	StatusRestricted = probe.Restricted // there, but not for this user or container, or too little of it
	StatusUnknown    = probe.Unknown    // impossible to tell
)

// Diagnose finds out what the machine can do. It tries what it can try without leaving anything behind, and at last
// opens an environment: that is the finding "environment". Once ctx is done what remains is unknown.
func Diagnose(ctx context.Context) Diagnosis {
	env, finding := tryEnvironment(ctx)
	var trials probe.Trials
	if env != nil && env.Rootless() {
		trials = experiments(ctx, env)
	}
	d := probe.Run(ctx, trials)
	if err := env.Close(); err != nil && finding.Status == StatusOK {
		finding.Status, finding.Detail = StatusUnknown, err.Error()
	}
	d.Findings = append(d.Findings, finding)
	return d
}

// tryEnvironment opens an environment with the default configuration, which is nil if that is impossible.
func tryEnvironment(ctx context.Context) (*Env, Finding) {
	f := Finding{Name: probe.Environment, Title: "an environment", Required: true}
	began := time.Now()
	env, err := Open(ctx, Config{Name: "diagnosis"})
	switch {
	case err == nil:
		f.Status, f.Detail = StatusOK, fmt.Sprintf("the first one opened in %v", time.Since(began).Round(100*time.Microsecond))
		return env, f
	case ctx.Err() != nil:
		f.Status = StatusUnknown
	default:
		f.Status = StatusMissing
	}
	f.Detail, f.Cost = err.Error(), "nothing works"
	var e *Error
	if errors.As(err, &e) {
		f.Detail, f.Remedy = e.Err.Error(), e.Remedy
		if e.Step != "" {
			f.Detail = e.Step + ": " + f.Detail
		}
	}
	return nil, f
}

// experiments are what an ordinary user's own threads cannot try, tried in an environment.
func experiments(ctx context.Context, env *Env) probe.Trials {
	opened := func() error { return nil } // an environment does not open without it
	return probe.Experiments{
		Proc: opened, Sysfs: opened, Bridge: opened, Veth: opened,
		Overlay: func() error {
			out, err := env.Self().CommandContext(ctx, "cat", "/proc/self/mountinfo").Output()
			if err == nil && !strings.Contains(string(out), " - overlay ") {
				err = errors.New("an environment has no overlay: its tree is read-only")
			}
			return err
		},
		NFTables: func() error {
			var groups [][]*Host
			for _, name := range []string{"a", "b"} {
				h, err := env.AddHost(HostConfig{Name: name})
				if err != nil {
					return err
				}
				groups = append(groups, []*Host{h})
			}
			fault, err := env.AddPartition(groups...)
			if err != nil {
				return err
			}
			return fault.Close()
		},
		TimeNS: func() error {
			shifted, err := Open(ctx, Config{Name: "diagnosis", Loopback: true, Time: &TimeOffsets{Boottime: time.Hour}})
			if err != nil {
				return err
			}
			return shifted.Close()
		},
	}.Trials()
}
