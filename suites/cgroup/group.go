package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// A group is a cgroup that a spec has made, by its directory.
type group string

// newGroup makes a cgroup at the first place that there is. It is removed when the spec ends, and what is below it; its
// processes have ended by then. Without a place, or the right to use it, the spec is skipped.
func newGroup(c *property.Check, places ...place) group {
	GinkgoHelper()
	const remedy = "run it as root where cgroup v2 has the controllers (systemd.unified_cgroup_hierarchy=1 on the kernel's command line), " +
		"or as an ordinary user by systemd-run --user --scope -p Delegate=yes"
	var at string
	var errs []error
	for _, find := range places {
		dir, err := find()
		if err == nil {
			at = dir
			break
		}
		errs = append(errs, err)
	}
	if at == "" {
		c.Skip(errors.Join(errs...).Error(), remedy)
	}
	dir, err := os.MkdirTemp(at, "nstest-")
	if errors.Is(err, fs.ErrPermission) {
		require.MachineRoot()
	}
	c.Need(err, remedy)
	DeferCleanup(group(dir).remove)
	return group(dir)
}

// remove removes the cgroup and those in it. A process that has been waited for may still be leaving.
func (g group) remove(ctx SpecContext) {
	GinkgoHelper()
	var dirs []string
	Expect(filepath.WalkDir(string(g), func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})).To(Succeed())
	slices.Reverse(dirs) // the inner ones first
	for _, dir := range dirs {
		Eventually(os.Remove).WithArguments(dir).WithContext(ctx).Should(Succeed())
	}
}

// read is the content of one of its files.
func (g group) read(file string) string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(string(g), file))
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(text))
}

func (g group) write(file, text string) error { return write(filepath.Join(string(g), file), text) }

// write writes to a file that is there: os.WriteFile would try to make one, which is another error.
func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// add moves a process into the cgroup.
func (g group) add(pid int) error { return g.write("cgroup.procs", strconv.Itoa(pid)) }

// processes are those in the cgroup.
func (g group) processes() []string {
	GinkgoHelper()
	return strings.Fields(g.read("cgroup.procs"))
}

// count is the number that a file such as cgroup.events has for a key.
func (g group) count(file, key string) int {
	GinkgoHelper()
	for line := range strings.Lines(g.read(file)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), key+" "); ok {
			n, err := strconv.Atoi(text)
			Expect(err).NotTo(HaveOccurred())
			return n
		}
	}
	Fail(fmt.Sprintf("there is no %s in %s", key, file))
	return 0
}

// open opens the cgroup for the spec, for nsx.Spec.Cgroup.
func (g group) open() *os.File {
	GinkgoHelper()
	f, err := os.Open(string(g))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(f.Close)
	return f
}

// stranger is an id of the machine that nobody has: it is above those of environments.
const stranger = 2_000_000_000

// shifted is s in a user namespace whose root is the stranger. Only the machine's root can make one.
func shifted(s nsx.Spec) nsx.Spec {
	root := 0
	s.Kinds |= nsx.User
	s.UIDMaps = []nsx.IDMap{{Inside: 0, Outside: stranger, Count: 1}}
	s.GIDMaps = s.UIDMaps
	s.UID, s.GID = &root, &root
	return s
}

// delegate gives the cgroup to the stranger, as cgroups(7) says: the directory, and what moves processes and hands
// controllers on, but not the limits.
func (g group) delegate() {
	GinkgoHelper()
	for _, file := range []string{".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		Expect(os.Chown(filepath.Join(string(g), file), stranger, stranger)).To(Succeed())
	}
}
