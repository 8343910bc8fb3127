package nstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// CaptureConfig says which packets are captured, and where to.
type CaptureConfig struct {
	// Path is the file, which is made, or written anew if it exists: a path of the program that calls. It has the format
	// pcapng, which Wireshark, tshark and tcpdump read. When Capture fails, no file was made, and one that exists is as it
	// was, but where the file itself is what the error is about, such as that its disk is full. Path or Writer is required.
	Path string

	// Writer is written to in the place of a file, by a goroutine, as the packets pass. What it does not take in time is lost,
	// and if it fails, so is the rest.
	Writer io.Writer

	// Filter chooses packets by an expression of pcap-filter(7), in which hosts of the environment can be named: "host web
	// and tcp port 80". Known are the primitives that are about Ethernet, ARP, IPv4, IPv6, TCP, UDP, SCTP and ICMP, and
	// comparisons of bytes such as tcp[tcpflags] & tcp-syn != 0, over IPv6 too. Default: all packets.
	Filter string

	// Snap is how many bytes of each packet are kept; the filter sees all. Default: all.
	Snap int

	// Limit is how many bytes the file may have; what comes later is counted and left out. Default: 256 MiB, and none for a
	// Writer. One that the beginning of a file has no room in, some 100 bytes, is refused.
	Limit int64
}

// CaptureStats are counted from the beginning of a capture.
type CaptureStats struct {
	Packets uint64 // written to the file
	Lost    uint64 // by the kernel, or because the file was too slow
	Omitted uint64 // because the file has reached its limit
	Bytes   int64  // of the file
}

const defaultCaptureLimit = 256 << 20

// A Capture writes packets to a file until Stop, or the end of the environment. The file can be read at any time, also after
// the program was killed: what has passed is in it within milliseconds, and for certain after Flush. (Who reads while packets pour in, or after
// the keeper itself was killed, may find the last one cut.)
//
// Each packet is there where it leaves a host and where it arrives: as one of the interface "web/eth0" or "db/eth0", outbound
// or inbound. What a host sends and nobody gets is there once, but for what a partition drops, which is there once more: as of
// the interface "lan/switch", with a comment that says which fault it was ("dropped on the way from web to db: fault 1: partition
// of web | db"), where the kernel can log that (CONFIG_NFT_LOG, CONFIG_NETFILTER_NETLINK_LOG). When a fault begins or is healed,
// or a link changes, the next packet of the capture has a comment on it: in Wireshark frame.comment shows all of them.
//
// Names of hosts are in the file, for readers to show. Packets larger than the MTU are what the hosts' kernels hand to each other in one piece (segmentation offload, as on any veth).
//
// What a host sends to itself passes no cable, and is not captured.
type Capture struct {
	env    *Env
	number int
	path   string
	copy   *captureCopy // nil for a file
}

// Capture captures what passes the cable, from when it has returned: what the host sends and what it gets, unaffected by what
// the host does with its device. A link to a network over another one has no cable of its own: capture that to the network below.
func (l *Link) Capture(cfg CaptureConfig) (*Capture, error) {
	return l.host.env.capture("capture link of", l.host, l.Network(), cfg)
}

// Capture captures what passes the host's cables, those that it gets later too.
func (h *Host) Capture(cfg CaptureConfig) (*Capture, error) {
	return h.env.capture("capture", h, "", cfg)
}

// Capture captures what passes all cables of the environment, those that come later too.
func (e *Env) Capture(cfg CaptureConfig) (*Capture, error) {
	return e.capture("capture", nil, "", cfg)
}

func (e *Env) capture(op string, h *Host, network string, cfg CaptureConfig) (*Capture, error) {
	p := wire.CaptureParams{Network: network, Filter: cfg.Filter, Snap: cfg.Snap, Limit: cfg.Limit}
	if h != nil {
		p.Host = h.name
	}
	switch {
	case p.Limit == 0 && cfg.Writer != nil:
		p.Limit = math.MaxInt64
	case p.Limit == 0:
		p.Limit = defaultCaptureLimit
	}
	c, err := e.beginCapture(p, cfg)
	return c, wrap(op, e.name, p.Host, err)
}

