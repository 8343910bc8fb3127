package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

// lossy is the port to which datagrams are lost, and sure one to which none is.
const lossy, sure = 9, 10

// dropHalf drops every other UDP packet to the port lossy, or a random one of two, and counts all and those that it drops.
func dropHalf(kind uint32) []expr.Any {
	return append(ifUDP(lossy),
		&expr.Counter{},
		&expr.Numgen{Register: 1, Modulus: 2, Type: kind},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	)
}

// netdevRule adds a rule at a hook of eth0, until the spec ends.
func netdevRule(c *property.Check, hook *nftables.ChainHook, what ...expr.Any) *rule {
	GinkgoHelper()
	r, err := addRule(nftables.TableFamilyNetdev, hook, eth0().Attrs().Name, what...)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		c.Skip("the kernel has no such hook, or no numgen: "+err.Error(), "take one with CONFIG_NF_TABLES_NETDEV, CONFIG_NETFILTER_EGRESS and CONFIG_NFT_NUMGEN")
	}
	Expect(err).NotTo(HaveOccurred())
	return r
}

// sendNoticing sends datagrams and, unless it is to be left at that, sends those again that the kernel says are lost. It is
// how often the kernel said so.
func sendNoticing(from net.PacketConn, to *sink, times int, again bool) (refusals int) {
	GinkgoHelper()
	// Without this the kernel does not tell of a datagram that a queue has dropped.
	raw, err := from.(syscall.Conn).SyscallConn()
	Expect(err).NotTo(HaveOccurred())
	Expect(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1) })).To(Succeed())
	Expect(err).NotTo(HaveOccurred())
	for i := range times {
		_, err := from.WriteTo([]byte(fmt.Sprint(i)), net.UDPAddrFromAddrPort(to.at))
		for errors.Is(err, unix.ENOBUFS) {
			refusals++
			if !again {
				err = nil
				break
			}
			_, err = from.WriteTo([]byte(fmt.Sprint(i)), net.UDPAddrFromAddrPort(to.at))
		}
		Expect(err).NotTo(HaveOccurred())
	}
	return refusals
}

// dropClassic is a program of classic BPF, as it was before eBPF, that drops UDP packets to the port lossy. With direct
// action what it returns is what is done with the packet.
var dropClassic = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: 5},
	bpf.LoadAbsolute{Off: 14 + 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipFalse: 3},
	bpf.LoadAbsolute{Off: 14 + 20 + 2, Size: 2}, // no datagram here has IP options
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: lossy, SkipFalse: 1},
	bpf.RetConstant{Val: uint32(netlink.TC_ACT_SHOT)},
	bpf.RetConstant{Val: 0xffffffff}, // TC_ACT_UNSPEC: go on
}

