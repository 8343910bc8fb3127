package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
)

// A cell is what an environment lives in: its namespaces, and an init that is root of them and waits for what they are to
// look like inside. Nothing of that is decided yet.
type cell struct {
	server    *server
	kinds     ns.Kinds
	missing   ns.Kinds     // of kinds: a test has left them out
	count     int          // of ids; 0 is the default
	unshifted bool         // a test has left out that ids are not the keeper's own
	lease     *idmap.Lease // nil where ids are the keeper's own
	ids       idmap.Map    // as the keeper sees what is outside
	userNS    *os.File     // nil without a user namespace of its own
	init      *ns.Process
	agent     *pid1.Agent
	sockets   pid1.Ran // the init's first program
	omit      []string // calls that a test has left out
}

func (c *cell) leaseIDs(context.Context) (err error) {
	switch {
	case !c.kinds.Has(ns.User):
		c.ids = c.server.ids
	case !c.server.shifted || c.unshifted:
		c.ids = c.server.ids.Identity()
		if c.count > 0 {
			c.ids = c.ids.First(c.count)
		}
	default:
		if c.lease, err = idmap.Take(max(c.count, idmap.Size)); err != nil {
			return err
		}
		c.ids = c.lease.Map()
		if c.count > 0 {
			c.ids.UIDs[0].Count = c.count
		}
	}
	return nil
}

// startInit starts the init in all its namespaces at once. It waits for its first program.
func (c *cell) startInit(context.Context) (err error) {
	owner := 0
	if c.lease != nil {
		owner = c.lease.Base
	}
	c.agent, c.init, err = c.server.spawnInit(c.kinds&^c.missing, owner)
	return err
}

func (c *cell) writeMaps(context.Context) error {
	if !c.kinds.Has(ns.User) || c.missing.Has(ns.User) {
		return nil
	}
	if err := c.ids.Write(c.init.PID); err != nil {
		return err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", c.init.PID))
	if err != nil {
		return fmt.Errorf("open user namespace: %w", err)
	}
	c.userNS = f
	return nil
}

// makeSockets has the init become root and make what the keeper needs to configure the network. It does not wait for it.
func (c *cell) makeSockets(context.Context) error {
	c.agent.Omit(c.omit)
	var p pid1.Program
	p.SetCredentials(0, 0, nil)
	if c.kinds.Has(ns.Net) {
		sockets(&p, c.server.sysctls)
	}
	c.sockets = c.agent.Begin(&p)
	return nil
}

// kill begins the end of every process in the cell.
func (c *cell) kill() error {
	if c.init == nil {
		return nil
	}
	return c.init.Kill()
}

// reap returns when no process is left in a cell that was killed. The kernel ends the whole PID namespace with its init, and
// returns from the wait when that is done. Links and mounts end with their namespaces; deleting them one by one takes a
// hundred times longer.
func (c *cell) reap() error {
	var errs []error
	if c.agent != nil {
		errs = append(errs, ignoreClosed(c.agent.Close()))
	}
	if c.init != nil {
		if _, err := c.init.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("wait for init: %w", err))
		}
		errs = append(errs, c.init.PIDFD.Close())
		if !c.kinds.Has(ns.PID) && c.userNS != nil {
			errs = append(errs, sweep(c.userNS, "user"))
		}
	}
	return errors.Join(errs...)
}

// release gives back what the keeper holds of a cell that was reaped.
func (c *cell) release() error {
	var err error
	if c.userNS != nil {
		err = c.userNS.Close()
	}
	if c.lease != nil {
		c.lease.Release()
	}
	return err
}
