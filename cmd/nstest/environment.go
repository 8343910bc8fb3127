package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// environmentFlags say what the environment of a command is like, and who the command is there.
type environmentFlags struct {
	commandFlags
	Hostname string   `placeholder:"NAME" help:"The machine's name inside. Default: self."`
	RW       []string `name:"rw" sep:"none" placeholder:"DIR[:TARGET]" help:"Let the directory be written through, at TARGET or its own place. Repeatable."`
	Visible  []string `sep:"none" placeholder:"PATH" help:"Show PATH although it lies in a home, /tmp or /run. What is written there vanishes. Repeatable."`
	Root     string   `placeholder:"DIR" help:"Use DIR as the file tree, behind a layer that vanishes. Default: the machine's, without secrets and homes."`
	Dev      []string `sep:"none" placeholder:"PATH" help:"Show a device node of the machine, such as /dev/net/tun. Repeatable."`
	IDCount  int      `name:"id-count" placeholder:"N" help:"How many user and group ids exist inside. Default: 65536 as root, else what /etc/subuid grants."`

	TimeOffset []string `sep:"none" placeholder:"CLOCK=DURATION" help:"Shift monotonic or boottime, as in boottime=240h or monotonic=-5m. Repeatable."`

	CapDrop    []string `placeholder:"CAP" help:"Capabilities that nothing inside can have, or ALL. Repeatable."`
	CapAdd     []string `placeholder:"CAP" help:"Exceptions from --cap-drop. Repeatable."`
	Privileged bool     `help:"No user namespace: root inside is the machine's root. Needs root, and isolates little."`

	Outbound bool `help:"Let TCP, UDP and names through to what the machine can reach. Default: nothing leaves."`

	HostNet  bool `aliases:"no-net" help:"Share the network namespace. /sys is the machine's then, read-only. Also --no-net."`
	NoIPC    bool `name:"no-ipc" help:"Share the IPC namespace."`
	NoUTS    bool `name:"no-uts" help:"Share the UTS namespace, and the machine's name with it."`
	NoPID    bool `name:"no-pid" help:"Make no PID namespace for the environment: processes see those of nstest's helper."`
	NoMnt    bool `name:"no-mnt" help:"Make no mount namespace for the environment, and no private tree."`
	NoCgroup bool `name:"no-cgroup" help:"Share the cgroup namespace."`
	NoUser   bool `name:"no-user" help:"Share the user namespace. Only with --privileged."`
	NoTime   bool `name:"no-time" help:"Share the time namespace, as without --time-offset."`

	Audit bool `help:"First measure the isolation from inside and outside, print it to standard error, and exit with 125 if it does not hold."`
}

// config is the configuration that the flags ask for.
func (f *environmentFlags) config() (nstest.Config, error) {
	cfg := nstest.Config{
		Hostname: f.Hostname, Visible: f.Visible, Devices: f.Dev, IDs: f.IDCount, CapAdd: f.CapAdd, CapDrop: f.CapDrop, Privileged: f.Privileged,
		Share: nstest.Namespaces{Net: f.HostNet, IPC: f.NoIPC, UTS: f.NoUTS, PID: f.NoPID, Mount: f.NoMnt, Cgroup: f.NoCgroup},
	}
	if err := f.contradiction(); err != nil {
		return cfg, err
	}
	if f.Outbound {
		cfg.Outbound = &nstest.Outbound{}
	}
	var err error
	if f.Root != "" {
		if cfg.Root, err = directory(f.Root); err != nil {
			return cfg, fmt.Errorf("--root: %w", err)
		}
	}
	if cfg.Shared, err = shared(f.RW); err != nil {
		return cfg, err
	}
	cfg.Time, err = offsets(f.TimeOffset)
	return cfg, err
}

// contradiction is what flags that rule each other out, or have no effect, come to.
func (f *environmentFlags) contradiction() error {
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{f.IDCount < 0, "--id-count is negative"},
		{f.NoUser && !f.Privileged, "--no-user gives the command the rights of the machine's root: add --privileged if that is meant"},
		{f.Privileged && f.IDCount > 0, "--id-count has no effect with --privileged: the ids are the machine's"},
		{len(f.CapAdd) > 0 && len(f.CapDrop) == 0, "--cap-add alone adds nothing, because root inside has every capability: say what to take with --cap-drop, for instance ALL"},
		{f.NoTime && len(f.TimeOffset) > 0, "--time-offset needs a time namespace: leave --no-time out"},
		{f.HostNet && f.Outbound, "--outbound has no effect with --host-net: the network is the machine's"},
		{f.NoUTS && f.Hostname != "", "--hostname needs a UTS namespace: leave --no-uts out"},
		{f.NoMnt && (f.Root != "" || len(f.RW)+len(f.Dev)+len(f.Visible) > 0), "--root, --rw, --dev and --visible need a mount namespace: leave --no-mnt out"},
	} {
		if c.wrong {
			return errors.New(c.text)
		}
	}
	return f.check()
}

// directory is the absolute path of one. Symbolic links that lead there are resolved; one that it is itself is left for
// nstest.Open to refuse.
func directory(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// shared parses the values of --rw.
func shared(list []string) ([]nstest.Shared, error) {
	var out []nstest.Shared
	seen := map[string]bool{}
	for _, value := range list {
		dir, target := value, ""
		if i := strings.LastIndex(value, ":/"); i >= 0 {
			dir, target = value[:i], filepath.Clean(value[i+1:])
		}
		path, err := directory(dir)
		if err != nil || dir == "" {
			return nil, fmt.Errorf("--rw %s: %w", value, errors.Join(err, empty(dir)))
		}
		place := target
		if place == "" {
			place = path
		}
		if seen[place] {
			return nil, fmt.Errorf("--rw %s: %s is shared twice", value, place)
		}
		seen[place] = true
		out = append(out, nstest.Shared{Path: path, Target: target})
	}
	return out, nil
}

func empty(dir string) error {
	if dir == "" {
		return errors.New("no directory is named: give it as DIR or DIR:TARGET")
	}
	return nil
}

// offsets parses the values of --time-offset. It is nil for an environment in the machine's time.
func offsets(list []string) (*nstest.TimeOffsets, error) {
	if len(list) == 0 {
		return nil, nil // nil is the Config's zero value
	}
	var t nstest.TimeOffsets
	seen := map[string]bool{}
	for _, value := range list {
		clock, text, ok := strings.Cut(value, "=")
		if !ok {
			return nil, fmt.Errorf("--time-offset %s: give it as CLOCK=DURATION, for instance boottime=240h", value)
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("--time-offset %s: %w", value, err)
		}
		switch clock {
		case "monotonic":
			t.Monotonic = d
		case "boottime":
			t.Boottime = d
		default:
			return nil, fmt.Errorf("--time-offset %s: only the clocks monotonic and boottime can be shifted (time_namespaces(7))", value)
		}
		if seen[clock] {
			return nil, fmt.Errorf("--time-offset %s: %s is shifted twice", value, clock)
		}
		seen[clock] = true
	}
	return &t, nil
}
