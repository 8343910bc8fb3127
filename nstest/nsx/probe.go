package nsx

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"golang.org/x/sys/unix"
)

// A Probe is a registered function. What it takes and what it returns cross as JSON.
type Probe[In, Out any] struct{ name string }

// Register makes a probe of f, under a name that is the probe's alone in the program. It has to initialise a variable of
// a package:
//
//	var hostname = nsx.Register("hostname", func(*nsx.Parent, struct{}) (string, error) { return os.Hostname() })
//
// In a process that was started to be this probe, Register runs f and ends the process: nothing of the program but the
// initialisation of what f needs has run then. f is on the process's first thread and stays there.
func Register[In, Out any](name string, f func(parent *Parent, in In) (Out, error)) Probe[In, Out] {
	if names[name] {
		panic(fmt.Sprintf("nsx: two probes are named %q: give one another name", name))
	}
	names[name] = true
	if os.Getenv(variable) == name {
		be(func(p *Parent, input json.RawMessage) (any, error) {
			var in In
			if err := json.Unmarshal(input, &in); err != nil {
				return nil, fmt.Errorf("read input: %w", err)
			}
			return f(p, in)
		})
	}
	return Probe[In, Out]{name}
}

// Named is the probe that is registered under a name. It is for a probe that starts itself again: its variable is not set
// before Register returns, and that does not happen where the probe runs.
func Named[In, Out any](name string) Probe[In, Out] { return Probe[In, Out]{name} }

// Name is what the probe was registered as.
func (p Probe[In, Out]) Name() string { return p.name }

// variable names, in a process's environment, the probe that it is.
const variable = "NSTEST_PROBE"

// filesVariable has the number of the probe's files.
const filesVariable = "NSTEST_PROBE_FILES"

// names are those of all probes. Packages are initialised one after the other.
var names = map[string]bool{}

// be is the life of a process that is a probe.
func be(f func(*Parent, json.RawMessage) (any, error)) {
	runtime.LockOSThread() // it is the first thread while packages are initialised
	if input, alone := os.LookupEnv(inputVariable); alone {
		beAlone(f, input)
	}
	n, _ := strconv.Atoi(os.Getenv(filesVariable))
	// What the probe starts is no probe, and has none of its files unless it passes them.
	if err := errors.Join(os.Unsetenv(variable), os.Unsetenv(filesVariable)); err != nil {
		os.Exit(3)
	}
	p := &Parent{link: newLink(os.NewFile(ns.FirstFile, "parent"))}
	for i := range n + 1 {
		unix.CloseOnExec(ns.FirstFile + i)
		if i > 0 {
			p.Files = append(p.Files, os.NewFile(uintptr(ns.FirstFile+i), "file "+strconv.Itoa(i-1)))
		}
	}
	var start message
	if err := p.link.receive(&start); err != nil {
		os.Exit(3) // the parent has gone
	}
	if err := p.link.send(last(f(p, start.Value))); err != nil {
		os.Exit(3)
	}
	os.Exit(0)
}

// last is the message with which a probe ends that has returned value and err.
func last(value any, err error) message {
	m := message{Kind: result}
	if err == nil {
		m.Value, err = json.Marshal(value)
	}
	if err != nil {
		m = message{Kind: failure, Text: err.Error()}
		errors.As(err, &m.Errno)
	}
	return m
}

// A Parent is who has spawned a probe, as the probe sees it.
type Parent struct {
	// Files are those of the Spec.
	Files []*os.File

	link *link
}

// Report tells the parent a value, for Process.Await, and waits until the parent has it go on. What the parent says then
// is put into answer, unless that is nil. The error is io.EOF if the parent has gone.
func (p *Parent) Report(value, answer any) error {
	if p.link == nil {
		return fmt.Errorf("report: %w", ErrNoParent)
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := p.link.send(message{Kind: report, Value: data}); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var m message
	if err := p.link.receive(&m); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(m.Value, answer)
}

// A message is one of a conversation.
type message struct {
	Kind  kind            `json:",omitempty"`
	Value json.RawMessage `json:",omitempty"`
	Text  string          `json:",omitempty"`
	Errno syscall.Errno   `json:",omitempty"`
}

type kind string

// What a probe says.
const (
	report  kind = "report"
	result  kind = "result"
	failure kind = "failure"
)