// addClassic adds a filter with a program of classic BPF to what comes in at a device that has a clsact queue. The netlink
// package knows filters with eBPF alone.
func addClassic(link netlink.Link, program []bpf.Instruction) error {
	code, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	var ops []byte
	for _, i := range code { // struct sock_filter
		ops = binary.NativeEndian.AppendUint16(ops, i.Op)
		ops = append(ops, i.Jt, i.Jf)
		ops = binary.NativeEndian.AppendUint32(ops, i.K)
	}
	request := nl.NewNetlinkRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	request.AddData(&nl.TcMsg{
		Family: nl.FAMILY_ALL, Ifindex: int32(link.Attrs().Index), Handle: 1, Parent: netlink.HANDLE_MIN_INGRESS,
		Info: netlink.MakeHandle(1, nl.Swap16(unix.ETH_P_ALL)),
	})
	request.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(code))))
	options.AddRtAttr(nl.TCA_BPF_OPS, ops)
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	request.AddData(options)
	_, err = request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func registerLoss() {
	property.It("N24", func(_ SpecContext, c *property.Check) {
		const times = 200
		self, far := nstest.Current().Self(), nstest.Current().Host("far")
		here, there := listen(self, self.Addr(), lossy), listen(far, far.Addr(), lossy)
		// lost is how many are dropped of those that come here while a rule is in force; all others have come then.
		lost := func(kind uint32) int {
			GinkgoHelper()
			here.empty()
			r := netdevRule(c, nftables.ChainHookIngress, dropHalf(kind)...)
			refusals := sendNoticing(sender(far), here, times, false)
			var dropped uint64
			Eventually(func() (int, error) {
				counts, err := r.counts()
				if err != nil {
					return 0, err
				}
				dropped = counts[1]
				return here.count() + int(dropped), nil
			}).WithTimeout(limit).Should(Equal(times))
			Expect(r.remove()).To(Succeed())
			c.Saw("dropped by the rule", dropped)
			c.Saw("arrived", here.count())
			c.Saw("errors that the sender got", refusals)
			Expect(refusals).To(BeZero())
			return int(dropped)
		}
		c.Positive("without a rule all datagrams arrive", func() {
			send(sender(far), here.at, times, []byte("x"))
			Eventually(here.count).WithTimeout(limit).Should(Equal(times))
			c.Saw("arrived", here.count())
		})
		c.Negative("dropping every other one that comes in loses half, and the sender does not know", func() {
			Expect(lost(unix.NFT_NG_INCREMENTAL)).To(Equal(times / 2))
		})
		c.Negative("so does dropping each with a probability of a half, more or less", func() {
			Expect(lost(unix.NFT_NG_RANDOM)).To(And(BeNumerically(">", times/4), BeNumerically("<", times*3/4)))
		})
		c.Negative("dropping every other one that goes out is an error for the sender, who sends again: nothing is lost", func() {
			r := netdevRule(c, nftables.ChainHookEgress, dropHalf(unix.NFT_NG_INCREMENTAL)...)
			refusals := sendNoticing(sender(self), there, times, true)
			Eventually(there.count).WithTimeout(limit).Should(Equal(times))
			counts, err := r.counts()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("seen by the rule, and dropped", counts)
			c.Saw("errors that the sender got", refusals)
			c.Saw("arrived", there.count())
			Expect(refusals).To(BeEquivalentTo(counts[1]))
			Expect(refusals).To(BeNumerically(">=", times/2))
		})
	})

	property.It("N25", func(_ SpecContext, c *property.Check) {
		const times = 100
		self, far := nstest.Current().Self(), nstest.Current().Host("far")
		here, marks := listen(self, self.Addr(), lossy), listen(self, self.Addr(), sure)
		from := sender(far)
		// What comes after the others to another port says that they have been dealt with.
		volley := func(text string) {
			GinkgoHelper()
			marks.empty()
			send(from, here.at, times, []byte(text))
			send(from, marks.at, 1, []byte("mark"))
			Eventually(marks.count).WithTimeout(limit).Should(Equal(1))
		}
		arrived := func(text string) int {
			return len(slices.DeleteFunc(here.texts(), func(t string) bool { return t != text }))
		}
		c.Positive("without a filter all datagrams arrive", func() {
			volley("before")
			Eventually(arrived).WithArguments("before").WithTimeout(limit).Should(Equal(times))
			c.Saw("arrived", arrived("before"))
		})
		queue := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: eth0().Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
		needQueue(c, netlink.QdiscAdd(queue), "CONFIG_NET_SCH_INGRESS")
		needQueue(c, addClassic(eth0(), dropClassic), "CONFIG_NET_CLS_BPF")
		c.Negative("with it none, but those to another port", func() {
			volley("during")
			c.Saw("arrived", arrived("during"))
			c.Saw("arrived at the other port", marks.count())
			Expect(arrived("during")).To(BeZero())
		})
		c.Positive("and all again once it is gone", func() {
			Expect(netlink.QdiscDel(queue)).To(Succeed())
			volley("after")
			Eventually(arrived).WithArguments("after").WithTimeout(limit).Should(Equal(times))
			c.Saw("arrived", arrived("after"))
		})
	})
}
