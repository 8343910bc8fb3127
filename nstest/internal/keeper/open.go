package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/confine"
	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// self is the reserved name of an environment's own host.
const self = "self"

// check refuses parameters that contradict each other or name what does not exist, before anything is made.
func (e *environment) check(context.Context) error {
	p := e.params
	e.kinds, e.count = ns.All, p.IDCount
	if err := e.leaveOut(p.LeaveOut); err != nil {
		return err
	}
	for _, name := range p.ShareKinds {
		k, err := ns.ParseKind(name)
		switch {
		case err != nil:
			return err
		case k == ns.User && !p.Privileged:
			return refuse(unix.EINVAL, "an environment without a user namespace of its own has the rights of the machine's root: ask for a privileged one")
		}
		e.kinds &^= k
	}
	if p.Privileged {
		if !e.server.shifted {
			return refuse(unix.EPERM, "a privileged environment needs real root")
		}
		e.kinds &^= ns.User
		if !e.kinds.Has(ns.PID) {
			return refuse(unix.EINVAL, "a privileged environment needs a PID namespace of its own: without one its processes could not be told from the machine's and ended")
		}
	}
	if p.Hostname != "" {
		if err := checkHostname(p.Hostname); err != nil {
			return err
		}
	}
	if _, err := confine.Drops(p.CapDrop, p.CapAdd); err != nil {
		return refuse(unix.EINVAL, "%v", err)
	}
	if have := e.server.ids.Count(); !e.server.shifted && p.IDCount > have {
		return refuse(unix.EINVAL, "%d ids are asked for and this user has %d: install newuidmap and grant more in /etc/subuid and /etc/subgid, or run as root", p.IDCount, have)
	}
	if p.IDCount < 0 {
		return refuse(unix.EINVAL, "%d ids", p.IDCount)
	}
	if err := checkTime(p.Time); err != nil {
		return err
	}
	if err := checkRoot(p.Root, p.Layers); err != nil {
		return err
	}
	if !e.kinds.Has(ns.Mount) && (p.Root != "" || len(p.Layers) > 0 || len(p.Shared) > 0 || len(p.Devices) > 0) {
		return refuse(unix.EINVAL, "a root, shared directories and devices need a mount namespace of the environment's own")
	}
	if !e.kinds.Has(ns.Net) {
		e.params.Loopback = true
	}
	if err := checkOutbound(e.params); err != nil {
		return err
	}
	if !e.params.Loopback {
		return checkNetwork(p.Network, nil)
	}
	return nil
}

// checkRoot refuses what cannot be a root, whatever there is in it.
func checkRoot(root string, layers []string) error {
	if len(layers) > 0 && root != "" {
		return refuse(unix.EINVAL, "a root and layers: one of them is the root")
	}
	if len(layers) > maxLayers {
		return refuse(unix.EINVAL, "%d layers are more than %d", len(layers), maxLayers)
	}
	return nil
}

// checkTime refuses offsets by which a clock would be negative; the kernel says no more than ERANGE.
func checkTime(t *wire.TimeOffsets) error {
	if t == nil {
		return nil
	}
	for _, c := range []struct {
		name   string
		id     int32
		offset time.Duration
	}{{"monotonic", unix.CLOCK_MONOTONIC, t.Monotonic}, {"boottime", unix.CLOCK_BOOTTIME, t.Boottime}} {
		var now unix.Timespec
		if err := unix.ClockGettime(c.id, &now); err != nil {
			return fmt.Errorf("read clock %s: %w", c.name, err)
		}
		if at := time.Duration(now.Nano()); at+c.offset < 0 {
			return refuse(unix.ERANGE, "the clock %s stands at %v and cannot go back by %v", c.name, at.Round(time.Second), -c.offset)
		}
	}
	return nil
}

// checkHostname accepts what sethostname(2) and DNS do: labels of 1 to 63 letters, digits, hyphens and underscores.
func checkHostname(name string) error {
	if len(name) > 64 {
		return refuse(unix.EINVAL, "host name %q is longer than the 64 bytes that Linux allows", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return fmt.Errorf("host name %q: %w", name, err)
		}
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return refuse(unix.EINVAL, "a name must not be empty")
	case len(label) > 63:
		return refuse(unix.EINVAL, "%q has %d characters and DNS allows 63", label, len(label))
	case label[0] == '-' || label[len(label)-1] == '-':
		return refuse(unix.EINVAL, "%q begins or ends with a hyphen", label)
	}
	for _, c := range label {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return refuse(unix.EINVAL, "%q has the character %q: letters, digits, hyphens and underscores are possible", label, c)
		}
	}
	return nil
}

func (s *server) spawnInit(kinds ns.Kinds, owner int) (agent *pid1.Agent, proc *ns.Process, err error) {
	image, err := pid1.Image()
	if err != nil {
		return nil, nil, err
	}
	ours, theirs, err := pid1.Socket()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	proc, err = ns.Start(ns.Spec{
		Path: image.Path, Image: image.File, Args: image.Args, Env: image.Env,
		Files: []*os.File{s.null, s.null, s.null, theirs}, Kinds: kinds, Owner: owner,
	})
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	return pid1.NewAgent(ours), proc, nil
}

