package mount

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A deed is one thing to be done in a mount namespace: a system call about mounts, or what shows the effect of one. It can
// be sent to a process that does it there.
type deed struct {
	Call         string
	Source, Path string
	Type, Data   string
	Flags        uintptr
	Args         []string
}

// calls are what a deed can be.
var calls = map[string]func(deed) (string, error){
	"mount":      func(d deed) (string, error) { return "", unix.Mount(d.Source, d.Path, d.Type, d.Flags, d.Data) },
	"umount":     func(d deed) (string, error) { return "", unix.Unmount(d.Path, int(d.Flags)) },
	"pivot_root": func(d deed) (string, error) { return "", unix.PivotRoot(d.Source, d.Path) },
	"chroot":     func(d deed) (string, error) { return "", unix.Chroot(d.Path) },
	"chdir":      func(d deed) (string, error) { return "", unix.Chdir(d.Path) },
	"mkdir":      func(d deed) (string, error) { return "", unix.Mkdir(d.Path, 0o755) },
	"mknod":      func(d deed) (string, error) { return "", unix.Mknod(d.Path, uint32(d.Flags), int(unix.Mkdev(1, 3))) },
	"write":      func(d deed) (string, error) { return "", os.WriteFile(d.Path, []byte(d.Data), 0o644) },
	"read":       func(d deed) (string, error) { text, err := os.ReadFile(d.Path); return string(text), err },
	"list": func(d deed) (string, error) {
		entries, err := os.ReadDir(d.Path)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " "), err
	},
	"mount id":  func(d deed) (string, error) { return mountID(d.Path) },
	"statmount": func(d deed) (string, error) { return mountPoint(d.Data) },
	"listmount": func(deed) (string, error) { return mountIDs() },
	"renounce":  func(deed) (string, error) { return "", renounce() },
	"execute": func(d deed) (string, error) {
		cmd := exec.Command(d.Args[0], d.Args[1:]...)
		cmd.Stdin = strings.NewReader("") // the root may have no /dev/null
		out, err := cmd.CombinedOutput()
		return string(out), err
	},
}

// renounce takes CAP_SYS_ADMIN from the calling thread.
func renounce() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	sets[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	sets[0].Permitted &^= 1 << unix.CAP_SYS_ADMIN
	return os.NewSyscallError("capset", unix.Capset(&header, &sets[0]))
}

func (d deed) perform() (string, error) {
	call, ok := calls[d.Call]
	if !ok {
		return "", fmt.Errorf("there is no deed %q", d.Call)
	}
	return call(d)
}

// String is for messages.
func (d deed) String() string {
	words := slices.Concat([]string{d.Call, d.Source, d.Path, d.Type, d.Data}, d.Args)
	if d.Flags != 0 {
		words = append(words, fmt.Sprintf("flags %#x", d.Flags))
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// tmpfs mounts a fresh one.
func tmpfs(path string) deed { return mount("tmpfs", path, "") }

// mount mounts a fresh file system of a type.
func mount(fstype, path, data string) deed {
	return deed{Call: "mount", Source: "none", Path: path, Type: fstype, Data: data}
}

// bind shows a directory or file at another path too, and what is mounted in it if flags has MS_REC.
func bind(source, path string, flags uintptr) deed {
	return deed{Call: "mount", Source: source, Path: path, Flags: unix.MS_BIND | flags}
}

// remount gives the mount at a path other flags.
func remount(path string, flags uintptr) deed {
	return deed{Call: "mount", Path: path, Flags: unix.MS_BIND | unix.MS_REMOUNT | flags}
}

// move takes a mount to another path.
func move(source, path string) deed {
	return deed{Call: "mount", Source: source, Path: path, Flags: unix.MS_MOVE}
}

// propagate sets the propagation of the mount at a path: MS_SHARED and the like, with MS_REC of all below it as well.
func propagate(path string, flags uintptr) deed {
	return deed{Call: "mount", Path: path, Flags: flags}
}

func umount(path string) deed      { return deed{Call: "umount", Path: path} }
func pivot(root, old string) deed  { return deed{Call: "pivot_root", Source: root, Path: old} }
func chroot(path string) deed      { return deed{Call: "chroot", Path: path} }
func chdir(path string) deed       { return deed{Call: "chdir", Path: path} }
func mkdir(path string) deed       { return deed{Call: "mkdir", Path: path} }
func write(path, text string) deed { return deed{Call: "write", Path: path, Data: text} }
func read(path string) deed        { return deed{Call: "read", Path: path} }
func list(path string) deed        { return deed{Call: "list", Path: path} }
func execute(args ...string) deed  { return deed{Call: "execute", Args: args} }

// detach is umount of what is in use, or has mounts in it.
func detach(path string) deed { return deed{Call: "umount", Path: path, Flags: unix.MNT_DETACH} }

// mknod makes a node of a type, S_IFCHR or S_IFIFO. A device is /dev/null's.
func mknod(path string, mode uintptr) deed {
	return deed{Call: "mknod", Path: path, Flags: mode | 0o600}
}

// An outcome is what comes of a deed, as it is sent back.
type outcome struct {
	Value string
	Text  string // of the error
	Errno unix.Errno
}

func outcomeOf(value string, err error) outcome {
	o := outcome{Value: value}
	if err != nil {
		o.Text = err.Error()
		errors.As(err, &o.Errno)
	}
	return o
}

func (o outcome) err() error {
	switch {
	case o.Errno != 0:
		return o.Errno
	case o.Text != "":
		return errors.New(o.Text)
	}
	return nil
}
