package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
)

// An audit compares what a process inside sees with what this process sees outside.
type audit struct {
	flags           *environmentFlags
	inside, outside measurement
	uidMap, gidMap  []string // the inside process's, as this process sees ids
	wrong           []string // what was asked for and does not hold
}

// errAudit is the error of an audit that found something.
var errAudit = errors.New("the isolation that was asked for does not hold")

// audit measures, prints the result to standard error, and returns an error if an isolation does not hold.
func (f *environmentFlags) audit(ctx context.Context, env *nstest.Env, sys *system) error {
	a := audit{flags: f, outside: measure()}
	if err := a.measureInside(ctx, env, sys); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	a.report(sys.Stderr)
	if len(a.wrong) > 0 {
		return fmt.Errorf("%w:\n  %s", errAudit, strings.Join(a.wrong, "\n  "))
	}
	return nil
}

// measureInside runs this program inside, as the user that the command will be. The program is executed by an open
// file, because that user may have no right to enter the directory that it lies in.
func (a *audit) measureInside(ctx context.Context, env *nstest.Env, sys *system) error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	// Both ends of a conversation: it tells what it sees, and stays to be looked at until we hang up.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "audit"), os.NewFile(uintptr(pair[1]), "audit")
	defer ours.Close()
	defer theirs.Close()

	cmd := env.Self().CommandContext(ctx, "/proc/self/fd/0", "measure", "--stay")
	cmd.Args[0] = "nstest"
	if !a.flags.Privileged {
		cmd.Args = append(cmd.Args, "--sweep")
	}
	if err := a.flags.configure(cmd, sys); err != nil {
		return err
	}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = self, theirs, sys.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run nstest inside: %w%s", err, remedy(err))
	}
	if err := theirs.Close(); err != nil {
		return err
	}
	line, err := bufio.NewReader(ours).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &a.inside)
	}
	dir := "/proc/" + strconv.Itoa(cmd.Process.HostPid())
	var errs [2]error
	a.uidMap, errs[0] = look.Lines(dir + "/uid_map")
	a.gidMap, errs[1] = look.Lines(dir + "/gid_map")
	return errors.Join(err, errs[0], errs[1], ours.Close(), cmd.Wait())
}

// remedy says what to do where this program cannot be executed inside.
func remedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "\nEverybody must be allowed to execute the file: chmod o+rx it."
	case errors.Is(err, fs.ErrNotExist):
		return "\nThe --root has not the C library that nstest was built with: build nstest with CGO_ENABLED=0."
	}
	return ""
}

// own reports whether the environment has a namespace of the kind of its own, going by the flags.
func (f *environmentFlags) own(kind string) bool {
	switch kind {
	case "user":
		return !f.Privileged
	case "pid":
		return !f.NoPID
	case "net":
		return !f.HostNet
	case "mnt":
		return !f.NoMnt
	case "ipc":
		return !f.NoIPC
	case "uts":
		return !f.NoUTS
	case "cgroup":
		return !f.NoCgroup
	}
	return len(f.TimeOffset) > 0
}

// report prints everything, and collects what is wrong.
func (a *audit) report(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(what, inside, outside, verdict string) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", what, inside, outside, verdict)
	}
	row("ISOLATION", "INSIDE", "OUTSIDE", "")
	for _, kind := range look.Kinds {
		in, out := a.inside.Namespaces[kind], a.outside.Namespaces[kind]
		row(kind+" namespace", inode(in), inode(out), a.namespace(kind, in, out))
	}
	row("hostname", a.inside.Hostname, a.outside.Hostname, "")
	row("user ids", idMap(a.uidMap), idMap(a.outside.UIDMap), a.ids("user", a.uidMap))
	row("group ids", idMap(a.gidMap), idMap(a.outside.GIDMap), a.ids("group", a.gidMap))
	row("capabilities", a.inside.Effective.String(), a.outside.Effective.String(), a.capabilities())
	row("to be had", a.inside.Bounding.String(), a.outside.Bounding.String(), a.bounding())
	row("mounts", strconv.Itoa(a.inside.Mounts), strconv.Itoa(a.outside.Mounts), "")
	row("open files", strings.Join(a.inside.Files, " "), strings.Join(a.outside.Files, " "), a.files())
	row("network devices", strings.Join(a.inside.Devices, " "), strings.Join(a.outside.Devices, " "), a.devices())
	row("kernel settings", a.settings(), "", "")
	_ = t.Flush()
	for _, failed := range append(a.inside.Failed, a.outside.Failed...) {
		a.complain("not measured: %s", failed)
	}
}

