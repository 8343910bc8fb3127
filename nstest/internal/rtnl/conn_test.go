package rtnl

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// newNet makes a network namespace with a socket in it, for the duration of the test.
func newNet(tb testing.TB) (*Conn, *os.File) {
	tb.Helper()
	var c *Conn
	f, err := ns.InNewNet(func() (err error) { c, err = Open(); return err })
	if errors.Is(err, unix.EPERM) && os.Getenv("NSTEST_MUST_RUN") != "1" {
		tb.Skipf("network namespaces cannot be made here: %v; run as root or under unshare --user --map-root-user", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close(); _ = f.Close() })
	return c, f
}

// secondConn makes another socket in the namespace of c.
func secondConn(tb testing.TB, c *Conn) *Conn {
	tb.Helper()
	f, err := c.NetNS()
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var second *Conn
	if err := ns.InNet(f, func() (err error) { second, err = Open(); return err }); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = second.Close() })
	return second
}

func send(tb testing.TB, c *Conn, fill func(b *Batch)) {
	tb.Helper()
	var b Batch
	fill(&b)
	if err := c.Send(&b); err != nil {
		tb.Fatal(err)
	}
}

func timeout(tb testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	tb.Cleanup(cancel)
	return ctx
}

func TestFromFile(t *testing.T) {
	c, f := newNet(t)
	fd := -1
	if err := c.raw.Control(func(s uintptr) { fd, _ = unix.Dup(int(s)) }); err != nil || fd < 0 {
		t.Fatal(fd, err)
	}
	passed := os.NewFile(uintptr(fd), "passed")
	d, err := FromFile(passed)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if passed.Close() == nil {
		t.Error("FromFile left the passed file open")
	}
	links, err := d.Links()
	if err != nil || len(links) != 1 || links[0].Name != "lo" {
		t.Errorf("links of a new namespace: %v, %v; want lo", links, err)
	}
	again, err := d.NetNS()
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	a, _ := f.Stat()
	if b, _ := again.Stat(); !os.SameFile(a, b) {
		t.Error("NetNS is another namespace than the one in which the socket was made")
	}
}

func TestFromFileRefusesOtherSockets(t *testing.T) {
	for _, spec := range [][3]int{{unix.AF_UNIX, unix.SOCK_STREAM, 0}, {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC}} {
		fd, err := unix.Socket(spec[0], spec[1]|unix.SOCK_CLOEXEC, spec[2])
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "socket")
		if c, err := FromFile(f); err == nil {
			t.Errorf("socket %v: accepted", spec)
			_ = c.Close()
		}
		if f.Close() == nil {
			t.Errorf("socket %v: left open", spec)
		}
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FromFile(file); !errors.Is(err, unix.ENOTSOCK) {
		t.Errorf("a file: got %v, want ENOTSOCK", err)
	}
}

func TestCloseInterruptsWaiting(t *testing.T) {
	c, _ := newNet(t)
	waiting := make(chan struct{})
	result := make(chan error, 1)
	go func() {
		first := true
		result <- c.WatchLinks(context.Background(), func([]int) bool {
			if first {
				first = false
				close(waiting)
			}
			return false
		})
	}()
	<-waiting
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want os.ErrClosed", err)
	}
	if _, err := c.Links(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: got %v, want os.ErrClosed", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	c, _ := newNet(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				var b Batch
				b.AddAddr(1, netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 1, byte(i), byte(j)}), 8))
				if err := c.Send(&b); err != nil {
					t.Error(err)
				}
				if _, err := c.Link(1); err != nil {
					t.Error(err)
				}
				if _, err := c.Addrs(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	addrs, err := c.Addrs()
	if err != nil || len(addrs) != 160 {
		t.Errorf("%d addresses, %v; want 160", len(addrs), err)
	}
}

func TestSendNamesTheMessageThatFailed(t *testing.T) {
	c, _ := newNet(t)
	var b Batch
	b.LinkUp(1)
	b.LinkUp(77)
	b.AddAddr(1, netip.MustParsePrefix("10.0.0.1/24"))
	err := c.Send(&b)
	var refused *Error
	if !errors.As(err, &refused) || refused.What != "set up link 77" || refused.Errno != unix.ENODEV {
		t.Fatalf("got %#v, want the refusal of link 77", err)
	}
	if b.Len() != 0 {
		t.Error("Send left messages in the batch")
	}
	addrs, err := c.Addrs()
	if err != nil || !slices.ContainsFunc(addrs, func(a Addr) bool { return a.Prefix == netip.MustParsePrefix("10.0.0.1/24") }) {
		t.Errorf("the message after the refused one had no effect: %v, %v", addrs, err)
	}
	// The kernel's own words come along.
	b.NewRoute(RouteSpec{Gateway: netip.MustParseAddr("192.0.2.1"), Index: 1})
	if err := c.Send(&b); !errors.As(err, &refused) || refused.Detail == "" || !strings.Contains(err.Error(), refused.Detail) {
		t.Errorf("got %v, want the kernel's explanation", err)
	}
}

func TestSendRefusesBadInput(t *testing.T) {
	c, _ := newNet(t)
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	for name, fill := range map[string]func(b *Batch){
		"index 0":        func(b *Batch) { b.LinkUp(0) },
		"negative MTU":   func(b *Batch) { b.MTU(1, -1) },
		"delete 0":       func(b *Batch) { b.DelLink(0) },
		"zero prefix":    func(b *Batch) { b.AddAddr(1, netip.Prefix{}) },
		"mapped address": func(b *Batch) { b.AddAddr(1, netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.1"), 120)) },
		"mixed families": func(b *Batch) { b.NewRoute(RouteSpec{Dst: netip.PrefixFrom(v6, 64), Gateway: v4, Index: 1}) },
		"no route":       func(b *Batch) { b.NewRoute(RouteSpec{Index: 1}) },
		"unnamed bridge": func(b *Batch) { b.Bridge(BridgeSpec{Index: 2}) },
		"multicast MAC":  func(b *Batch) { b.Bridge(BridgeSpec{Name: "br0", MAC: net.HardwareAddr{1, 0, 0, 0, 0, 1}}) },
		"unnamed peer":   func(b *Batch) { b.Veth(VethSpec{Name: "a"}) },
	} {
		var b Batch
		b.LinkUp(1)
		fill(&b)
		if err := c.Send(&b); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if l, err := c.Link(1); err != nil || l.Flags&unix.IFF_UP != 0 {
			t.Fatalf("%s: another message of the batch was sent (%v)", name, err)
		}
	}
}

func TestSendManyMessages(t *testing.T) {
	c, _ := newNet(t)
	const n = 1000 // several sends
	send(t, c, func(b *Batch) {
		for i := range n {
			b.AddAddr(1, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32))
		}
	})
	addrs, err := c.Addrs()
	if err != nil || len(addrs) != n {
		t.Errorf("%d addresses, %v; want %d", len(addrs), err, n)
	}
	var b Batch
	for i := range n {
		b.LinkUp(100 + i) // every one is refused
	}
	var refused *Error
	if err := c.Send(&b); !errors.As(err, &refused) || refused.What != "set up link 100" {
		t.Errorf("got %v, want the first of many refusals", err)
	}
	if _, err := c.Links(); err != nil {
		t.Errorf("after many refusals: %v", err)
	}
}
