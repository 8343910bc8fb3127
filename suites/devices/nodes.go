package devices

import (
	"os"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/property"
)

// A mode is what chmod(2) is to do to a file.
type mode struct {
	Path string
	Perm os.FileMode
	Make bool // the file, as a pipe, first
}

// change changes the permissions of a file.
var change = nsx.Register("devices/change", func(_ *nsx.Parent, m mode) (os.FileMode, error) {
	if m.Make {
		if err := unix.Mkfifo(m.Path, 0o600); err != nil {
			return 0, err
		}
	}
	if err := unix.Chmod(m.Path, uint32(m.Perm)); err != nil {
		return 0, err
	}
	info, err := os.Stat(m.Path)
	if err != nil {
		return 0, err
	}
	return info.Mode().Perm(), nil
})

// A tap is what came of making a network device of a program's own.
type tap struct {
	Mode   os.FileMode // of the node that makes them
	Device string
}

const tun = "/dev/net/tun"

var makeTap = nsx.Register("devices/tap", func(*nsx.Parent, any) (t tap, err error) {
	info, err := os.Stat(tun)
	if err != nil {
		return t, err
	}
	t.Mode = info.Mode().Perm()
	fd, err := unix.Open(tun, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return t, err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("probe0")
	if err != nil {
		return t, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return t, err
	}
	_, err = os.Stat("/sys/class/net/probe0")
	t.Device = request.Name()
	return t, err
})

func registerNodes() {
	property.It("D2", func(_ SpecContext, c *property.Check) {
		standard := []string{"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr"}
		c.Positive("the machine has further ones", func() {
			l, err := listHere("/dev")
			Expect(err).NotTo(HaveOccurred())
			more := slices.DeleteFunc(l.Names, func(name string) bool { return slices.Contains(standard, name) })
			c.Saw("further nodes", len(more))
			Expect(more).NotTo(BeEmpty())
		})
		c.Negative("an environment has those that everybody may use, and its own", func() {
			l, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{}).Self(), list, "/dev")
			Expect(err).NotTo(HaveOccurred())
			c.Saw("/dev", l.Names)
			Expect(l.Names).To(ConsistOf(standard))
		})
	}, nstest.InProcess)

	property.It("D4", func(_ SpecContext, c *property.Check) {
		host := nstest.New(GinkgoTB(), nstest.Config{}).Self()
		c.Positive("root inside changes the mode of a node that it has made", func() {
			perm, err := inside.Run(host, change, mode{"/tmp/node", 0o640, true})
			c.Saw("mode", perm)
			Expect(err).NotTo(HaveOccurred())
			Expect(perm).To(BeEquivalentTo(0o640))
		})
		c.Negative("and not that of /dev/null, which is the machine's", func() {
			_, err := inside.Run(host, change, mode{"/dev/null", 0o600, false})
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EPERM))
		})
	})

	property.It("D5", func(_ SpecContext, c *property.Check) {
		info, err := os.Stat(tun)
		if err != nil {
			c.Skip("there is no "+tun, "modprobe tun")
		}
		if unix.Access(tun, unix.R_OK|unix.W_OK) != nil {
			c.Skip(tun+" is not for this user", "chmod 0666 "+tun+", or run the suite as root as well")
		}
		c.Positive("in an environment that is given the device, root makes a tap with it", func() {
			t, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{Devices: []string{tun}}).Self(), makeTap, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("mode on the machine", info.Mode().Perm())
			c.Saw("mode inside", t.Mode)
			Expect(t).To(Equal(tap{0o666, "probe0"}))
		})
		c.Negative("there is none where it is not given", func() {
			_, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{}).Self(), makeTap, nil)
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.ENOENT))
		})
	}, nstest.InProcess)
}
