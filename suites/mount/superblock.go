package mount

import (
	"encoding/binary"
	"errors"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/suites/property"
)

// A watch notices the end of a file system, which comes when its last mount has gone. It does not keep it.
type watch struct {
	fd    int
	ended bool
}

// watched watches the file system of a directory.
func watched(path string) *watch {
	GinkgoHelper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(unix.Close, fd)
	_, err = unix.InotifyAddWatch(fd, path, unix.IN_DELETE_SELF) // IN_UNMOUNT is told without being asked for
	Expect(err).NotTo(HaveOccurred())
	return &watch{fd: fd}
}

// hasEnded reports whether the file system has.
func (w *watch) hasEnded() (bool, error) {
	buf := make([]byte, 4096)
	n, err := unix.Read(w.fd, buf)
	if errors.Is(err, unix.EAGAIN) {
		return w.ended, nil
	}
	if err != nil {
		return false, os.NewSyscallError("read", err)
	}
	for at := 0; at < n; {
		w.ended = w.ended || binary.NativeEndian.Uint32(buf[at+4:])&unix.IN_UNMOUNT != 0
		at += unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[at+12:]))
	}
	return w.ended, nil
}

func registerSuperblocks() {
	property.It("M26", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone, "disc")
		disc := dir + "/disc"
		do(outside, tmpfs(disc), write(disc+"/file", "text"))
		end := watched(disc)
		inside := enter(ctx, private)

		c.Positive("unmounted outside, a file system lives on in a private copy of the mounts", func() {
			do(outside, umount(disc))
			text := do(inside, read(disc+"/file"))
			c.Saw("mounts outside", tags(outside, disc))
			c.Saw("mounts inside", tags(inside, disc))
			c.Saw("its file, inside", text)
			Expect(outside).NotTo(matchers.HaveMount(disc))
			Expect(inside).To(matchers.HaveMount(disc))
			Expect(text).To(Equal("text"))
			Expect(end.hasEnded()).To(BeFalse())
		})
		c.Negative("until the last process of the namespace has ended", func() {
			Expect(inside.Close()).To(Succeed())
			Eventually(end.hasEnded).WithContext(ctx).Should(BeTrue())
			c.Saw("the file system has ended", end.ended)
		})
	})
}
