package hermetic_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The process of a spec", func() {
	var atFirst int
	BeforeEach(func() { atFirst = os.Getpid() })

	It("is in namespaces of its own", func() {
		inside, err := look()
		Expect(err).NotTo(HaveOccurred())
		for _, k := range kinds {
			Expect(inside.Namespaces[k]).NotTo(Equal(outside.Namespaces[k]), k)
		}
	})

	It("stays outside if the spec is decorated so", nstest.InProcess, func() {
		here, err := look()
		Expect(err).NotTo(HaveOccurred())
		Expect(here.PID).To(Equal(atFirst))
		pid1, err := os.ReadFile("/proc/1/comm")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(pid1)).NotTo(Equal("nstest-init\n"))
		Expect(func() { nstest.Current() }).To(PanicWith(ContainSubstring("InProcess")))
	})

	It("is one for all nodes, with a small number, below an init", func() {
		Expect(os.Getpid()).To(Equal(atFirst))
		Expect(os.Getpid()).To(BeNumerically("<", 10))
		Expect(os.Getppid()).To(Equal(1))
		Expect(os.ReadFile("/proc/1/comm")).To(BeEquivalentTo("nstest-init\n"))
	})

	It("sees no process but the spec's", func() {
		sleeper := exec.Command("sleep", "1000")
		Expect(sleeper.Start()).To(Succeed())
		DeferCleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
		out, err := exec.Command("ps", "-e", "-o", "args=").Output()
		Expect(err).NotTo(HaveOccurred())
		self, err := os.ReadFile("/proc/self/cmdline")
		Expect(err).NotTo(HaveOccurred())
		args := strings.TrimSuffix(strings.ReplaceAll(string(self), "\x00", " "), " ")
		Expect(strings.Split(strings.TrimSpace(string(out)), "\n")).To(ConsistOf(
			HavePrefix("nstest-init"), args, "sleep 1000", "ps -e -o args="))
	})

	It("has the environment's hostname and addresses", func() {
		Expect(os.Hostname()).To(Equal("spec"))
		Expect(outside.Hostname).NotTo(Equal("spec"))
		out, err := exec.Command("cat", "/proc/net/dev").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(And(ContainSubstring("lo:"), ContainSubstring("eth0:")))
	})

	It("is started like the original", func() {
		Expect(os.Args[0]).NotTo(BeEmpty())
		for _, v := range os.Environ() {
			Expect(v).NotTo(HavePrefix("NSTEST_TWIN"))
		}
		files, err := filepath.Glob("/proc/self/fd/*")
		Expect(err).NotTo(HaveOccurred())
		out, err := exec.Command("sh", "-c", "ls /proc/self/fd").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Fields(string(out))).To(ConsistOf("0", "1", "2", "3"), "a child inherits what it is given, and ls has opened one more")
		Expect(len(files)).To(BeNumerically(">", 4), "though the spec's process has more")
	})

	It("can start itself again, as an ordinary program", func() {
		exe, err := os.Executable()
		Expect(err).NotTo(HaveOccurred())
		out, err := exec.Command(exe, "-test.list=.").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(ContainSubstring("TestHermetic"))
	})
})

var _ = Describe("Specs", func() {
	const left = "/tmp/left-by-a-spec"
	var variable int
	for range 3 {
		It("see nothing of each other", func() {
			Expect(left).NotTo(BeAnExistingFile())
			Expect(os.WriteFile(left, nil, 0o600)).To(Succeed())
			Expect(left).To(BeAnExistingFile())
			variable++
			Expect(variable).To(Equal(1))
		})
	}
})

var _ = Describe("Specs of an Ordered container", Ordered, func() {
	const left = "/tmp/left-by-a-spec"
	var variable int
	for i := range 3 {
		It("share an environment", func() {
			if i > 0 {
				Expect(left).To(BeAnExistingFile())
			}
			Expect(os.WriteFile(left, nil, 0o600)).To(Succeed())
			variable++
			Expect(variable).To(Equal(i + 1))
		})
	}
})

var _ = Describe("What an environment is like", func() {
	Context("by default", func() {
		It("is the default", func() { Expect(os.Hostname()).To(Equal("spec")) })
	})
	Context("can be said", nstest.With(nstest.Config{Hostname: "outer"}), func() {
		It("for a container", func() { Expect(os.Hostname()).To(Equal("outer")) })
		It("for a spec, which counts more", nstest.With(nstest.Config{Hostname: "inner"}), func() { Expect(os.Hostname()).To(Equal("inner")) })
	})
})

var _ = Describe("Hosts", func() {
	It("are beside the spec", func() {
		env := nstest.Current()
		l, err := env.Host("web").Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		out, err := exec.Command("getent", "ahosts", "web").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(ContainSubstring(env.Host("web").Addrs()[0].String()))
	})
	It("are entered by Do", func() {
		db := nstest.Current().Host("db")
		Expect(db.Do(func() error {
			name, err := os.Hostname()
			Expect(name).To(Equal("db"))
			return err
		})).To(Succeed())
		Expect(os.Hostname()).To(Equal("spec"))
	})
})
