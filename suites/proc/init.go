package proc

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/property"
)

// A first is process 1 as /proc shows it, and the number of who looks.
type first struct {
	Name, CommandLine, Executable string
	OurNumber, OurParent          int
}

// lookAtFirst looks at process 1, after it has mounted a /proc of its own if that is wanted.
var lookAtFirst = nsx.Register("proc/first", func(_ *nsx.Parent, mount bool) (first, error) {
	f := first{OurNumber: os.Getpid(), OurParent: os.Getppid()}
	if mount {
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return f, err
		}
	}
	name, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		return f, err
	}
	line, err := os.ReadFile("/proc/1/cmdline")
	if err != nil {
		return f, err
	}
	f.Name = strings.TrimSpace(string(name))
	f.CommandLine = strings.ReplaceAll(strings.Trim(string(line), "\x00"), "\x00", " ")
	f.Executable, err = os.Readlink("/proc/1/exe")
	return f, err
})

// theInit is what an environment's init looks like. Its program is in memory, or this one where there is no static init
// for the processor.
func theInit() OmegaMatcher {
	GinkgoHelper()
	exe, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	return And(HaveField("Name", "nstest-init"), HaveField("CommandLine", HavePrefix("nstest-init")),
		HaveField("Executable", Or(HavePrefix("/memfd:nstest-init"), Equal(exe))))
}

func registerInit() {
	property.It("S6", func(ctx SpecContext, c *property.Check) {
		c.Positive("who is process 1 of a namespace sees another one in the /proc of the namespace around it", func() {
			f, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.PID}, lookAtFirst, false)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("process 1", f)
			Expect(f.OurNumber).To(Equal(1))
			Expect(f.CommandLine).NotTo(ContainSubstring(lookAtFirst.Name()))
		})
		c.Positive("and itself in a /proc of its own", func() {
			f, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.PID | nsx.Mount}, lookAtFirst, true)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("process 1", f)
			Expect(f.OurNumber).To(Equal(1))
			Expect(f.CommandLine).To(ContainSubstring(lookAtFirst.Name()))
		})
		c.Negative("in an environment that is its init", func() {
			f, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{}).Self(), lookAtFirst, false)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("process 1", f)
			Expect(f).To(theInit())
			Expect(f.OurNumber).NotTo(Equal(1))
			Expect(f.OurParent).To(Equal(1))
		})
	})

	property.Seed("/proc/1 is the environment's init, and on each host its own", func(SpecContext) {
		env := nstest.Current()
		inits := map[string]*nstest.Host{"self": env.Self(), "a host with its own processes": env.Host("own")}
		shared, err := env.AddHost(nstest.HostConfig{Name: "shared", PID: nstest.FromSelf})
		Expect(err).NotTo(HaveOccurred())
		inits["a host that shares the environment's processes"] = shared
		for what, host := range inits {
			By(what)
			Expect(inside.Run(host, lookAtFirst, false)).To(theInit())
		}

		By("a name that only the spec's init has: a host that shares it sees it, and one with its own does not")
		spec := strings.Join(os.Args, " ")
		Expect(shared).To(matchers.HaveProcess(spec))
		Expect(inits["a host with its own processes"]).NotTo(matchers.HaveProcess(spec))
	})
}
