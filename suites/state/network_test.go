package state_test

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("The network of a state", func() {
	var env *nstest.Env
	var web, db *nstest.Host
	BeforeEach(func() {
		env = nstest.Current()
		web, db = env.Host("web"), env.Host("db")
	})
	socket := func(host, protocol, state, local string) func(g Gomega) any {
		return func(g Gomega) any {
			for _, s := range on(g, host).Sockets {
				if s.Protocol == protocol && s.State == state && s.Local == local {
					return s
				}
			}
			return nil
		}
	}

	for _, network := range []string{"tcp4", "tcp6"} {
		It("has what nobody has read, over "+network, func() {
			l := listen(db, network, ":80")
			c := dial(web, network, "db:80")
			there, err := l.Accept()
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(there.Close)
			local, remote := c.LocalAddr().String(), c.RemoteAddr().String()
			Eventually(socket("db", "tcp", "ESTABLISHED", remote)).Should(And(HaveField("Receive", 0), HaveField("Remote", local)))
			_, err = c.Write([]byte("hello"))
			Expect(err).NotTo(HaveOccurred())
			Eventually(socket("db", "tcp", "ESTABLISHED", remote)).Should(HaveField("Receive", 5))
			Expect(summary(Default)).To(ContainSubstring("has 5 bytes from %s that nobody has read", local))
			Eventually(socket("web", "tcp", "ESTABLISHED", local)).Should(And(HaveField("Receive", 0), HaveField("Send", 0), HaveField("Retries", 0)))
		})
	}
	It("has what a datagram socket was not asked for", func() {
		l, err := db.ListenPacket("udp4", ":5000")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		Eventually(socket("db", "udp", "", "0.0.0.0:5000")).Should(HaveField("Receive", 0))
		_, err = dial(web, "udp4", "db:5000").Write([]byte("hello"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(socket("db", "udp", "", "0.0.0.0:5000")).Should(HaveField("Receive", BeNumerically(">", 0)))
	})
	It("knows who has a socket open", func() {
		f, err := listen(db, "tcp4", ":80").(*net.TCPListener).File()
		Expect(err).NotTo(HaveOccurred())
		c := db.Command("sleep", "1000")
		c.ExtraFiles = []*os.File{f}
		Expect(c.Start()).To(Succeed())
		Expect(f.Close()).To(Succeed())
		listen(db, "tcp4", ":81")
		Eventually(socket("db", "tcp", "LISTEN", "0.0.0.0:80")).Should(HaveField("PIDs", []int{c.Process.Pid}))
		Eventually(socket("db", "tcp", "LISTEN", "0.0.0.0:81")).Should(HaveField("PIDs", BeEmpty()), "which the spec has, in another host")
	})
	It("tells a full accept queue from one with room", func() {
		var fd int
		Expect(db.Do(func() (err error) {
			if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
				err = unix.Bind(fd, &unix.SockaddrInet4{Port: 80})
			}
			if err == nil {
				err = unix.Listen(fd, 1)
			}
			return err
		})).To(Succeed())
		DeferCleanup(unix.Close, fd)
		dial(web, "tcp4", "db:80")
		Eventually(socket("db", "tcp", "LISTEN", "0.0.0.0:80")).Should(And(HaveField("Receive", 1), HaveField("Send", 1)))
		Expect(summary(Default)).NotTo(ContainSubstring("accepts nobody"))
		dial(web, "tcp4", "db:80")
		Eventually(socket("db", "tcp", "LISTEN", "0.0.0.0:80")).Should(And(HaveField("Receive", 2), HaveField("Send", 1)))
		Expect(summary(Default)).To(MatchRegexp(`db: tcp 0\.0\.0\.0:80.* accepts nobody: 2 connections wait`))
	})
	It("has unix sockets by their names", func() {
		l := listen(db, "unix", "/run/here")
		dial(db, "unix", "/run/here")
		Eventually(socket("db", "unix", "LISTEN", "/run/here")).Should(HaveField("Receive", 1))
		there, err := l.Accept()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(there.Close)
		Eventually(socket("db", "unix", "LISTEN", "/run/here")).Should(HaveField("Receive", 0))
		Eventually(func(g Gomega) any { return on(g, "db").Sockets }).Should(ContainElement(And(HaveField("State", "ESTABLISHED"), HaveField("Remote", "/run/here"))))
	})
	It("has raw and packet sockets", func() {
		var fds []int
		Expect(db.Do(func() error {
			for _, s := range [][3]int{{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6}, {unix.AF_PACKET, unix.SOCK_RAW, 0x0300}} {
				fd, err := unix.Socket(s[0], s[1]|unix.SOCK_CLOEXEC, s[2])
				if err != nil {
					return err
				}
				fds = append(fds, fd)
			}
			return nil
		})).To(Succeed())
		DeferCleanup(func() {
			for _, fd := range fds {
				Expect(unix.Close(fd)).To(Succeed())
			}
		})
		of := func(host string, protocol string) (local []string) {
			for _, s := range on(Default, host).Sockets {
				if s.Protocol == protocol {
					local = append(local, s.Local)
				}
			}
			return local
		}
		Expect(of("db", "raw")).To(ConsistOf("0.0.0.0 protocol 1", ":: protocol 58"))
		Expect(of("db", "packet")).To(ConsistOf("protocol 0x0003 interface 0"))
		Expect(of("web", "raw")).To(BeEmpty())
		Expect(of("web", "packet")).To(BeEmpty())
	})
	It("has what the other side does not acknowledge", func() {
		listen(db, "tcp4", ":80")
		c := dial(web, "tcp4", "db:80")
		fault := env.Partition([]*nstest.Host{web}, []*nstest.Host{db})
		_, err := c.Write([]byte("hello"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(socket("web", "tcp", "ESTABLISHED", c.LocalAddr().String())).Should(And(HaveField("Send", 5), HaveField("Retries", BeNumerically(">", 0))))
		Expect(summary(Default)).To(ContainSubstring("has 5 bytes that %s does not acknowledge", c.RemoteAddr()))
		fault.Heal()
		Eventually(socket("web", "tcp", "ESTABLISHED", c.LocalAddr().String())).Should(And(HaveField("Send", 0), HaveField("Retries", 0)))
	})
	It("has neighbours that do not answer, and those that do", func() {
		listen(db, "tcp4", ":80")
		dial(web, "tcp4", "db:80")
		nobody := web.Link("").Addrs()[0].Next().Next().Next().Next().Next()
		_, err := dial(web, "udp4", fmt.Sprintf("%s:9", nobody)).Write([]byte("hello"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) any { return on(g, "web").Neighbours }).Should(ContainElements(
			And(HaveField("Addr", nobody.String()), HaveField("Device", "eth0"), HaveField("State", Or(Equal("INCOMPLETE"), Equal("FAILED"))), HaveField("MAC", "")),
			And(HaveField("Addr", db.Addr().String()), HaveField("State", Or(Equal("REACHABLE"), Equal("STALE"), Equal("DELAY"))), HaveField("MAC", db.Link("").MAC())),
		))
		Expect(summary(Default)).To(ContainSubstring("web: %s on eth0 does not answer", nobody))
	})
	It("has devices with what was counted, and a pulled cable", func() {
		listen(db, "tcp4", ":80")
		dial(web, "tcp4", "db:80")
		addr := web.Link("").Addrs()[0].String()
		device := func(g Gomega) any { return on(g, "web").Interfaces }
		Expect(device(Default)).To(ContainElement(And(
			HaveField("Name", "eth0"), HaveField("Network", "lan"), HaveField("State", "up"), HaveField("Down", false), HaveField("MAC", web.Link("").MAC()), HaveField("MTU", 1500),
			HaveField("Addrs", ContainElement(HavePrefix(addr+"/"))), HaveField("RxPackets", BeNumerically(">", 1)), HaveField("TxBytes", BeNumerically(">", 100)),
		)))
		Expect(look(Default).Faults).To(BeEmpty())
		Expect(summary(Default)).NotTo(ContainSubstring("carrier"))
		before := time.Now()
		Expect(web.Link("").Down()).To(Succeed())
		Eventually(device).Should(ContainElement(And(HaveField("Name", "eth0"), HaveField("State", Or(Equal("down"), Equal("lowerlayerdown"))), HaveField("Down", false))))
		Expect(look(Default).Faults).To(ConsistOf(And(
			HaveField("Text", "web on lan: cable pulled"), HaveField("Hosts", []string{"web"}), HaveField("Fault", 0), HaveField("Since", BeTemporally("~", before, 10*time.Second)),
		)))
		Expect(summary(Default)).To(And(ContainSubstring("fault: web on lan: cable pulled, for "), ContainSubstring("web: eth0 on lan has no carrier")))
		Expect(web.Link("").Up()).To(Succeed())
		Expect(look(Default).Faults).To(BeEmpty())
		run(web, "ip link set eth0 down")
		Expect(device(Default)).To(ContainElement(And(HaveField("Name", "eth0"), HaveField("Down", true))))
		Expect(summary(Default)).To(And(ContainSubstring("web: eth0 on lan was set down in the host"), Not(ContainSubstring("no carrier"))))
	})
	It("has the routes that are not those of the host's own addresses", func() {
		run(web, "ip route add blackhole 192.0.2.0/24; ip route add 198.51.100.0/24 via "+db.Addr().String()+" table 7")
		routes := on(Default, "web").Routes
		Expect(routes).To(ContainElements(
			And(HaveField("To", "192.0.2.0/24"), HaveField("Type", "blackhole")),
			And(HaveField("To", "198.51.100.0/24"), HaveField("Via", db.Addr().String()), HaveField("Device", "eth0"), HaveField("Table", 7), HaveField("Type", "")),
			And(HaveField("Device", "eth0"), HaveField("Table", 0), HaveField("Via", "")),
		))
		Expect(routes).NotTo(ContainElement(HaveField("To", HaveSuffix("/32"))))
		Expect(on(Default, "db").Routes).NotTo(ContainElement(HaveField("Type", "blackhole")))
	})
	It("has the rules that count, and how much", func() {
		needs("nft", "nftables")
		run(db, `nft 'add table inet filter; add chain inet filter input { type filter hook input priority 0; }; add rule inet filter input udp dport 9; `+
			`add rule inet filter input udp dport 5000 counter drop comment "no games"; add rule inet filter input udp dport 5001 counter drop'`)
		counters := func(g Gomega) any { return on(g, "db").Counters }
		Expect(counters(Default)).To(ConsistOf(
			And(HaveField("Where", "inet filter input rule 2 (no games)"), HaveField("Packets", BeZero())),
			And(HaveField("Where", "inet filter input rule 3"), HaveField("Packets", BeZero())),
		))
		_, err := dial(web, "udp4", "db:5000").Write([]byte("hello"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(counters).Should(ConsistOf(
			And(HaveField("Where", "inet filter input rule 2 (no games)"), HaveField("Packets", BeEquivalentTo(1)), HaveField("Bytes", BeEquivalentTo(20+8+5))),
			And(HaveField("Where", "inet filter input rule 3"), HaveField("Packets", BeZero())),
		))
		Expect(summary(Default)).To(ContainSubstring("db: inet filter input rule 2 (no games): 1 packet"))
		Expect(on(Default, "web").Counters).To(BeEmpty())
	})
	It("has the rules of a firewall that let nothing through, by their numbers", func() {
		Expect(db.SetFirewall(nstest.Firewall{Default: nstest.Reject, Rules: []nstest.FirewallRule{
			{Protocol: "udp", Ports: []nstest.PortRange{{First: 5000}}},
			{Verdict: nstest.Drop, From: "web", Protocol: "udp", Ports: []nstest.PortRange{{First: 5001}}},
		}})).To(Succeed())
		counted := func(g Gomega) any {
			counted := map[string]uint64{}
			for _, c := range on(g, "db").Counters {
				counted[c.Where] = c.Packets
			}
			return counted
		}
		send := func(port string) {
			_, err := dial(web, "udp4", "db:"+port).Write([]byte("hello"))
			Expect(err).NotTo(HaveOccurred())
		}
		want := map[string]uint64{
			"firewall rule 2: drop in": 0, "firewall rule 2: drop out": 0, "firewall rule 2: drop forward": 0,
			"firewall default: reject in": 0, "firewall default: reject out": 0, "firewall default: reject forward": 0,
		}
		Expect(counted(Default)).To(Equal(want))
		send("5000")
		send("5001")
		send("5001")
		send("5002")
		want["firewall rule 2: drop in"], want["firewall default: reject in"] = 2, 1
		Eventually(counted).Should(Equal(want))
		Expect(summary(Default)).To(And(ContainSubstring("db: firewall rule 2: drop in: 2 packets"), Not(ContainSubstring("drop out"))))
	})
	It("has what the kernel has counted of what went wrong", func() {
		refused := HaveField("Name", "Tcp OutRsts")
		Expect(on(Default, "db").Kernel).NotTo(ContainElement(refused))
		_, err := web.DialContext(GinkgoT().Context(), "tcp4", "db:80")
		Expect(err).To(MatchError(unix.ECONNREFUSED))
		Eventually(func(g Gomega) any { return on(g, "db").Kernel }).Should(ContainElement(And(refused, HaveField("Value", BeEquivalentTo(1)))))
	})
	It("has no more than a limit of sockets, which is said", func() {
		var sockets []net.PacketConn
		DeferCleanup(func() {
			for _, s := range sockets {
				Expect(s.Close()).To(Succeed())
			}
		})
		Expect(db.Do(func() error {
			for range 2100 {
				s, err := net.ListenPacket("udp4", "127.0.0.1:0")
				if err != nil {
					return err
				}
				sockets = append(sockets, s)
			}
			return nil
		})).To(Succeed())
		s := on(Default, "db")
		Expect(len(s.Sockets)).To(BeNumerically("~", 2000, 5)) // less the name server's
		Expect(s.Errors).To(ConsistOf("there are more than 2000 sockets"))
	})
})

var _ = Describe("The faults of a state", func() {
	It("are those in force, with since when", func() {
		env := nstest.Current()
		a, b, c := env.Host("a"), env.Host("b"), env.Host("c")
		Expect(look(Default).Faults).To(BeEmpty())
		partition := env.Partition([]*nstest.Host{a, b}, []*nstest.Host{c})
		flap, err := c.Link("").Flap(time.Hour, time.Hour)
		Expect(err).NotTo(HaveOccurred())
		recent := BeTemporally("~", time.Now(), 10*time.Second)
		Expect(look(Default).Faults).To(HaveExactElements(
			And(HaveField("Text", "partition of a, b | c"), HaveField("Hosts", []string{"a", "b", "c"}), HaveField("Fault", BeNumerically(">", 0)), HaveField("Since", recent)),
			And(HaveField("Text", "flap of c on lan"), HaveField("Hosts", []string{"c"}), HaveField("Fault", BeNumerically(">", 0)), HaveField("Since", recent)),
		))
		partition.Heal()
		flap.Heal()
		Expect(look(Default).Faults).To(BeEmpty())
		Expect(env.DNS().Set(nstest.DNSConfig{Faults: []nstest.DNSFault{{Name: "db.example", Type: "A", Answer: nstest.ServFail, Hosts: []string{"a"}}}})).To(Succeed())
		Expect(look(Default).Faults).To(ConsistOf(And(HaveField("Text", "DNS for a: A of db.example: servfail"), HaveField("Since", recent))))
		Expect(env.DNS().Set(nstest.DNSConfig{})).To(Succeed())
		Expect(look(Default).Faults).To(BeEmpty())
	})
	It("have trunks that are pulled", func() {
		env := nstest.Current()
		far, err := env.AddNetwork(nstest.NetworkConfig{Name: "far", Trunks: []string{"lan"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(far.Trunk("lan").Down()).To(Succeed())
		Expect(look(Default).Faults).To(ConsistOf(HaveField("Text", "trunk of far and lan: pulled")))
		Expect(far.Trunk("lan").Up()).To(Succeed())
		Expect(look(Default).Faults).To(BeEmpty())
	})
})

var _ = Describe("The mounts of a state", func() {
	It("tell a full file system from one with room", func() {
		web := nstest.Current().Host("web")
		run(web, "mkdir /tmp/small /tmp/room && mount -t tmpfs -o size=64k small /tmp/small && mount -t tmpfs -o size=64k,nr_inodes=9 room /tmp/room")
		at := func(g Gomega, target string) any {
			for _, m := range on(g, "web").Mounts {
				if m.Target == target {
					return m
				}
			}
			return nil
		}
		Expect(at(Default, "/tmp/small")).To(And(HaveField("Type", "tmpfs"), HaveField("Source", "small"), HaveField("Size", BeEquivalentTo(64<<10)), HaveField("Free", BeEquivalentTo(64<<10))))
		Expect(summary(Default)).NotTo(ContainSubstring("is full"))
		run(web, "dd if=/dev/zero of=/tmp/small/file bs=64k count=2 2>/dev/null; true")
		Expect(at(Default, "/tmp/small")).To(HaveField("Free", BeZero()))
		Expect(at(Default, "/tmp/room")).To(And(HaveField("Free", BeNumerically(">", 0)), HaveField("Inodes", BeEquivalentTo(9)), HaveField("IFree", BeEquivalentTo(8))))
		Expect(summary(Default)).To(And(ContainSubstring("web: /tmp/small is full: 0 bytes of 64.0 KiB are free (tmpfs)"), Not(ContainSubstring("room"))))
		Expect(at(Default, "/proc")).To(HaveField("Size", BeZero()), "which keeps no files")
		run(web, "mount -t tmpfs over /tmp")
		Expect(at(Default, "/tmp/small")).To(BeNil(), "which nobody can see")
	})
	It("cannot be made to lead elsewhere", func() {
		web := nstest.Current().Host("web")
		run(web, "mkdir '/tmp/a b' && mount -t tmpfs -o size=64k small '/tmp/a b'")
		Expect(on(Default, "web").Mounts).To(ContainElement(And(HaveField("Target", "/tmp/a b"), HaveField("Size", BeEquivalentTo(64<<10)))))
	})
})
