package smoke_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// refused is an error for people: it says what failed, and this about the cause. want is nil where the cause is not a
// system call's.
func refused(err, want error, words ...string) {
	GinkgoHelper()
	Expect(err).To(HaveOccurred())
	var e *nstest.Error
	Expect(errors.As(err, &e)).To(BeTrue(), "%T: %v", err, err)
	Expect(e.Op).NotTo(BeEmpty())
	if want != nil {
		Expect(err).To(MatchError(want))
	}
	for _, w := range words {
		Expect(err.Error()).To(ContainSubstring(w))
	}
	Expect(strings.Count(err.Error(), "nstest: ")).To(Equal(1), "%v", err)
}

func layers(dirs ...string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) { return dirs, nil }
}

var _ = DescribeTable("A Config is refused with",
	func(cfg nstest.Config, want error, words ...string) {
		env, err := nstest.Open(context.Background(), cfg)
		Expect(env).To(BeNil())
		refused(err, want, words...)
	},
	Entry("a hostname with a blank", nstest.Config{Hostname: "a b"}, syscall.EINVAL, `"a b"`, "letters"),
	Entry("a hostname of 65 characters", nstest.Config{Hostname: strings.Repeat("a.", 32) + "a"}, syscall.EINVAL, "64"),
	Entry("a hostname with a label of 64 characters", nstest.Config{Hostname: longest + "0"}, syscall.EINVAL, "63"),
	Entry("a negative number of ids", nstest.Config{IDs: -1}, syscall.EINVAL, "-1"),
	Entry("more ids than there are", nstest.Config{IDs: 1 << 31}, nil, "ids"),
	Entry("a root that does not exist", nstest.Config{Root: "/no/such/directory"}, syscall.ENOENT, "/no"),
	Entry("a root that is not absolute", nstest.Config{Root: "etc"}, syscall.EINVAL, "absolute"),
	Entry("a visible path that does not exist", nstest.Config{Visible: []string{"/no/such/path"}}, fs.ErrNotExist, "/no/such/path"),
	Entry("a shared directory without a path", nstest.Config{Shared: []nstest.Shared{{}}}, nil, "Path"),
	Entry("a shared directory that does not exist", shared("/no/such/directory"), syscall.ENOENT, "shared directory", "/no"),
	Entry("a shared directory that is not absolute", shared("etc"), syscall.EINVAL, "shared directory", "absolute"),
	Entry("a shared directory that is a file", shared("/etc/passwd"), syscall.ENOTDIR, "shared directory"),
	Entry("a shared directory over the root", nstest.Config{Shared: []nstest.Shared{{Path: "/etc", Target: "/"}}}, syscall.EINVAL, "target"),
	Entry("a device that is not below /dev", nstest.Config{Devices: []string{"/etc/passwd"}}, syscall.EINVAL, "/dev"),
	Entry("a device that does not exist", nstest.Config{Devices: []string{"/dev/no-such-device"}}, syscall.ENOENT, "no-such-device"),
	Entry("a device that is none", nstest.Config{Devices: []string{"/dev/shm"}}, syscall.ENODEV, "/dev/shm"),
	Entry("an unknown capability", nstest.Config{CapDrop: []string{"FLY"}}, nil, "FLY"),
	Entry("a machine root and a root", nstest.Config{MachineRoot: true, Root: "/usr"}, syscall.EINVAL, "root"),
	Entry("a root and layers", nstest.Config{Root: "/usr", Layers: layers("/usr")}, nil, "Root", "Layers"),
	Entry("a machine root and layers", nstest.Config{MachineRoot: true, Layers: layers("/usr")}, nil, "MachineRoot"),
	Entry("no layers", nstest.Config{Layers: layers()}, nil, "none"),
	Entry("a layer that does not exist", nstest.Config{Layers: layers("/usr", "/no/such/directory")}, syscall.ENOENT, "layer", "/no"),
	Entry("a layer that is not absolute", nstest.Config{Layers: layers("/usr", "etc")}, syscall.EINVAL, "layer", "absolute"),
	Entry("a layer twice", nstest.Config{Layers: layers("/usr", "/etc", "/usr/")}, syscall.ELOOP, "/usr and /usr", "one in the other"),
	Entry("a layer in another", nstest.Config{Layers: layers("/usr/bin", "/usr")}, syscall.ELOOP, "/usr/bin"),
	Entry("129 layers", nstest.Config{Layers: layers(make([]string, 129)...)}, syscall.EINVAL, "128"),
	Entry("layers that cannot be had", nstest.Config{Layers: func(context.Context) ([]string, error) { return nil, syscall.EDQUOT }}, syscall.EDQUOT, "layers"),
	Entry("clocks before the start of time", nstest.Config{Time: &nstest.TimeOffsets{Monotonic: -1e6 * time.Hour}}, nil, "clock"),

	Entry("a network without a proper name", network(nstest.NetworkConfig{Name: "a b"}), syscall.EINVAL, "network name"),
	Entry("a network of no family", network(nstest.NetworkConfig{NoIPv4: true, NoIPv6: true}), syscall.EINVAL, "IPv4", "IPv6"),
	Entry("a tiny MTU", network(nstest.NetworkConfig{MTU: 100}), syscall.EINVAL, "MTU"),
	Entry("a giant MTU", network(nstest.NetworkConfig{MTU: 70000}), syscall.EINVAL, "MTU"),
	Entry("a malformed prefix", network(nstest.NetworkConfig{Prefixes: []netip.Prefix{{}}}), syscall.EINVAL, "malformed"),
	Entry("a prefix with host bits", prefixes("10.1.2.3/24"), syscall.EINVAL, "10.1.2.0/24"),
	Entry("two prefixes of a family", prefixes("10.1.0.0/24", "10.2.0.0/24"), syscall.EINVAL, "second"),
	Entry("a prefix without room", prefixes("10.1.0.0/31"), syscall.EINVAL, "room"),
	Entry("a multicast prefix", prefixes("224.0.0.0/24"), syscall.EINVAL, "224.0.0.0/24"),
	Entry("a loopback prefix", prefixes("127.0.0.0/8"), syscall.EINVAL, "127.0.0.0/8"),
	Entry("a prefix that covers everything", prefixes("0.0.0.0/0"), syscall.EINVAL, "0.0.0.0/0"),
	Entry("a prefix of a family that is left out", network(nstest.NetworkConfig{NoIPv4: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}}), syscall.EINVAL, "family"),
	Entry("a gateway that is the broadcast address", network(nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Gateway: netip.MustParseAddr("192.0.2.255")}), syscall.EINVAL, "gateway", "broadcast"),
	Entry("a first network and none", nstest.Config{Loopback: true, Network: nstest.NetworkConfig{MTU: 9000}}, nil, "Loopback", "AddNetwork"),
	Entry("a gateway elsewhere", network(nstest.NetworkConfig{Gateway: netip.MustParseAddr("192.0.2.1")}), syscall.EINVAL, "gateway"),
)

