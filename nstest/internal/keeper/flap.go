package keeper

import (
	"context"
	"errors"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A flap pulls and plugs a cable by turns.
type flap struct {
	number int       // of the fault
	since  time.Time // it is in force
	host   *host
	cable  *cable
	stop   context.CancelFunc
}

// leastTurn bounds the work that a flap makes.
const leastTurn = 10 * time.Millisecond

// flapLink begins with the cable pulled. It goes on until the fault is healed or the link removed, also when the link moves.
func (e *environment) flapLink(p wire.FlapParams) (r wire.PartitionResult, err error) {
	if p.Up < leastTurn || p.Down < leastTurn {
		return r, refuse(unix.EINVAL, "flap: %v up and %v down: each takes %v at least", p.Up, p.Down, leastTurn)
	}
	err = e.changeLink(p.Host, p.Network, func(h *host, c *cable) error {
		if c.flap != nil {
			return refuse(unix.EBUSY, "the link of host %q to network %q flaps already: heal that first", h.name, c.network.name)
		}
		if err := h.plug(c, false); err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		e.mu.Lock()
		defer e.mu.Unlock()
		e.number++
		h.setFlap(c, &flap{number: e.number, since: time.Now(), host: h, cable: c, stop: stop})
		if e.flaps == nil {
			e.flaps = map[int]*flap{}
		}
		e.flaps[e.number] = c.flap
		r.Fault = e.number
		e.recordFlap(c.flap, "")
		e.recordLink(h, c, plugged(false))
		go c.flap.run(ctx, e, p.Up, p.Down)
		return nil
	})
	return r, err
}

func (h *host) setFlap(c *cable, f *flap) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.flap = f
}

// run ends with ctx, with the environment, or with the cable.
func (f *flap) run(ctx context.Context, e *environment, up, down time.Duration) {
	turn := time.NewTimer(down)
	defer turn.Stop()
	for plugged := true; ; plugged = !plugged {
		select {
		case <-turn.C:
		case <-ctx.Done():
			return
		case <-e.ended:
			return
		}
		if err := f.turn(ctx, e, plugged); err != nil {
			return
		}
		if plugged {
			turn.Reset(up)
		} else {
			turn.Reset(down)
		}
	}
}

// turn plugs or pulls the cable, unless the flap has been stopped.
func (f *flap) turn(ctx context.Context, e *environment, up bool) error {
	f.host.changing.Lock()
	defer f.host.changing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.host.plug(f.cable, up); err != nil {
		return err
	}
	e.recordLink(f.host, f.cable, plugged(up))
	return nil
}

// heal stops the flap with the cable plugged in.
func (f *flap) heal(e *environment) error {
	f.host.changing.Lock()
	defer f.host.changing.Unlock()
	if f.cable.flap != f {
		return nil // the link was removed
	}
	f.stop()
	f.host.setFlap(f.cable, nil)
	if err := f.host.plug(f.cable, true); err != nil && !errors.Is(err, unix.ENODEV) { // a process of the host has deleted it
		return err
	}
	e.recordFlap(f, healed)
	e.recordLink(f.host, f.cable, plugged(true))
	return nil
}

// endFlap stops what plugs and pulls a cable that is being removed. The environment's mutex is held, and nobody else changes
// the cable.
func (e *environment) endFlap(c *cable) {
	if f := c.flap; f != nil {
		f.stop()
		delete(e.flaps, f.number)
		f.host.setFlap(c, nil)
		e.recordFlap(f, healed)
	}
}
