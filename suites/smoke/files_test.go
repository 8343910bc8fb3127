package smoke_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The private directories of a host", func() {
	It("hold nothing of the machine's", func() {
		for _, directory := range []string{"/tmp", "/dev/shm"} {
			marker := machineFile(directory)
			env := fresh()
			for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
				Expect(attempt(host, "open", marker)).To(MatchError(syscall.ENOENT), marker)
			}
		}
		env := fresh()
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(ask[[]string](host, "list", "/run")).To(ConsistOf("nstest"))
			Expect(ask[[]string](host, "list", "/dev/shm")).To(BeEmpty())
			Expect(ask[[]string](host, "list", "/dev/mqueue")).To(BeEmpty())
		}
	})

	It("have the devices that every program expects, and no others", func() {
		env := fresh()
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(ask[[]string](host, "list", "/dev")).To(ConsistOf("fd", "full", "mqueue", "null", "ptmx", "pts", "random",
				"shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"))
			Expect(attempt(host, "append", "/dev/null", "x")).To(Succeed())
			Expect(attempt(host, "append", "/dev/full", "x")).To(MatchError(syscall.ENOSPC))
			Expect(ask[[]string](host, "list", "/dev/pts")).To(ConsistOf("ptmx"))
		}
	})

	It("are mounted afresh, without programs of other users' rights", func() {
		env := fresh()
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			mounts := mountsOf(host)
			for target, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "tmpfs", "/dev/pts": "devpts",
				"/dev/shm": "tmpfs", "/dev/mqueue": "mqueue", "/tmp": "tmpfs", "/run": "tmpfs"} {
				Expect(mounts).To(HaveKeyWithValue(target, And(HavePrefix(kind+" "), ContainSubstring("nosuid"))), target)
			}
		}
	})
})

var _ = Describe("Secrets of the machine", func() {
	It("cannot be read inside", func() {
		require.MachineRoot()
		secrets := existing("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d",
			"/etc/ssh/ssh_host_*_key", "/etc/security/opasswd")
		Expect(secrets).NotTo(BeEmpty())
		env := fresh()
		for _, path := range secrets {
			Expect(attemptHere("open", path)).To(Succeed(), "the control: %s", path)
			for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
				Expect(attempt(host, "open", path)).NotTo(Succeed(), path)
			}
		}
		Expect(attempt(env.Self(), "open", "/etc/passwd")).To(Succeed(), "the control: it is no secret")
	})

	It("in root's home cannot be read inside", func() {
		require.MachineRoot()
		marker := machineFile("/root")
		env := fresh()
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(attempt(host, "open", marker)).To(MatchError(syscall.ENOENT))
		}
	})

	It("in another user's home cannot be read inside", func() {
		require.MachineRoot()
		home, err := os.MkdirTemp("/home", "nstest-smoke-")
		if err != nil {
			require.Skip("there is no /home: "+err.Error(), "mkdir /home")
		}
		DeferCleanup(os.RemoveAll, home)
		marker := machineFile(home)
		Expect(attempt(fresh().Self(), "open", marker)).To(MatchError(syscall.ENOENT))
	})
})