func (a *audit) complain(format string, args ...any) string {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	return "WRONG"
}

func (a *audit) namespace(kind, in, out string) string {
	switch own := a.flags.own(kind); {
	case in == "" && out == "":
		return "this kernel has none"
	case own && (in == out || in == ""):
		return a.complain("the %s namespace is this process's", kind)
	case own:
		return "own"
	case in == out:
		return "shared"
	case kind == "pid" || kind == "mnt":
		return "its keeper's"
	default:
		return a.complain("the %s namespace is not this process's", kind)
	}
}

// initialMap is the id map of the machine's own user namespace.
var initialMap = []string{"0 0 4294967295"}

// ids looks for the machine's root among those who an environment's processes can be.
func (a *audit) ids(what string, lines []string) string {
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) == 3 && f[1] == "0" && !a.flags.Privileged && slices.Equal(a.outside.UIDMap, initialMap) {
			return a.complain("%s id 0 of the machine exists inside", what)
		}
	}
	if a.flags.Privileged {
		return "shared"
	}
	return "own"
}

func (a *audit) capabilities() string {
	if gone := look.ParseCaps(a.flags.CapDrop) &^ look.ParseCaps(a.flags.CapAdd) & a.inside.Effective; gone != 0 {
		return a.complain("capabilities were dropped and are there: %v", gone)
	}
	return ""
}

func (a *audit) bounding() string {
	if gone := look.ParseCaps(a.flags.CapDrop) &^ look.ParseCaps(a.flags.CapAdd) & a.inside.Bounding; gone != 0 {
		return a.complain("capabilities were dropped and can be had: %v", gone)
	}
	return ""
}

func (a *audit) files() string {
	if !slices.Equal(a.inside.Files, []string{"0", "1", "2"}) {
		return a.complain("files besides 0, 1 and 2 are open: %s", strings.Join(a.inside.Files, " "))
	}
	return "own"
}

func (a *audit) devices() string {
	if a.flags.HostNet {
		return "shared"
	}
	for _, d := range a.inside.Devices {
		if d != "lo" && !strings.HasPrefix(d, "eth") {
			return a.complain("there is a network device %s", d)
		}
	}
	return "own"
}

// settings are the files below /proc/sys and /sys that open for writing inside.
func (a *audit) settings() string {
	if a.flags.Privileged {
		return "not tried: root inside is the machine's root"
	}
	foreign := 0
	for _, path := range a.inside.Writable {
		if kind := look.SettingOf(path); kind == "" || kind != "pid" && !a.flags.own(kind) { // with --no-pid it is the keeper's
			a.complain("%s opens for writing", path)
			foreign++
		}
	}
	return fmt.Sprintf("%d of its own can be opened for writing, %d others", len(a.inside.Writable)-foreign, foreign)
}

// inode is the number in "net:[4026531840]".
func inode(link string) string {
	_, n, ok := strings.Cut(link, ":[")
	if !ok {
		return "-"
	}
	return strings.TrimSuffix(n, "]")
}

func idMap(lines []string) string {
	var out []string
	for _, line := range lines {
		if f := strings.Fields(line); len(f) == 3 {
			out = append(out, fmt.Sprintf("%s→%s ×%s", f[0], f[1], f[2]))
		}
	}
	return strings.Join(out, ", ")
}
