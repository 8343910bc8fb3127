package keeper

import (
	"slices"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"golang.org/x/sys/unix"
)

// harmless are guards without which specs that only look change nothing of the machine's. They are left out outside of
// environments, because within one they cannot be: the one around it has them too.
var harmless = []string{"id shift", "covers", "install seccomp filter"}

// leaveOut has the environment lack guards. That is for tests which see whether a spec notices. The machine's root is
// refused those without which specs could change the machine: they are left out within an environment, where the keeper
// has rights over nothing else.
func (e *environment) leaveOut(guards []string) error {
	for _, g := range guards {
		name, isKind := strings.CutPrefix(g, "namespace ")
		if e.server.shifted && !slices.Contains(harmless, g) {
			return refuse(unix.EPERM, "root does without %q only within an environment: nstest run", g)
		}
		switch {
		case isKind:
			k, err := ns.ParseKind(name)
			if err != nil {
				return err
			}
			e.missing |= k
		case g == "id shift":
			e.unshifted = true
		case g == "covers":
			e.uncovered = true
		default:
			e.omit = append(e.omit, g)
		}
	}
	return nil
}
