package security

import (
	"errors"
	"os"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// A mounting is the answer to a mount(2), and what is there then.
type mounting struct {
	Errno syscall.Errno
	Names []string
}

// mount mounts a file system where nobody else sees it, and looks.
var mount = nsx.Register("security/mount", func(_ *nsx.Parent, kind string) (m mounting, err error) {
	if err := nsx.UnshareThread(nsx.Mount); err != nil {
		return m, err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return m, err
	}
	// No flags: there is one devtmpfs, and its flags are the machine's too.
	if err := unix.Mount(kind, os.TempDir(), kind, 0, ""); err != nil {
		if !errors.As(err, &m.Errno) {
			return m, err
		}
		return m, nil
	}
	entries, err := os.ReadDir(os.TempDir())
	for _, e := range entries {
		m.Names = append(m.Names, e.Name())
	}
	return m, err
})

func registerDevtmpfs() {
	property.Seed("cannot mount the devices of the machine", func(ctx SpecContext) {
		for _, s := range []nsx.Spec{{}, nsx.Spec{Kinds: nsx.Mount}.AsRoot()} {
			Expect(nsx.Run(ctx, s, mount, "tmpfs")).To(Equal(mounting{}), "the control: a file system of its own")
			m, err := nsx.Run(ctx, s, mount, "devtmpfs")
			Expect(err).NotTo(HaveOccurred())
			needDevtmpfs(m)
			Expect(m.Errno).To(Equal(unix.EPERM))
		}
	})

	property.Seed("can mount them if they are privileged", func(ctx SpecContext) {
		require.MachineRoot()
		in := func(cfg nstest.Config) mounting {
			GinkgoHelper()
			m, err := inside.Run(nstest.New(GinkgoTB(), cfg).Self(), mount, "devtmpfs")
			Expect(err).NotTo(HaveOccurred())
			needDevtmpfs(m)
			return m
		}
		privileged := in(nstest.Config{Privileged: true})
		Expect(privileged.Errno).To(BeZero())
		Expect(privileged.Names).To(ContainElements("null", "zero", "tty"))
		Expect(in(nstest.Config{})).To(Equal(mounting{Errno: unix.EPERM}), "the control: others cannot")
	}, nstest.InProcess)
}

// needDevtmpfs skips on a kernel without devtmpfs.
func needDevtmpfs(m mounting) {
	GinkgoHelper()
	if m.Errno == unix.ENODEV {
		require.Skip("the kernel has no devtmpfs", "use one with CONFIG_DEVTMPFS")
	}
}
