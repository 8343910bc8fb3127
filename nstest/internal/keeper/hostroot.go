package keeper

import (
	"errors"
	"net/netip"
	"os"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A hostRoot is the root of a host that has one of its own, while the host is made.
type hostRoot struct {
	env    *environment
	spec   rootfs.Spec
	inside bool         // its directories are in the environment's tree, where only an init of the environment may look
	root   *rootfs.Root // nil until it is made
	own    rootfs.Own
	addrs  []netip.Addr
	rest   []*pid1.Program // what the host's init has yet to run, one after the other
}

// checkHostRoot refuses what cannot be the root of a host.
func checkHostRoot(p wire.HostParams) error {
	if p.NetOnly && (p.Root != "" || len(p.Layers) > 0) {
		return refuse(unix.EINVAL, "a host of nothing but a network has the environment's files: leave out NetOnly for a root of its own")
	}
	return checkRoot(p.Root, p.Layers)
}

// hostRoot begins a root for a host that is to have one of its own; else it is nil. Whoever gets one closes it when the host
// has been made, or not.
func (e *environment) hostRoot(p wire.HostParams, own rootfs.Own, addrs []netip.Addr) (*hostRoot, error) {
	dirs := roots(p.Root, p.Layers)
	if len(dirs) == 0 {
		return nil, nil
	}
	r := &hostRoot{env: e, inside: p.Inside, own: own, addrs: addrs, spec: rootfs.Spec{Roots: dirs, Hostname: p.Name, Further: true}}
	if r.inside {
		var p pid1.Program
		if err := rootfs.Stack(&p, dirs, e.userNS != nil); err != nil {
			return nil, err
		}
		r.rest = []*pid1.Program{&p}
		return r, nil
	}
	return r, r.make()
}

func (r *hostRoot) make() error {
	root, err := r.env.newRoot(r.spec)
	if err != nil {
		return err
	}
	r.root = root
	var last pid1.Program
	r.rest = append(root.Enter(&last, r.own, r.addrs), &last)
	return nil
}

// next is the next program of the host's init. Each is for what the one before has left, and would do harm elsewhere.
func (r *hostRoot) next() *pid1.Program {
	p := r.rest[0]
	r.rest = r.rest[1:]
	return p
}

// finish has the host's init take on the root; it has run the first program, which has returned files.
func (r *hostRoot) finish(agent *pid1.Agent, files []*os.File) error {
	if r.inside {
		r.spec.Stacked = files[0]
		if err := r.make(); err != nil {
			_ = closeAll(files) // unless that has been done
			return &stepError{"build root", err}
		}
	}
	for len(r.rest) > 0 {
		if _, err := agent.Run(r.next()); err != nil {
			return &stepError{"enter root", err}
		}
	}
	return nil
}

// failure is err of a program of the host's init.
func (r *hostRoot) failure(err error) error {
	var call *pid1.CallError
	if r != nil && r.inside && errors.As(err, &call) && call.Errno == unix.EINVAL && strings.HasPrefix(call.Name, "mount overlay") {
		return &stepError{"build root", refuse(unix.EINVAL, "the file system of its directories cannot be below a further overlay: put them below /tmp (%v)", err)}
	}
	return &stepError{"enter root", err}
}

func (r *hostRoot) close() error {
	if r == nil || r.root == nil {
		return nil
	}
	return r.root.Close()
}
