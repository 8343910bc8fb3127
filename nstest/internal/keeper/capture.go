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
	"github.com/hermetic-go/nstest/nstest/internal/pcapfilter"
	"github.com/hermetic-go/nstest/nstest/internal/pcapng"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/tap"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A capture writes the packets of cables to a file. It listens at the switches, where nobody inside can see or hinder it.
type capture struct {
	params wire.CaptureParams
	device string             // of the host, "" = all
	filter *pcapfilter.Filter // nil for all packets
	sink   *sink
	guests bool          // of a visitor's; guarded by the environment's mutex
	ended  chan struct{} // closed when it is complete

	mu     sync.Mutex // guards what follows
	out    *pcapng.Writer
	seen   map[place]*seen         // the interfaces of the file
	told   map[netip.Addr][]string // the names that the file has, of hosts that are gone too
	names  uint64                  // the number of the zone's changes that it has
	stats  wire.CaptureStats
	taps   []*tap.Tap
	drops  []*lan.DropWatch
	closed bool

	notes   []moment       // of which no packet tells yet
	inForce map[int]string // the faults, by their number

	ring *ring // where the file goes on when it is full; nil for one that ends there
}

// A place is an end of a cable: a device of a host.
type place struct{ host, device string }

func (p place) String() string { return p.host + "/" + p.device }

// seen is an interface of the file.
type seen struct {
	number  int
	packets uint64
}

// maxTaps bounds the rings of an environment, each of four mebibytes, and its captures, also where they have no ring.
const maxTaps = 64

// capture begins a capture into a file, which it takes over.
func (e *environment) capture(ctx context.Context, p wire.CaptureParams, file *os.File) (wire.CaptureResult, error) {
	c, err := e.newCapture(p, file)
	if err != nil {
		return wire.CaptureResult{}, errors.Join(err, file.Close())
	}
	if isPipe(file) { // whoever has sent it can make nobody wait at a description of our own
		own, err := reopen(int(file.Fd()))
		if err = errors.Join(err, file.Close()); err != nil {
			return wire.CaptureResult{}, err
		}
		file = own
	}
	if err := c.begin(ctx, file, e.name()); err != nil {
		return wire.CaptureResult{}, err
	}
	e.mu.Lock()
	err = e.closedError()
	if err == nil && len(e.captures) >= maxTaps {
		err = tooManyCaptures(len(e.captures))
	}
	for _, n := range e.networks {
		if err == nil {
			err = e.listen(c, n)
		}
	}
	if err == nil {
		e.number++
		e.captures[e.number] = c
		e.audience.join(c, e.faultStates())
	}
	number := e.number
	e.mu.Unlock()
	if err != nil {
		_, cerr := c.close(e)
		return wire.CaptureResult{}, errors.Join(err, cerr)
	}
	return wire.CaptureResult{Capture: number}, nil
}

func tooManyCaptures(n int) error {
	return refuse(unix.EMFILE, "the environment has %d captures of a network already: stop some", n)
}

// checkCaptureFile refuses what a capture cannot be written to, or must not: whoever sends the file may be hostile, and what is
// written to a file of the kernel's is written with our rights.
func checkCaptureFile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var fs unix.Statfs_t
	var flags int
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		if err = unix.Fstatfs(int(fd), &fs); err == nil {
			flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0)
		}
	})
	switch {
	case errors.Join(cerr, err) != nil:
		return errors.Join(cerr, err)
	case !info.Mode().IsRegular() || slices.Contains([]int64{unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC}, fs.Type):
		return refuse(unix.EINVAL, "a capture is written to a regular file")
	case flags&unix.O_ACCMODE == unix.O_RDONLY || flags&unix.O_PATH != 0 || flags&unix.O_APPEND == 0:
		return refuse(unix.EBADF, "the file of a capture has to be open for appending")
	}
	return nil
}

// begin makes the file anew, and returns when its beginning is written: that there is no room for it is told at once.
func (c *capture) begin(ctx context.Context, file *os.File, name string) (err error) {
	if err := empty(file); err != nil {
		return errors.Join(fmt.Errorf("empty the file: %w", record.Pathless(err)), file.Close())
	}
	c.sink = newSink(file)
	if c.out, err = pcapng.NewWriter(c.sink, c.params.Limit, "nstest", "environment "+name); err == nil {
		err = c.sink.flush(ctx)
	}
	switch {
	case errors.Is(err, pcapng.ErrLimit):
		err = refuse(unix.EFBIG, "a limit of %d bytes is less than the beginning of a file takes", c.params.Limit)
	case err == nil:
		return nil
	}
	if cerr := c.sink.close(); cerr != nil && !errors.Is(err, cerr) {
		err = errors.Join(err, cerr)
	}
	return err
}

// isPipe reports whether a file is the writing end of one, to which a capture may be written too: whoever reads it gets packets
// as they pass.
func isPipe(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Mode().Type() != os.ModeNamedPipe {
		return false
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return false
	}
	flags := 0
	cerr := raw.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) })
	return cerr == nil && err == nil && flags&(unix.O_ACCMODE|unix.O_PATH) == unix.O_WRONLY
}

// empty makes a file empty. A pipe has what its reader has not read.
func empty(file *os.File) error {
	if isPipe(file) {
		return nil
	}
	return file.Truncate(0)
}

// maxSnap is more than the largest frame that a tap sees.
const maxSnap = 1 << 18

