package network

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	"github.com/hermetic-go/nstest/suites/property"
)

// await reports which devices it has, waits until it reads the end of its file, if it is to wait, and returns which it has
// then.
var await = nsx.Register("network/await", func(parent *nsx.Parent, wait bool) ([]rtnetlink.Link, error) {
	before, err := rtnetlink.Links()
	if err != nil {
		return nil, err
	}
	if err := parent.Report(before, nil); err != nil {
		return nil, err
	}
	if wait {
		if _, err := io.ReadAll(parent.Files[0]); err != nil {
			return nil, err
		}
	}
	return rtnetlink.Links()
})

// plug makes a cable from the spec's namespace, where its end is near, to another one, where it is far.
func plug(ctx SpecContext, to namespace, near, far device) {
	GinkgoHelper()
	here(device{Name: near.Name, Kind: "veth", Peer: "plug"})
	Expect(rtnetlink.Move("plug", to.file, far.Name)).To(Succeed())
	here(near)
	to.equipped(ctx, far)
}

func registerHotplug() {
	property.It("N14", func(ctx SpecContext, c *property.Check) {
		inside, sibling := newNamespace(ctx), newNamespace(ctx)
		watch := func(n namespace) *nsx.Process[[]rtnetlink.Event] {
			GinkgoHelper()
			p, err := nsx.Spawn(ctx, n.join(), listenForLinks, "last")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			Expect(p.Await(nil)).To(Succeed())
			return p
		}
		events := func(p *nsx.Process[[]rtnetlink.Event]) []rtnetlink.Event {
			GinkgoHelper()
			Expect(p.Continue(nil)).To(Succeed())
			list, err := p.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("events", list)
			return list
		}
		there, elsewhere := watch(inside), watch(sibling)
		c.Negative("before, it is not there", func() {
			c.Saw("devices", rtnetlink.Names(inside.equipped(ctx)))
			Expect(inside.holder).NotTo(matchers.HaveInterface("eth1"))
		})
		c.Positive("who runs there has it once it is plugged in, and is told so", func() {
			plug(ctx, inside, device{Name: "near"}, device{Name: "eth1"})
			Expect(inside.holder).To(matchers.HaveInterface("eth1"))
			inside.equipped(ctx, device{Name: "last", Kind: "bridge"})
			Expect(events(there)).To(ContainElement(And(HaveField("Kind", "RTM_NEWLINK"), HaveField("Link.Name", "eth1"))))
		})
		c.Negative("who runs in another namespace has not, and is not", func() {
			Expect(sibling.holder).NotTo(matchers.HaveInterface("eth1"))
			sibling.equipped(ctx, device{Name: "last", Kind: "bridge"})
			Expect(heard(events(elsewhere))).NotTo(ContainElement("eth1"))
		})
	})

	property.Seed("take a second device while a host runs, which serves on at both: docker network connect", func(ctx SpecContext) {
		env := nstest.Current()
		web, other := env.Host("web"), env.Host("other")
		l, err := web.Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		talk := func(conn net.Conn) {
			GinkgoHelper()
			accepted, err := l.Accept()
			Expect(err).NotTo(HaveOccurred())
			defer accepted.Close()
			defer conn.Close()
			_, err = io.WriteString(conn, "hello")
			Expect(err).NotTo(HaveOccurred())
			Expect(conn.(*net.TCPConn).CloseWrite()).To(Succeed())
			Expect(io.ReadAll(accepted)).To(BeEquivalentTo("hello"))
		}
		old, err := (&net.Dialer{}).DialContext(ctx, "tcp", "web:80")
		Expect(err).NotTo(HaveOccurred())

		By("before, there is no such device, and no way to its address")
		Expect(web).NotTo(matchers.HaveInterface("eth1"))
		second := netip.MustParseAddrPort("198.51.100.2:80")
		_, err = net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(second))
		Expect(err).To(MatchError(unix.ENETUNREACH))

		By("plugging it in")
		running := web.Command("sleep", "infinity") // any process of the host shows the host's namespace
		Expect(running.Start()).To(Succeed())
		var n namespace
		n.file, err = nsx.Open(running.Process.HostPid(), nsx.Net)
		Expect(err).NotTo(HaveOccurred())
		defer n.file.Close()
		plug(ctx, n, device{Name: "near", Addrs: prefixes("198.51.100.1/24"), Set: "up"}, device{Name: "eth1", Addrs: prefixes("198.51.100.2/24"), Set: "up"})

		By("the connection that there was goes on, and the service answers at the new address")
		Expect(web).To(matchers.HaveInterface("eth1"))
		Expect(other).NotTo(matchers.HaveInterface("eth1"))
		talk(old)
		var conn net.Conn
		Eventually(ctx, func() (err error) {
			conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", second.String())
			return err
		}).Should(Succeed())
		talk(conn)
	})

	property.Seed("let a child wait at a pipe until its veth is there: Docker's hand-shake", func(ctx SpecContext) {
		for _, wait := range []bool{true, false} {
			By(fmt.Sprintf("a child that waits: %t", wait))
			reader, writer, err := os.Pipe()
			Expect(err).NotTo(HaveOccurred())
			p, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.Net, Files: []*os.File{reader}}, await, wait)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			Expect(reader.Close()).To(Succeed())
			var before []rtnetlink.Link
			Expect(p.Await(&before)).To(Succeed())
			Expect(rtnetlink.Names(before)).NotTo(ContainElement("eth0"))
			Expect(p.Continue(nil)).To(Succeed())

			if wait {
				var n namespace
				n.file, err = p.Open(nsx.Net)
				Expect(err).NotTo(HaveOccurred())
				plug(ctx, n, device{Name: "near", Set: "up"}, device{Name: "eth0", Addrs: prefixes("198.51.100.2/24"), Set: "up"})
				n.file.Close()
				Expect(writer.Close()).To(Succeed(), "the child may go on")
			}
			after, err := p.Result()
			Expect(err).NotTo(HaveOccurred())
			if wait {
				Expect(after).To(ContainElement(And(HaveField("Name", "eth0"), HaveField("Up", true))))
			} else {
				Expect(after).To(Equal(before), "who does not wait begins without it")
				Expect(writer.Close()).To(Succeed())
			}
		}
	})
}
