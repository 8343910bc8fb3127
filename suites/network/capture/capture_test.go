package capture_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("A capture", func() {
	var env *nstest.Env
	var web, db *nstest.Host
	BeforeEach(func() {
		env = nstest.Current()
		web, db = env.Host("web"), env.Host("db")
	})
	const udp = "udp port 5000"

	It("of an environment has each packet where it leaves and where it arrives", func() {
		c := begin(env.Capture, nstest.CaptureConfig{Filter: udp})
		send(web, "db", "5000", "hello")
		Expect(stop(c)).To(And(HaveField("Packets", BeEquivalentTo(2)), HaveField("Lost", BeZero()), HaveField("Omitted", BeZero())))
		Expect(read(c.Path(), "frame.interface_name", "frame.packet_flags_direction", "ip.src", "ip.dst", "udp.dstport", "frame.len")).To(Equal([]string{
			fmt.Sprintf("web/eth0 0x00000002 %s %s 5000 47", web.Addr(), db.Addr()),
			fmt.Sprintf("db/eth0 0x00000001 %s %s 5000 47", web.Addr(), db.Addr()),
		}))
	})
	It("knows the names of hosts", func() {
		c := begin(env.Capture, nstest.CaptureConfig{Filter: udp})
		send(web, "db", "5000", "hello")
		stop(c)
		Expect(tshark(c.Path(), "-NnN", "-T", "fields", "-e", "ip.src_host", "-e", "ip.dst_host")).To(HaveEach("web\tdb"))
	})
	It("of a host has what that one sends and gets, and nothing else", func() {
		c := begin(db.Capture, nstest.CaptureConfig{Filter: udp})
		send(web, "db", "5000", "to db")
		send(db, "web", "5000", "from db")
		send(web, "self", "5000", "to self")
		stop(c)
		Expect(read(c.Path(), "frame.interface_name", "frame.packet_flags_direction", "frame.len")).To(Equal([]string{"db/eth0 0x00000001 47", "db/eth0 0x00000002 49"}))
	})
	It("of a link has not what passes another of the host's", func() {
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "back", NoIPv6: true})
		Expect(err).NotTo(HaveOccurred())
		both, err := env.AddHost(nstest.HostConfig{Name: "both", Networks: []nstest.Attachment{{Network: "lan"}, {Network: "back"}}})
		Expect(err).NotTo(HaveOccurred())
		_, err = env.AddHost(nstest.HostConfig{Name: "far", Networks: []nstest.Attachment{{Network: "back"}}})
		Expect(err).NotTo(HaveOccurred())
		lan, back := begin(both.Link("lan").Capture, nstest.CaptureConfig{Filter: udp}), begin(both.Link("back").Capture, nstest.CaptureConfig{Filter: udp})
		send(both, "web", "5000", "lan")
		send(both, "far", "5000", "on the back")
		stop(lan)
		stop(back)
		Expect(read(lan.Path(), "frame.interface_name", "frame.len")).To(Equal([]string{"both/eth0 45"}))
		Expect(read(back.Path(), "frame.interface_name", "frame.len")).To(Equal([]string{"both/eth1 53"}))
	})
	It("goes on with hosts, links and networks that come later", func() {
		c, one := begin(env.Capture, nstest.CaptureConfig{Filter: udp}), begin(web.Capture, nstest.CaptureConfig{Filter: udp})
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "later", NoIPv6: true})
		Expect(err).NotTo(HaveOccurred())
		_, err = env.AddHost(nstest.HostConfig{Name: "late", Networks: []nstest.Attachment{{Network: "later"}}})
		Expect(err).NotTo(HaveOccurred())
		link, err := web.AddLink(nstest.Attachment{Network: "later"})
		Expect(err).NotTo(HaveOccurred())
		send(web, "late", "5000", "hello")
		Expect(link.Remove()).To(Succeed())
		stop(c)
		stop(one)
		Expect(read(c.Path(), "frame.interface_name")).To(Equal([]string{"web/eth1", "late/eth0"}))
		Expect(read(one.Path(), "frame.interface_name")).To(Equal([]string{"web/eth1"}))
		Expect(tshark(c.Path(), "-NnN", "-T", "fields", "-e", "ip.dst_host")).To(HaveEach("late"))
	})
	It("has a link that was moved", func() {
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "other", NoIPv6: true})
		Expect(err).NotTo(HaveOccurred())
		_, err = env.AddHost(nstest.HostConfig{Name: "there", Networks: []nstest.Attachment{{Network: "other"}}})
		Expect(err).NotTo(HaveOccurred())
		c := begin(web.Link("").Capture, nstest.CaptureConfig{Filter: udp})
		Expect(web.Link("").Move("other")).To(Succeed())
		Expect(web.Link("").Renew()).To(Succeed())
		send(web, "there", "5000", "hello")
		stop(c)
		Expect(read(c.Path(), "frame.interface_name")).To(Equal([]string{"web/eth0"}))
	})
	It("has whole frames, or as much of them as is wanted", func() {
		text := strings.Repeat("0123456789", 140)
		whole, part := begin(web.Capture, nstest.CaptureConfig{Filter: udp}), begin(web.Capture, nstest.CaptureConfig{Filter: udp, Snap: 60})
		send(web, "db", "5000", text)
		stop(whole)
		stop(part)
		Expect(read(whole.Path(), "frame.len", "frame.cap_len", "udp.payload")).To(Equal([]string{fmt.Sprintf("1442 1442 %x", text)}))
		Expect(read(part.Path(), "frame.len", "frame.cap_len")).To(Equal([]string{"1442 60"}))
	})
	It("chooses packets by what it does not keep", func() {
		c := begin(env.Capture, nstest.CaptureConfig{Filter: "udp port 5000 and udp[8] = 0x79", Snap: 20})
		send(web, "db", "5000", "no")
		send(web, "db", "5000", "yes")
		stop(c)
		Expect(read(c.Path(), "frame.interface_name", "frame.len", "frame.cap_len")).To(Equal([]string{"web/eth0 45 20", "db/eth0 45 20"}))
	})
	It("keeps all of a packet where more is asked for than there can be", func() {
		c := begin(web.Capture, nstest.CaptureConfig{Filter: udp, Snap: 1 << 32})
		send(web, "db", "5000", "hello")
		stop(c)
		Expect(read(c.Path(), "frame.len", "frame.cap_len")).To(Equal([]string{"47 47"}))
	})
	It("has what a host has sent that was removed since", func() {
		l, err := db.ListenPacket("udp4", ":5000") // or each may be refused, which the next Write says in the place of sending
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		Expect(l.SetReadDeadline(time.Now().Add(time.Minute))).To(Succeed())
		for range 5 {
			gone := env.Host("gone")
			c := begin(gone.Capture, nstest.CaptureConfig{Filter: udp})
			conn, err := gone.DialContext(GinkgoT().Context(), "udp4", db.Addr().String()+":5000")
			Expect(err).NotTo(HaveOccurred())
			write := func(times int) { // and return when all have arrived
				GinkgoHelper()
				for range times {
					_, err = conn.Write([]byte("x"))
					Expect(err).NotTo(HaveOccurred())
				}
				for range times {
					_, _, err := l.ReadFrom(make([]byte, 1))
					Expect(err).NotTo(HaveOccurred())
				}
			}
			write(100)
			Expect(stat(c).Packets).To(BeEquivalentTo(100))
			write(10)
			Expect(conn.Close()).To(Succeed())
			Expect(env.RemoveHost("gone")).To(Succeed())
			Expect(stop(c).Packets).To(BeEquivalentTo(110))
		}
	})

	It("knows the name of a host that came last, and of one that has the address of another", func() {
		c := begin(env.Capture, nstest.CaptureConfig{})
		first, err := env.AddHost(nstest.HostConfig{Name: "first"})
		Expect(err).NotTo(HaveOccurred())
		addr := first.Addr()
		send(first, "db", "5000", "x")
		Expect(env.RemoveHost("first")).To(Succeed())
		_, err = env.AddHost(nstest.HostConfig{Name: "last", Networks: []nstest.Attachment{{Addrs: []netip.Addr{addr}}}})
		Expect(err).NotTo(HaveOccurred())
		stop(c)
		text, err := os.ReadFile(c.Path())
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(And(ContainSubstring("first\x00"), ContainSubstring("last\x00")))
		for _, name := range []string{"web", "first", "last"} {
			Expect(strings.Count(string(text), name+"\x00")).To(BeNumerically("<=", 2), "once for an address of each family")
		}
	})
	It("counts the packets of each interface", func() {
		c := begin(env.Capture, nstest.CaptureConfig{Filter: udp})
		send(web, "db", "5000", "x")
		send(web, "self", "5000", "x")
		send(web, "self", "5000", "x")
		stop(c)
		Expect(statistics(c.Path())).To(ConsistOf("web/eth0: 3, 0 lost", "db/eth0: 1, 0 lost", "self/eth0: 2, 0 lost"))
	})
	It("has the stream of a connection as it was", func() {
		body := bytes.Repeat([]byte("all of it "), 50_000)
		c := begin(web.Capture, nstest.CaptureConfig{Filter: "tcp port 80 and host db"})
		serve(db, body)
		Expect(get(web, "http://"+db.Addr().String()+"/")).To(Equal(body))
		stats := stop(c)
		Expect(stats.Lost).To(BeZero())
		Expect(read(c.Path(), "frame.number")).To(HaveLen(int(stats.Packets)))
		Expect(tshark(c.Path(), "-Y", "tcp.analysis.lost_segment")).To(BeEmpty(), "a gap")
		Expect(tshark(c.Path(), "-Y", "http.response", "-T", "fields", "-e", "http.content_length")).To(Equal([]string{"500000"}))
	})
	It("can be read while it goes on", func() {
		c := begin(env.Capture, nstest.CaptureConfig{Filter: udp})
		for i := range 3 {
			send(web, "db", "5000", "hello")
			stats, err := c.Flush()
			Expect(err).NotTo(HaveOccurred())
			Expect(stats.Packets).To(BeEquivalentTo(2 * (i + 1)))
			Expect(read(c.Path(), "frame.len")).To(HaveLen(2 * (i + 1)))
			info, err := os.Stat(c.Path())
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Size()).To(Equal(stats.Bytes))
		}
	})
	It("does not grow above its limit", func() {
		c := begin(env.Capture, nstest.CaptureConfig{Filter: udp, Limit: 4000})
		for range 50 {
			send(web, "db", "5000", "hello")
		}
		stats := stop(c)
		Expect(stats.Omitted).To(And(BeNumerically(">", 50), BeNumerically("<", 100)))
		Expect(stats.Packets + stats.Omitted).To(BeEquivalentTo(100))
		info, err := os.Stat(c.Path())
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Size()).To(And(BeNumerically("<=", 4000), BeNumerically("==", stats.Bytes)))
		Expect(read(c.Path(), "frame.len")).To(HaveLen(int(stats.Packets)))
	})
	It("has what nobody gets where it was sent", func() {
		c := begin(env.Capture, nstest.CaptureConfig{Filter: udp})
		seen := func() []string {
			GinkgoHelper()
			stat(c)
			return read(c.Path(), "frame.interface_name")
		}
		send(web, "db", "5000", "x")
		Expect(seen()).To(Equal([]string{"web/eth0", "db/eth0"}), "the control: it arrives")
		Expect(db.Link("").Down()).To(Succeed())
		conn, err := web.DialContext(GinkgoT().Context(), "udp4", db.Addr().String()+":5000")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		_, err = conn.Write([]byte("x"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() []string { return seen()[2:] }).Should(ContainElement("web/eth0"), "a cable is not waited for by Write")
		stop(c)
		Expect(read(c.Path(), "frame.interface_name")[2:]).NotTo(ContainElement("db/eth0"), "though all others see it: the switch has forgotten where db is")
	})
	It("ends with its environment, and its file is whole", func() {
		other := nstest.New(GinkgoTB(), nstest.Config{})
		path := file()
		c := begin(other.Capture, nstest.CaptureConfig{Path: path, Filter: "icmp6 or udp"})
		_, err := other.Self().DialContext(GinkgoT().Context(), "udp4", other.Host("a").Addr().String()+":9")
		Expect(err).NotTo(HaveOccurred())
		Expect(other.Close()).To(Succeed())
		Expect(stop(c)).To(BeZero())
		read(path, "frame.len")
	})
	It("is refused where it makes no sense", func() {
		fifo := file()
		Expect(unix.Mkfifo(fifo, 0o600)).To(Succeed())
		for want, cfg := range map[string]nstest.CaptureConfig{
			"set CaptureConfig.Path":                           {},
			`"nobody" is neither an address nor the name of a`: {Path: file(), Filter: "host nobody"},
			"neither can be negative":                          {Path: file(), Snap: -1},
			"no such file or directory":                        {Path: "/nowhere/file"},
			"a capture is written to a regular file":           {Path: "/dev/null"},
			"a limit of 50 bytes is less than":                 {Path: file(), Limit: 50},
			"no such device or address":                        {Path: fifo},
		} {
			_, err := env.Capture(cfg)
			Expect(err).To(MatchError(ContainSubstring(want)))
		}
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "over", Medium: nstest.Macvlan, Over: "lan"})
		Expect(err).NotTo(HaveOccurred())
		l, err := web.AddLink(nstest.Attachment{Network: "over"})
		Expect(err).NotTo(HaveOccurred())
		_, err = l.Capture(nstest.CaptureConfig{Path: file()})
		Expect(err).To(MatchError(ContainSubstring(`capture the link to network "lan"`)))
	})
	It("that is refused has made no file, and leaves one that there is as it was", func() {
		wrong := nstest.CaptureConfig{Path: file(), Filter: "host nobody"}
		_, err := env.Capture(wrong)
		Expect(err).To(HaveOccurred())
		Expect(wrong.Path).NotTo(BeAnExistingFile())
		Expect(os.WriteFile(wrong.Path, []byte("an older one"), 0o600)).To(Succeed())
		_, err = env.Capture(wrong)
		Expect(err).To(HaveOccurred())
		Expect(os.ReadFile(wrong.Path)).To(BeEquivalentTo("an older one"))
		wrong.Filter = udp
		c := begin(env.Capture, wrong)
		stop(c)
		Expect(read(wrong.Path, "frame.len")).To(BeEmpty(), "and is written anew otherwise")
	})
	It("says that the disk is full, at once or when it is", func() {
		full := func() string { // of one page
			GinkgoHelper()
			dir := GinkgoT().TempDir()
			Expect(unix.Mount("capture", dir, "tmpfs", 0, "size=8k,mode=0777")).To(Succeed())
			DeferCleanup(unix.Unmount, dir, unix.MNT_DETACH)
			return dir
		}()
		ballast := filepath.Join(full, "ballast")
		path := filepath.Join(full, "capture.pcapng")
		c, err := env.Capture(nstest.CaptureConfig{Path: path, Filter: udp})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() error {
			send(web, "db", "5000", strings.Repeat("x", 700))
			_, err := c.Flush()
			return err
		}).Should(And(MatchError(unix.ENOSPC), MatchError(ContainSubstring(path))))
		Expect(os.WriteFile(ballast, nil, 0o600)).To(Succeed())
		_, err = c.Stop()
		Expect(err).To(MatchError(unix.ENOSPC))
		Expect(strings.Count(err.Error(), "no space")).To(Equal(1), err.Error())
		Expect(read(path, "frame.len")).To(And(HaveLen(9), HaveEach("742")), "whole packets alone")

		Expect(os.Truncate(path, 0)).To(Succeed())
		blocks := make([]byte, 8192)
		Expect(os.WriteFile(ballast, blocks, 0o600)).To(Succeed())
		_, err = env.Capture(nstest.CaptureConfig{Path: filepath.Join(full, "further.pcapng")})
		Expect(err).To(MatchError(unix.ENOSPC))
	})
	It("can be had in an environment that has no network", func() {
		alone := nstest.New(GinkgoTB(), nstest.Config{Loopback: true})
		var list []*nstest.Capture
		var err error
		for err == nil {
			var c *nstest.Capture
			if c, err = alone.Capture(nstest.CaptureConfig{Path: file()}); err == nil {
				list = append(list, c)
			}
			Expect(len(list)).To(BeNumerically("<=", 64))
		}
		Expect(err).To(MatchError(ContainSubstring("stop some")))
		stop(list[0])
		Expect(read(list[0].Path(), "frame.len")).To(BeEmpty())
	})
	It("of which there are too many is refused, until some are stopped", func() {
		var list []*nstest.Capture
		var err error
		for err == nil {
			var c *nstest.Capture
			if c, err = env.Capture(nstest.CaptureConfig{Path: file()}); err == nil {
				list = append(list, c)
			}
			Expect(len(list)).To(BeNumerically("<=", 64))
		}
		Expect(err).To(MatchError(ContainSubstring("stop some")))
		stop(list[0])
		stop(begin(env.Capture, nstest.CaptureConfig{}))
	})
})
