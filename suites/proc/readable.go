package proc

import (
	"bytes"
	"errors"
	"io"
	"os"
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

// A result is what came of opening a file: 0, or why it failed.
type result unix.Errno

func (r result) String() string {
	if r == 0 {
		return "opened"
	}
	return unix.ErrnoName(unix.Errno(r))
}

// openAll opens files for reading, and reads nothing: to read /proc/kmsg is to take its contents from others. It returns what
// came of each.
func openAll(paths []string) (map[string]result, error) {
	results := map[string]result{}
	for _, path := range paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		var errno unix.Errno
		if errors.As(err, &errno) {
			results[path] = result(errno)
			continue
		}
		results[path] = 0
		if err := unix.Close(fd); err != nil {
			return nil, err
		}
	}
	return results, nil
}

var opened = nsx.Register("proc/opened", func(_ *nsx.Parent, paths []string) (map[string]result, error) { return openAll(paths) })

// machineOnly are files that tell of the machine's kernel what its root alone may know.
var machineOnly = []string{"/proc/kmsg", "/proc/timer_list", "/proc/slabinfo", "/proc/kpagecount"}

// documented are the files directly in /proc that everybody may read and no namespace isolates: proc(5) tells what is in
// them. Those that come from a namespace (mounts, net, sysvipc, self, sys) are not files but links and directories.
var documented = []string{
	"allocinfo", "apm", "bootconfig", "buddyinfo", "cgroups", "cmdline", "config.gz", "consoles", "cpuinfo", "crypto", "devices",
	"diskstats", "dma", "execdomains", "fb", "filesystems", "interrupts", "iomem", "ioports", "kallsyms", "key-users", "keys",
	"latency_stats", "loadavg", "locks", "lockdep", "mdstat", "meminfo", "misc", "modules", "mtrr", "partitions", "sched_debug",
	"schedstat", "softirqs", "stat", "swaps", "uptime", "version", "version_signature", "vmstat", "zoneinfo",
}

// readable are the files directly in /proc that the calling process can open.
var readable = nsx.Register("proc/readable", func(*nsx.Parent, any) ([]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		f, err := os.Open(filepath.Join("/proc", e.Name()))
		if err != nil {
			continue
		}
		names = append(names, e.Name())
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return names, nil
})

// facts are what everybody can know of the machine.
type facts struct{ BootID, CommandLine, Memory, FirstSymbol, Disks string }

func lookUpFacts() (facts, error) {
	var f facts
	var errs []error
	read := func(path string, limit int64) string {
		file, err := os.Open(path)
		if err != nil {
			errs = append(errs, err)
			return ""
		}
		defer file.Close()
		data, err := io.ReadAll(io.LimitReader(file, limit))
		errs = append(errs, err)
		line, _, _ := bytes.Cut(data, []byte("\n"))
		return string(line)
	}
	f.BootID = read("/proc/sys/kernel/random/boot_id", 100)
	f.CommandLine = read("/proc/cmdline", 4096)
	f.Memory = read("/proc/meminfo", 100)
	f.FirstSymbol = read("/proc/kallsyms", 100)
	disks, err := filepath.Glob("/sys/block/*")
	f.Disks = strings.Join(disks, " ")
	return f, errors.Join(append(errs, err)...)
}

var tell = nsx.Register("proc/facts", func(*nsx.Parent, any) (facts, error) { return lookUpFacts() })

func registerReadable() {
	property.It("S3", func(_ SpecContext, c *property.Check) {
		here, err := openAll(append(machineOnly, "/proc/meminfo"))
		Expect(err).NotTo(HaveOccurred())
		c.Positive("a file for everybody is opened by the same probe", func() {
			c.Saw("/proc/meminfo", here["/proc/meminfo"])
			Expect(here["/proc/meminfo"]).To(BeZero())
		})
		if require.IsMachineRoot() {
			c.Positive("on the machine its root may open them, those that the kernel has and a container does not forbid", func() {
				var may []string
				for _, path := range machineOnly {
					c.Saw(path, here[path])
					if here[path] == 0 {
						may = append(may, path)
					}
				}
				Expect(may).NotTo(BeEmpty())
			})
		}
		c.Negative("root of an environment may not", func() {
			within, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{}).Self(), opened, machineOnly)
			Expect(err).NotTo(HaveOccurred())
			for _, path := range machineOnly {
				c.Saw(path, within[path])
				if here[path] == result(unix.ENOENT) {
					continue
				}
				Expect(within[path]).To(Or(Equal(result(unix.EACCES)), Equal(result(unix.EPERM))), path)
			}
		})
	}, nstest.InProcess)

	property.It("S4", func(_ SpecContext, c *property.Check) {
		env := nstest.New(GinkgoTB(), nstest.Config{})
		within, err := inside.Run(env.Self(), tell, nil)
		Expect(err).NotTo(HaveOccurred())
		c.Positive("boot, command line, memory and disks of the machine are seen inside", func() {
			outside, err := lookUpFacts()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("boot", within.BootID)
			c.Saw("memory", within.Memory)
			c.Saw("disks", within.Disks)
			Expect(within.BootID).To(And(Not(BeEmpty()), Equal(outside.BootID)))
			Expect(within.CommandLine).To(Equal(outside.CommandLine))
			Expect(within.Memory).To(And(HavePrefix("MemTotal:"), Equal(outside.Memory)))
			Expect(within.Disks).To(Equal(outside.Disks))
		})
		c.Negative("the addresses of the kernel's symbols are not", func() {
			c.Saw("/proc/kallsyms", within.FirstSymbol)
			Expect(within.FirstSymbol).To(HavePrefix("0000000000000000 "))
		})
		c.Negative("every readable file of /proc is one that is documented", func() {
			names, err := inside.Run(env.Self(), readable, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("files", names)
			Expect(documented).To(ContainElements(names))
		})
	}, nstest.InProcess)
}
