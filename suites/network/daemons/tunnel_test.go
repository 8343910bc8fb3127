package daemons_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	wireGuardPort   = 51820
	wireGuardSocket = "/run/wireguard/wg0.sock"
	tunDevice       = "/dev/net/tun"
)

// A site is a network with a host, whose router has one address on the internet for all of it. WireGuard runs on the host.
type site struct {
	host    *nstest.Host
	router  *nstest.Router
	private *ecdh.PrivateKey
	inner   []netip.Prefix // what the host has in the tunnel
	daemon  *daemon
}

func newSite(name string, inner ...netip.Prefix) *site {
	GinkgoHelper()
	env, s := nstest.Current(), &site{inner: inner}
	_, err := env.AddNetwork(nstest.NetworkConfig{Name: name})
	Expect(err).NotTo(HaveOccurred())
	s.router, err = env.AddRouter(nstest.RouterConfig{
		Name: "router-" + name, Networks: []nstest.Attachment{{Network: name}, {Network: "internet"}}, NAT: []nstest.NAT{{Outside: "internet"}},
	})
	Expect(err).NotTo(HaveOccurred())
	s.host, err = env.AddHost(nstest.HostConfig{Name: "host-" + name, Networks: []nstest.Attachment{{Network: name}}})
	Expect(err).NotTo(HaveOccurred())
	s.private, err = ecdh.X25519().GenerateKey(rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	return s
}

// outer is the address that the site has on the internet.
func (s *site) outer() netip.Addr { return s.router.Link("internet").Addrs()[0] }

// start starts WireGuard, and gives its device addresses.
func (s *site) start(kind string) {
	GinkgoHelper()
	s.daemon = start(s.host, filepath.Join(binaries, "wireguard"), "-device", kind, "wg0")
	Eventually(s.daemon.said).WithArguments("ready\n").Should(Succeed())
	Expect(s.host.Do(func() error {
		device, err := netlink.LinkByName("wg0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(device); err != nil {
			return err
		}
		for _, p := range s.inner {
			a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
			if p.Addr().Is6() {
				a.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(device, a); err != nil {
				return fmt.Errorf("add address %s: %w", p, err)
			}
		}
		return nil
	})).To(Succeed())
}

// connectTo has WireGuard send what is for the other site's inner addresses there, and say something each second, so that
// the routers on the way do not forget about it.
func (s *site) connectTo(other *site) {
	GinkgoHelper()
	request := fmt.Sprintf("set=1\nprivate_key=%x\nlisten_port=%d\npublic_key=%x\nendpoint=%s\npersistent_keepalive_interval=1\n",
		s.private.Bytes(), wireGuardPort, other.private.PublicKey().Bytes(), netip.AddrPortFrom(other.outer(), wireGuardPort))
	for _, p := range other.inner {
		request += "allowed_ip=" + netip.PrefixFrom(p.Addr(), p.Addr().BitLen()).String() + "\n"
	}
	answer, err := s.ask(request)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer).To(Equal("errno=0\n\n"))
}

// ask is what WireGuard answers to a request to its configuration socket.
func (s *site) ask(request string) (string, error) {
	conn, err := s.host.DialContext(context.Background(), "unix", wireGuardSocket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request+"\n"); err != nil {
		return "", err
	}
	var answer strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(answer.String(), "errno=") {
		n, err := conn.Read(buf)
		answer.Write(buf[:n])
		if err != nil {
			return answer.String(), err
		}
	}
	return answer.String(), nil
}

// echoes has a host answer at port 80 with what it hears.
func echoes(h *nstest.Host) {
	GinkgoHelper()
	l, err := h.Listen("tcp", ":80")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
}

// say is the answer to a text.
func say(ctx context.Context, from *nstest.Host, to netip.Addr, text string) (string, error) {
	conn, err := from.DialContext(ctx, "tcp", netip.AddrPortFrom(to, 80).String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, text)
		sent <- errors.Join(err, conn.(interface{ CloseWrite() error }).CloseWrite())
	}()
	answer, err := io.ReadAll(conn)
	return string(answer), errors.Join(err, <-sent)
}