func (e *Env) beginCapture(p wire.CaptureParams, cfg CaptureConfig) (*Capture, error) {
	switch {
	case cfg.Path == "" && cfg.Writer == nil:
		return nil, errors.New("a capture needs a file: set CaptureConfig.Path, or Writer")
	case cfg.Path != "" && cfg.Writer != nil:
		return nil, errors.New("a capture has one place to write to: set CaptureConfig.Path or Writer, not both")
	case cfg.Snap < 0 || cfg.Limit < 0:
		return nil, fmt.Errorf("snap %d, limit %d: neither can be negative", cfg.Snap, cfg.Limit)
	}
	if cfg.Writer != nil {
		return e.beginCopy(p, cfg.Writer)
	}
	file, made, err := openCapture(cfg.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var r wire.CaptureResult
	if _, err := e.callFiles(context.Background(), wire.MethodCapture, p, &r, file); err != nil {
		if made {
			_ = os.Remove(cfg.Path)
		}
		return nil, err
	}
	return &Capture{env: e, number: r.Capture, path: cfg.Path}, nil
}

// openCapture opens the file of a capture, which has its contents until the capture begins, and reports whether it was made.
func openCapture(path string) (file *os.File, made bool, err error) {
	const flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND | unix.O_NONBLOCK // a FIFO has no reader to be waited for
	file, err = os.OpenFile(path, flags|os.O_EXCL, 0o666)
	if !errors.Is(err, os.ErrExist) {
		return file, err == nil, err
	}
	file, err = os.OpenFile(path, flags, 0o666)
	return file, false, err
}

// Path is the file; "" if there is a Writer.
func (c *Capture) Path() string { return c.path }

// Flush returns when everything that passed before is in the file.
func (c *Capture) Flush() (CaptureStats, error) {
	var s wire.CaptureStats
	err := c.env.call(context.Background(), wire.MethodFlush, wire.CaptureResult{Capture: c.number}, &s)
	if err == nil && c.copy != nil {
		err = c.copy.await(s.Bytes)
	}
	return CaptureStats(s), wrap("flush capture "+c.path, c.env.name, "", err)
}

// Stop completes the file, with everything that passed before. It may be called again, and after the end of the environment,
// which has completed the file then; the result is zero in these cases.
func (c *Capture) Stop() (CaptureStats, error) {
	var s wire.CaptureStats
	err := c.env.call(context.Background(), wire.MethodStop, wire.CaptureResult{Capture: c.number}, &s)
	if captureIsOver(err) {
		s, err = wire.CaptureStats{}, nil
	}
	if c.copy != nil {
		if cerr := c.copy.end(); cerr != nil {
			err = cerr
		}
	}
	return CaptureStats(s), wrap("stop capture "+c.path, c.env.name, "", err)
}

func captureIsOver(err error) bool {
	return errors.Is(err, ErrClosed) || errors.Is(err, unix.ESHUTDOWN) || errors.Is(err, unix.ENOENT) || errors.Is(err, wire.ErrClosed)
}

// Wait returns when the capture has ended and its file is complete: Stop was called, or the environment has ended, or the
// Writer has failed. The error is the Writer's, or ctx's.
func (c *Capture) Wait(ctx context.Context) error {
	var err error
	if c.copy != nil {
		select {
		case <-c.copy.done:
			err = c.copy.end()
		case <-ctx.Done():
			err = ctx.Err()
		}
		return wrap("wait for capture", c.env.name, "", err)
	}
	if err = c.env.call(ctx, wire.MethodOver, wire.CaptureResult{Capture: c.number}, nil); captureIsOver(err) {
		err = nil
	}
	return wrap("wait for capture "+c.path, c.env.name, "", err)
}