func (e *environment) buildRoot(context.Context) error {
	p := e.params
	if p.MachineRoot && (p.Root != "" || len(p.Layers) > 0 || len(p.Shared) > 0 || len(p.Devices) > 0) {
		return refuse(unix.EINVAL, "root, shared directories and devices need a root of the environment's own")
	}
	var err error
	e.root, err = e.newRoot(rootfs.Spec{Roots: roots(p.Root, p.Layers), MachineRoot: p.MachineRoot, Hostname: e.hostname()})
	return err
}

// newRoot makes a root that shows what every root of the environment does.
func (e *environment) newRoot(spec rootfs.Spec) (*rootfs.Root, error) {
	p := e.params
	spec.Layered, spec.ReadOnly, spec.Devices, spec.Uncovered = p.Visible, p.ReadOnly, p.Devices, e.uncovered
	if e.lease != nil {
		spec.UserNS, spec.UID, spec.GID = e.userNS, e.lease.Base, e.lease.Base
	}
	for _, s := range p.Shared {
		share := rootfs.Share{Path: s.Path, Target: s.Target, ReadOnly: s.ReadOnly}
		if e.lease != nil {
			uid, gid := idmap.Invoker(s.Path)
			if uid == 0 {
				gid = 0
				share.ReadOnly = share.ReadOnly || !s.AllowHostRoot // a setuid program written there would be the machine's root's
			}
			owner, err := e.server.owner(uid, gid, e.lease.Base)
			if err != nil {
				return nil, fmt.Errorf("shared directory %s: %w", s.Path, err)
			}
			defer owner.Close()
			share.Owner = owner
		}
		spec.Shares = append(spec.Shares, share)
	}
	return e.server.machine.NewRoot(spec)
}

// maxLayers is one more than what Docker permits. Overlayfs takes 500.
const maxLayers = 128

// roots are the directories that become the root, the uppermost first. None are the machine's own tree.
func roots(root string, layers []string) []string {
	if root != "" {
		return []string{root}
	}
	list := slices.Clone(layers)
	slices.Reverse(list)
	return list
}

// owner is a user namespace in which the machine's uid and gid are the ids base: an idmapped mount with it shows files
// of that user as files of an environment's root, and makes files of its root that user's.
func (s *server) owner(uid, gid, base int) (*os.File, error) {
	agent, proc, err := s.spawnInit(ns.User, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = agent.Close()
		_ = proc.Kill()
		_, _ = proc.Wait()
		_ = proc.PIDFD.Close()
	}()
	m := idmap.Map{UIDs: []idmap.Range{{Inside: uid, Outside: base, Count: 1}}, GIDs: []idmap.Range{{Inside: gid, Outside: base, Count: 1}}}
	if err := m.Write(proc.PID); err != nil {
		return nil, err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", proc.PID))
	if err != nil {
		return nil, fmt.Errorf("open user namespace: %w", err)
	}
	return f, nil
}

func (e *environment) hostname() string {
	if e.params.Hostname != "" {
		return e.params.Hostname
	}
	return self
}

// own are the namespaces that the environment's first host does not share with the machine.
func (e *environment) own() rootfs.Own {
	return rootfs.Own{PID: e.kinds.Has(ns.PID), Net: e.kinds.Has(ns.Net), IPC: e.kinds.Has(ns.IPC), UTS: e.kinds.Has(ns.UTS)}
}

// enterRoot turns the init into an environment: in its own tree, confined. It does not wait for it either.
func (e *environment) enterRoot(context.Context) error {
	var p pid1.Program
	drops, err := confine.Drops(e.params.CapDrop, e.params.CapAdd)
	if err != nil {
		return err
	}
	confine.Capabilities(&p, drops)
	confine.Keyring(&p)
	var cables []*cable
	if !e.params.Loopback {
		if e.cable, err = e.reserveSelf(); err != nil {
			return err
		}
		cables = append(cables, e.cable)
	}
	if e.kinds.Has(ns.Mount) {
		for _, first := range e.root.Enter(&p, e.own(), addresses(cables)) {
			if _, err := e.agent.Run(first); err != nil {
				return err
			}
		}
	}
	if t := e.params.Time; t != nil {
		ns.ShiftClocks(&p, t.Monotonic, t.Boottime)
	}
	if !e.params.Privileged {
		confine.Seccomp(&p, e.params.AllowIOUring)
	}
	e.entered = e.agent.Begin(&p)
	return nil
}

// reserveSelf is the cable of the environment's own host, with its addresses.
func (e *environment) reserveSelf() (*cable, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.draw(self, nil, wire.Attachment{}, nil)
}

// attachSelf plugs in the environment's own host while the init enters its root, and waits for both.
func (e *environment) attachSelf(ctx context.Context) error {
	h := newHost(self, e.agent)
	h.own = e.own()
	e.mu.Lock()
	e.hosts[self] = h
	e.mu.Unlock()
	err := h.boot(e.sockets, e.zone)
	if err == nil {
		e.plan(e.hostsToCome)
	}
	if err == nil && e.cable != nil {
		err = h.attach(ctx, e, []*cable{e.cable})
	}
	if err == nil {
		e.mu.Lock()
		err = e.guide(h)
		e.mu.Unlock()
	}
	if _, rerr := e.entered(); rerr != nil && err == nil {
		err = &stepError{"enter root", rerr}
	}
	if err != nil || e.cable == nil {
		return err
	}
	if e.params.Hostname != "" {
		if err := e.zone.Set(e.params.Hostname, h.addrs()); err != nil {
			return err
		}
	}
	return e.zone.Set(self, h.addrs())
}

func isNetClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
