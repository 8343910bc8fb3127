package hygiene

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/property"
)

const lowerLimit plant = "a hard limit of 1000 open files"

// fewFiles is that limit.
const fewFiles = 1000

// limit changes the hard limit of open files by so many.
var limit = nsx.Register("hygiene/limit", func(_ *nsx.Parent, by int) (uint64, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	l.Max = uint64(int64(l.Max) + int64(by))
	l.Cur = min(l.Cur, l.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	return l.Max, err
})

func lowerFiles() error {
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: fewFiles, Max: fewFiles})
}

func registerLimits() {
	property.It("H5", func(ctx SpecContext, c *property.Check) {
		c.Positive("the limits of a program are those of its environments", func() {
			s := run(ctx, lowerLimit)
			c.Saw("hard limit of open files, of a child", s.Child.HardFiles)
			c.Saw("of a command", s.Inside.HardFiles)
			Expect(s.Child.HardFiles).To(BeEquivalentTo(fewFiles))
			Expect(s.Inside.HardFiles).To(BeEquivalentTo(fewFiles))
		})
		host := nstest.New(GinkgoTB(), nstest.Config{}).Self()
		c.Positive("a command may lower a hard one", func() {
			now, err := inside.Run(host, limit, -1)
			c.Saw("hard limit of open files", now)
			Expect(err).NotTo(HaveOccurred())
		})
		c.Negative("and root inside may not raise it: that is for the machine's root", func() {
			_, err := inside.Run(host, limit, +1)
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EPERM))
		})
	})
}