var _ = Describe("What is written inside", func() {
	It("is gone with the environment", func() {
		directories := []string{machineDirectory("/tmp")}
		config := nstest.Config{Visible: directories}
		if isRoot() {
			directories = append(directories, "/", "/etc", "/usr", "/usr/local/bin", "/var/lib", "/var/tmp")
		}
		env, other := nstest.New(GinkgoTB(), config), nstest.New(GinkgoTB(), config)
		for _, directory := range directories {
			file := filepath.Join(directory, "nstest-smoke-written")
			Expect(attempt(env.Self(), "write", file, "inside")).To(Succeed(), file)
			Expect(ask[string](env.Host("web"), "read", file)).To(Equal("inside"), "the control: hosts have the tree in common")
			Expect(attempt(other.Self(), "open", file)).To(MatchError(syscall.ENOENT), file)
			Expect(file).NotTo(BeAnExistingFile())
		}
	})

	It("to a file of the machine's changes that inside alone", func() {
		require.Root()
		before, err := os.ReadFile("/etc/passwd")
		Expect(err).NotTo(HaveOccurred())
		env, other := fresh(), fresh()
		Expect(attempt(env.Self(), "append", "/etc/passwd", "smoke:x:1:1::/:\n")).To(Succeed())
		Expect(ask[string](env.Self(), "read", "/etc/passwd")).To(Equal(string(before)+"smoke:x:1:1::/:\n"), "the control")
		Expect(ask[string](other.Self(), "read", "/etc/passwd")).To(Equal(string(before)))
		Expect(os.ReadFile("/etc/passwd")).To(Equal(before))

		Expect(attempt(env.Self(), "remove", "/etc/passwd")).To(Succeed())
		Expect(attempt(env.Self(), "open", "/etc/passwd")).To(MatchError(syscall.ENOENT))
		Expect(ask[string](other.Self(), "read", "/etc/passwd")).To(Equal(string(before)))
		Expect(os.ReadFile("/etc/passwd")).To(Equal(before))
	})

	It("to the program's own directory does not reach the machine", func() {
		env := fresh()
		directory, err := os.Getwd()
		Expect(err).NotTo(HaveOccurred())
		file := filepath.Join(directory, "nstest-smoke-written")
		err = attempt(env.Self(), "write", file, "inside")
		if isRoot() {
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(file).NotTo(BeAnExistingFile())
	})
})

var _ = Describe("What a test needs", func() {
	It("is visible at its own place: the program and the module", func() {
		env := fresh()
		self, err := os.Executable()
		Expect(err).NotTo(HaveOccurred())
		directory, err := os.Getwd()
		Expect(err).NotTo(HaveOccurred())
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(attempt(host, "open", self)).To(Succeed())
			Expect(ask[[]string](host, "list", directory)).To(ContainElement("files_test.go"))
			Expect(ask[[]string](host, "list", filepath.Join(directory, "../.."))).To(ContainElement("go.mod"))
		}
	})

	It("is enough to build a Go program", func() {
		goTool := require.Program("go")
		env := fresh()
		output, err := ask[string](env.Host("web"), "execute", goTool, "build", "-buildvcs=false", "-o", "/tmp/lookup", "../microservices/cmd/lookup")
		Expect(err).NotTo(HaveOccurred(), output)
		Expect(env.Host("web").Command("/tmp/lookup").Run()).To(Succeed())
	})

	It("is whatever was asked for", func() {
		directory := machineDirectory("/tmp")
		Expect(os.WriteFile(filepath.Join(directory, "file"), []byte("machine"), 0o644)).To(Succeed())
		env := nstest.New(GinkgoTB(), nstest.Config{Visible: []string{directory}})
		file := filepath.Join(directory, "file")
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(ask[string](host, "read", file)).To(Equal("machine"))
		}
		Expect(attempt(fresh().Self(), "open", file)).To(MatchError(syscall.ENOENT), "the control")
		Expect(attempt(env.Self(), "write", file, "inside")).To(Succeed())
		Expect(os.ReadFile(file)).To(BeEquivalentTo("machine"))
	})

	It("is whatever was asked for in a home, and nothing beside it", func() {
		require.MachineRoot()
		for _, home := range []string{"/root", "/home"} {
			outer, err := os.MkdirTemp(home, "nstest-smoke-")
			if err != nil {
				require.Skip("there is no "+home+": "+err.Error(), "mkdir "+home)
			}
			DeferCleanup(os.RemoveAll, outer)
			inner := filepath.Join(outer, "a", "b")
			Expect(os.MkdirAll(filepath.Join(inner, "c"), 0o755)).To(Succeed())
			Expect(os.Chmod(inner, os.ModeSetgid|0o750)).To(Succeed())
			file, beside := filepath.Join(inner, "c", "file"), filepath.Join(outer, "a", "beside")
			for _, path := range []string{file, beside} {
				Expect(os.WriteFile(path, []byte("machine"), 0o644)).To(Succeed())
			}
			env, other := nstest.New(GinkgoTB(), nstest.Config{Visible: []string{inner}}), nstest.New(GinkgoTB(), nstest.Config{Visible: []string{inner}})
			for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
				Expect(ask[string](host, "read", file)).To(Equal("machine"))
				Expect(ask[[]string](host, "list", outer)).To(ConsistOf("a"))
				Expect(ask[[]string](host, "list", filepath.Dir(inner))).To(ConsistOf("b"))
				Expect(host.Command("stat", "-c", "%a %u %g", inner).Output()).To(BeEquivalentTo("2750 0 0\n"))
			}
			Expect(attempt(env.Self(), "write", file, "inside")).To(Succeed())
			Expect(attempt(env.Self(), "remove", file)).To(Succeed())
			Expect(attempt(env.Self(), "write", filepath.Join(inner, "new"), "inside")).To(Succeed())
			Expect(ask[[]string](env.Host("web"), "list", inner)).To(ConsistOf("c", "new"), "the control")
			Expect(ask[[]string](other.Self(), "list", inner)).To(ConsistOf("c"))
			Expect(ask[string](other.Self(), "read", file)).To(Equal("machine"))
			Expect(os.ReadFile(file)).To(BeEquivalentTo("machine"))
			Expect(filepath.Join(inner, "new")).NotTo(BeAnExistingFile())
		}
	})

	It("is whatever was asked for, however often something else is", func() {
		for i := range 40 {
			directory := machineDirectory("/tmp")
			file := filepath.Join(directory, "file")
			Expect(os.WriteFile(file, fmt.Append(nil, i), 0o644)).To(Succeed())
			env, err := nstest.Open(context.Background(), nstest.Config{Visible: []string{directory}})
			Expect(err).NotTo(HaveOccurred())
			Expect(ask[string](env.Self(), "read", file)).To(Equal(fmt.Sprint(i)))
			Expect(attempt(env.Self(), "write", file, "inside")).To(Succeed())
			Expect(env.Close()).To(Succeed())
			Expect(os.ReadFile(file)).To(BeEquivalentTo(fmt.Sprint(i)))
		}
	})
})