// tunnel sees that two sites reach each other, and that nobody on the way can read what they say.
func tunnel(ctx SpecContext, kind string) {
	GinkgoHelper()
	_, err := nstest.Current().AddNetwork(nstest.NetworkConfig{Name: "internet", NoIPv6: true})
	Expect(err).NotTo(HaveOccurred())
	inner := func(n int) []netip.Prefix {
		return []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("172.31.0.%d/24", n)), netip.MustParsePrefix(fmt.Sprintf("fd31::%d/64", n))}
	}
	a, b := newSite("a", inner(1)...), newSite("b", inner(2)...)
	stranger, err := nstest.Current().AddHost(nstest.HostConfig{Name: "stranger", Networks: []nstest.Attachment{{Network: "internet"}}})
	Expect(err).NotTo(HaveOccurred())
	for _, h := range []*nstest.Host{a.host, b.host, stranger} {
		echoes(h)
	}
	outside := newCapture(a.router.Link("internet"))
	state := func() string {
		var text strings.Builder
		for _, s := range []*site{a, b} {
			answer, err := s.ask("get=1\n")
			fmt.Fprintf(&text, "WireGuard on %s: %v\n%s\n", s.host.Name(), err, answer)
		}
		return text.String()
	}

	By("without it, a stranger is reached, and what is said to him can be read; the other site is not reached")
	Expect(say(ctx, a.host, stranger.Addr(), "for everybody")).To(Equal("for everybody"))
	Eventually(outside.with).WithArguments([]byte("for everybody")).ShouldNot(BeEmpty())
	for _, to := range []netip.Addr{b.host.Addr(), b.inner[0].Addr(), b.inner[1].Addr()} {
		Eventually(connect).WithArguments(a.host, to).Should(MatchError(unix.ENETUNREACH), to.String())
	}

	By("starting it: each router lets the other site in once its own has sent there")
	for _, s := range []*site{a, b} {
		s.start(kind)
	}
	a.connectTo(b)
	b.connectTo(a)
	for _, way := range [][2]*site{{a, b}, {b, a}} {
		for _, to := range way[1].inner {
			Eventually(connect).WithArguments(way[0].host, to.Addr()).Should(Succeed(), state)
			Expect(say(ctx, way[0].host, to.Addr(), "for you alone")).To(Equal("for you alone"))
		}
	}

	By("the same probe sees no word of it, but what WireGuard makes of it")
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, wireGuardPort), wireGuardPort)
	Eventually(outside.with).WithArguments(ports).ShouldNot(BeEmpty())
	Expect(outside.with([]byte("for you alone"))).To(BeEmpty())

	By("much of it comes through too, in packets of any size")
	much := strings.Repeat("0123456789abcdef", 1<<16)
	answer, err := say(ctx, a.host, b.inner[0].Addr(), much)
	Expect(err).NotTo(HaveOccurred(), state)
	Expect(answer == much).To(BeTrue(), "%d bytes came back of %d", len(answer), len(much))

	By("while nobody says anything, keepalives hold the way open")
	silence := 14 + 20 + 8 + 32 // a transport message without data
	Eventually(func() (n int) {
		for _, f := range outside.with(ports, b.outer().AsSlice(), a.outer().AsSlice()) {
			if len(f) == silence && bytes.Equal(f[26:30], b.outer().AsSlice()) {
				n++
			}
		}
		return n
	}).Should(BeNumerically(">=", 2), state)
}

var _ = Describe("WireGuard between two sites behind NAT", func() {
	It("is the one way between them", func(ctx SpecContext) { tunnel(ctx, "cable") })

	var devices []string
	if _, err := os.Stat(tunDevice); err == nil {
		devices = []string{tunDevice}
	}
	It("is so with "+tunDevice+" too", nstest.With(nstest.Config{Devices: devices}), func(ctx SpecContext) {
		file, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
		switch {
		case errors.Is(err, fs.ErrPermission): // as for an ordinary user. As root it is run.
			Skip(err.Error() + "\nWhat to do: run the suite as root as well")
		case err != nil:
			require.Skip(err.Error(), "load the module tun: modprobe tun")
		}
		file.Close()
		tunnel(ctx, "tun")
	})
})
