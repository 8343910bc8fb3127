package smoke_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// longest is the longest name of one label that DNS allows: 63 characters.
var longest = strings.Repeat("abcdefghij", 6) + "xyz"

var _ = Describe("A host", func() {
	It("has its own name, in the kernel and in files", func() {
		env := fresh()
		for name, host := range map[string]*nstest.Host{"self": env.Self(), "web": env.Host("web"), longest: env.Host(longest)} {
			Expect(host.Name()).To(Equal(name))
			Expect(host.Env()).To(BeIdenticalTo(env))
			Expect(ask[identity](host, "identity")).To(HaveField("Hostname", name))
			Expect(ask[string](host, "read", "/etc/hostname")).To(Equal(name + "\n"))
			Expect(ask[string](host, "read", "/etc/hosts")).To(And(ContainSubstring("127.0.0.1\tlocalhost\n"), ContainSubstring("\t"+name+"\n")))
			Expect(ask[string](host, "read", "/etc/resolv.conf")).To(HavePrefix("nameserver 127.0.0.53\n"))
		}
	})

	It("can change its hostname, and nobody else's", func() {
		machine, err := here[identity]("identity")
		Expect(err).NotTo(HaveOccurred())
		env := fresh()
		Expect(attempt(env.Host("web"), "set hostname", "changed")).To(Succeed())
		Expect(ask[identity](env.Host("web"), "identity")).To(HaveField("Hostname", "changed"), "the control")
		Expect(ask[identity](env.Self(), "identity")).To(HaveField("Hostname", "self"))
		Expect(here[identity]("identity")).To(HaveField("Hostname", machine.Hostname))
	})

	It("has a name of up to 63 characters, beside one that differs in the last", func() {
		env := fresh()
		other := longest[:62] + "0"
		a, b := env.Host(longest), env.Host(other)
		Expect(a.Addr()).NotTo(Equal(b.Addr()))
		Expect(ask[[]string](env.Self(), "lookup", longest)).To(ContainElement(a.Addr().String()))
		Expect(ask[[]string](env.Self(), "lookup", other)).To(ContainElement(b.Addr().String()))
	})

	It("gives its name and addresses free when it is removed", func() {
		env := fresh()
		web := env.Host("web")
		process := hold(web, "hold")
		Expect(processDirectory(process.HostPid())).To(BeADirectory(), "the control")
		Expect(env.RemoveHost("web")).To(Succeed())
		Expect(processDirectory(process.HostPid())).NotTo(BeAnExistingFile())
		Expect(env.Network("").Hosts()).To(ConsistOf(env.Self()))

		again, err := env.AddHost(nstest.HostConfig{Name: "web", Networks: []nstest.Attachment{{Addrs: web.Addrs()}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Addrs()).To(ConsistOf(web.Addrs()))
	})

	It("cannot be removed if it is the environment's own, or does not exist", func() {
		env := fresh()
		Expect(env.RemoveHost("self")).To(MatchError(syscall.EBUSY))
		Expect(env.RemoveHost("nobody")).To(MatchError(syscall.ENOENT))
	})
})

var _ = Describe("The processes of a host", func() {
	It("are children of an init, in a numbering of their own", func() {
		env := fresh()
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			Expect(ask[identity](host, "identity")).To(And(
				HaveField("PID", BeNumerically("<", 100)), // the threads of an init in Go have numbers too
				HaveField("ParentPID", 1), HaveField("SessionLeader", true),
				HaveField("ControllingTTY", false), HaveField("Umask", 0o022)))
		}
	})

	It("see neither the machine's nor other hosts'", func() {
		env := fresh()
		web, db := env.Host("web"), env.Host("db")
		holder := hold(web, "hold")
		Expect(ask[[]string](web, "processes")).To(ConsistOf("1", strconv.Itoa(holder.Pid), Not(BeEmpty())),
			"the control: init, the process that holds on, and the probe")
		Expect(here[[]string]("processes")).To(ContainElement(strconv.Itoa(holder.HostPid())), "the control: the machine sees it")
		Expect(ask[[]string](db, "processes")).To(ConsistOf("1", Not(BeEmpty())), "init and the probe alone")
		Expect(ask[[]string](env.Self(), "processes")).NotTo(ContainElement(strconv.Itoa(holder.HostPid())))
	})

	It("are seen where the host shares the environment's PID namespace", func() {
		env := fresh()
		sidecar, err := env.AddHost(nstest.HostConfig{Name: "sidecar", PID: nstest.FromSelf})
		Expect(err).NotTo(HaveOccurred())
		holder := hold(env.Self(), "hold")
		Expect(ask[[]string](sidecar, "processes")).To(ContainElement(strconv.Itoa(holder.Pid)))
	})

	It("have no user that is the machine's root", func() {
		require.MachineRoot()
		env := fresh()
		for _, host := range []*nstest.Host{env.Self(), env.Host("web")} {
			holder := hold(host, "hold")
			Expect(ask[identity](host, "identity")).To(HaveField("UID", 0), "the control: inside they are root")
			for _, id := range idsOf(holder.HostPid()) {
				Expect(id).NotTo(BeElementOf("0", "", "65534"))
			}
		}
		for _, id := range idsOf(os.Getpid()) {
			Expect(id).To(Equal("0"), "the control: ours are the machine's root's")
		}
	})
})

var _ = Describe("What processes of one host share with each other", func() {
	It("is not shared with other hosts: message queues and shared memory", func() {
		env := fresh()
		web, db := env.Host("web"), env.Host("db")
		for _, file := range []string{"/dev/shm/smoke", "/dev/mqueue/smoke", "/tmp/smoke", "/run/smoke"} {
			Expect(attempt(web, "create", file)).To(Succeed(), file)
			Expect(attempt(web, "open", file)).To(Succeed(), "the control: %s", file)
			Expect(attempt(db, "open", file)).To(MatchError(syscall.ENOENT), file)
			Expect(attempt(env.Self(), "open", file)).To(MatchError(syscall.ENOENT), file)
			Expect(file).NotTo(BeAnExistingFile())
		}
	})

	It("is shared where the host uses the environment's IPC namespace", func() {
		env := fresh()
		sidecar, err := env.AddHost(nstest.HostConfig{Name: "sidecar", IPC: nstest.FromSelf})
		Expect(err).NotTo(HaveOccurred())
		for _, file := range []string{"/dev/shm/smoke", "/dev/mqueue/smoke"} {
			Expect(attempt(env.Self(), "create", file)).To(Succeed(), file)
			Expect(attempt(sidecar, "open", file)).To(Succeed(), file)
		}
	})

	It("is everything but the network for a host that has nothing else", func() {
		env := fresh()
		cheap, err := env.AddHost(nstest.HostConfig{Name: "cheap", NetOnly: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(attempt(env.Self(), "write", "/tmp/smoke", "")).To(Succeed())
		Expect(attempt(cheap, "open", "/tmp/smoke")).To(Succeed())
		self, err := ask[identity](env.Self(), "identity")
		Expect(err).NotTo(HaveOccurred())
		Expect(ask[identity](cheap, "identity")).To(And(
			HaveField("Hostname", "self"), HaveField("NetworkNamespace", Not(Equal(self.NetworkNamespace)))))
		Expect(ask[[]string](env.Self(), "lookup", "cheap")).To(ContainElement(cheap.Addr().String()))
	})
})

// statusField is a field of a /proc/PID/status.
func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// idsOf are the user and group ids of a process, as the machine numbers them.
func idsOf(pid int) []string {
	GinkgoHelper()
	status, err := os.ReadFile(processDirectory(pid) + "/status")
	Expect(err).NotTo(HaveOccurred())
	ids := append(strings.Fields(statusField(string(status), "Uid")), strings.Fields(statusField(string(status), "Gid"))...)
	Expect(ids).To(HaveLen(8))
	return ids
}
