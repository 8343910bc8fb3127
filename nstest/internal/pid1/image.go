package pid1

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// An Executable is how the init is executed: with these arguments and this environment, and its control socket as file
// descriptor 3. It closes all above.
type Executable struct {
	File *os.File // the file itself, if it has no name that lasts; it stays open
	Path string   // good for as long as nobody is given the number of File
	Args []string
	Env  []string
}

const argv0 = "nstest-init"

// initVariable, set to "go", makes the init this very program also where there is a static one.
const initVariable = "NSTEST_INIT"

// Image is the init of this architecture: the static one where there is one that can be executed, and this very program
// otherwise. The caller has /proc.
func Image() (Executable, error) {
	f, err := Static()
	switch v := os.Getenv(initVariable); {
	case v != "" && v != "go":
		return Executable{}, fmt.Errorf("%s=%s: leave it empty, or set it to go: %w", initVariable, v, unix.EINVAL)
	case v == "go", f == nil && err == nil, errors.Is(err, unix.EACCES): // vm.memfd_noexec=2 forbids the static one
		return Executable{Path: "/proc/self/exe", Args: []string{argv0}, Env: fallbackEnv}, nil
	case err != nil:
		return Executable{}, err
	}
	return Executable{File: f, Path: fmt.Sprintf("/proc/self/fd/%d", f.Fd()), Args: []string{argv0}, Env: []string{}}, nil
}
