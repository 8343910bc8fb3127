package network

import (
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

// What the token bucket lets through, and what is sent: for it to pass takes the bucket half a second.
const (
	bucketRate  = 100_000 // bytes a second
	bucketBurst = 5_000   // bytes at once
	datagrams   = 50
	datagram    = 1000 // bytes, to which 42 of headers come
	onTheWire   = datagram + 8 + 20 + 14
)

// A transfer is the datagrams' way to a sink.
type transfer struct {
	excess int // by how many bytes more had come at some moment than the bucket lets through until then; below 0 if never
	took   time.Duration
}

// rate is the speed in bytes a second, of what had to wait for the bucket.
func (t transfer) rate() int { return int(float64(datagrams*onTheWire-bucketBurst) / t.took.Seconds()) }

func (t transfer) String() string {
	return fmt.Sprintf("%d datagrams took %v, %d bytes a second without the burst; most beyond the bucket at any moment: %d bytes",
		datagrams, t.took.Round(time.Microsecond), t.rate(), t.excess)
}

// transferTo sends the datagrams to s and waits until all have come.
//
// Clocks are read before the first is sent and after each has come. So a delay, of whichever program on a busy machine,
// only makes the transfer look slower: nothing can come too early because of one.
func transferTo(s *sink) transfer {
	GinkgoHelper()
	s.empty()
	from := sender(nstest.Current().Self())
	began := time.Now()
	send(from, s.at, datagrams, make([]byte, datagram))
	Eventually(s.count).WithTimeout(limit).Should(Equal(datagrams))
	t := transfer{excess: -datagrams * onTheWire}
	for i, a := range s.received() {
		elapsed := a.when.Sub(began)
		const tolerance = 1.01 // for what the kernel rounds
		allowed := bucketBurst + tolerance*bucketRate*elapsed.Seconds()
		t.excess = max(t.excess, (i+1)*onTheWire-int(allowed))
		t.took = elapsed
	}
	return t
}

// eth0 is the spec's own device.
func eth0() netlink.Link {
	GinkgoHelper()
	link, err := netlink.LinkByName(nstest.Current().Self().Link("").Interface())
	Expect(err).NotTo(HaveOccurred())
	return link
}

// needQueue skips the spec where the kernel lacks a kind of qdisc; the other errors of adding one fail it.
func needQueue(c *property.Check, err error, option string) {
	GinkgoHelper()
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		c.Skip("the kernel lacks a kind of queue or filter: "+err.Error(), "take a kernel with "+option)
	}
	Expect(err).NotTo(HaveOccurred())
}

func registerShaping() {
	property.It("N23", func(_ SpecContext, c *property.Check) {
		far := nstest.Current().Host("far")
		s := listen(far, far.Addr(), 9)
		c.Positive("without it, more comes than the bucket would let through", func() {
			var t transfer
			Eventually(func() int { t = transferTo(s); return t.excess }).WithTimeout(limit).Should(BeNumerically(">", 0))
			c.Saw("transfer", t)
		})
		c.Negative("with it never more, and all of it comes", func() {
			bucket := &netlink.Tbf{
				QdiscAttrs: netlink.QdiscAttrs{LinkIndex: eth0().Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
				Rate:       bucketRate, Limit: 2 * datagrams * onTheWire, Buffer: netlink.Xmittime(bucketRate, bucketBurst),
			}
			needQueue(c, netlink.QdiscAdd(bucket), "CONFIG_NET_SCH_TBF")
			t := transferTo(s)
			c.Saw("transfer", t)
			Expect(t.excess).To(BeNumerically("<=", 0))
		})
	})
}
