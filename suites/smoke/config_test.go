package smoke_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A Config", func() {
	It("leaves the machine's tree as it is, with MachineRoot", func() {
		directory := machineDirectory("/var/tmp")
		marker := filepath.Join(directory, "file")
		Expect(os.WriteFile(marker, nil, 0o644)).To(Succeed())
		env := open(nstest.Config{MachineRoot: true})
		web, err := env.AddHost(nstest.HostConfig{Name: "web"})
		Expect(err).NotTo(HaveOccurred())
		hidden := machineFile("/tmp")
		for _, host := range []*nstest.Host{env.Self(), web} {
			Expect(attempt(host, "open", marker)).To(Succeed())
			Expect(attempt(host, "open", hidden)).To(MatchError(syscall.ENOENT))
			Expect(ask[string](host, "read", "/etc/resolv.conf")).To(HavePrefix("nameserver 127.0.0.53\n"))
			Expect(ask[[]string](host, "lookup", "web")).To(ContainElement(web.Addr().String()))
		}
	})

	It("makes a directory the root", func() {
		require.Root()
		root := machineDirectory("/tmp")
		Expect(os.WriteFile(filepath.Join(root, "marker"), nil, 0o644)).To(Succeed())
		env := open(nstest.Config{Root: root})
		var names []string
		Expect(env.Self().Do(func() (err error) {
			names, err = list("/")
			if err == nil {
				err = os.WriteFile("/written", nil, 0o644)
			}
			return err
		})).To(Succeed())
		Expect(names).To(ContainElements("marker", "proc", "sys", "dev", "tmp", "run", "etc"))
		Expect(names).NotTo(ContainElement("bin"))
		Expect(list(root)).To(ConsistOf("marker"))
	})

	It("shows a device", func() {
		devices := existing("/dev/net/tun", "/dev/fuse", "/dev/kmsg", "/dev/vda", "/dev/sda")
		if len(devices) == 0 {
			require.Skip("the machine has none of the usual devices", "modprobe tun")
		}
		env := nstest.New(GinkgoTB(), nstest.Config{Devices: devices[:1]})
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(ask[[]string](host, "list", filepath.Dir(devices[0]))).To(ContainElement(filepath.Base(devices[0])))
		}
		Expect(onlyError(ask[[]string](fresh().Self(), "list", devices[0]))).To(MatchError(syscall.ENOENT), "the control")
	})

	It("says how many ids there are", func() {
		require.MachineRoot()
		count := func(env *nstest.Env) string {
			content, err := ask[string](env.Self(), "read", "/proc/self/uid_map")
			Expect(err).NotTo(HaveOccurred())
			return strings.Fields(content)[2]
		}
		Expect(count(open(nstest.Config{IDs: 1000}))).To(Equal("1000"))
	})

	DescribeTable("shares a namespace with the caller",
		func(shared nstest.Namespaces, kind string) {
			ours, err := os.Readlink("/proc/self/ns/" + kind)
			Expect(err).NotTo(HaveOccurred())
			theirs := func(cfg nstest.Config) string {
				process := hold(open(cfg).Self(), "hold")
				link, err := os.Readlink(processDirectory(process.HostPid()) + "/ns/" + kind)
				Expect(err).NotTo(HaveOccurred())
				return link
			}
			Expect(theirs(nstest.Config{})).NotTo(Equal(ours), "the control")
			Expect(theirs(nstest.Config{Share: shared})).To(Equal(ours))
		},
		Entry("of network", nstest.Namespaces{Net: true}, "net"),
		Entry("of host name", nstest.Namespaces{UTS: true}, "uts"),
		Entry("of message queues", nstest.Namespaces{IPC: true}, "ipc"),
		Entry("of control groups", nstest.Namespaces{Cgroup: true}, "cgroup"),
	)

	It("shifts the clocks", func() {
		if _, err := os.Stat("/proc/self/ns/time"); err != nil {
			require.Skip("the kernel has no time namespaces", "Linux 5.6 with CONFIG_TIME_NS")
		}
		env := nstest.New(GinkgoTB(), nstest.Config{Time: &nstest.TimeOffsets{Monotonic: 1000 * time.Hour, Boottime: 2000 * time.Hour}})
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			outside, err := here[clocks]("clocks")
			Expect(err).NotTo(HaveOccurred())
			inside, err := ask[clocks](host, "clocks")
			Expect(err).NotTo(HaveOccurred())
			const slack = float64(time.Minute)
			Expect(inside.Monotonic-outside.Monotonic).To(BeNumerically("~", 1000*time.Hour, slack), host.Name())
			Expect(inside.Boottime-outside.Boottime).To(BeNumerically("~", 2000*time.Hour, slack), host.Name())
			Expect(inside.Realtime-outside.Realtime).To(BeNumerically("~", 0, slack), "the wall clock is the machine's")
		}
	})

	It("takes capabilities away", func() {
		const netRaw = 13
		has := func(env *nstest.Env) bool {
			status, err := ask[string](env.Self(), "read", "/proc/self/status")
			Expect(err).NotTo(HaveOccurred())
			set, err := strconv.ParseUint(statusField(status, "CapBnd"), 16, 64)
			Expect(err).NotTo(HaveOccurred())
			return set&(1<<netRaw) != 0
		}
		Expect(has(open(nstest.Config{}))).To(BeTrue(), "the control")
		Expect(has(open(nstest.Config{CapDrop: []string{"NET_RAW"}}))).To(BeFalse())
		Expect(has(open(nstest.Config{CapDrop: []string{"ALL"}, CapAdd: []string{"CAP_NET_RAW"}}))).To(BeTrue())
		Expect(has(open(nstest.Config{CapDrop: []string{"all"}}))).To(BeFalse())
	})

	It("keeps io_uring and VSOCK out unless it is told not to", func() {
		Expect(ask[int](open(nstest.Config{}).Self(), "io_uring")).To(Equal(int(syscall.ENOSYS)))
		Expect(ask[int](open(nstest.Config{AllowIOUring: true}).Self(), "io_uring")).To(Equal(tryIOUring()), "as on the machine")
		Expect(ask[int](open(nstest.Config{}).Self(), "vsock")).NotTo(BeZero())
	})

	It("gives the machine's root's rights to a privileged environment, for which one has to be that", func() {
		if !require.IsMachineRoot() {
			Expect(onlyError(nstest.Open(context.Background(), nstest.Config{Privileged: true}))).To(MatchError(syscall.EPERM))
			return
		}
		machine, err := here[identity]("identity")
		Expect(err).NotTo(HaveOccurred())
		Expect(ask[identity](open(nstest.Config{Privileged: true}).Self(), "identity")).To(HaveField("UserNamespace", machine.UserNamespace))
		Expect(ask[identity](open(nstest.Config{}).Self(), "identity")).To(HaveField("UserNamespace", Not(Equal(machine.UserNamespace))), "the control")
	})
})

var _ = Describe("A diagnosis", func() {
	It("says that environments are possible, since they are", func() {
		Expect(nstest.Diagnose(context.Background()).OK()).To(BeTrue())
	})
})
