package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// echo serves one line on every connection of l until it is closed.
func echo(t *testing.T, l net.Listener) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				// Plain reads and writes: splice(2) leaves pipes in a pool, which noLeaks would count.
				_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
}

func roundTrip(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
}

func TestDialListen(t *testing.T) {
	noLeaks(t)
	d := host(t, &machine{}, map[string]string{"web": "127.0.0.1", "web6": "::1"})
	dir := t.TempDir()
	for _, c := range []struct{ listen, at, dial, to, local string }{
		{"tcp", ":0", "tcp", "127.0.0.1:PORT", "[::]:PORT"},
		{"tcp", ":0", "tcp", "[::1]:PORT", "[::]:PORT"},
		{"tcp", "", "tcp6", ":PORT", "[::]:PORT"},
		{"tcp", "0.0.0.0:0", "tcp", "[::]:PORT", "[::]:PORT"},
		{"tcp4", ":0", "tcp4", ":PORT", "0.0.0.0:PORT"},
		{"tcp4", "localhost:0", "tcp", "LOCALHOST.:PORT", "127.0.0.1:PORT"},
		{"tcp6", "localhost:0", "tcp", "localhost:PORT", "[::1]:PORT"}, // by way of the fallback
		{"tcp", "web:0", "tcp", "WEB.:PORT", "127.0.0.1:PORT"},
		{"tcp", "web6:0", "tcp6", "web6:PORT", "[::1]:PORT"},
		{"tcp", "127.0.0.1:0", "tcp", "[::ffff:127.0.0.1]:PORT", "127.0.0.1:PORT"},
		{"unix", filepath.Join(dir, "stream"), "unix", "ADDR", filepath.Join(dir, "stream")},
		{"unixpacket", filepath.Join(dir, "packet"), "unixpacket", "ADDR", filepath.Join(dir, "packet")},
		{"unix", fmt.Sprintf("@nstest-dial-%d", os.Getpid()), "unix", "ADDR", fmt.Sprintf("@nstest-dial-%d", os.Getpid())},
		{"unix", "", "unix", "ADDR", "ADDR"},
	} {
		t.Run(c.listen+" "+c.at+" "+c.to, func(t *testing.T) {
			l, err := d.Listen(t.Context(), c.listen, c.at)
			if err != nil {
				t.Fatal(err)
			}
			echo(t, l)
			addr := l.Addr().String()
			var port string
			if strings.HasPrefix(c.listen, "tcp") {
				_, port, _ = net.SplitHostPort(addr)
			}
			expand := strings.NewReplacer("PORT", port, "ADDR", addr).Replace
			if addr != expand(c.local) || port == "0" {
				t.Errorf("listens on %s, want %s", addr, expand(c.local))
			}
			conn, err := d.DialContext(t.Context(), c.dial, expand(c.to))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			roundTrip(t, conn)
			if conn.RemoteAddr() == nil || conn.LocalAddr() == nil || strings.HasPrefix(c.listen, "unix") && conn.RemoteAddr().String() != addr {
				t.Errorf("connection from %v to %v", conn.LocalAddr(), conn.RemoteAddr())
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "stream")); err != nil {
		t.Errorf("the socket's path, which is another tree's, was removed: %v", err)
	}
}

func TestDialPackets(t *testing.T) {
	noLeaks(t)
	d := host(t, &machine{}, map[string]string{"web": "127.0.0.1"})
	path := filepath.Join(t.TempDir(), "gram")
	for _, c := range []struct{ listen, at, dial, to string }{
		{"udp", ":0", "udp", "web:PORT"},
		{"udp", ":0", "udp6", "localhost:PORT"},
		{"udp4", "localhost:0", "udp", "localhost:PORT"},
		{"udp6", "[::1]:0", "udp6", ":PORT"},
		{"unixgram", path, "unixgram", path},
	} {
		p, err := d.ListenPacket(t.Context(), c.listen, c.at)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		to := c.to
		if c.listen != "unixgram" {
			_, port, _ := net.SplitHostPort(p.LocalAddr().String())
			to = strings.ReplaceAll(to, "PORT", port)
		}
		conn, err := d.DialContext(t.Context(), c.dial, to)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		if err := p.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, from, err := p.ReadFrom(b)
		if err != nil || string(b[:n]) != "ping" {
			t.Fatalf("%s %s: %q, %v", c.dial, to, b[:n], err)
		}
		if c.listen == "unixgram" {
			continue
		}
		if _, err := p.WriteTo([]byte("pong"), from); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(b); err != nil || string(b[:n]) != "pong" {
			t.Fatalf("%s %s: %q, %v", c.dial, to, b[:n], err)
		}
	}
}

// Every refusal reads and unwraps as that of package net for the same call.
func TestErrorsArePackageNets(t *testing.T) {
	noLeaks(t)
	d := host(t, &machine{}, map[string]string{"web6": "::1"})
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := l.Addr().String()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().String()
	_ = free.Close()
	defer l.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()

	for _, c := range []struct {
		op, network, address string
		ctx                  context.Context
		is                   error
	}{
		{"dial", "tcp", closed, nil, syscall.ECONNREFUSED},
		{"dial", "tcp", closed, canceled, context.Canceled},
		{"dial", "tcp", closed, expired, context.DeadlineExceeded},
		{"dial", "tcp", "", nil, nil},
		{"dial", "tcp", "no-port", nil, nil},
		{"dial", "tcp", "127.0.0.1:70000", nil, nil},
		{"dial", "tcp", "127.0.0.1:no-such-service", nil, nil},
		{"dial", "tcp4", "[::1]:1", nil, nil},
		{"dial", "tcp6", "127.0.0.1:1", nil, nil},
		{"dial", "sctp", "127.0.0.1:1", nil, nil},
		{"dial", "unix", "", nil, nil},
		{"dial", "unix", "/no/such/socket", nil, syscall.ENOENT},
		{"dial", "unix", strings.Repeat("x", 108), nil, syscall.EINVAL},
		{"listen", "tcp", taken, nil, syscall.EADDRINUSE},
		{"listen", "tcp", "192.0.2.1:0", nil, syscall.EADDRNOTAVAIL},
		{"listen", "tcp4", "[::1]:0", nil, nil},
		{"listen", "udp", "127.0.0.1:0", nil, nil},
		{"listen", "sctp", "127.0.0.1:0", nil, nil},
		{"listen", "unix", "/no/such/dir/socket", nil, syscall.ENOENT},
		{"listen", "unix", strings.Repeat("x", 108), nil, syscall.EINVAL},
		{"listen packet", "udp", "192.0.2.1:0", nil, syscall.EADDRNOTAVAIL},
		{"listen packet", "tcp", "127.0.0.1:0", nil, nil},
	} {
		ctx := c.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		var got, want error
		switch c.op {
		case "dial":
			_, got = d.DialContext(ctx, c.network, c.address)
			_, want = new(net.Dialer).DialContext(ctx, c.network, c.address)
		case "listen":
			_, got = d.Listen(ctx, c.network, c.address)
			_, want = new(net.ListenConfig).Listen(ctx, c.network, c.address)
		default:
			_, got = d.ListenPacket(ctx, c.network, c.address)
			_, want = new(net.ListenConfig).ListenPacket(ctx, c.network, c.address)
		}
		var gotOp, wantOp *net.OpError
		if !errors.As(got, &gotOp) || !errors.As(want, &wantOp) || got.Error() != want.Error() ||
			gotOp.Timeout() != wantOp.Timeout() || fmt.Sprintf("%T", gotOp.Addr) != fmt.Sprintf("%T", wantOp.Addr) {
			t.Errorf("%s %s %q:\n got %v\nwant %v", c.op, c.network, c.address, got, want)
		}
		if c.is != nil && !errors.Is(got, c.is) {
			t.Errorf("%s %s %q: %v is not %v", c.op, c.network, c.address, got, c.is)
		}
	}
	for _, address := range []string{"unknown:80", "web6:80"} { // in package net these depend on the machine's resolver
		_, err := d.DialContext(t.Context(), "tcp4", address)
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("dial tcp4 %s: %v", address, err)
		}
	}
	if _, err := d.DialContext(t.Context(), "tcp", "[fe80::1%enp3s0]:80"); err == nil || !strings.Contains(err.Error(), "no interface") {
		t.Errorf("an interface that no host has: %v", err)
	}
}

// full returns the address of a listener whose queue takes no more connections: the next hang.
func full(t *testing.T, network, addr string) string {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return l.Addr().String()
}

func TestDialHonoursContext(t *testing.T) {
	noLeaks(t)
	d := &Dialer{Sockets: &machine{}}
	addr := full(t, "tcp4", "127.0.0.1:0")
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := d.DialContext(ctx, "tcp", addr)
	var netErr net.Error
	if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &netErr) || !netErr.Timeout() || took < 100*time.Millisecond {
		t.Errorf("deadline: %v after %v", err, took)
	}
	canceled, cancel := context.WithCancel(t.Context())
	made := make(chan struct{})
	d.Sockets = &machine{before: func(context.Context, wire.SocketParams) error { close(made); return nil }}
	go func() { <-made; cancel() }()
	if _, err := d.DialContext(canceled, "tcp", addr); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A deadline is for connecting alone.
func TestConnOutlivesContext(t *testing.T) {
	noLeaks(t)
	d := host(t, &machine{}, map[string]string{"both": "127.0.0.1 ::1"})
	l, err := d.Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	c, err := d.DialContext(ctx, "tcp", "both:"+port)
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	roundTrip(t, c)
}

// Both families on one port: IPv6 is listened to by first, IPv4 by an echo.
func bothFamilies(t *testing.T, first func(addr string) error) (port string) {
	t.Helper()
	l, _ := twins(t, "tcp4", "127.0.0.1", func(addr string) (struct{}, error) {
		_, port, _ = net.SplitHostPort(addr)
		return struct{}{}, first(net.JoinHostPort("::1", port))
	})
	echo(t, l)
	return port
}

// occupy keeps others from listening on an address, where connections are refused until the test ends.
func occupy(t *testing.T, addr string) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	at := netip.MustParseAddrPort(addr)
	if err := unix.Bind(fd, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return nil
}

func TestHappyEyeballs(t *testing.T) {
	noLeaks(t)
	zone := map[string]string{"both": "127.0.0.1 ::1"} // ::1 goes first by precedence
	t.Run("first family hangs", func(t *testing.T) {
		m := &machine{}
		d := host(t, m, zone)
		port := bothFamilies(t, func(addr string) error { full(t, "tcp6", addr); return nil })
		begin := time.Now()
		c, err := d.DialContext(t.Context(), "tcp", "both:"+port)
		took := time.Since(begin)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		roundTrip(t, c)
		if got, want := m.families(), []int{unix.AF_INET6, unix.AF_INET}; !slices.Equal(got, want) || took < fallbackDelay {
			t.Errorf("families %v after %v, want %v after %v", got, took, want, fallbackDelay)
		}
	})
	t.Run("first family refuses", func(t *testing.T) {
		m := &machine{}
		d := host(t, m, zone)
		d.headStart = time.Hour // which nobody waits for
		port := bothFamilies(t, func(addr string) error { return occupy(t, addr) })
		c, err := d.DialContext(t.Context(), "tcp", "both:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got, want := m.families(), []int{unix.AF_INET6, unix.AF_INET}; !slices.Equal(got, want) {
			t.Errorf("families %v, want %v", got, want)
		}
	})
	t.Run("first family answers", func(t *testing.T) {
		m := &machine{}
		d := host(t, m, zone)
		d.headStart = time.Hour
		port := bothFamilies(t, func(addr string) error {
			l, err := net.Listen("tcp6", addr)
			if err == nil {
				echo(t, l)
			}
			return err
		})
		c, err := d.DialContext(t.Context(), "tcp", "both:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got, want := m.families(), []int{unix.AF_INET6}; !slices.Equal(got, want) {
			t.Errorf("families %v, want %v", got, want)
		}
	})
	t.Run("late winner is closed", func(t *testing.T) {
		slow := make(chan struct{})
		m := &machine{before: func(_ context.Context, spec wire.SocketParams) error {
			if spec.Family == unix.AF_INET6 {
				<-slow
			}
			return nil
		}}
		d := host(t, m, zone)
		port := bothFamilies(t, func(addr string) error {
			l, err := net.Listen("tcp6", addr)
			if err == nil {
				echo(t, l)
			}
			return err
		})
		c, err := d.DialContext(t.Context(), "tcp", "both:"+port)
		close(slow) // the socket comes after the race: noLeaks sees whether it goes
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	})
	t.Run("both refuse", func(t *testing.T) {
		m := &machine{}
		d := host(t, m, zone)
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		_ = l.Close()
		_, err = d.DialContext(t.Context(), "tcp", "both:"+port)
		if want := "dial tcp [::1]:" + port + ": connect: connection refused"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

func TestHTTPFromManyGoroutines(t *testing.T) {
	noLeaks(t)
	d := host(t, &machine{}, map[string]string{"web": "127.0.0.1 ::1"})
	l, err := d.Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	tr := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
	client := &http.Client{Transport: tr, Timeout: 20 * time.Second}
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for range 20 {
				resp, err := client.Get("http://web:" + port + "/")
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(body) != "web:"+port {
					t.Errorf("%q, %v", body, err)
				}
			}
		})
	}
	users.Wait()
	tr.CloseIdleConnections()
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func BenchmarkDial(b *testing.B) {
	d := &Dialer{Sockets: &machine{}}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"nstest": d.DialContext, "net": new(net.Dialer).DialContext,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c, err := dial(b.Context(), "tcp", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				_ = c.(*net.TCPConn).SetLinger(0) // no ports left in TIME_WAIT
				_ = c.Close()
			}
		})
	}
}
