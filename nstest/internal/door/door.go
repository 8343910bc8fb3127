// Package door is how programs find keepers that others have started, and talk to them.
//
// A keeper listens on an abstract Unix socket (unix(7)) in the network namespace of the program that started it. Anybody
// there may connect. Both sides ask the kernel who the other one is, and believe nothing that the other one says about
// that: a keeper answers its own user, and the client believes a keeper of its own user. Root gets an answer by becoming
// that user for the moment: an ordinary user's keeper, in its user namespace, cannot tell root from anybody else.
//
// That is not enough where an environment has the machine's network: what runs in an ordinary user's environment is that
// user's outside, too. So either side has to show that it is outside of all keepers. What no process can do is to leave
// its PID namespace, and every keeper has one: the client hands over its own, which has to be that of the program that started
// the keeper, and finds the server to be the first process of one directly below its own.
package door

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// prefix begins the names of the sockets: prefix/UID/PID-RANDOM, of the program. They are hints: nothing is believed that
// they say.
const prefix = "nstest"

// A Door is what a keeper needs to be found. Its files are close-on-exec.
type Door struct {
	Socket *os.File // bound, and not listening yet: the keeper has to be the one who listens, whom the kernel names to clients
	PIDs   *os.File // the PID namespace of this program
}

// New makes the door of a keeper that this program is about to start. The caller closes it.
func New() (Door, error) {
	pids, err := pidNamespace()
	if err != nil {
		return Door{}, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		pids.Close()
		return Door{}, fmt.Errorf("make the keeper's door: %w", err)
	}
	d := Door{os.NewFile(uintptr(fd), "door"), pids}
	var random [8]byte // nobody else can have taken the name
	rand.Read(random[:])
	name := fmt.Sprintf("@%s/%d/%d-%s", prefix, os.Geteuid(), os.Getpid(), hex.EncodeToString(random[:]))
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		d.Close()
		return Door{}, fmt.Errorf("make the keeper's door: %w", err)
	}
	return d, nil
}

// Close closes the files.
func (d Door) Close() {
	_ = d.Socket.Close()
	_ = d.PIDs.Close()
}

func pidNamespace() (*os.File, error) {
	f, err := os.Open("/proc/self/ns/pid")
	if err != nil {
		return nil, fmt.Errorf("open PID namespace: %w", err)
	}
	return f, nil
}

// program is the process id that is in a socket's name, without its @.
func program(name string) (pid int, ok bool) {
	dir, file := path.Split(name)
	if !strings.HasPrefix(dir, prefix+"/") {
		return 0, false
	}
	number, _, ok := strings.Cut(file, "-")
	pid, err := strconv.Atoi(number)
	return pid, ok && err == nil && pid > 0
}
