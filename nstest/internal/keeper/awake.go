package keeper

import (
	"errors"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// awake is the connection to the host's init, which is forked for the first who asks where the host was made without one.
func (h *host) awake() (*pid1.Agent, error) {
	if h.parent == nil {
		return h.agent, nil
	}
	h.waking.Lock()
	defer h.waking.Unlock()
	switch {
	case h.asleep:
		return nil, refuse(unix.ENOENT, "host %q is being removed", h.name)
	case h.agent != nil:
		return h.agent, nil
	}
	netns, err := h.route.NetNS()
	if err != nil {
		return nil, err
	}
	defer netns.Close()
	var enter pid1.Program
	ns.EnterNet(&enter, enter.File(netns))
	agent, forked, ran, err := h.parent.BeginFork(0, &enter)
	if err != nil {
		return nil, &stepError{"start init", err}
	}
	child, err := forked()
	if err != nil {
		return nil, &stepError{"start init", errors.Join(forkError(err), agent.Close())}
	}
	h.agent, h.child = agent, child
	if _, err := ran[0](); err != nil {
		h.asleep = true // the init is not where it should be
		return nil, &stepError{"enter network namespace", err}
	}
	return agent, nil
}

// forkError says why an init that is a program in Go could not fork another one: it has to execute itself for that.
func forkError(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return refuse(unix.ENOENT, "on this machine the init is this program itself, which is linked dynamically and finds no linker in the environment's root: build it with CGO_ENABLED=0")
	}
	return err
}

// ownInit is the host's init, if it has one of its own and is awake.
func (h *host) ownInit() *pid1.Child {
	if !h.waking.TryLock() { // it is about to get one, which takes as long as the environment's init wants
		return nil
	}
	defer h.waking.Unlock()
	return h.child
}

// lull keeps a host that is taken apart from waking, and reports whether it has ever been awake: else there is no process
// in it, and never was one that could have brought others there.
func (h *host) lull() bool {
	h.waking.Lock()
	defer h.waking.Unlock()
	h.asleep = true
	return h.child != nil
}
