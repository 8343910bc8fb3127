package smoke_test

import (
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// rooted adds a host with a root of its own.
func rooted(env *nstest.Env, name string, dirs ...string) *nstest.Host {
	GinkgoHelper()
	h, err := env.AddHost(nstest.HostConfig{Name: name, Layers: layers(dirs...)})
	Expect(err).NotTo(HaveOccurred())
	return h
}

// shell is what a script prints on a host with a busybox, by words.
func shell(h *nstest.Host, script string) []string {
	GinkgoHelper()
	return busybox(h, "sh", "-c", script)
}

// withLibraries puts into a layer what the suite's own program needs to run: that itself is visible in every root.
func withLibraries(dir string) {
	GinkgoHelper()
	self, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	program, err := elf.Open(self)
	Expect(err).NotTo(HaveOccurred())
	defer program.Close()
	section := program.Section(".interp")
	if section == nil {
		return
	}
	interpreter, err := section.Data()
	Expect(err).NotTo(HaveOccurred())
	names, err := program.ImportedLibraries()
	Expect(err).NotTo(HaveOccurred())
	for _, path := range append([]string{strings.TrimRight(string(interpreter), "\x00")}, names...) {
		from := path
		if !filepath.IsAbs(path) {
			found, err := filepath.Glob("/lib/*-linux-gnu*/" + path)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).NotTo(BeEmpty(), path)
			from, path = found[0], "/lib/"+path
		}
		content, err := os.ReadFile(from)
		Expect(err).NotTo(HaveOccurred())
		put(dir, path, string(content))
		Expect(os.Chmod(filepath.Join(dir, path), 0o755)).To(Succeed())
	}
}

// mountPoints are what a host with a busybox has mounts on.
func mountPoints(h *nstest.Host) (points []string) {
	GinkgoHelper()
	for line := range strings.Lines(string(must(h.Command("/busybox", "cat", "/proc/self/mountinfo").Output()))) {
		points = append(points, strings.Fields(line)[4])
	}
	slices.Sort(points)
	return points
}

func must[T any](value T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return value
}

