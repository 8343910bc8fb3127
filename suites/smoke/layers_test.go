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
	"golang.org/x/sys/unix"
)

// stack makes n directories of the machine, for layers.
func stack(n int) []string {
	GinkgoHelper()
	base := machineDirectory("/tmp")
	dirs := make([]string, n)
	for i := range dirs {
		dirs[i] = filepath.Join(base, fmt.Sprint(i))
		Expect(os.Mkdir(dirs[i], 0o755)).To(Succeed())
	}
	return dirs
}

// withBusybox puts what the specs look around with into the lowest layer.
func withBusybox(dirs []string) []string {
	GinkgoHelper()
	content, err := os.ReadFile(require.PackageProgram("busybox", "busybox-static"))
	Expect(err).NotTo(HaveOccurred())
	put(dirs[0], "busybox", string(content))
	Expect(os.Chmod(filepath.Join(dirs[0], "busybox"), 0o755)).To(Succeed())
	return dirs
}

// busybox is what an applet says on a host, by words.
func busybox(h *nstest.Host, applet ...string) []string {
	GinkgoHelper()
	out, err := h.Command("/busybox", applet...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return strings.Fields(string(out))
}

func put(dir, name, content string) {
	GinkgoHelper()
	path := filepath.Join(dir, name)
	Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	Expect(os.WriteFile(path, []byte(content), 0o644)).To(Succeed())
}

var _ = Describe("Layers", func() {
	It("lie on top of each other, the first one lowest", func() {
		dirs := withBusybox(stack(3))
		put(dirs[0], "shared/low", "0")
		put(dirs[0], "over", "0")
		put(dirs[0], "gone", "0")
		put(dirs[0], "closed/low", "0")
		put(dirs[1], "over", "1")
		put(dirs[1], "shared/middle", "1")
		put(dirs[2], "shared/high", "2")
		put(dirs[2], "closed/high", "2")
		Expect(unix.Mknod(filepath.Join(dirs[2], "gone"), unix.S_IFCHR, 0)).To(Succeed())
		Expect(unix.Setxattr(filepath.Join(dirs[2], "closed"), "user.overlay.opaque", []byte("y"), 0)).To(Succeed())
		if os.Getuid() == 0 {
			Expect(unix.Setxattr(filepath.Join(dirs[2], "closed"), "trusted.overlay.opaque", []byte("y"), 0)).To(Succeed())
		}
		see := func(dirs []string) func(string) []string {
			env := open(nstest.Config{Layers: layers(dirs...)})
			busybox(env.Self(), "touch", "/shared/written")
			return func(dir string) []string {
				GinkgoHelper()
				return busybox(env.Self(), "ls", "-A", dir)
			}
		}
		list := see(dirs)
		Expect(list("/shared")).To(ConsistOf("low", "middle", "high", "written"))
		Expect(list("/closed")).To(ConsistOf("high"))
		Expect(list("/")).To(ContainElements("over", "proc", "etc"))
		Expect(list("/")).NotTo(ContainElement("gone"))

		By("the control: without the uppermost one")
		list = see(dirs[:2])
		Expect(list("/shared")).To(ConsistOf("low", "middle", "written"))
		Expect(list("/closed")).To(ConsistOf("low"))
		Expect(list("/")).To(ContainElement("gone"))

		for content, list := range map[string][]string{"1": dirs, "0": {dirs[1], dirs[0]}, " 0 ": dirs[:1]} {
			env := open(nstest.Config{Layers: layers(list...)})
			Expect(busybox(env.Self(), "cat", "/over")).To(ConsistOf(strings.TrimSpace(content)))
		}
		Expect(os.ReadDir(filepath.Join(dirs[0], "shared"))).To(HaveLen(1), "nothing is written to them")
	})

	It("are as many as an image may have", func() {
		dirs := withBusybox(stack(128))
		for i, dir := range dirs {
			put(dir, fmt.Sprintf("all/%d", i), "")
		}
		env := open(nstest.Config{Layers: layers(dirs...)})
		Expect(busybox(env.Self(), "ls", "/all")).To(HaveLen(128))
		web, err := env.AddHost(nstest.HostConfig{Name: "web"})
		Expect(err).NotTo(HaveOccurred())
		Expect(busybox(web, "ls", "/all")).To(HaveLen(128))
	})

	It("are asked for by a context that ends with the opening's", func() {
		ctx, cancel := context.WithCancel(context.Background())
		env, err := nstest.Open(ctx, nstest.Config{Layers: func(asked context.Context) ([]string, error) {
			cancel()
			return nil, asked.Err()
		}})
		Expect(env).To(BeNil())
		Expect(err).To(MatchError(context.Canceled))
	})

	// Until the root is the environment's own a link in it would be followed in the machine's tree.
	DescribeTable("A link in a root leads nowhere but into it:", func(name string) {
		outside := machineDirectory("/tmp")
		put(outside, "hosts", "the machine's")
		dirs := stack(2)
		Expect(os.Symlink(outside, filepath.Join(dirs[0], name))).To(Succeed())
		for _, cfg := range []nstest.Config{{Root: dirs[0]}, {Layers: layers(dirs...)}} {
			_, err := nstest.Open(context.Background(), cfg)
			refused(err, syscall.ELOOP, "/"+name, "symbolic link")
		}
		Expect(os.ReadFile(filepath.Join(outside, "hosts"))).To(BeEquivalentTo("the machine's"))
		Expect(os.ReadDir(outside)).To(HaveLen(1))
	}, Entry(nil, "etc"), Entry(nil, "proc"), Entry(nil, "tmp"), Entry(nil, "dev"), Entry(nil, "run"), Entry(nil, "sys"))

	It("say what is in the way of what they are to show", func() {
		dirs := stack(2)
		put(dirs[0], "mnt", "a file")
		_, err := nstest.Open(context.Background(), nstest.Config{Layers: layers(dirs...),
			Shared: []nstest.Shared{{Path: machineDirectory("/var/tmp"), Target: "/mnt/a/b", ReadOnly: true}}})
		refused(err, syscall.ENOTDIR, "/mnt/a/b")
	})

	It("show what is visible or shared where their links lead to", func() {
		outside := machineDirectory("/var/tmp")
		shared := machineDirectory("/var/tmp")
		put(shared, "file", "shared")
		dirs := withBusybox(stack(2))
		Expect(os.Symlink(outside, filepath.Join(dirs[0], "mnt"))).To(Succeed())
		put(dirs[1], "srv/keep", "")
		Expect(os.Symlink("/srv/../srv", filepath.Join(dirs[0], "opt"))).To(Succeed())
		env := open(nstest.Config{Layers: layers(dirs...), Shared: []nstest.Shared{
			{Path: shared, Target: "/mnt/a", AllowHostRoot: true}, {Path: shared, Target: "/opt/b/c", AllowHostRoot: true}}})
		for _, path := range []string{"/mnt/a/file", outside + "/a/file", "/opt/b/c/file", "/srv/b/c/file"} {
			Expect(busybox(env.Self(), "cat", path)).To(ConsistOf("shared"), path)
		}
		Expect(os.ReadDir(outside)).To(BeEmpty(), "of the machine")
	})
})
