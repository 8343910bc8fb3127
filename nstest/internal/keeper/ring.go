package keeper

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/pcapng"
	"github.com/hermetic-go/nstest/nstest/internal/tap"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A ring is two files in which a capture has the last packets: each is written until it is full, and then the other one, from its
// beginning. At any moment both are whole.
type ring struct {
	name  string // of the environment
	spare *sink  // of the file that is not written now

	secrets []byte // of connections, guarded by the mutex of the capture

	mu       sync.Mutex    // guards what follows; taken before that of the capture
	switches []*lan.Switch // that are listened to
	drops    []*lan.DropWatch
	ended    bool
}

// maxEarly bounds, in bytes, what is kept for each file of a ring that has none yet: as much as for the file, where that is less.
const maxEarly = 64 << 20

// newRing is a capture of all packets of the environment, for two files that give hands over.
func newRing(p wire.RecordParams, name string) (*capture, error) {
	snap := int(min(p.Packets/4, maxSnap)) // a file has room for some
	if p.Snap > 0 {
		snap = min(p.Snap, snap)
	}
	c := &capture{
		params: wire.CaptureParams{Snap: snap, Limit: p.Packets}, seen: map[place]*seen{}, told: map[netip.Addr][]string{},
		ring: &ring{name: name},
	}
	early := int(min(p.Packets, maxEarly))
	c.sink, c.ring.spare = &sink{early: early}, &sink{early: early}
	return c, c.beginSection()
}

// give hands over the files of a ring, which are empty. It must be called once at most.
func (c *capture) give(ctx context.Context, files []*os.File) {
	c.mu.Lock()
	now, before := c.sink, c.ring.spare
	c.mu.Unlock()
	if !before.waits() {
		now.give(files[0])
		before.give(files[1])
		return
	}
	before.give(files[0])
	_ = before.flush(ctx) // whoever reads tells by the files' times which one is older
	now.give(files[1])
}

// letGo has a ring keep nothing, of what it has seen and of what comes.
func (c *capture) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.stats = true, wire.CaptureStats{}
	c.notes, c.ring.secrets = nil, nil
	c.sink.letGo()
	c.ring.spare.letGo()
}

// beginSection begins a section at the beginning of the file that is written now.
func (c *capture) beginSection() (err error) {
	c.out, err = pcapng.NewWriter(c.sink, c.params.Limit, "nstest", "environment "+c.ring.name)
	clear(c.seen)
	clear(c.told)
	c.names = 0
	if err == nil && len(c.ring.secrets) > 0 {
		err = c.out.WriteSecrets(c.ring.secrets)
	}
	return err
}

// turn ends the section, and begins one in the other file. The mutex is held.
func (c *capture) turn() error {
	if len(c.seen) == 0 { // it would be no other there
		return pcapng.ErrLimit
	}
	for _, s := range c.seen {
		if err := c.out.WriteStatistics(s.number, time.Now(), s.packets, c.stats.Lost); err != nil {
			return err
		}
	}
	c.sink, c.ring.spare = c.ring.spare, c.sink
	c.sink.empty()
	c.remind()
	return c.beginSection()
}

// watch has the ring see what passes a network's switch. Doing so again has no effect.
func (r *ring) watch(e *environment, c *capture, n *network) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.lan == nil || r.ended || slices.Contains(r.switches, n.lan) {
		return nil
	}
	if len(r.switches) >= maxTaps {
		return refuse(unix.EMFILE, "the packets are not recorded: those of %d other networks are", maxTaps)
	}
	err := n.lan.Record(c.params.Snap, func(port lan.PortID, f tap.Frame) {
		if l, ok := n.labels.Load(port); ok {
			c.see(e, l.(label), f)
		}
	})
	if err != nil {
		return fmt.Errorf("the packets are not recorded: %w", err)
	}
	r.switches = append(r.switches, n.lan)
	w, err := n.lan.Drops(func(d lan.Drop) { c.seeDrop(e, n, d) })
	if err != nil {
		return fmt.Errorf("which packets are dropped is not recorded: %w", err)
	}
	r.drops = append(r.drops, w)
	return nil
}

// end stops listening, and returns how many packets were lost by the kernel. Nobody sends packets any more.
func (r *ring) end() (lost uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for _, s := range r.switches {
		n, serr := s.EndRecord()
		lost += n
		err = errors.Join(err, serr)
	}
	for _, w := range r.drops {
		err = errors.Join(err, w.Err(), w.Close())
	}
	return lost, err
}

// endRing completes both files.
func (e *environment) endRing(c *capture) (wire.CaptureStats, error) {
	var errs []error
	lost, err := c.ring.end()
	errs = append(errs, err)
	stats, err := c.complete(e, lost)
	errs = append(errs, err)
	var work sync.WaitGroup
	var spared error
	work.Go(func() { spared = c.ring.spare.close() })
	errs = append(errs, c.sink.close())
	work.Wait()
	return stats, errors.Join(append(errs, spared)...)
}
