package smoke_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// identity is who a process is and where.
type identity struct {
	PID, ParentPID   int
	UID, GID         int
	Groups           []int
	Hostname         string
	Directory        string
	Umask            int
	Files            []int // open file descriptors
	SessionLeader    bool
	ControllingTTY   bool
	UserNamespace    string
	NetworkNamespace string
}

// clocks are in nanoseconds.
type clocks struct{ Monotonic, Boottime, Realtime int64 }

var probes = map[string]probe{
	"identity": func([]string) (any, error) { return whoami() },
	"list":     func(args []string) (any, error) { return list(args[0]) },
	"processes": func([]string) (any, error) {
		names, err := list("/proc")
		return slices.DeleteFunc(names, func(n string) bool { _, err := strconv.Atoi(n); return err != nil }), err
	},
	"read": func(args []string) (any, error) {
		content, err := os.ReadFile(args[0])
		return string(content), err
	},
	"open": func(args []string) (any, error) {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, err
		}
		return true, f.Close()
	},
	"write": func(args []string) (any, error) {
		return true, os.WriteFile(args[0], []byte(args[1]), 0o644)
	},
	"create": func(args []string) (any, error) {
		f, err := os.Create(args[0])
		if err != nil {
			return nil, err
		}
		return true, f.Close()
	},
	"append": func(args []string) (any, error) {
		f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		_, err = f.WriteString(args[1])
		return true, err
	},
	"remove": func(args []string) (any, error) { return true, os.Remove(args[0]) },
	"setuid": func(args []string) (any, error) {
		if err := os.WriteFile(args[0], []byte("#!/bin/sh\n"), 0o755); err != nil {
			return nil, err
		}
		return true, unix.Chmod(args[0], 0o4755)
	},
	"lookup": func(args []string) (any, error) {
		return (&net.Resolver{PreferGo: true}).LookupHost(context.Background(), args[0])
	},
	"connect": func(args []string) (any, error) {
		conn, err := net.DialTimeout(args[0], args[1], 5*time.Second)
		if err != nil {
			return nil, err
		}
		return true, conn.Close()
	},
	"execute": func(args []string) (any, error) {
		output, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, output)
		}
		return string(output), nil
	},
	"clocks":   func([]string) (any, error) { return readClocks() },
	"io_uring": func([]string) (any, error) { return tryIOUring(), nil },
	"vsock":    func([]string) (any, error) { return tryVsock(), nil },
	"nest": func(args []string) (any, error) {
		depth, err := strconv.Atoi(args[0])
		if err != nil {
			return nil, err
		}
		return nest(depth)
	},
	"exit":         func(args []string) (any, error) { return exit(args) },
	"environment":  func(args []string) (any, error) { return os.Getenv(args[0]), nil },
	"hold":         func([]string) (any, error) { return holdOn() },
	"hold listen":  func(args []string) (any, error) { return holdListen(args[0], args[1]) },
	"hold forever": func([]string) (any, error) { return holdForever() },
	"hold orphan":  func([]string) (any, error) { return holdOrphan() },
	"echo":         func([]string) (any, error) { return echo() },
	"terminal":     func([]string) (any, error) { return terminalSize() },
	"set hostname": func(args []string) (any, error) { return true, unix.Sethostname([]byte(args[0])) },
}

func whoami() (identity, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return identity{}, err
	}
	directory, err := os.Getwd()
	if err != nil {
		return identity{}, err
	}
	groups, err := os.Getgroups()
	if err != nil {
		return identity{}, err
	}
	umask := unix.Umask(0)
	unix.Umask(umask)
	sid, err := unix.Getsid(0)
	if err != nil {
		return identity{}, err
	}
	id := identity{PID: os.Getpid(), ParentPID: os.Getppid(), UID: os.Getuid(), GID: os.Getgid(), Groups: groups,
		Hostname: hostname, Directory: directory, Umask: umask, SessionLeader: sid == os.Getpid()}
	if tty, err := os.Open("/dev/tty"); err == nil {
		id.ControllingTTY = true
		_ = tty.Close()
	}
	for name, to := range map[string]*string{"user": &id.UserNamespace, "net": &id.NetworkNamespace} {
		if *to, err = os.Readlink("/proc/self/ns/" + name); err != nil {
			return id, err
		}
	}
	return id, nil
}

// list is the sorted names in a directory.
func list(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func readClocks() (c clocks, err error) {
	for id, to := range map[int32]*int64{unix.CLOCK_MONOTONIC: &c.Monotonic, unix.CLOCK_BOOTTIME: &c.Boottime, unix.CLOCK_REALTIME: &c.Realtime} {
		var t unix.Timespec
		if err := unix.ClockGettime(id, &t); err != nil {
			return c, err
		}
		*to = t.Nano()
	}
	return c, nil
}

// tryIOUring is the errno of an io_uring_setup(2) that cannot succeed.
func tryIOUring() int {
	_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 0, 0, 0)
	return int(errno)
}

// tryVsock is the errno of making a VSOCK socket.
func tryVsock() int {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
		return 0
	}
	return int(errnoOf(err))
}

func exit(args []string) (any, error) {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, err
	}
	fmt.Print("out")
	fmt.Fprint(os.Stderr, "err")
	os.Exit(code)
	return nil, nil
}

func holdListen(network, address string) (any, error) {
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	return holdOn()
}

// holdOrphan leaves a grandchild behind that has a session of its own, ignores SIGHUP and holds on.
func holdOrphan() (any, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	orphan := exec.Command(self)
	orphan.Env = append(os.Environ(), probeVariable+"=hold forever")
	orphan.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	output, err := orphan.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := orphan.Start(); err != nil {
		return nil, err
	}
	if _, err := output.Read(make([]byte, len(holding))); err != nil {
		return nil, err
	}
	return holdOn()
}

// holdForever ends when it is killed.
func holdForever() (any, error) {
	signal.Ignore(syscall.SIGHUP, syscall.SIGTERM)
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	fmt.Print(holding)
	return <-never, nil
}

// echo returns its standard input in capital letters.
func echo() (any, error) {
	var b strings.Builder
	if _, err := io.Copy(&b, os.Stdin); err != nil {
		return nil, err
	}
	return strings.ToUpper(b.String()), nil
}

func terminalSize() (any, error) {
	size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		return nil, err
	}
	return fmt.Sprintf("%d rows, %d columns", size.Row, size.Col), nil
}

// existing are the paths that match patterns.
func existing(patterns ...string) []string {
	var found []string
	for _, p := range patterns {
		paths, err := filepath.Glob(p)
		if err == nil {
			found = append(found, paths...)
		}
	}
	return found
}