// newCapture is a capture into a file that remains the caller's until it begins.
func (e *environment) newCapture(p wire.CaptureParams, file *os.File) (*capture, error) {
	if err := checkCaptureFile(file); err != nil && !isPipe(file) {
		return nil, err
	}
	if p.Limit <= 0 || p.Snap < 0 {
		return nil, refuse(unix.EINVAL, "a limit of %d bytes, and %d of each packet", p.Limit, p.Snap)
	}
	p.Snap = min(p.Snap, maxSnap)
	filter, err := pcapfilter.Parse(p.Filter, e.zone.Addresses)
	if err != nil {
		return nil, refuse(unix.EINVAL, "%v", err)
	}
	device := ""
	if p.Host != "" {
		h, err := e.host(p.Host)
		if err != nil {
			return nil, err
		}
		p.Host = h.name
		if p.Network != "" {
			link, err := h.cable(p.Network)
			if err != nil {
				return nil, err
			}
			if o := link.network.overlay; o != nil {
				return nil, refuse(unix.EOPNOTSUPP, "network %q has no cables of its own: capture the link to network %q, which carries it", p.Network, o.over.name)
			}
			device = link.name()
		}
	}
	return &capture{ended: make(chan struct{}), params: p, device: device, filter: filter, seen: map[place]*seen{}, told: map[netip.Addr][]string{}}, nil
}

// listen has a capture see what passes a network's switch. The mutex is held.
func (e *environment) listen(c *capture, n *network) error {
	if n.lan == nil { // its frames are in those of the network below
		return nil
	}
	taps := len(c.rings())
	for _, o := range e.captures {
		taps += len(o.rings())
	}
	if taps >= maxTaps {
		return tooManyCaptures(taps)
	}
	snap := c.params.Snap
	if c.params.Filter != "" { // which may ask for any byte
		snap = 0
	}
	t, err := n.lan.Tap(snap, func(port lan.PortID, f tap.Frame) {
		if l, ok := n.labels.Load(port); ok {
			c.see(e, l.(label), f)
		}
	})
	if err != nil {
		return err
	}
	w, err := n.lan.Drops(func(d lan.Drop) { c.seeDrop(e, n, d) })
	if err != nil {
		return errors.Join(err, t.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taps, c.drops = append(c.taps, t), append(c.drops, w)
	return nil
}

// rings are what the capture listens with.
func (c *capture) rings() []*tap.Tap {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.taps)
}

func (c *capture) watches() []*lan.DropWatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.drops)
}

// listenAll is listen for the captures that are under way when a network is made. The mutex is held.
func (e *environment) listenAll(n *network) error {
	var errs []error
	for _, c := range e.captures {
		errs = append(errs, e.listen(c, n))
	}
	return errors.Join(errs...)
}

// flushCapture returns when what passed before is in the file.
func (e *environment) flushCapture(ctx context.Context, number int) (wire.CaptureStats, error) {
	e.mu.Lock()
	c := e.captures[number]
	e.mu.Unlock()
	if c == nil {
		return wire.CaptureStats{}, refuse(unix.ENOENT, "the capture was stopped")
	}
	return c.flush(ctx)
}

func (c *capture) flush(ctx context.Context) (wire.CaptureStats, error) {
	var lost uint64
	var errs []error
	for _, t := range c.rings() {
		errs = append(errs, t.Flush())
		_, n, err := t.Statistics()
		lost += n
		errs = append(errs, err)
	}
	for _, w := range c.watches() {
		errs = append(errs, w.Flush())
	}
	errs = append(errs, c.sink.flush(ctx))
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Lost += lost
	stats.Bytes = c.out.Size()
	return stats, errors.Join(errs...)
}

// awaitCapture returns when the capture has ended.
func (e *environment) awaitCapture(ctx context.Context, number int) error {
	e.mu.Lock()
	c := e.captures[number]
	e.mu.Unlock()
	if c == nil {
		return nil
	}
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stopCapture completes the file.
func (e *environment) stopCapture(number int) (wire.CaptureStats, error) {
	e.mu.Lock()
	c := e.captures[number]
	delete(e.captures, number)
	e.mu.Unlock()
	if c == nil {
		return wire.CaptureStats{}, refuse(unix.ENOENT, "the capture was stopped")
	}
	return c.close(e)
}

// close completes the file, with everything that passed before. It must be called once.
func (c *capture) close(e *environment) (wire.CaptureStats, error) {
	defer close(c.ended)
	var errs []error
	var lost uint64
	for _, t := range c.rings() {
		errs = append(errs, ignoreClosed(t.Close())) // the end of the environment closes them too
		_, n, err := t.Statistics()
		lost += n
		errs = append(errs, err)
	}
	for _, w := range c.watches() {
		errs = append(errs, w.Close())
	}
	e.audience.leave(c)
	stats, err := c.complete(e, lost)
	if serr := c.sink.close(); serr != nil {
		err = serr // from which the other one follows
	}
	if errors.Is(err, unix.EPIPE) { // who has closed the pipe knows
		err = nil
	}
	return stats, errors.Join(append(errs, err)...)
}

// complete writes what is written at the end. Nothing is written after it.
func (c *capture) complete(e *environment, lost uint64) (wire.CaptureStats, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // what it had was let go
		return c.stats, nil
	}
	c.closed = true
	c.stats.Lost += lost
	err := c.writeNames(e)
	if errors.Is(err, pcapng.ErrLimit) {
		err = nil
	}
	for _, s := range c.seen { // what was lost was lost by all of them together
		if err == nil {
			err = c.out.WriteStatistics(s.number, time.Now(), s.packets, c.stats.Lost)
		}
	}
	c.stats.Bytes = c.out.Size()
	return c.stats, err
}

// closeCaptures completes the files of an environment that ends: at once, since a file may be slow.
func (e *environment) closeCaptures(list map[int]*capture) error {
	var work sync.WaitGroup
	errs := make([]error, 0, len(list))
	var mu sync.Mutex // guards errs
	for _, c := range list {
		work.Go(func() {
			if _, err := c.close(e); err != nil && !c.guests {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("capture: %w", err))
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}
