package pid1

import "fmt"

// An Executable is how the init is executed.
type Executable struct {
	Path string
	Args []string
}

const argv0 = "nstest-init"

// Image is the init of this architecture: the static one where there is one, and this very program otherwise.
func Image() (Executable, error) {
	f, err := Static()
	if err != nil {
		return Executable{}, err
	}
	if f == nil {
		return Executable{Path: "/proc/self/exe", Args: []string{argv0}}, nil
	}
	return Executable{Path: fmt.Sprintf("/proc/self/fd/%d", f.Fd()), Args: []string{argv0}}, nil
}
