package devices

import (
	"fmt"
	"io"
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

// A pty is the number of a new pseudo-terminal, and what is in /dev/pts then.
type pty struct {
	Number int
	Names  []string
}

// newPTY opens a pseudo-terminal. The caller closes it.
func newPTY() (p pty, master *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return p, nil, err
	}
	if p.Number, err = unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN); err != nil {
		return p, master, err
	}
	l, err := listHere("/dev/pts")
	p.Names = l.Names
	return p, master, err
}

var openPTY = nsx.Register("devices/pty", func(*nsx.Parent, any) (pty, error) {
	p, master, err := newPTY()
	if err != nil {
		return p, err
	}
	return p, master.Close()
})

func registerTerminals() {
	property.It("D3", func(ctx SpecContext, c *property.Check) {
		ours, master, err := newPTY()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(master.Close)
		c.Positive("a process in a copy of the mount namespace shares the terminals", func() {
			p, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Mount}, openPTY, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("/dev/pts", p.Names)
			Expect(p.Number).To(Equal(ours.Number + 1))
			Expect(p.Names).To(ContainElement(fmt.Sprint(ours.Number)))
		})
		host := nstest.New(GinkgoTB(), nstest.Config{}).Self()
		c.Negative("an environment begins with number 0", func() {
			p, err := inside.Run(host, openPTY, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("/dev/pts", p.Names)
			Expect(p).To(Equal(pty{0, []string{"0", "ptmx"}}))
		})
		c.Negative("and a command on a terminal finds its name", func() {
			tty := host.Command("tty")
			terminal, err := tty.StartTerminal(24, 80)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(terminal.Close)
			said, err := io.ReadAll(terminal)
			Expect(err).NotTo(HaveOccurred())
			Expect(tty.Wait()).To(Succeed())
			c.Saw("tty", strings.TrimSpace(string(said)))
			Expect(strings.TrimSpace(string(said))).To(Equal("/dev/pts/0"))
		})
	})
}
