package nstest

import (
	"os"

	"github.com/hermetic-go/nstest/nstest/internal/keeper"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// A twin runs a spec or a test in an environment. A keeper is this very program again, and has to begin before main, or before tests do. Nothing else happens in an
// init function, and this happens only in a process that nstest itself started: see keeper.IsKeeper.
func init() {
	switch {
	case keeper.IsKeeper():
		os.Exit(keeper.Main())
	case pid1.IsInit():
		pid1.Main()
	default:
		twin.Adopt()
	}
}
