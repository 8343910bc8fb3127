// Package hygiene shows what a process in an environment begins with, and what it leaves: nothing.
//
// What a program has of its own it hands down to its children, unless somebody sees to it. So most specs start a runner: a
// program that is in an odd state and opens an environment. An ordinary child of it shows that the state is handed down,
// and a command in the environment that it is not.
package hygiene

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Hygiene", func() {
		registerFiles()
		registerEnvironment()
		registerLimits()
		registerSignals()
		registerTerminal()
		registerKeyring()
		registerIdentity()
		registerDirectory()
		registerScheduling()
		registerEnd()
		registerPostgres()
	})
}
