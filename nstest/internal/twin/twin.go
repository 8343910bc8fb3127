// Package twin runs this very program again, in an environment: the same executable with the same arguments and
// variables, that does one part of the work, a spec or a test, and tells the original about it.
//
// A twin has files beside the standard ones, of which the code that it runs knows nothing: the link to the original, the
// connection to the keeper for its own environment, the directory that it leaves results in, and, where what package
// testing prints is to be told from what the tests print, a pipe for that. It differs from the original by a variable,
// which Adopt takes away before anybody can see it.
package twin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The files of a twin.
const (
	linkFD        = 3
	environmentFD = 4
	resultsFD     = 5
	reportsFD     = 6 // only if it is introduced
)

// variable makes a program a twin. Its value is an introduction.
const variable = "NSTEST_TWIN"

// introduction is what a twin has to know before anything else.
type introduction struct {
	Work    string
	Restore map[string]*string // variables that were changed on the way; nil for one that was not set
	Reports bool               // package testing prints to a pipe of its own
	Hold    bool               // wait for a byte on the link
}

// Self is this process, if it is a twin.
type Self struct {
	Work        string // what it was started for, so that others leave the link alone
	Link        *Link
	Environment *os.File // the connection to the keeper; who takes it closes it

	stdout, stderr *os.File
	bundle         atomic.Pointer[string]
}

// SetBundle notes where the bundle of what runs here is, for whoever is outside; "" if there is none.
func (s *Self) SetBundle(path string) { s.bundle.Store(&path) }

// Bundle is what SetBundle has noted last.
func (s *Self) Bundle() string {
	if path := s.bundle.Load(); path != nil {
		return *path
	}
	return ""
}

var self *Self

// This is the process, and nil if it is no twin.
func This() *Self { return self }

// Adopt makes the process a twin if it was started as one. It is called once, before anything else looks at variables
// and files.
func Adopt() {
	value, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	var intro introduction
	if err := errors.Join(json.Unmarshal([]byte(value), &intro), os.Unsetenv(variable), intro.restore()); err != nil {
		fmt.Fprintf(os.Stderr, "nstest: the variable %s is for nstest itself, and was set to something else: %v\n", variable, err)
		os.Exit(2)
	}
	for fd := linkFD; fd <= reportsFD; fd++ {
		unix.CloseOnExec(fd)
	}
	if intro.Hold {
		for errors.Is(released(), unix.EINTR) {
		}
	}
	link, err := newLink(linkFD)
	if err != nil {
		fmt.Fprintf(os.Stderr, "nstest: the variable %s is set and file %d is not what nstest passes with it: %v\n", variable, linkFD, err)
		os.Exit(2)
	}
	self = &Self{Work: intro.Work, Link: link, Environment: os.NewFile(environmentFD, "environment"), stdout: os.Stdout, stderr: os.Stderr}
	if intro.Reports {
		os.Stdout = os.NewFile(reportsFD, os.Stdout.Name()) // package testing prints to what it finds here in M.Run
	}
}

// released waits for the byte that lets a held twin go on. To the link's reader it is white space.
func released() error {
	_, err := unix.Read(linkFD, make([]byte, 1))
	return err
}

// RestoreOutput undoes what Adopt and package testing did to os.Stdout and os.Stderr: it is called when the tests have
// begun. As for package testing itself, both are one where the original's output is JSON.
//
// The race detector is kept out of it: a goroutine that prints meanwhile finds a good file whatever it reads.
//
//go:norace
func (s *Self) RestoreOutput(json bool) {
	os.Stdout, os.Stderr = s.stdout, s.stderr
	if json {
		os.Stderr = s.stdout
	}
}

func (i introduction) restore() error {
	var errs []error
	for name, value := range i.Restore {
		if value == nil {
			errs = append(errs, os.Unsetenv(name))
		} else {
			errs = append(errs, os.Setenv(name, *value))
		}
	}
	return errors.Join(errs...)
}

// environ is env as a twin gets it.
func (i introduction) environ(env []string) []string {
	i.Restore = map[string]*string{}
	if raceEnabled { // the race detector waits a second at the end by default
		options, ok := os.LookupEnv("GORACE")
		if ok {
			i.Restore["GORACE"] = &options
			options += " "
		} else {
			i.Restore["GORACE"] = nil
		}
		env = append(env, "GORACE="+options+"atexit_sleep_ms=0")
	}
	value, _ := json.Marshal(i) // strings cannot fail
	return append(env, variable+"="+string(value))
}

// resultsPath is the directory for results, as a twin sees it.
func resultsPath() string { return "/proc/self/fd/" + strconv.Itoa(resultsFD) }
