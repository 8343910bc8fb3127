package daemons_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A router has BIRD tell it where to send packets.
type router struct {
	*nstest.Router
	bird *daemon
}

// A square is four routers in a ring, each with a network of its own on which there is a host. Between neighbours there is
// a network of theirs alone, whose name is that of both: "r1-r2", "r2-r3", "r3-r4", "r1-r4".
type square struct {
	routers [4]*router
	hosts   [4]*nstest.Host
}

const (
	birdConfig = "/run/bird.conf"
	birdSocket = "/run/bird.ctl"
)

// noWay is what the kernel says where no route leads to an address.
var noWay = unix.ENETUNREACH.Error()

// newSquare makes a square that has no routes yet but to neighbours.
func newSquare() *square {
	GinkgoHelper()
	env, s := nstest.Current(), &square{}
	ring := []string{"r1-r2", "r2-r3", "r3-r4", "r1-r4"}
	for _, name := range append([]string{"stub1", "stub2", "stub3", "stub4"}, ring...) {
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: name})
		Expect(err).NotTo(HaveOccurred())
	}
	for i := range s.routers {
		name, stub := fmt.Sprintf("r%d", i+1), nstest.Attachment{Network: fmt.Sprintf("stub%d", i+1)}
		links := []nstest.Attachment{stub} // eth0
		for _, n := range ring {
			if strings.Contains(n, name) {
				links = append(links, nstest.Attachment{Network: n, NoGateway: true})
			}
		}
		r, err := env.AddRouter(nstest.RouterConfig{Name: name, Networks: links})
		Expect(err).NotTo(HaveOccurred())
		s.routers[i] = &router{Router: r}
		s.hosts[i], err = env.AddHost(nstest.HostConfig{Name: fmt.Sprintf("h%d", i+1), Networks: []nstest.Attachment{stub}})
		Expect(err).NotTo(HaveOccurred())
		// While routers disagree, a packet may come back to the first one, which then tells the host of a better way by a
		// redirect: that to a neighbour of its own, whom the host looks for in vain for ten seconds.
		Expect(s.hosts[i].Do(func() error {
			return os.WriteFile("/proc/sys/net/ipv6/conf/eth0/accept_redirects", []byte("0"), 0)
		})).To(Succeed())
	}
	return s
}

// start has BIRD run on each router, as the text says for that with this index.
func (s *square) start(config func(i int) string) {
	GinkgoHelper()
	program := require.PackageProgram("bird", "bird2")
	for i, r := range s.routers {
		text := fmt.Sprintf("router id 10.255.0.%d;\nlog stderr all;\ndebug protocols { states };\nprotocol device {}\n"+
			"protocol kernel { ipv4 { export all; }; }\nprotocol kernel { ipv6 { export all; }; }\n%s", i+1, config(i))
		Expect(r.Do(func() error { return os.WriteFile(birdConfig, []byte(text), 0o600) })).To(Succeed())
		r.bird = start(r.Host, program, "-f", "-c", birdConfig, "-s", birdSocket, "-P", "/run/bird.pid")
	}
}

// ask is what BIRD answers, by birdc.
func (r *router) ask(question string) string {
	args := append([]string{"-s", birdSocket}, strings.Fields(question)...)
	answer, err := r.Command(require.PackageProgram("birdc", "bird2"), args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("birdc %s: %v\n%s", question, err, answer)
	}
	return string(answer)
}

// answers are what each router's BIRD answers to some questions, for messages.
func (s *square) answers(questions ...string) string {
	var b strings.Builder
	for _, r := range s.routers {
		for _, q := range questions {
			fmt.Fprintf(&b, "%s: birdc %s\n%s\n", r.Name(), q, r.ask(q))
		}
	}
	return b.String()
}

// ways are the networks by which a router sends to some addresses, or what the kernel says where there is no way.
func (r *router) ways(to []netip.Addr) []string {
	devices := map[int]string{}
	list := make([]string, len(to))
	err := r.Do(func() error {
		for _, l := range r.Links() {
			link, err := netlink.LinkByName(l.Interface())
			if err != nil {
				return err
			}
			devices[link.Attrs().Index] = l.Network()
		}
		for i, a := range to {
			routes, err := netlink.RouteGet(a.AsSlice())
			if err != nil {
				list[i] = err.Error()
			} else {
				list[i] = devices[routes[0].LinkIndex]
			}
		}
		return nil
	})
	if err != nil {
		return []string{err.Error()}
	}
	return list
}

// converged is nil if all routers have ways to all hosts. Routers are asked, and no packets sent, as they say that there is no
// way only so many times a second.
func (s *square) converged() error {
	var all []netip.Addr
	for _, h := range s.hosts {
		all = append(all, h.Addrs()...)
	}
	for _, r := range s.routers {
		if err := r.bird.running(); err != nil {
			return err
		}
		for i, way := range r.ways(all) {
			if way == noWay {
				return fmt.Errorf("%s has no way to %s", r.Name(), all[i])
			}
		}
	}
	return nil
}

// serve has each host accept connections at port 80.
func (s *square) serve() {
	GinkgoHelper()
	for _, h := range s.hosts {
		l, err := h.Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
	}
}

// reached is nil if each of some hosts reaches each other of them, by IPv4 and IPv6.
func reached(hosts []*nstest.Host) error {
	for _, from := range hosts {
		for _, to := range hosts {
			if from == to {
				continue
			}
			for _, a := range to.Addrs() {
				if err := connect(from, a); err != nil {
					return fmt.Errorf("%s to %s: %w", from.Name(), to.Name(), err)
				}
			}
		}
	}
	return nil
}

// connect connects to port 80 of an address. It waits for an answer long enough for a packet to be lost. That there is no way
// it does not always hear: routers say so only so many times a second, and the kernel forgets it if it is told while the
// connection is still being asked for.
func connect(from *nstest.Host, to netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	conn, err := from.DialContext(ctx, "tcp", netip.AddrPortFrom(to, 80).String())
	if err != nil {
		return err
	}
	return conn.Close()
}
