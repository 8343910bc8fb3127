package proc

import (
	"io/fs"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// found are the files that a process may write, those of its network namespace apart.
type found struct{ Net, Others []string }

// findWritable looks below a directory for files that the calling process may write. It asks, and opens none.
func findWritable(root string) (found, error) {
	var f found
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil: // unreadable, or gone meanwhile
			return nil //nolint:nilerr // what cannot be listed is not written either
		case !d.Type().IsRegular() || unix.Access(path, unix.W_OK) != nil:
		case strings.Contains(path, "/net/"):
			f.Net = append(f.Net, path)
		default:
			f.Others = append(f.Others, path)
		}
		return nil
	})
	return f, err
}

var writable = nsx.Register("proc/writable", func(_ *nsx.Parent, root string) (found, error) { return findWritable(root) })

// namespaced are the sysctls that belong to a namespace which is not the network's, up to Linux 6.18: older kernels have
// fewer, or keep some for the machine's root.
var namespaced = []string{
	"fs/mqueue/msg_default", "fs/mqueue/msg_max", "fs/mqueue/msgsize_default", "fs/mqueue/msgsize_max", "fs/mqueue/queues_max",
	"kernel/auto_msgmni", "kernel/msg_next_id", "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/sem_next_id",
	"kernel/shm_next_id", "kernel/shm_rmid_forced", "kernel/shmall", "kernel/shmmax", "kernel/shmmni",
	"kernel/ns_last_pid", "kernel/pid_max",
	"user/max_cgroup_namespaces", "user/max_fanotify_groups", "user/max_fanotify_marks", "user/max_inotify_instances",
	"user/max_inotify_watches", "user/max_ipc_namespaces", "user/max_mnt_namespaces", "user/max_net_namespaces",
	"user/max_pid_namespaces", "user/max_time_namespaces", "user/max_user_namespaces", "user/max_uts_namespaces",
}

// isReadOnly reports whether a file system is mounted read-only, as a container's /sys is: its root writes nothing there.
func isReadOnly(path string) bool {
	GinkgoHelper()
	var s unix.Statfs_t
	Expect(unix.Statfs(path, &s)).To(Succeed())
	return s.Flags&unix.ST_RDONLY != 0
}

// compareWritable looks for writable files below a directory in an environment and, as the machine's root, on the machine.
func compareWritable(c *property.Check, root string) (within found) {
	GinkgoHelper()
	within, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{}).Self(), writable, root)
	Expect(err).NotTo(HaveOccurred())
	c.Positive("files of the environment's network namespace are found, which its root may write", func() {
		c.Saw("files", len(within.Net))
		Expect(within.Net).NotTo(BeEmpty())
	})
	if require.IsMachineRoot() && !isReadOnly(root) {
		c.Positive("on the machine its root finds many more", func() {
			machine, err := findWritable(root)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("files", len(machine.Others))
			Expect(len(machine.Others)).To(BeNumerically(">", len(within.Others)))
		})
	}
	return within
}

func registerWritable() {
	property.It("S1", func(_ SpecContext, c *property.Check) {
		const root = "/proc/sys/"
		within := compareWritable(c, root)
		c.Negative("in an environment those of its own namespaces are writable, and no other", func() {
			var names []string
			for _, path := range within.Others {
				names = append(names, strings.TrimPrefix(path, root))
			}
			c.Saw("sysctls", names)
			Expect(namespaced).To(ContainElements(names))
		})
	}, nstest.InProcess)

	property.It("S2", func(_ SpecContext, c *property.Check) {
		within := compareWritable(c, "/sys/")
		c.Negative("in an environment none is writable", func() {
			c.Saw("files", len(within.Others))
			Expect(within.Others).To(BeEmpty())
		})
	}, nstest.InProcess)
}
