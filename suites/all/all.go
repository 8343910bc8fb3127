// Package all has the specs of all properties, for programs that are no test of one suite.
package all

import "github.com/hermetic-go/nstest/suites/uts"

// Register adds them to the program's suite.
func Register() {
	uts.Register()
}
