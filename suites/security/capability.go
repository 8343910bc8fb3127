package security

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
)

// powers are a process's capabilities, a bit each, and what it may do.
type powers struct {
	Effective, Bounding uint64 // what it has, and what programs that it executes can have
	RawSocket, Device   bool   // it made a raw socket (CAP_NET_RAW); it set an interface down and up (CAP_NET_ADMIN)
}

func (p powers) String() string {
	return fmt.Sprintf("effective %016x, bounding %016x, raw socket %t, interface %t", p.Effective, p.Bounding, p.RawSocket, p.Device)
}

// assess returns what it has and may do.
var assess = nsx.Register("security/assess", func(*nsx.Parent, any) (p powers, err error) {
	for name, set := range map[string]*uint64{"CapEff": &p.Effective, "CapBnd": &p.Bounding} {
		value, err := status(name)
		if err != nil {
			return p, err
		}
		if *set, err = strconv.ParseUint(value, 16, 64); err != nil {
			return p, err
		}
	}
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP); err == nil {
		p.RawSocket = true
		unix.Close(fd)
	}
	p.Device, err = changesLoopback()
	return p, err
})

// changesLoopback writes the flags that the loopback interface has, which takes a right but changes nothing.
func changesLoopback() (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return false, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return false, err
	}
	switch err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err {
	case nil:
		return true, nil
	case unix.EPERM:
		return false, nil
	default:
		return false, err
	}
}

// everyCapability is the set of those that the kernel knows.
func everyCapability() uint64 {
	GinkgoHelper()
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	Expect(err).NotTo(HaveOccurred())
	last, err := strconv.Atoi(strings.TrimSpace(string(text)))
	Expect(err).NotTo(HaveOccurred())
	return 1<<(last+1) - 1
}

func registerCapabilities() {
	const netRaw, netAdmin = 1 << unix.CAP_NET_RAW, 1 << unix.CAP_NET_ADMIN

	DescribeTable("have the capabilities that are left to them", func(ctx SpecContext, drop, add []string, want func(all uint64) powers) {
		env := nstest.New(GinkgoTB(), nstest.Config{CapDrop: drop, CapAdd: add})
		expected := want(everyCapability())
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(inside.Run(host, assess, nil)).To(Equal(expected), host.Name())
		}
	},
		Entry("the control: all", nil, nil, func(all uint64) powers { return powers{all, all, true, true} }),
		Entry("without CAP_NET_RAW", []string{"NET_RAW"}, nil, func(all uint64) powers { return powers{all &^ netRaw, all &^ netRaw, false, true} }),
		Entry("without CAP_NET_ADMIN", []string{"CAP_NET_ADMIN"}, nil, func(all uint64) powers {
			return powers{all &^ netAdmin, all &^ netAdmin, true, false}
		}),
		Entry("none but CAP_NET_RAW", []string{"ALL"}, []string{"NET_RAW"}, func(uint64) powers { return powers{netRaw, netRaw, true, false} }),
		Entry("none but CAP_NET_ADMIN", []string{"ALL"}, []string{"net_admin"}, func(uint64) powers { return powers{netAdmin, netAdmin, false, true} }),
		Entry("none", []string{"ALL"}, nil, func(uint64) powers { return powers{} }),
	)
}
