package nstest

import (
	"os"

	"github.com/hermetic-go/nstest/nstest/internal/ginkgo/specs"
	"github.com/hermetic-go/nstest/nstest/internal/keeper"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// A keeper is this very program again, and has to begin before main, or before tests do; so has an init, where that is
// not the static one. Both happen only in a process that nstest itself started: see keeper.IsKeeper. A twin has to hide
// that it is one before anybody looks, and Ginkgo constructs nodes at the top level before main. Nothing else happens in
// an init function.
func init() {
	switch {
	case keeper.IsKeeper():
		os.Exit(keeper.Main())
	case pid1.IsInit():
		pid1.Main()
	default:
		twin.Adopt()
		specs.Register()
	}
}
