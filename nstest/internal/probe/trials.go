package probe

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/google/nftables"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// Trials make things where an environment would make them, and leave nothing. Each returns nil, an error that wraps the
// errno by which the kernel refused, or an *Absent that says it all.
type Trials interface {
	Proc() error     // a fresh /proc
	Sysfs() error    // a fresh /sys
	Overlay() error  // an overlay with an upper layer; with userxattr in a user namespace
	IDMap() error    // an idmapped clone of the root filesystem
	Bridge() error   // a bridge
	Veth() error     // a pair of virtual Ethernet devices
	NFTables() error // a base chain in a table of the inet and of the bridge family
	Netem() error    // a netem queueing discipline
	TimeNS() error   // a time namespace with an offset
	Tun() error      // opening /dev/net/tun
}

// trials are those for the case that the caller has none.
func (m *machine) trials() Trials {
	derived := derivedTrials{m}
	if m.mode() == Rootless {
		return derived
	}
	return threadTrials{derived}
}

// threadTrials make things on threads in namespaces of their own, with the caller's capabilities. Netem is derived.
type threadTrials struct{ derivedTrials }

// trialDir is mounted over in a private mount namespace. It is there on every machine that has processes.
const trialDir = "/proc"

func (t threadTrials) Proc() error {
	if !t.m.initialUserNS() {
		// A thread stays in its process's PID namespace, which may be an outer user namespace's: then the kernel would
		// refuse here what it permits to an environment.
		return t.derivedTrials.Proc()
	}
	return ns.TrialThread(unix.CLONE_NEWNS, func() error {
		return verb("mount proc", unix.Mount("proc", trialDir, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	})
}

func (threadTrials) Sysfs() error {
	return ns.TrialThread(unix.CLONE_NEWNS|unix.CLONE_NEWNET, func() error {
		const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY
		return verb("mount sysfs", unix.Mount("sysfs", trialDir, "sysfs", flags, ""))
	})
}

func (t threadTrials) Overlay() error {
	options := "lowerdir=" + trialDir + "/l,upperdir=" + trialDir + "/u,workdir=" + trialDir + "/w"
	if !t.m.initialUserNS() {
		options += ",userxattr"
	}
	return ns.TrialThread(unix.CLONE_NEWNS, func() error {
		if err := unix.Mount("tmpfs", trialDir, "tmpfs", 0, "size=64k"); err != nil {
			return fmt.Errorf("mount tmpfs: %w", err)
		}
		for _, name := range []string{"/l", "/u", "/w", "/m"} {
			if err := unix.Mkdir(trialDir+name, 0o755); err != nil {
				return fmt.Errorf("make directory in tmpfs: %w", err)
			}
		}
		return verb("mount overlay", unix.Mount("overlay", trialDir+"/m", "overlay", 0, options))
	})
}

func (t threadTrials) IDMap() error {
	if !t.m.initialUserNS() {
		return t.derivedTrials.IDMap()
	}
	userns, err := ns.TrialUserNS(t.m.trialIDs())
	if err != nil {
		return t.m.judge("idmapped mounts", "clone user namespace", err)
	}
	defer userns.Close()
	return ns.TrialThread(unix.CLONE_NEWNS, func() error {
		// A clone that is attached nowhere: closing it dissolves it.
		tree, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("clone the root filesystem's mount: %w", err)
		}
		defer unix.Close(tree)
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
		return verb("idmap the root filesystem's mount", unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr))
	})
}

func (threadTrials) Bridge() error {
	return addLinks(func(b *rtnl.Batch) { b.Bridge(rtnl.BridgeSpec{Name: "trial"}) })
}

func (threadTrials) Veth() error {
	return addLinks(func(b *rtnl.Batch) { b.Veth(rtnl.VethSpec{Name: "trial", Peer: rtnl.VethPeer{Name: "peer"}}) })
}

// addLinks sends a batch in a network namespace that takes everything along.
func addLinks(fill func(*rtnl.Batch)) error {
	return ns.TrialThread(unix.CLONE_NEWNET, func() error {
		conn, err := rtnl.Open()
		if err != nil {
			return err
		}
		var b rtnl.Batch
		fill(&b)
		return errors.Join(conn.Send(&b), conn.Close())
	})
}

func (threadTrials) NFTables() error {
	for _, family := range []struct {
		name   string
		family nftables.TableFamily
		hook   *nftables.ChainHook
	}{{"inet", nftables.TableFamilyINet, nftables.ChainHookOutput}, {"bridge", nftables.TableFamilyBridge, nftables.ChainHookForward}} {
		err := ns.TrialThread(unix.CLONE_NEWNET, func() error {
			conn, err := nftables.New()
			if err != nil {
				return err
			}
			table := conn.AddTable(&nftables.Table{Name: "trial", Family: family.family})
			conn.AddChain(&nftables.Chain{
				Name: "trial", Table: table, Type: nftables.ChainTypeFilter, Hooknum: family.hook, Priority: nftables.ChainPriorityFilter,
			})
			return conn.Flush()
		})
		if err != nil {
			return fmt.Errorf("add nftables chain of family %s: %w", family.name, err)
		}
	}
	return nil
}