var _ = It("A shared directory that a symbolic link leads to is refused", func() {
	directory := machineDirectory("/tmp")
	Expect(os.Mkdir(filepath.Join(directory, "real"), 0o755)).To(Succeed())
	Expect(os.Symlink("real", filepath.Join(directory, "link"))).To(Succeed())
	for _, path := range []string{filepath.Join(directory, "link"), filepath.Join(directory, "link", "..", "link")} {
		_, err := nstest.Open(context.Background(), shared(path))
		refused(err, syscall.ELOOP, "symbolic link")
	}
	Expect(os.Mkdir(filepath.Join(directory, "real", "inner"), 0o755)).To(Succeed())
	_, err := nstest.Open(context.Background(), shared(filepath.Join(directory, "link", "inner")))
	refused(err, syscall.ELOOP, "symbolic link")
})

var _ = Describe("Bad input to an environment", func() {
	var env *nstest.Env

	// The environment is as good as before.
	BeforeEach(func() {
		env = open(nstest.Config{})
		Expect(onlyError(env.AddHost(nstest.HostConfig{Name: "web"}))).To(Succeed())
	})
	AfterEach(func() {
		Expect(env.Network("").Hosts()).To(ConsistOf(env.Self(), env.Host("web")))
		Expect(onlyError(env.AddHost(nstest.HostConfig{Name: "fine"}))).To(Succeed())
		Expect(env.Self().LookupNetIP(context.Background(), "fine")).NotTo(BeEmpty())
	})

	DescribeTable("is refused: a host with",
		func(cfg nstest.HostConfig, want error, words ...string) {
			_, err := env.AddHost(cfg)
			refused(err, want, append(words, "add host")...)
		},
		Entry("no name", nstest.HostConfig{}, syscall.EINVAL, "empty"),
		Entry("a name of 64 characters", nstest.HostConfig{Name: longest + "0"}, syscall.EINVAL, "64", "63"),
		Entry("a name of 100 characters", nstest.HostConfig{Name: strings.Repeat("a", 100)}, syscall.EINVAL, "64"),
		Entry("a blank", nstest.HostConfig{Name: "a b"}, syscall.EINVAL, "letters"),
		Entry("a slash", nstest.HostConfig{Name: "../etc"}, syscall.EINVAL),
		Entry("a line break", nstest.HostConfig{Name: "a\nb"}, syscall.EINVAL, `\n`),
		Entry("a zero byte", nstest.HostConfig{Name: "a\x00b"}, syscall.EINVAL),
		Entry("an umlaut", nstest.HostConfig{Name: "bär"}, syscall.EINVAL),
		Entry("a hyphen in front", nstest.HostConfig{Name: "-a"}, syscall.EINVAL, "hyphen"),
		Entry("a hyphen at the end", nstest.HostConfig{Name: "a-"}, syscall.EINVAL, "hyphen"),
		Entry("an empty label", nstest.HostConfig{Name: "a..b"}, syscall.EINVAL, "empty"),
		Entry("a name that is taken", nstest.HostConfig{Name: "web"}, syscall.EEXIST, "exists"),
		Entry("a name that is taken, but for case", nstest.HostConfig{Name: "WEB"}, syscall.EEXIST, "exists"),
		Entry("the environment's own name", nstest.HostConfig{Name: "self"}, syscall.EEXIST, "reserved"),
		Entry("the name of everybody", nstest.HostConfig{Name: "localhost"}, syscall.EEXIST, "reserved"),
		Entry("a network that is not there", on(nstest.Attachment{Network: "back"}), syscall.ENOENT, "AddNetwork"),
		Entry("an address elsewhere", on(nstest.Attachment{Addrs: addrs("192.0.2.1")}), syscall.EADDRNOTAVAIL, "192.0.2.1"),
		Entry("the network's address", on(nstest.Attachment{Addrs: addrs("10.1.0.0")}), syscall.EADDRNOTAVAIL, "10.1.0.0"),
		Entry("the broadcast address", on(nstest.Attachment{Addrs: addrs("10.1.255.255")}), syscall.EADDRNOTAVAIL, "10.1.255.255"),
		Entry("an address that is taken", on(nstest.Attachment{Addrs: addrs("10.1.0.2")}), syscall.EADDRINUSE, "self"),
		Entry("two addresses of a family", on(nstest.Attachment{Addrs: addrs("10.1.0.50", "10.1.0.51")}), syscall.EINVAL, "second"),
		Entry("no valid address", on(nstest.Attachment{Addrs: []netip.Addr{{}}}), syscall.EADDRNOTAVAIL, "leave it out"),
		Entry("an IPv4 address in IPv6", on(nstest.Attachment{Addrs: addrs("::ffff:10.1.0.9")}), syscall.EADDRNOTAVAIL, "say 10.1.0.9"),
		Entry("the same network twice", on(nstest.Attachment{}, nstest.Attachment{}), syscall.EINVAL, "twice"),
		Entry("a malformed MAC", on(nstest.Attachment{MAC: "02:00"}), syscall.EINVAL, "MAC"),
		Entry("a multicast MAC", on(nstest.Attachment{MAC: "01:00:00:00:00:01"}), syscall.EINVAL, "MAC"),
	)

	It("is refused: a host that is asked for by a reserved name", func() {
		tb := &fatal{TB: GinkgoTB()}
		inTest := nstest.New(tb, nstest.Config{})
		Expect(func() { inTest.Host("localhost") }).To(PanicWith(ContainSubstring(`"localhost" is reserved`)))
	})

	DescribeTable("is refused: a network with",
		func(cfg nstest.NetworkConfig, want error, words ...string) {
			_, err := env.AddNetwork(cfg)
			refused(err, want, append(words, "add network")...)
		},
		Entry("no name", nstest.NetworkConfig{}, syscall.EINVAL, "empty"),
		Entry("a name that is taken", nstest.NetworkConfig{Name: "lan"}, syscall.EEXIST, "exists"),
		Entry("a prefix that overlaps another", nstest.NetworkConfig{Name: "back", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.128.0/24")}}, syscall.EINVAL, "overlaps", "lan"),
		Entry("a prefix around another", nstest.NetworkConfig{Name: "back", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, syscall.EINVAL, "overlaps"),
	)

	It("is refused: partitions that cut nothing", func() {
		web := env.Host("web")
		other := open(nstest.Config{})
		for _, c := range []struct {
			groups [][]*nstest.Host
			words  string
		}{
			{nil, "at least two groups"},
			{[][]*nstest.Host{{web}}, "there are 1"},
			{[][]*nstest.Host{{web}, {}}, "empty"},
			{[][]*nstest.Host{{web}, {web}}, "two groups"},
			{[][]*nstest.Host{{web}, {nil}}, "nil"},
			{[][]*nstest.Host{{web}, {other.Self()}}, "not of this environment"},
		} {
			_, err := env.AddPartition(c.groups...)
			refused(err, nil, "partition", c.words)
		}
	})
})

var _ = It("A network that is full takes no more hosts", func() {
	env := open(nstest.Config{Network: nstest.NetworkConfig{NoIPv6: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/30")}}})
	Expect(env.Self().Addr()).To(Equal(netip.MustParseAddr("10.1.0.2")))
	_, err := env.AddHost(nstest.HostConfig{Name: "web"})
	refused(err, syscall.EADDRNOTAVAIL, "10.1.0.0/30", "in use")
	Expect(onlyError(env.AddHost(on(nstest.Attachment{Addrs: addrs("10.1.0.1")})))).To(Succeed(), "the last address")
	_, err = env.AddHost(nstest.HostConfig{Name: "db"})
	refused(err, syscall.EADDRNOTAVAIL, "in use")
	Expect(env.RemoveHost("new")).To(Succeed())
	Expect(onlyError(env.AddHost(nstest.HostConfig{Name: "db", Networks: []nstest.Attachment{{Addrs: addrs("10.1.0.1")}}}))).To(Succeed())
})

func shared(path string) nstest.Config {
	return nstest.Config{Shared: []nstest.Shared{{Path: path}}}
}

func network(cfg nstest.NetworkConfig) nstest.Config { return nstest.Config{Network: cfg} }

func prefixes(texts ...string) nstest.Config {
	var list []netip.Prefix
	for _, t := range texts {
		list = append(list, netip.MustParsePrefix(t))
	}
	return network(nstest.NetworkConfig{Prefixes: list})
}

func on(attachments ...nstest.Attachment) nstest.HostConfig {
	return nstest.HostConfig{Name: "new", Networks: attachments}
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, t := range texts {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}

// fatal is a test that panics where it would end.
type fatal struct{ nstest.TB }

func (*fatal) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
