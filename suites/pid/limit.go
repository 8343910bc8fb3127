package pid

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// maxLevels is how many PID namespaces can be in one another, below the machine's own.
const maxLevels = 32

// setMaximum sets pid_max, unless that is to be 0, and returns what it was and what it is.
var setMaximum = nsx.Register("pid/setMaximum", func(_ *nsx.Parent, to int) (m struct{ Before, After int }, err error) {
	if err := mountProc(); err != nil {
		return m, err
	}
	if m.Before, err = maximum(); err != nil {
		return m, err
	}
	if to != 0 {
		if err := writeMaximum(to); err != nil {
			return m, err
		}
	}
	m.After, err = maximum()
	return m, err
})

const maximumFile = "/proc/sys/kernel/pid_max"

func writeMaximum(to int) error { return os.WriteFile(maximumFile, []byte(strconv.Itoa(to)), 0) }

func maximum() (int, error) {
	text, err := os.ReadFile(maximumFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// chooseNumber starts a process with the numbers that s says, and returns those that it has.
var chooseNumber = nsx.Register("pid/chooseNumber", func(_ *nsx.Parent, s nsx.Spec) ([]int, error) {
	p, err := nsx.Spawn(context.Background(), s, stay, nil)
	if err != nil {
		return nil, err
	}
	pids, err := p.NSPids()
	return pids, errors.Join(err, p.Close())
})

// chooseNext has the numbers go on from one, and returns the number of a child that is started then.
var chooseNext = nsx.Register("pid/chooseNext", func(_ *nsx.Parent, from int) (int, error) {
	if err := setLastPID(from); err != nil {
		return 0, err
	}
	pid, err := start("true")
	if err != nil {
		return 0, err
	}
	_, err = unix.Wait4(pid, nil, 0, nil)
	return pid, err
})

func registerLimits() {
	property.It("P14", func(ctx SpecContext, c *property.Check) {
		tried, letGo := nested(ctx, maxLevels+1)
		letGo()
		levels := len(tried.Views)
		c.Positive("so many PID namespaces can be in one another here", func() {
			all, _ := nested(ctx, levels)
			c.Saw("levels", len(all.Views))
			c.Saw("the numbers of the innermost process, from the first on", all.Views[0])
			Expect(all.Refused).To(BeZero())
			Expect(all.Views).To(HaveLen(levels))
			Expect(all.Views[0]).To(HaveLen(levels))
		})
		c.Negative("the next one is ENOSPC: there are 32, of which the environment, and what it is in, have taken some", func() {
			c.Saw("levels", levels)
			c.Saw("clone", tried.Refused)
			Expect(tried.Refused).To(Equal(unix.ENOSPC))
			Expect(levels).To(And(BeNumerically(">=", 1), BeNumerically("<", maxLevels)))
		})
	}, Label("seed"))

	property.It("P15", func(ctx SpecContext, c *property.Check) {
		s := nsx.Spec{Kinds: nsx.PID | nsx.Mount}
		const outside = 30_000
		Expect(writeMaximum(outside)).To(Succeed())
		c.Positive("inside it can be changed", func() {
			got, err := nsx.Run(ctx, s, setMaximum, 400)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("pid_max inside", got)
			Expect(got.After).To(Equal(400))
			Expect(got.After).NotTo(Equal(got.Before))
		})
		c.Negative("outside it is what it was", func() {
			after, err := maximum()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("pid_max outside", after)
			Expect(after).To(Equal(outside))
		})
		c.Negative("and a new namespace begins with the highest that there is, whatever that around it has", func() {
			got, err := nsx.Run(ctx, s, setMaximum, 0)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("pid_max in a new one", got.Before)
			Expect(got.Before).To(Equal(1 << 22))
		})
	})

	property.It("P16", func(ctx SpecContext, c *property.Check) {
		choice := func(tids ...int32) nsx.Spec {
			s := nsx.Spec{How: nsx.Clone3, SetTID: tids}
			if len(tids) > 1 || tids[0] == 1 {
				s.Kinds = nsx.PID
			}
			return s
		}
		powerless := nsx.Spec{}.AsRoot() // root of another user namespace than that of our PID namespace
		c.Positive("root of the namespace chooses the numbers of a process, in a new one and in its own", func() {
			for _, tids := range [][]int32{{4000}, {1, 4100}} {
				got, err := nsx.Run(ctx, nsx.Spec{}, chooseNumber, choice(tids...))
				Expect(err).NotTo(HaveOccurred())
				c.Saw("numbers", got)
				Expect(got[0]).To(BeEquivalentTo(tids[len(tids)-1]))
			}
		})
		c.Positive("and from where they go on", func() {
			got, err := nsx.Run(ctx, nsx.Spec{}, chooseNext, 5000)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("the next one", got)
			Expect(got).To(And(BeNumerically(">", 5000), BeNumerically("<", 6000))) // a thread may have come between
		})
		c.Positive("root of another user namespace does so in a PID namespace that it makes", func() {
			got, err := nsx.Run(ctx, powerless, chooseNumber, choice(1))
			Expect(err).NotTo(HaveOccurred())
			c.Saw("numbers", got)
			Expect(got).To(HaveLen(2))
			Expect(got[1]).To(Equal(1))
		})
		for _, tids := range [][]int32{{4000}, {1, 4100}} {
			c.Negative("and not in ours", func() {
				_, err := nsx.Run(ctx, powerless, chooseNumber, choice(tids...))
				c.Saw("error", err)
				Expect(err).To(MatchError(syscall.EPERM))
			})
		}
		c.Negative("nor from where they go on", func() {
			_, err := nsx.Run(ctx, powerless, chooseNext, 5000)
			c.Saw("error", err)
			Expect(err).To(MatchError(syscall.EPERM))
		})
	})
}
