// Package twin runs this very program again, in an environment: the same executable with the same arguments and
// variables, that does one part of the work, a spec or a test, and tells the original about it.
//
// A twin has three files beside the standard ones, of which the code that it runs knows nothing: the link to the
// original, the connection to the keeper for its own environment, and the directory that it leaves results in. It
// differs from the original by a variable, which Adopt takes away before anybody can see it.
package twin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The files of a twin.
const (
	linkFD        = 3
	environmentFD = 4
	resultsFD     = 5
)

// variable makes a program a twin. Its value is an introduction.
const variable = "NSTEST_TWIN"

// introduction is what a twin has to know before anything else.
type introduction struct {
	Restore map[string]*string // variables that were changed on the way; nil for one that was not set
}

// Self is this process, if it is a twin.
type Self struct {
	Link        *Link
	Environment *os.File // the connection to the keeper; who takes it closes it
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
	for _, fd := range []int{linkFD, environmentFD, resultsFD} {
		unix.CloseOnExec(fd)
	}
	link, err := newLink(linkFD)
	if err != nil {
		fmt.Fprintf(os.Stderr, "nstest: the variable %s is set and file %d is not what nstest passes with it: %v\n", variable, linkFD, err)
		os.Exit(2)
	}
	self = &Self{Link: link, Environment: os.NewFile(environmentFD, "environment")}
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

// Environ is env as a twin gets it.
func Environ(env []string) []string {
	intro := introduction{Restore: map[string]*string{}}
	if raceEnabled { // the race detector waits a second at the end by default
		options, ok := os.LookupEnv("GORACE")
		if ok {
			intro.Restore["GORACE"] = &options
			options += " "
		} else {
			intro.Restore["GORACE"] = nil
		}
		env = append(env, "GORACE="+options+"atexit_sleep_ms=0")
	}
	value, _ := json.Marshal(intro) // strings cannot fail
	return append(env, variable+"="+string(value))
}

// resultsPath is the directory for results, as a twin sees it.
func resultsPath() string { return "/proc/self/fd/" + strconv.Itoa(resultsFD) }
