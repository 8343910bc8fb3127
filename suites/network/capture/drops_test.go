package capture_test

import (
	"fmt"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("What a fault drops", func() {
	var env *nstest.Env
	var web, db, other *nstest.Host
	BeforeEach(func() {
		env = nstest.Current()
		web, db, other = env.Host("web"), env.Host("db"), env.Host("other")
		send(web, "db", "5000", "neighbours know each other")
		send(web, "other", "5000", "likewise")
	})
	const udp = "udp port 5000"
	push := func(from, to *nstest.Host, text string) {
		GinkgoHelper()
		conn, err := from.DialContext(GinkgoT().Context(), "udp4", to.Addr().String()+":5000")
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		_, err = conn.Write([]byte(text))
		Expect(err).NotTo(HaveOccurred())
	}
	packets := func(c *nstest.Capture, n int) []string {
		GinkgoHelper()
		Eventually(func() uint64 { return stat(c).Packets }).Should(BeNumerically(">=", n))
		return read(c.Path(), "frame.interface_name", "udp.length", "frame.packet_flags_direction")
	}
	comments := func(c *nstest.Capture, filter string) []string {
		GinkgoHelper()
		return tshark(c.Path(), "-Y", filter, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|", "-e", "frame.comment")
	}
	const clock = `\d\d:\d\d:\d\d\.\d{6} UTC`

	It("is in a capture with the number of the fault, and the next packet after that tells of its begin and end", func() {
		c := begin(env.Capture, nstest.CaptureConfig{Filter: udp})
		send(web, "db", "5000", "1")
		fault := env.Partition([]*nstest.Host{web}, []*nstest.Host{db})
		push(web, db, "22")
		push(web, other, "333")
		Expect(packets(c, 6)).To(ConsistOf(
			"web/eth0 9 0x00000002", "db/eth0 9 0x00000001",
			HavePrefix("web/eth0 10 0x00000002"), HavePrefix("lan/switch 10"),
			"web/eth0 11 0x00000002", "other/eth0 11 0x00000001",
		))
		fault.Heal()
		send(web, "db", "5000", "4444")
		stop(c)

		const name = `fault \d+: partition of web \| db`
		Expect(comments(c, "udp.length == 9")).To(BeEmpty())
		Expect(comments(c, "udp.length == 11")).To(BeEmpty(), "what is not dropped")
		Expect(comments(c, `frame.interface_name == "lan/switch"`)).To(ConsistOf(MatchRegexp(`^dropped on the way from web to db: ` + name)))
		Expect(comments(c, `frame.comment contains "in force"`)).To(ConsistOf(MatchRegexp(name+` is in force since `+clock+`$`)), "once")
		Expect(comments(c, `frame.comment contains "healed" and udp.length == 12`)).To(ConsistOf(MatchRegexp(`^`+name+` was healed at `+clock+`$`)), "once")
		Expect(statistics(c.Path())).To(ContainElement("lan/switch: 1, 0 lost"))
	})
	It("is in the captures of both hosts, and in no other", func() {
		one, two, none := begin(web.Capture, nstest.CaptureConfig{Filter: udp}), begin(db.Link("").Capture, nstest.CaptureConfig{Filter: udp}), begin(other.Capture, nstest.CaptureConfig{Filter: udp})
		late := begin(env.Capture, nstest.CaptureConfig{Filter: "udp port 5001"})
		fault := env.Partition([]*nstest.Host{web}, []*nstest.Host{db, other})
		push(db, web, "1")
		Expect(packets(one, 1)).To(ConsistOf(HavePrefix("lan/switch 9")))
		Expect(packets(two, 2)).To(ConsistOf(HavePrefix("lan/switch 9"), HavePrefix("db/eth0 9")))
		Expect(packets(none, 0)).To(BeEmpty())
		Expect(packets(late, 0)).To(BeEmpty(), "what the filter does not want")
		fault.Heal()
	})
	It("tells a capture that begins later, with the fault that was there first", func() {
		env.Partition([]*nstest.Host{web}, []*nstest.Host{db})
		env.Partition([]*nstest.Host{web}, []*nstest.Host{db, other})
		Expect(other.Link("").Down()).To(Succeed())
		c := begin(env.Capture, nstest.CaptureConfig{Filter: udp, Snap: 40})
		push(web, db, "1")
		Expect(packets(c, 2)).To(HaveLen(2))
		Expect(comments(c, `frame.interface_name == "lan/switch"`)).To(ConsistOf(MatchRegexp(`^dropped on the way from web to db: fault \d+: partition of web \| db(\||$)`)))
		Expect(comments(c, "frame.comment")).To(ContainElement(And(
			ContainSubstring("partition of web | db is in force since "), ContainSubstring("partition of web | db, other is in force since "),
			ContainSubstring("other on lan: cable pulled since ")),
		))
	})
	It("is complete, if many are dropped", func() {
		c := begin(web.Capture, nstest.CaptureConfig{Filter: udp})
		env.Partition([]*nstest.Host{web}, []*nstest.Host{db})
		const n = 500
		for range n / 10 {
			for range 10 {
				push(web, db, "x")
			}
			stat(c)
		}
		Eventually(func() uint64 { return stat(c).Packets }).Should(BeEquivalentTo(2 * n))
		Expect(comments(c, `frame.interface_name == "lan/switch" and frame.comment`)).To(HaveLen(n))
		Expect(comments(c, `frame.comment contains "missing"`)).To(BeEmpty())
	})
	It("has the events of links as comments", func() {
		c := begin(web.Capture, nstest.CaptureConfig{Filter: udp})
		Expect(db.Link("").SetMTU(1400)).To(Succeed())
		send(web, "other", "5000", "1")
		flap, err := db.Link("").Flap(time.Hour, time.Hour)
		Expect(err).NotTo(HaveOccurred())
		send(web, "other", "5000", "22")
		Expect(flap.Close()).To(Succeed())
		stop(c)
		Expect(comments(c, "udp.length == 9")).To(ConsistOf(MatchRegexp(`^link of db to lan: MTU 1400 at ` + clock)))
		Expect(comments(c, "udp.length == 10")).To(ConsistOf(MatchRegexp(fmt.Sprintf(`^fault \d+: flap of db on lan is in force since %s\|link of db to lan: down at %s`, clock, clock))))
	})
})
