package network

import (
	"errors"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// A setting is a sysctl and what it is to be.
type setting struct{ Name, Value string }

// path is the sysctl's file.
func (s setting) path() string { return "/proc/sys/" + strings.ReplaceAll(s.Name, ".", "/") }

// read is the sysctl's value.
func (s setting) read() (string, error) {
	text, err := os.ReadFile(s.path())
	return strings.TrimSpace(string(text)), err
}

// write sets the sysctl, and is the errno, 0 for none.
func (s setting) write() (unix.Errno, error) {
	var errno unix.Errno
	err := os.WriteFile(s.path(), []byte(s.Value), 0)
	if errors.As(err, &errno) {
		return errno, nil
	}
	return 0, err
}

// A change is what became of a sysctl.
type change struct {
	Name, Before, After string
	Errno               unix.Errno // of writing it, 0 for none
}

// readSysctls are the values of some sysctls, in their order.
var readSysctls = nsx.Register("network/read-sysctls", func(_ *nsx.Parent, list []setting) (values []string, err error) {
	for _, s := range list {
		value, err := s.read()
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
})

// writeSysctls sets sysctls. One without a value is set to what it has.
var writeSysctls = nsx.Register("network/write-sysctls", func(_ *nsx.Parent, list []setting) (changes []change, err error) {
	for _, s := range list {
		ch := change{Name: s.Name}
		if ch.Before, err = s.read(); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if s.Value == "" {
			s.Value = ch.Before
		}
		if ch.Errno, err = s.write(); err != nil {
			return nil, err
		}
		if ch.After, err = s.read(); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		changes = append(changes, ch)
	}
	return changes, nil
})

// sysctlsOf are the values in a process of the given spec.
func sysctlsOf(ctx SpecContext, s nsx.Spec, list ...setting) []string {
	GinkgoHelper()
	values, err := nsx.Run(ctx, s, readSysctls, list)
	Expect(err).NotTo(HaveOccurred())
	return values
}

const congestionControl = "net.ipv4.tcp_congestion_control"

// pinned are sysctls that a new network namespace may take over from the machine's, at what an environment has instead.
var pinned = []setting{
	{"net.ipv4.ip_forward", "0"},
	{"net.ipv4.conf.all.rp_filter", "0"},
	{"net.ipv4.conf.default.rp_filter", "0"},
	{"net.ipv4.conf.all.accept_redirects", "1"},
	{"net.ipv4.conf.all.arp_ignore", "0"},
	{"net.ipv4.conf.default.arp_ignore", "0"},
	{"net.ipv4.conf.all.arp_announce", "0"},
	{"net.ipv4.conf.default.arp_announce", "0"},
	{"net.ipv4.conf.all.log_martians", "0"},
	{congestionControl, "cubic"},
	{"net.ipv6.conf.all.disable_ipv6", "0"},
	{"net.ipv6.conf.default.disable_ipv6", "0"},
	{"net.ipv6.conf.all.forwarding", "0"},
}

// A binding is how port 80 can be bound without CAP_NET_BIND_SERVICE.
type binding struct {
	Start         string // net.ipv4.ip_unprivileged_port_start, as it was found
	Before, After unix.Errno
}

// bind80 binds port 80 before and after it makes 80 the first port that everybody may bind.
var bind80 = nsx.Register("network/bind-80", func(*nsx.Parent, any) (b binding, err error) {
	start := setting{"net.ipv4.ip_unprivileged_port_start", "80"}
	if b.Start, err = start.read(); err != nil {
		return b, err
	}
	if err := nsx.DropCapability(unix.CAP_NET_BIND_SERVICE); err != nil {
		return b, err
	}
	if b.Before, err = bindPort(80); err != nil {
		return b, err
	}
	if errno, err := start.write(); err != nil || errno != 0 {
		return b, errors.Join(errno, err)
	}
	b.After, err = bindPort(80)
	return b, err
})

func bindPort(port int) (unix.Errno, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var errno unix.Errno
	err = unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	if errors.As(err, &errno) {
		return errno, nil
	}
	return 0, err
}

func registerSysctls() {
	property.It("N17", func(ctx SpecContext, c *property.Check) {
		own := []setting{{"net.core.somaxconn", "1234"}, {"net.ipv4.ip_forward", "1"}, {congestionControl, "reno"}}
		machines := []setting{{"net.core.rmem_max", ""}, {"net.netfilter.nf_conntrack_max", ""}}
		written := func(s nsx.Spec, list []setting) []change {
			GinkgoHelper()
			changes, err := nsx.Run(ctx, s, writeSysctls, list)
			Expect(err).NotTo(HaveOccurred())
			for _, ch := range changes {
				c.Saw(ch.Name+" there", ch)
			}
			return changes
		}
		before := sysctlsOf(ctx, nsx.Spec{}, own...)
		c.Negative("a namespace sets its own for itself", func() {
			for i, ch := range written(nsx.Spec{Kinds: nsx.Net}, own) {
				Expect(ch.Errno).To(BeZero(), ch.Name)
				Expect(ch.After).To(Equal(own[i].Value), ch.Name)
			}
			c.Saw("ours", sysctlsOf(ctx, nsx.Spec{}, own...))
			Expect(sysctlsOf(ctx, nsx.Spec{}, own...)).To(Equal(before))
		})
		c.Negative("and cannot set the machine's: they are not there (before Linux 6.9), or for reading", func() {
			for _, ch := range written(nsx.Spec{Kinds: nsx.Net}, machines) {
				Expect(ch.Errno).To(Or(Equal(unix.EACCES), Equal(unix.ENOENT)), ch.Name)
				Expect(ch.After).To(Equal(ch.Before), ch.Name)
			}
		})
		c.Positive("who is in our namespace sets ours", func() {
			written(nsx.Spec{}, own)
			after := sysctlsOf(ctx, nsx.Spec{}, own...)
			c.Saw("ours", after)
			for i := range own {
				Expect(after[i]).To(Equal(own[i].Value), own[i].Name)
				Expect(after[i]).NotTo(Equal(before[i]), own[i].Name)
			}
		})
	})

	property.It("N18", func(ctx SpecContext, c *property.Check) {
		bare := sysctlsOf(ctx, nsx.Spec{Kinds: nsx.Net}, pinned...)
		var bled []change
		for i, s := range pinned {
			if bare[i] != s.Value {
				bled = append(bled, change{Name: s.Name, Before: s.Value, After: bare[i]})
			}
		}
		if len(bled) == 0 {
			c.NoPositive("this machine's own settings are the kernel's: nothing bleeds in that could be told apart")
		} else {
			c.Positive("a bare namespace has some of the machine's settings", func() {
				for _, b := range bled {
					c.Saw(b.Name, b.After+", and the kernel's default is "+b.Before)
				}
			})
		}
		c.Negative("an environment has the kernel's", func() {
			for i, value := range sysctlsOf(ctx, nsx.Spec{}, pinned...) {
				c.Saw(pinned[i].Name, value)
				if value != pinned[i].Value && pinned[i].Name == congestionControl {
					// A kernel that was configured with another default lets no namespace choose this one.
					errno, err := pinned[i].write()
					Expect(err).NotTo(HaveOccurred())
					c.Saw("setting it to "+pinned[i].Value, errno)
					Expect(errno).To(Equal(unix.EPERM))
					continue
				}
				Expect(value).To(Equal(pinned[i].Value), pinned[i].Name)
			}
		})
	})

	property.It("N20", func(ctx SpecContext, c *property.Check) {
		start := setting{Name: "net.ipv4.ip_unprivileged_port_start"}
		before := sysctlsOf(ctx, nsx.Spec{}, start)
		b, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, bind80, nil)
		Expect(err).NotTo(HaveOccurred())
		c.Positive("once it is 80, port 80 needs no CAP_NET_BIND_SERVICE", func() {
			c.Saw("bindPort(2) to port 80 then", b.After)
			Expect(b.After).To(BeZero())
		})
		c.Negative("before that it did, and in other namespaces it still does", func() {
			c.Saw("first port of a new namespace", b.Start)
			c.Saw("bindPort(2) to port 80", b.Before)
			Expect(b.Start).To(Equal("1024"))
			Expect(b.Before).To(Equal(unix.EACCES))
			after := sysctlsOf(ctx, nsx.Spec{}, start)
			c.Saw("ours before and after", []string{before[0], after[0]})
			Expect(after).To(Equal(before))
			again, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, bind80, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("bindPort(2) to port 80 in another new one", again.Before)
			Expect(again).To(Equal(b))
		})
	})
}
