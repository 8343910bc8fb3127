package hygiene

import (
	"fmt"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// A hold is what a process can do with a terminal that is its standard input.
type hold struct {
	Session     int
	Controlling string // what came of opening /dev/tty, the controlling terminal
	Inject      string // what came of typing something into the terminal (TIOCSTI, ioctl_tty(2)): a command, say
}

// tryTerminal tries it.
var tryTerminal = nsx.Register("hygiene/terminal", func(*nsx.Parent, any) (hold, error) {
	var h hold
	var err error
	if h.Session, err = unix.Getsid(0); err != nil {
		return h, err
	}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err != nil {
		return h, fmt.Errorf("standard input is no terminal: %w", err)
	}
	tty, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	h.Controlling = outcome(err)
	if err == nil {
		if err := unix.Close(tty); err != nil {
			return h, err
		}
	}
	h.Inject = outcome(unix.IoctlSetPointerInt(0, unix.TIOCSTI, 'x'))
	return h, nil
})

// onTerminal compares what children can do with the runner's controlling terminal.
var onTerminal = nsx.Register("hygiene/on-terminal", func(*nsx.Parent, any) (seen[hold], error) {
	if err := takeTerminal(); err != nil {
		return seen[hold]{}, err
	}
	return compare(tryTerminal, nil)
})

// takeTerminal gives the calling process a session with a new terminal, which becomes its standard input.
func takeTerminal() error {
	if _, err := unix.Setsid(); err != nil {
		return err
	}
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	terminal, err := unix.Open(fmt.Sprintf("/dev/pts/%d", number), unix.O_RDWR|unix.O_CLOEXEC, 0) // the session's, being the first
	if err != nil {
		return err
	}
	return unix.Dup2(terminal, int(os.Stdin.Fd()))
}

func registerTerminal() {
	property.It("H7", func(ctx SpecContext, c *property.Check) {
		s, err := nsx.Run(ctx, nsx.Spec{}, onTerminal, nil)
		Expect(err).NotTo(HaveOccurred())
		c.Positive("the terminal of a program controls a child", func() {
			c.Saw("session", s.Child.Session)
			c.Saw("open /dev/tty", s.Child.Controlling)
			c.Saw("TIOCSTI", s.Child.Inject)
			Expect(s.Child.Session).NotTo(BeZero())
			Expect(s.Child.Controlling).To(Equal(done))
			// EIO where dev.tty.legacy_tiocsti=0, Linux 6.2: only the machine's root may type for others.
			Expect(s.Child.Inject).To(BeElementOf(done, "EIO"))
		})
		c.Negative("a command in an environment leads a session that no terminal controls", func() {
			c.Saw("session", s.Inside.Session)
			c.Saw("open /dev/tty", s.Inside.Controlling)
			Expect(s.Inside.Session).NotTo(BeZero())
			Expect(s.Inside.Controlling).To(Equal("ENXIO"))
		})
		c.Negative("and types nothing into the terminal that is its standard input", func() {
			c.Saw("TIOCSTI", s.Inside.Inject)
			Expect(s.Inside.Inject).To(BeElementOf("EPERM", "EIO"))
		})
	})
}