var _ = Describe("A shared directory", func() {
	It("is written through, and holds no program with the rights of the machine's root", func() {
		directory := machineDirectory("/tmp")
		owner := os.Getuid()
		if isRoot() { // somebody who is not root
			require.MachineRoot()
			owner = 4242
			Expect(os.Chown(directory, owner, owner)).To(Succeed())
		}
		env := nstest.New(GinkgoTB(), nstest.Config{Shared: []nstest.Shared{{Path: directory}}})
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			file := filepath.Join(directory, host.Name())
			Expect(attempt(host, "setuid", file)).To(Succeed())
			info, err := os.Stat(file)
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode()&os.ModeSetuid).NotTo(BeZero(), "the control: it is a setuid program")
			Expect(info.Sys().(*syscall.Stat_t).Uid).To(BeEquivalentTo(owner))
			Expect(info.Sys().(*syscall.Stat_t).Uid).NotTo(BeZero())
		}
		Expect(mountsOf(env.Self())).To(HaveKeyWithValue(directory, And(ContainSubstring("nosuid"), ContainSubstring("nodev"))))
	})

	It("of root's is read-only", func() {
		require.MachineRoot()
		directory := machineDirectory("/tmp")
		env := nstest.New(GinkgoTB(), nstest.Config{Shared: []nstest.Shared{{Path: directory}}})
		if os.Getenv("SUDO_UID") != "" {
			Skip("it belongs to the user who called sudo")
		}
		Expect(attempt(env.Self(), "write", filepath.Join(directory, "file"), "")).To(MatchError(syscall.EROFS))
	})

	It("of root's is written through if that was asked for by name", func() {
		require.Root()
		directory := machineDirectory("/tmp")
		env := nstest.New(GinkgoTB(), nstest.Config{Shared: []nstest.Shared{{Path: directory, AllowHostRoot: true}}})
		file := filepath.Join(directory, "file")
		Expect(attempt(env.Self(), "write", file, "inside")).To(Succeed())
		info, err := os.Stat(file)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Sys().(*syscall.Stat_t).Uid).To(BeZero(), "the control: here is what the others must not do")
	})

	It("can be read-only, and elsewhere", func() {
		directory := machineDirectory("/tmp")
		Expect(os.WriteFile(filepath.Join(directory, "file"), []byte("machine"), 0o644)).To(Succeed())
		env := nstest.New(GinkgoTB(), nstest.Config{Shared: []nstest.Shared{{Path: directory, Target: "/tmp/data", ReadOnly: true}}})
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(ask[string](host, "read", "/tmp/data/file")).To(Equal("machine"))
			Expect(attempt(host, "write", "/tmp/data/file", "inside")).To(MatchError(syscall.EROFS))
			Expect(attempt(host, "open", directory)).To(MatchError(syscall.ENOENT))
		}
	})
})

