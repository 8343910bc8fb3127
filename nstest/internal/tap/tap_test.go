package tap_test

import (
	"bytes"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/ns/mapped"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/tap"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(mapped.Main(m)) }

// A network is a network namespace of which lo is up.
type network struct {
	file   *os.File
	sender *net.UDPConn // to a port of its own, that nobody reads
}

const loopback = 1

func newNetwork(t *testing.T) *network {
	var n network
	file, err := ns.InNewNet(func() error {
		route, err := rtnl.Open()
		if err != nil {
			return err
		}
		defer route.Close()
		var msgs rtnl.Batch
		msgs.LinkUp(loopback)
		if err := route.Send(&msgs); err != nil {
			return err
		}
		sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return err
		}
		t.Cleanup(func() { sink.Close() })
		n.sender, err = net.DialUDP("udp4", nil, sink.LocalAddr().(*net.UDPAddr))
		return err
	})
	check(t, err)
	t.Cleanup(func() { n.sender.Close(); file.Close() })
	n.file = file
	return &n
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (n *network) send(t *testing.T, payload []byte) {
	t.Helper()
	_, err := n.sender.Write(payload)
	check(t, err)
}

// A witness keeps what a tap sees.
type witness struct {
	mu     sync.Mutex
	frames []tap.Frame
}

func (w *witness) see(f tap.Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.Data = bytes.Clone(f.Data)
	w.frames = append(w.frames, f)
}

func (w *witness) all() []tap.Frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frames
}

const headers = 14 + 20 + 8 // Ethernet, IPv4, UDP

func TestSeesEveryFrameWhole(t *testing.T) {
	n := newNetwork(t)
	var w witness
	before := time.Now()
	p, err := tap.Open(n.file, tap.Config{}, w.see)
	check(t, err)
	sizes := []int{1, 100, 1500, 1900, 2048, 9000, 60000, 3}
	for _, size := range sizes {
		n.send(t, bytes.Repeat([]byte{byte(size)}, size))
	}
	check(t, p.Flush())
	frames := w.all()
	if len(frames) != 2*len(sizes) {
		t.Fatalf("saw %d frames, not %d", len(frames), 2*len(sizes))
	}
	for i, f := range frames {
		size := sizes[i/2]
		if f.Length != headers+size || len(f.Data) != f.Length || !bytes.Equal(f.Data[headers:], bytes.Repeat([]byte{byte(size)}, size)) {
			t.Errorf("frame %d: %d of %d bytes, sent %d", i, len(f.Data), f.Length, headers+size)
		}
		if f.Device != loopback || f.Outbound != (i%2 == 0) || f.Time.Before(before) || f.Time.After(time.Now()) {
			t.Errorf("frame %d: device %d, outbound %v, at %v", i, f.Device, f.Outbound, f.Time)
		}
	}
	seen, lost, err := p.Statistics()
	if seen != uint64(len(frames)) || lost != 0 || err != nil {
		t.Errorf("%d seen, %d lost, %v", seen, lost, err)
	}
	check(t, p.Close())
	n.send(t, []byte("after"))
	if len(w.all()) != len(frames) {
		t.Error("saw a frame after Close")
	}
}

func TestSeesFramesWithoutBeingAsked(t *testing.T) {
	n := newNetwork(t)
	arrived := make(chan int, 2)
	p, err := tap.Open(n.file, tap.Config{Device: loopback, Snap: 60}, func(f tap.Frame) { arrived <- len(f.Data) })
	check(t, err)
	defer p.Close()
	n.send(t, make([]byte, 5000))
	for range 2 {
		if got := <-arrived; got != 60 {
			t.Errorf("%d bytes, not 60", got)
		}
	}
}

func TestCountsWhatIsLost(t *testing.T) {
	n := newNetwork(t)
	busy, free := make(chan bool), make(chan bool)
	var once sync.Once
	p, err := tap.Open(n.file, tap.Config{Blocks: 2}, func(tap.Frame) {
		once.Do(func() { close(busy) })
		<-free
	})
	check(t, err)
	n.send(t, nil)
	<-busy
	for range 100 {
		n.send(t, make([]byte, 50_000))
	}
	close(free)
	check(t, p.Flush())
	seen, lost, err := p.Statistics()
	check(t, err)
	if lost == 0 || seen+lost != 202 {
		t.Errorf("%d seen and %d lost of 202", seen, lost)
	}
	for _, when := range []string{"again", "after Close"} {
		if _, now, err := p.Statistics(); err != nil || now != lost {
			t.Errorf("%d lost when asked %s, %v", now, when, err)
		}
		_ = p.Close()
	}
}