func (threadTrials) TimeNS() error {
	return ns.TrialThread(unix.CLONE_NEWTIME, func() error {
		// The file is one of processes, and shows the namespace of the thread that leads: so by the thread's number.
		path := fmt.Sprintf("/proc/%d/timens_offsets", unix.Gettid())
		return verb("write clock offset", os.WriteFile(path, []byte("monotonic 1 0\n"), 0))
	})
}

// verb puts what was tried before an error.
func verb(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// derivedTrials conclude from what is to be read. They serve an ordinary user, whose environments would be in a user
// namespace, which a process with threads cannot enter.
type derivedTrials struct{ m *machine }

// concludes reports whether the trial for the finding of that name is none.
func (derivedTrials) concludes(string) bool { return true }

func (threadTrials) concludes(name string) bool { return name == "netem" }

// tried is what a finding says of a trial that went well.
func tried(t Trials, name, detail string) string {
	if c, ok := t.(interface{ concludes(name string) bool }); ok && c.concludes(name) {
		return detail + " (concluded, not tried)"
	}
	return detail
}

// errUntried is the answer where nothing can be concluded.
var errUntried = errors.New("not tried: it takes a user namespace")

func (d derivedTrials) Proc() error {
	if _, _, visible := d.m.masked("proc"); !visible {
		return errUntried
	}
	return nil // what is mounted over /proc was looked at before
}

func (d derivedTrials) Sysfs() error {
	if _, _, visible := d.m.masked("sysfs"); !visible {
		return errUntried
	}
	return nil
}

func (d derivedTrials) Overlay() error {
	if !d.m.atLeast(5, 11) {
		return &Absent{
			Feature: "overlayfs in a user namespace", Remedy: "Linux 5.11 or later, or run as root",
			Cause: fmt.Errorf("kernel %s mounts an overlay for root only", d.m.release),
		}
	}
	return d.has("overlayfs", "OVERLAY_FS", "overlay")
}

func (d derivedTrials) IDMap() error {
	return &Absent{
		Feature: "idmapped mounts", Remedy: "run as root",
		Cause: restricted{"the kernel lets only root idmap a filesystem of the machine (mount_setattr(2))"},
	}
}

func (d derivedTrials) Bridge() error { return d.has("bridges", "BRIDGE", "bridge") }
func (d derivedTrials) Veth() error   { return d.has("veth", "VETH", "veth") }
func (d derivedTrials) Netem() error  { return d.has("netem", "NET_SCH_NETEM", "sch_netem") }

func (d derivedTrials) NFTables() error {
	if err := d.has("nftables", "NF_TABLES", "nf_tables"); err != nil {
		return err
	}
	for _, option := range []string{"NF_TABLES_INET", "NF_TABLES_BRIDGE"} {
		if d.m.config(option) == "n" {
			return &Absent{Feature: "nftables", Cause: fmt.Errorf("CONFIG_%s is not set in the kernel", option), Remedy: kernelRemedy(option)}
		}
	}
	return nil
}

func (d derivedTrials) TimeNS() error {
	if !d.m.exists("/proc/self/ns/time") {
		return d.m.noKind("time")
	}
	return nil
}

func (d derivedTrials) Tun() error {
	file, err := os.OpenFile(d.m.path("/dev/net/tun"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// has concludes from the kernel's configuration and modules whether a feature is there.
func (d derivedTrials) has(feature, option, module string) error {
	if _, ok := d.m.module(module); ok {
		return nil
	}
	switch value := d.m.config(option); {
	case value == "y":
		return nil
	case value == "n":
		return &Absent{Feature: feature, Cause: fmt.Errorf("CONFIG_%s is not set in the kernel", option), Remedy: kernelRemedy(option)}
	case d.m.moduleDir() != "":
		return &Absent{
			Feature: feature, Cause: fmt.Errorf("there is no module %s in %s", module, d.m.moduleDir()), Remedy: d.m.moduleRemedy(),
		}
	case value == "m":
		return fmt.Errorf("not tried: it is the module %s, and the machine's modules are not visible here", module)
	default:
		return errors.New("not tried: neither the kernel's configuration nor its modules are visible here")
	}
}

func kernelRemedy(option string) string { return "a kernel with CONFIG_" + option + "=y or =m" }

// moduleRemedy installs the modules that distributions ship apart.
func (m *machine) moduleRemedy() string {
	if m.container() != "" {
		return "on the machine itself, not in the container: install the kernel's further modules"
	}
	return m.install("linux-modules-extra-"+m.release, "kernel-modules-extra", "linux", "linux-lts", "kernel-default")
}