var _ = Describe("A host's own root", func() {
	It("is what its layers say, with what an environment's has", func() {
		dirs := withBusybox(stack(2))
		put(dirs[0], "marker", "low")
		put(dirs[1], "marker", "high")
		env := open(nstest.Config{})
		db, web := rooted(env, "db", dirs...), rooted(env, "web", dirs[0])
		Expect(busybox(db, "cat", "/marker")).To(ConsistOf("high"))
		Expect(busybox(web, "cat", "/marker")).To(ConsistOf("low"))
		Expect(attempt(env.Self(), "read", "/marker")).To(MatchError(syscall.ENOENT), "the control")
		Expect(busybox(db, "ls", "/")).To(ContainElements("proc", "sys", "dev", "tmp", "run", "etc"))
		Expect(busybox(db, "ls", "/")).NotTo(ContainElement("bin"))
		Expect(busybox(db, "hostname")).To(ConsistOf("db"))
		Expect(busybox(db, "cat", "/etc/hostname")).To(ConsistOf("db"))
		Expect(busybox(db, "cat", "/etc/hosts")).To(ContainElements(db.Addr().String(), "db"))
		Expect(busybox(db, "cat", "/etc/resolv.conf")).To(ContainElement("127.0.0.53"))
		Expect(busybox(db, "cat", "/sys/class/net/eth0/address")).To(ConsistOf(db.Link("").MAC()))
		Expect(shell(db, "cd /proc; set -- [0-9]*; echo $#")).To(ConsistOf("2"), "its own processes: the init and the shell")
		Expect(shell(db, "for f in null zero full random urandom tty; do test -c /dev/$f || echo $f; done")).To(BeEmpty())

		alike := open(nstest.Config{Root: dirs[0]})
		Expect(mountPoints(web)).To(Equal(mountPoints(alike.Self())), "as an environment with that root")
	})

	It("is where its commands are looked up, and the terminals and users that they have", func() {
		dir := withBusybox(stack(1))[0]
		Expect(os.Mkdir(filepath.Join(dir, "bin"), 0o755)).To(Succeed())
		for _, applet := range []string{"sh", "readlink", "tty", "id"} {
			Expect(os.Symlink("../busybox", filepath.Join(dir, "bin", applet))).To(Succeed())
		}
		env := open(nstest.Config{})
		db := rooted(env, "db", dir)
		plain, err := env.AddHost(nstest.HostConfig{Name: "plain"})
		Expect(err).NotTo(HaveOccurred())
		program := func(h *nstest.Host) string {
			return string(must(h.Command("sh", "-c", "readlink /proc/$$/exe").Output()))
		}
		Expect(program(db)).To(Equal("/busybox\n"))
		Expect(program(plain)).NotTo(Equal("/busybox\n"), "the control")
		Expect(onlyError(db.Command("bash", "-c", "true").Output())).To(MatchError(exec.ErrNotFound))

		user := db.Command("id", "-u")
		user.User = &nstest.User{UID: 1000, GID: 1000}
		Expect(string(must(user.Output()))).To(Equal("1000\n"))

		tty := db.Command("tty")
		terminal, err := tty.StartTerminal(24, 80)
		Expect(err).NotTo(HaveOccurred())
		defer terminal.Close()
		Expect(must(bufio.NewReader(terminal).ReadString('\n'))).To(Equal("/dev/pts/0\r\n"))
		Expect(tty.Wait()).To(Succeed())
	})

	It("hides the environment's tree", func() {
		base := withBusybox(stack(2))
		Expect(os.Link(filepath.Join(base[0], "busybox"), filepath.Join(base[1], "busybox"))).To(Succeed())
		env := open(nstest.Config{Root: base[0]})
		shell(env.Self(), "echo secret >/of-the-environment; echo secret >/tmp/of-the-environment; echo secret >/run/of-the-environment")
		db := rooted(env, "db", base[1])
		plain, err := env.AddHost(nstest.HostConfig{Name: "plain"})
		Expect(err).NotTo(HaveOccurred())
		look := func(h *nstest.Host) []string {
			GinkgoHelper()
			return shell(h, `cd /; /busybox find / /tmp /run /proc/[0-9]*/root/ /proc/[0-9]*/cwd/ ../.. -xdev -name of-the-environment 2>/dev/null;
				for f in /proc/1/fd/*; do /busybox readlink $f; done | /busybox grep '^/' | /busybox grep -v '^/dev/null$'; true`)
		}
		Expect(look(plain)).To(ContainElements("/of-the-environment", "/proc/1/root/of-the-environment"), "the control")
		program := must(os.Executable()) // which the init in Go has open
		Expect(look(db)).To(Or(BeEmpty(), HaveEach(program)))
		By("also when root there takes its mounts away")
		Expect(shell(db, `/busybox mkdir /p && /busybox mount -t proc proc /p; for m in /etc/hosts /etc/hostname /tmp /run /sys /dev/shm; do /busybox umount -l $m; done;
			/busybox umount -l / 2>/dev/null; /busybox find / /tmp /run /p/[0-9]*/root/ -xdev -name of-the-environment 2>/dev/null; test -e /p/1/root/busybox && echo seen`)).
			To(ConsistOf("seen"))
	})

	It("stays out of the environment's tree where root there shares its mounts, as what other hosts mount does", func() {
		dir := withBusybox(stack(1))[0]
		env := open(nstest.Config{Root: dir})
		before := mountPoints(env.Self())
		shell(env.Self(), "b=/busybox; $b mount --make-rshared / && $b mkdir /a /b && $b mount --bind /a /b && $b mkdir /a/in && $b mount -t tmpfs none /a/in")
		shared := mountPoints(env.Self())
		Expect(shared).To(ContainElements("/a/in", "/b/in"), "the control: what is mounted is mounted elsewhere too")
		db := rooted(env, "db", dir)
		plain, err := env.AddHost(nstest.HostConfig{Name: "plain"})
		Expect(err).NotTo(HaveOccurred())
		Expect(mountPoints(db)).To(Equal(before))
		Expect(mountPoints(env.Self())).To(Equal(shared))
		shell(plain, "/busybox mount -t tmpfs none /a")
		Expect(mountPoints(env.Self())).To(Equal(shared))
	})

	It("is written to by nobody else, and neither are its layers", func() {
		dirs := withBusybox(stack(2))
		put(dirs[0], "srv/low", "low\n")
		put(dirs[1], "srv/high", "high\n")
		env := open(nstest.Config{})
		one, two := rooted(env, "one", dirs...), rooted(env, "two", dirs...)
		shell(one, "cd /srv; echo changed >low; /busybox rm high; echo new >new; /busybox chmod 700 .; echo x >/tmp/x; echo x >/run/x; echo x >/etc/x")
		Expect(shell(one, "cd /srv; /busybox ls; /busybox cat low; /busybox stat -c %a .")).To(HaveExactElements("low", "new", "changed", "700"), "the control")
		Expect(shell(two, "cd /srv; /busybox ls; /busybox cat low; /busybox stat -c %a .; /busybox ls /etc; for d in tmp run; do test ! -e /$d/x && echo $d; done")).
			To(HaveExactElements("high", "low", "low", "755", "hostname", "hosts", "resolv.conf", "tmp", "run"))
		Expect(must(os.ReadFile(filepath.Join(dirs[0], "srv/low")))).To(BeEquivalentTo("low\n"))
		Expect(must(list(filepath.Join(dirs[0], "srv")))).To(ConsistOf("low"))
		Expect(must(list(filepath.Join(dirs[1], "srv")))).To(ConsistOf("high"))
		Expect(must(list(dirs[0]))).To(ConsistOf("busybox", "srv"))

		By("making one again")
		Expect(env.RemoveHost("one")).To(Succeed())
		Expect(shell(rooted(env, "one", dirs...), "/busybox cat /srv/low /srv/high")).To(HaveExactElements("low", "high"))
	})

	It("may be that of many hosts, which reach each other", func() {
		dirs := withBusybox(stack(2))
		env := open(nstest.Config{})
		var hosts []*nstest.Host
		for i := range 20 {
			hosts = append(hosts, rooted(env, fmt.Sprintf("h%d", i), dirs...))
		}
		server := hosts[0].Command("/busybox", "sh", "-c", "cd /; echo hello >index.html; exec /busybox httpd -f -p 80 -h /")
		Expect(server.Start()).To(Succeed())
		Eventually(func() error {
			return hosts[1].Command("/busybox", "wget", "-q", "-O", "-", "http://h0/").Run()
		}).Should(Succeed())
		for _, h := range hosts[1:] {
			Expect(busybox(h, "wget", "-q", "-O", "-", "http://h0/")).To(ConsistOf("hello"))
			Expect(busybox(h, "hostname")).To(ConsistOf(h.Name()))
		}
	})

	It("has as many layers as an image may have", func() {
		dirs := withBusybox(stack(128))
		for i, dir := range dirs {
			put(dir, fmt.Sprintf("all/%d", i), "")
		}
		Expect(busybox(rooted(open(nstest.Config{}), "db", dirs...), "ls", "/all")).To(HaveLen(128))
	})

	It("resolves names, and knows the addresses of its host as they change", func() {
		dirs := withBusybox(stack(1))
		withLibraries(dirs[0])
		env := open(nstest.Config{})
		db, web := rooted(env, "db", dirs...), rooted(env, "web", dirs...)
		Expect(ask[[]string](db, "lookup", "web")).To(ContainElement(web.Addr().String()), "a Go program")
		Expect(busybox(db, "nslookup", "web")).To(ContainElement(web.Addr().String()), "libc")
		Expect(must(db.LookupNetIP(GinkgoTB().Context(), "web"))).To(ContainElement(web.Addr()))

		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "back"})
		Expect(err).NotTo(HaveOccurred())
		link, err := db.AddLink(nstest.Attachment{Network: "back"})
		Expect(err).NotTo(HaveOccurred())
		Expect(busybox(db, "cat", "/etc/hosts")).To(ContainElement(link.Addrs()[0].String()))
		before := db.Link("lan").Addrs()[0]
		other := netip.AddrFrom4([4]byte(append(before.AsSlice()[:3:3], 200)))
		Expect(db.Link("lan").Renew(other)).To(Succeed())
		Expect(busybox(db, "cat", "/etc/hosts")).To(And(ContainElement(other.String()), Not(ContainElement(before.String()))))
	})

	It("is where Do runs", func() {
		require.Root()
		dirs := withBusybox(stack(1))
		put(dirs[0], "marker", "of the root")
		db := rooted(open(nstest.Config{}), "db", dirs...)
		Expect(db.Do(func() error {
			content, err := os.ReadFile("/marker")
			Expect(string(content)).To(Equal("of the root"))
			return errors.Join(err, os.WriteFile("/written", nil, 0o644))
		})).To(Succeed())
		Expect(shell(db, "/busybox stat -c %u /written")).To(ConsistOf("0"))
		Expect(filepath.Join(dirs[0], "written")).NotTo(BeAnExistingFile())
	})

	DescribeTable("is there whatever the environment is like:", func(cfg nstest.Config, host nstest.HostConfig) {
		if cfg.Privileged {
			require.MachineRoot()
		}
		if len(cfg.CapDrop) > 0 && os.Getenv("NSTEST_INIT") == "go" {
			Skip("a host's init in Go is executed, and has no more rights than its environment\nWhat to do: leave NSTEST_INIT away")
		}
		dirs := withBusybox(stack(1))
		put(dirs[0], "marker", "of the root")
		host.Name, host.Root = "db", dirs[0]
		env := open(cfg)
		db, err := env.AddHost(host)
		Expect(err).NotTo(HaveOccurred())
		Expect(busybox(db, "cat", "/marker", "/etc/hostname")).To(HaveExactElements("of", "the", "rootdb"))
		Expect(busybox(db, "ls", "/")).NotTo(ContainElement("sbin"))
		Expect(shell(db, ": >/dev/null; /busybox cat /proc/self/status /sys/class/net/lo/mtu")).To(ContainElement("65536"))
		router, err := env.AddRouter(nstest.RouterConfig{Name: "gate", Networks: []nstest.Attachment{{}}, Root: dirs[0]})
		Expect(err).NotTo(HaveOccurred())
		Expect(busybox(router.Host, "cat", "/marker", "/proc/sys/net/ipv4/ip_forward")).To(HaveExactElements("of", "the", "root1"))
		Expect(env.RemoveHost("db")).To(Succeed())
	},
		Entry("the machine's tree", nstest.Config{MachineRoot: true}, nstest.HostConfig{}),
		Entry("a mount namespace that is shared", nstest.Config{Share: nstest.Namespaces{Mount: true}}, nstest.HostConfig{}),
		Entry("other namespaces that are shared", nstest.Config{Share: nstest.Namespaces{IPC: true, UTS: true, PID: true}}, nstest.HostConfig{}),
		Entry("the machine's root's rights", nstest.Config{Privileged: true}, nstest.HostConfig{}),
		Entry("few ids", nstest.Config{IDs: 1}, nstest.HostConfig{}),
		Entry("no rights", nstest.Config{CapDrop: []string{"ALL"}, CapAdd: []string{"SYS_ADMIN"}}, nstest.HostConfig{}),
		Entry("processes and queues in common with the host", nstest.Config{}, nstest.HostConfig{PID: nstest.FromSelf, IPC: nstest.FromSelf}),
	)

	It("shows what every root of the environment does", func() {
		shared, visible := machineDirectory("/var/tmp"), machineDirectory("/tmp")
		put(shared, "file", "shared")
		put(visible, "file", "visible")
		env := open(nstest.Config{Visible: []string{visible}, Shared: []nstest.Shared{{Path: shared, Target: "/srv/shared", AllowHostRoot: true}}})
		db := rooted(env, "db", withBusybox(stack(1))...)
		Expect(busybox(db, "cat", visible+"/file", "/srv/shared/file")).To(ConsistOf("visibleshared"))
		shell(db, "echo written >"+visible+"/new; echo written >/srv/shared/new")
		Expect(attempt(env.Self(), "read", "/srv/shared/new")).To(Succeed())
		Expect(attempt(env.Self(), "read", visible+"/new")).To(MatchError(syscall.ENOENT), "it is the host's own")
		Expect(attempt(env.Self(), "read", visible+"/file")).To(Succeed(), "the control")
	})

	DescribeTable("is refused with", func(cfg func(dirs []string) nstest.HostConfig, want error, words ...string) {
		dirs := withBusybox(stack(2))
		env := open(nstest.Config{})
		host := cfg(dirs)
		host.Name = "db"
		h, err := env.AddHost(host)
		Expect(h).To(BeNil())
		refused(err, want, words...)
		_, err = env.AddRouter(nstest.RouterConfig{Name: "db", Networks: []nstest.Attachment{{}}, Root: host.Root, Layers: host.Layers, NetOnly: host.NetOnly})
		refused(err, want, words...)
		Expect(busybox(rooted(env, "db", dirs...), "hostname")).To(ConsistOf("db"), "nothing is left of it")
	},
		Entry("a directory that does not exist", func([]string) nstest.HostConfig { return nstest.HostConfig{Root: "/no/such/directory"} },
			syscall.ENOENT, "build root", "/no"),
		Entry("one that is not absolute", func([]string) nstest.HostConfig { return nstest.HostConfig{Root: "etc"} }, syscall.EINVAL, "absolute"),
		Entry("a file", func(dirs []string) nstest.HostConfig { return nstest.HostConfig{Root: dirs[0] + "/busybox"} }, syscall.ENOTDIR, "busybox"),
		Entry("both", func(dirs []string) nstest.HostConfig {
			return nstest.HostConfig{Root: dirs[0], Layers: layers(dirs...)}
		}, nil, "Root", "Layers"),
		Entry("no layers", func([]string) nstest.HostConfig { return nstest.HostConfig{Layers: layers()} }, nil, "layers", "there are none"),
		Entry("layers of which nothing is known", func([]string) nstest.HostConfig {
			return nstest.HostConfig{Layers: func(context.Context) ([]string, error) { return nil, syscall.EIO }}
		}, syscall.EIO, "layers"),
		Entry("a layer within another", func(dirs []string) nstest.HostConfig {
			return nstest.HostConfig{Layers: layers(dirs[0], filepath.Dir(dirs[0]))}
		}, syscall.ELOOP, "one in the other"),
		Entry("too many", func(dirs []string) nstest.HostConfig {
			return nstest.HostConfig{Layers: layers(slices.Repeat(dirs, 65)...)}
		},
			syscall.EINVAL, "130 layers", "128"),
		Entry("nothing but a network", func(dirs []string) nstest.HostConfig { return nstest.HostConfig{Root: dirs[0], NetOnly: true} }, nil, "NetOnly"),
		Entry("a link in place of /etc", func(dirs []string) nstest.HostConfig {
			dir := machineDirectory("/tmp")
			Expect(os.Symlink("/usr", filepath.Join(dir, "etc"))).To(Succeed())
			return nstest.HostConfig{Layers: layers(dirs[0], dir)}
		}, syscall.ELOOP, "build root", "/etc", "symbolic link"),
		Entry("what its init cannot mount on", func([]string) nstest.HostConfig {
			dir := machineDirectory("/tmp")
			put(dir, "sys", "a file")
			return nstest.HostConfig{Root: dir}
		}, syscall.ENOTDIR, "enter root", "mount sysfs"),
	)
})
