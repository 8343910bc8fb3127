package security

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// calls are the kernel's answers to calls by which a process may reach beyond its network namespace, and to their like.
type calls struct {
	Vsock, VsockPair syscall.Errno // the sockets reach the hypervisor
	Ring             syscall.Errno // io_uring makes sockets that no filter sees
	Unix, UnixPair   syscall.Errno // the control: other sockets

	Filtered bool // the process is behind a filter
}

// try makes the calls, and closes what it gets.
func try() (got calls, err error) {
	got.Vsock = socket(unix.AF_VSOCK)
	got.VsockPair = socketpair(unix.AF_VSOCK)
	got.Unix = socket(unix.AF_UNIX)
	got.UnixPair = socketpair(unix.AF_UNIX)

	var params [120]byte // struct io_uring_params
	fd, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if got.Ring = errno; errno == 0 {
		unix.Close(int(fd))
	}
	mode, err := status("Seccomp")
	got.Filtered = mode != "0"
	return got, err
}

func socket(family int) (errno syscall.Errno) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
		return 0
	}
	return err.(syscall.Errno)
}

func socketpair(family int) (errno syscall.Errno) {
	fds, err := unix.Socketpair(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return 0
	}
	return err.(syscall.Errno)
}

// status is a line of the calling thread's.
func status(name string) (string, error) {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("no %s in the status of a process", name)
}

// tries makes the calls.
var tries = nsx.Register("security/try", func(*nsx.Parent, any) (calls, error) { return try() })

func registerSeccomp() {
	// outside is the machine's answers.
	outside := func() calls {
		GinkgoHelper()
		got, err := try()
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("outside", got, ReportEntryVisibilityFailureOrVerbose)
		return got
	}
	// in is those of two hosts of an environment, which agree.
	in := func(ctx SpecContext, cfg nstest.Config) calls {
		GinkgoHelper()
		env := nstest.New(GinkgoTB(), cfg)
		got, err := inside.Run(env.Self(), tries, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(inside.Run(env.Host("web"), tries, nil)).To(Equal(got), "hosts are alike")
		AddReportEntry("inside", got, ReportEntryVisibilityFailureOrVerbose)
		return got
	}
	needVsock := func(machine calls) {
		GinkgoHelper()
		if machine.Vsock != 0 {
			require.Skip("the machine itself gives no VSOCK sockets: "+machine.Vsock.Error(),
				"modprobe vsock, and run it outside of environments and containers")
		}
	}
	needRing := func(machine calls) {
		GinkgoHelper()
		if machine.Ring != 0 {
			require.Skip("the machine itself gives no io_uring: "+machine.Ring.Error(),
				"sysctl -w kernel.io_uring_disabled=0, and run it outside of environments and containers")
		}
	}

	property.Seed("refuse VSOCK, by socket and by socketpair, as if the kernel had none", func(ctx SpecContext) {
		machine := outside()
		needVsock(machine)
		Expect(machine.VsockPair).To(Equal(unix.EOPNOTSUPP), "the control: it comes to the protocol, which has no pairs")
		for _, cfg := range []nstest.Config{{}, {AllowIOUring: true}} {
			got := in(ctx, cfg)
			Expect([]syscall.Errno{got.Vsock, got.VsockPair}).To(HaveEach(unix.EAFNOSUPPORT))
			Expect([]syscall.Errno{got.Unix, got.UnixPair}).To(HaveEach(syscall.Errno(0)), "the control: other sockets")
			Expect(got.Filtered).To(BeTrue())
		}
	}, nstest.InProcess)

	property.Seed("refuse io_uring as if the kernel had none, unless Config.AllowIOUring lets it in", func(ctx SpecContext) {
		needRing(outside())
		Expect(in(ctx, nstest.Config{AllowIOUring: true}).Ring).To(BeZero(), "the control")
		Expect(in(ctx, nstest.Config{}).Ring).To(Equal(unix.ENOSYS))
	}, nstest.InProcess)

	property.Seed("that are privileged refuse neither", func(ctx SpecContext) {
		require.MachineRoot()
		machine := outside()
		needVsock(machine)
		needRing(machine)
		got := in(ctx, nstest.Config{Privileged: true})
		Expect(got).To(Equal(machine))
		Expect(got).NotTo(Equal(in(ctx, nstest.Config{})), "the control: others do")
	}, nstest.InProcess)

	property.Seed("pass their filter on to whatever they make", func(ctx SpecContext) {
		got, err := try()
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Filtered).To(BeTrue(), "the spec's own process")
		Expect(in(ctx, nstest.Config{AllowIOUring: true}).Ring).To(Equal(unix.ENOSYS), "an environment within cannot open what is closed around it")
		mine, err := filters()
		Expect(err).NotTo(HaveOccurred())
		theirs, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}.AsRoot(), countFilters, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(theirs).To(Equal(mine), "namespaces change nothing about it")
		Expect(mine).To(BeNumerically(">", 0))
	})
}

// filters is how many the calling thread is behind (Linux 5.9).
func filters() (int, error) {
	n, err := status("Seccomp_filters")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(n)
}

// countFilters returns how many it is behind.
var countFilters = nsx.Register("security/count-filters", func(*nsx.Parent, any) (int, error) { return filters() })
