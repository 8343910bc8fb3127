package hygiene

import (
	"errors"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/property"
)

const goneDirectory plant = "a working directory that was removed"

// removed is what directory says of such a one.
const removed = "(removed)"

func enterDirectory() error {
	const dir = "/tmp/only-for-now"
	return errors.Join(os.Mkdir(dir, 0o755), os.Chdir(dir), os.Remove(dir))
}

// directory is the working directory as the kernel tells it: "(unreachable)/..." where it is not below the root.
func directory() (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(buf)
	if errors.Is(err, unix.ENOENT) {
		return removed, nil
	}
	return strings.TrimRight(string(buf[:max(n, 0)]), "\x00"), err
}

// enter changes into the directory that is file 3, and says where that is.
var enter = nsx.Register("hygiene/enter", func(*nsx.Parent, any) (string, error) {
	if err := unix.Fchdir(3); err != nil {
		return "", err
	}
	return directory()
})

func registerDirectory() {
	property.It("H10", func(ctx SpecContext, c *property.Check) {
		env := nstest.New(GinkgoTB(), nstest.Config{})
		c.Positive("who is handed a directory from outside gets there: it is not below the root", func() {
			outside, err := os.Open("/tmp")
			Expect(err).NotTo(HaveOccurred())
			defer outside.Close()
			cmd, err := inside.Command(env.Self(), enter, nil)
			Expect(err).NotTo(HaveOccurred())
			cmd.ExtraFiles = []*os.File{outside}
			dir, err := inside.Result(cmd, enter)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("working directory", dir)
			Expect(dir).To(HavePrefix("(unreachable)"))
		})
		c.Negative("a command begins in the directory that its Cmd says", func() {
			s := start(env, func(cmd *nstest.Cmd) { cmd.Dir = "/usr/bin" })
			c.Saw("working directory", s.Directory)
			Expect(s.Directory).To(Equal("/usr/bin"))
		})
		c.Negative("or in the program's own, and in / where that is not there", func() {
			s := run(ctx, goneDirectory)
			c.Saw("of a child", s.Child.Directory)
			c.Saw("of a command", s.Inside.Directory)
			Expect(s.Child.Directory).To(Equal(removed))
			Expect(s.Inside.Directory).To(Equal("/"))
		})
	})
}
