package keeper

import (
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
	"github.com/hermetic-go/nstest/nstest/internal/tap"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A capture writes the packets of cables to a file. It listens at the switches, where nobody inside can see or hinder it.
type capture struct {
	params wire.CaptureParams
	device string // of the host, "" = all
	filter *pcapfilter.Filter
	sink   *sink

	mu     sync.Mutex // guards what follows
	out    *pcapng.Writer
	seen   map[place]int // the interfaces of the file
	known  int           // how many of the environment's addresses the file has names for
	stats  wire.CaptureStats
	taps   []*tap.Tap
	closed bool
}

// A place is an end of a cable: a device of a host.
type place struct{ host, device string }

func (p place) String() string { return p.host + "/" + p.device }

// maxTaps bounds the rings of an environment, each of a mebibyte.
const maxTaps = 64

// capture begins a capture into a file, which it takes over.
func (e *environment) capture(p wire.CaptureParams, file *os.File) (wire.CaptureResult, error) {
	c, err := e.newCapture(p, file)
	if err != nil {
		return wire.CaptureResult{}, errors.Join(err, file.Close())
	}
	e.mu.Lock()
	err = e.closedError()
	for _, n := range e.networks {
		if err == nil {
			err = e.listen(c, n)
		}
	}
	if err == nil {
		e.number++
		e.captures[e.number] = c
	}
	number := e.number
	e.mu.Unlock()
	if err != nil {
		return wire.CaptureResult{}, errors.Join(err, c.close())
	}
	return wire.CaptureResult{Capture: number}, nil
}

func (e *environment) newCapture(p wire.CaptureParams, file *os.File) (*capture, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, refuse(unix.EINVAL, "a capture is written to a regular file")
	}
	if p.Limit <= 0 || p.Snap < 0 {
		return nil, refuse(unix.EINVAL, "a limit of %d bytes, and %d of each packet", p.Limit, p.Snap)
	}
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
	c := &capture{params: p, device: device, filter: filter, sink: newSink(file), seen: map[place]int{}}
	if c.out, err = pcapng.NewWriter(c.sink, "nstest", "environment "+e.name()); err != nil {
		return nil, errors.Join(err, c.sink.close())
	}
	return c, nil
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
		return refuse(unix.EMFILE, "the environment has %d captures of a network already: stop some", taps)
	}
	t, err := n.lan.Tap(c.params.Snap, func(port lan.PortID, f tap.Frame) {
		if l, ok := n.labels.Load(port); ok {
			c.see(e, l.(label), f)
		}
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taps = append(c.taps, t)
	return nil
}

// rings are what the capture listens with.
func (c *capture) rings() []*tap.Tap {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.taps)
}

// listenAll is listen for the captures that are under way when a network is made. The mutex is held.
func (e *environment) listenAll(n *network) error {
	var errs []error
	for _, c := range e.captures {
		errs = append(errs, e.listen(c, n))
	}
	return errors.Join(errs...)
}

// A label is what hangs on a port.
type label struct {
	place
	mac   []byte
	addrs []netip.Prefix
}

// label says what hangs on a port of the cable's network.
func (c *cable) label(port lan.PortID, host string) {
	if port != 0 && c.network.lan != nil {
		c.network.labels.Store(port, label{place{host, c.name()}, c.mac, c.prefixes()})
	}
}

// see writes a frame that passed a switch, if it is one of those that are wanted.
func (c *capture) see(e *environment, l label, f tap.Frame) {
	if c.params.Host != "" && c.params.Host != l.host || c.device != "" && c.device != l.device {
		return
	}
	if !c.filter.Match(f.Data, f.Length) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.out.Size()+int64(len(f.Data))+packetOverhead > c.params.Limit {
		c.stats.Omitted++
		return
	}
	number, err := c.number(e, l)
	if err == nil {
		k := pcapng.Packet{Interface: number, Time: f.Time, Direction: pcapng.Outbound, Data: f.Data, Length: f.Length}
		if f.Outbound { // of the switch is inbound to the host
			k.Direction = pcapng.Inbound
		}
		err = c.out.WritePacket(k)
	}
	if err != nil {
		c.stats.Lost++
		return
	}
	c.stats.Packets++
}

// packetOverhead is what a packet takes in the file beside its bytes, at most, with what is written at the end.
const packetOverhead = 256

// number is that of a place among the interfaces of the file, which is told of it before its first packet, and of the names of
// hosts that have come since.
func (c *capture) number(e *environment, l label) (int, error) {
	if n, ok := c.seen[l.place]; ok {
		return n, nil
	}
	names := e.zone.Names()
	if len(names) > c.known {
		if err := c.out.WriteNames(names); err != nil {
			return 0, err
		}
		c.known = len(names)
	}
	n, err := c.out.AddInterface(pcapng.Interface{Name: l.String(), MAC: l.mac, Addrs: l.addrs, Filter: c.params.Filter, Snap: c.params.Snap})
	if err == nil {
		c.seen[l.place] = n
	}
	return n, err
}

// flushCapture returns when what passed before is in the file.
func (e *environment) flushCapture(number int) (wire.CaptureStats, error) {
	e.mu.Lock()
	c := e.captures[number]
	e.mu.Unlock()
	if c == nil {
		return wire.CaptureStats{}, refuse(unix.ENOENT, "the capture was stopped")
	}
	return c.flush()
}

func (c *capture) flush() (wire.CaptureStats, error) {
	lost, err := c.settle()
	errs := []error{err, c.sink.flush()}
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Lost += lost
	stats.Bytes = c.out.Size()
	return stats, errors.Join(errs...)
}

// settle returns when what passed before was seen, and tells how many packets were lost before that.
func (c *capture) settle() (lost uint64, err error) {
	var errs []error
	for _, t := range c.rings() {
		errs = append(errs, t.Flush())
		_, n, err := t.Statistics()
		lost += n
		errs = append(errs, err)
	}
	return lost, errors.Join(errs...)
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
	stats, err := c.flush()
	err = errors.Join(err, c.close())
	stats.Bytes = c.out.Size()
	return stats, err
}

// close completes the file. Nothing is written after it.
func (c *capture) close() error {
	lost, err := c.settle()
	errs := []error{err}
	for _, t := range c.rings() {
		errs = append(errs, t.Close())
	}
	c.mu.Lock()
	if c.out != nil && !c.closed {
		for _, n := range c.seen { // what was lost was lost by all of them together
			errs = append(errs, c.out.WriteStatistics(n, time.Now(), c.stats.Packets, lost+c.stats.Lost))
		}
	}
	c.closed = true
	c.mu.Unlock()
	errs = append(errs, c.sink.close())
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil || errors.Is(err, os.ErrClosed) || isNetClosed(err) })...)
}

// closeCaptures completes the files of an environment that ends.
func closeCaptures(list map[int]*capture) error {
	var errs []error
	for _, c := range list {
		if err := c.close(); err != nil {
			errs = append(errs, fmt.Errorf("capture: %w", err))
		}
	}
	return errors.Join(errs...)
}