func TestSeesNothingOfAnotherNetwork(t *testing.T) {
	here, there := newNetwork(t), newNetwork(t)
	var w witness
	p, err := tap.Open(here.file, tap.Config{}, w.see)
	check(t, err)
	defer p.Close()
	there.send(t, []byte("there"))
	check(t, p.Flush())
	if len(w.all()) != 0 {
		t.Error("saw a frame of another network namespace")
	}
	here.send(t, []byte("here"))
	check(t, p.Flush())
	if len(w.all()) != 2 {
		t.Errorf("saw %d frames, not 2", len(w.all()))
	}
}

func TestSeesAllBeforeClose(t *testing.T) {
	n := newNetwork(t)
	for range 20 {
		var w witness
		p, err := tap.Open(n.file, tap.Config{}, w.see)
		check(t, err)
		for range 10 {
			n.send(t, []byte("x"))
		}
		check(t, p.Close())
		if len(w.all()) != 20 {
			t.Fatalf("saw %d frames, not 20", len(w.all()))
		}
		if p.Close() == nil {
			t.Error("closed twice without an error")
		}
	}
}

// The kernel takes VLAN tags from the frames that come in and keeps them beside.
func TestSeesVLANTags(t *testing.T) {
	n := newNetwork(t)
	var whole, part witness
	p, err := tap.Open(n.file, tap.Config{}, whole.see)
	check(t, err)
	defer p.Close()
	q, err := tap.Open(n.file, tap.Config{Snap: 20}, part.see)
	check(t, err)
	defer q.Close()
	addrs, rest := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, []byte("\x88\xb5payload of some length")
	var sent [][]byte
	for _, tags := range []string{"", "\x81\x00\x60\x07", "\x88\xa8\x00\x08", "\x88\xa8\x00\x08\x81\x00\x00\x09"} {
		sent = append(sent, append(append(bytes.Clone(addrs), tags...), rest...))
	}
	check(t, ns.InNet(n.file, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, frame := range sent {
			if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: loopback}); err != nil {
				return err
			}
		}
		return nil
	}))
	check(t, p.Flush())
	check(t, q.Flush())
	if len(whole.all()) != 2*len(sent) || len(part.all()) != 2*len(sent) {
		t.Fatalf("saw %d and %d frames, not %d", len(whole.all()), len(part.all()), 2*len(sent))
	}
	for i, f := range whole.all() {
		want, cut := sent[i/2], part.all()[i]
		if f.Length != len(want) || !bytes.Equal(f.Data, want) {
			t.Errorf("frame %d, outbound %v: %x of %d bytes, sent %x", i, f.Outbound, f.Data, f.Length, want)
		}
		if cut.Length != len(want) || !bytes.Equal(cut.Data, want[:20]) {
			t.Errorf("frame %d, outbound %v: the beginning %x of %d bytes, sent %x", i, f.Outbound, cut.Data, cut.Length, want)
		}
	}
}

// However many frames come, there is an end of those that have passed before.
func TestEndsWhileFramesPourIn(t *testing.T) {
	n := newNetwork(t)
	first := make(chan struct{})
	var once sync.Once
	p, err := tap.Open(n.file, tap.Config{}, func(f tap.Frame) {
		if f.Outbound { // each is followed by another one
			_, _ = n.sender.Write([]byte("x"))
		}
		once.Do(func() { close(first) })
	})
	check(t, err)
	n.send(t, []byte("x"))
	<-first
	check(t, p.Flush())
	check(t, p.Close())
}

func TestClosedByTwoAtOnce(t *testing.T) {
	n := newNetwork(t)
	for range 20 {
		var w witness
		p, err := tap.Open(n.file, tap.Config{}, w.see)
		check(t, err)
		n.send(t, []byte("before"))
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() {
				_ = p.Close()
				_, _ = n.sender.Write([]byte("after"))
			})
		}
		work.Wait()
		if got := len(w.all()); got != 2 {
			t.Errorf("saw %d frames, not the 2 before the tap had ended for anybody", got)
		}
	}
}

// When all blocks were handed over the kernel holds on. It goes on with the block that is given back first.
func TestGoesOnAfterFramesWereLost(t *testing.T) {
	n := newNetwork(t)
	for range 5 {
		free := make(chan struct{})
		var w witness
		p, err := tap.Open(n.file, tap.Config{Blocks: 2}, func(f tap.Frame) { <-free; w.see(f) })
		check(t, err)
		for range 50 {
			n.send(t, make([]byte, 50_000))
		}
		close(free)
		check(t, p.Flush())
		before := len(w.all())
		if before == 100 {
			t.Error("nothing was lost")
		}
		for range 10 {
			n.send(t, []byte("after"))
			check(t, p.Flush())
		}
		if got := len(w.all()) - before; got != 20 {
			t.Errorf("saw %d frames of the 20 after those that were lost", got)
		}
		check(t, p.Close())
	}
}