var _ = Describe("Unix sockets", func() {
	It("are reached by path on their host, and nowhere else", func() {
		env := fresh()
		listener, err := env.Host("web").Listen("unix", "/tmp/socket")
		Expect(err).NotTo(HaveOccurred())
		serve(listener, "hello")
		Expect(greeting(env.Host("web"), "unix", "/tmp/socket")).To(Equal("hello"))
		Expect(attempt(env.Host("web"), "connect", "unix", "/tmp/socket")).To(Succeed())
		Expect(attempt(env.Host("db"), "connect", "unix", "/tmp/socket")).To(MatchError(syscall.ENOENT))
	})

	It("that are abstract are not shared between hosts, nor with the machine", func() {
		env := fresh()
		const name = "@nstest-smoke"
		hold(env.Host("web"), "hold listen", "unix", name)
		Expect(attempt(env.Host("web"), "connect", "unix", name)).To(Succeed(), "the control")
		for _, host := range []*nstest.Host{env.Self(), env.Host("db")} {
			Expect(attempt(host, "connect", "unix", name)).To(MatchError(syscall.ECONNREFUSED))
		}
		Expect(attemptHere("connect", "unix", name)).To(MatchError(syscall.ECONNREFUSED))
	})
})

// machineDirectory makes a directory on the machine, readable by all, for the running spec.
func machineDirectory(parent string) string {
	GinkgoHelper()
	directory, err := os.MkdirTemp(parent, "nstest-smoke-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, directory)
	Expect(os.Chmod(directory, 0o755)).To(Succeed())
	return directory
}

// machineFile makes a file on the machine, readable by all, for the running spec.
func machineFile(directory string) string {
	GinkgoHelper()
	file, err := os.CreateTemp(directory, "nstest-smoke-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.Remove, file.Name())
	Expect(file.Chmod(0o644)).To(Succeed())
	Expect(file.Close()).To(Succeed())
	Expect(attemptHere("open", file.Name())).To(Succeed(), "the control")
	return file.Name()
}

// mountsOf are the mounts of a host: what lies on top at each place, as type and options.
func mountsOf(host *nstest.Host) map[string]string {
	GinkgoHelper()
	content, err := ask[string](host, "read", "/proc/self/mountinfo")
	Expect(err).NotTo(HaveOccurred())
	mounts := map[string]string{}
	for line := range strings.Lines(content) {
		left, right, _ := strings.Cut(line, " - ")
		fields := strings.Fields(left)
		mounts[fields[4]] = strings.Fields(right)[0] + " " + fields[5]
	}
	return mounts
}
