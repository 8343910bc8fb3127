package network

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// run runs a command of the spec's, whose words are separated by blanks, and returns what it prints.
func run(ctx SpecContext, command string) string {
	GinkgoHelper()
	words := strings.Fields(command)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s: %s", command, out)
	return string(out)
}

// named is the namespace that `ip netns add` has made.
func named(name string) namespace {
	GinkgoHelper()
	f, err := os.Open(filepath.Join("/run/netns", name))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(f.Close)
	return namespace{file: f}
}

// answer is a DNS server that knows one name.
func answer(at, name, addr string) {
	GinkgoHelper()
	conn, err := net.ListenPacket("udp", at)
	Expect(err).NotTo(HaveOccurred())
	record, err := dns.NewRR(name + ". 1 IN A " + addr)
	Expect(err).NotTo(HaveOccurred())
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Name == record.Header().Name && q.Question[0].Qtype == dns.TypeA {
			m.Answer = append(m.Answer, record)
		}
		_ = w.WriteMsg(m)
	})}
	go func() {
		defer GinkgoRecover()
		Expect(s.ActivateAndServe()).To(Succeed())
	}()
	DeferCleanup(s.Shutdown)
}

func registerBridge() {
	property.Seed("are joined by a bridge with a gateway, made by brctl and ip netns: those plugged in reach each other, and what is behind it", func(ctx SpecContext) {
		require.Program("brctl")
		require.Program("ip")
		reach := func(from, to string) error {
			_, err := nsx.Run(ctx, named(from).join(), pingAll, addrs(to))
			return err
		}

		run(ctx, "brctl addbr br0")
		run(ctx, "brctl stp br0 on")
		Expect(run(ctx, "brctl show br0")).To(MatchRegexp(`br0\s+\S+\s+yes`))
		run(ctx, "brctl stp br0 off") // with it on, a port listens for half a minute before it forwards
		Expect(run(ctx, "brctl show br0")).To(MatchRegexp(`br0\s+\S+\s+no`))
		run(ctx, "ip addr add 192.168.10.1/24 dev br0")
		run(ctx, "ip link set br0 up")
		for name, addr := range map[string]string{"red": "192.168.10.2/24", "blue": "192.168.10.3/24", "apart": ""} {
			run(ctx, "ip netns add "+name)
			if addr == "" {
				continue
			}
			run(ctx, "ip link add port-"+name+" type veth peer name eth0 netns "+name)
			run(ctx, "brctl addif br0 port-"+name)
			run(ctx, "ip link set port-"+name+" up")
			run(ctx, "ip -n "+name+" link set lo up")
			run(ctx, "ip -n "+name+" addr add "+addr+" dev eth0")
			run(ctx, "ip -n "+name+" link set eth0 up")
		}
		Expect(run(ctx, "ip netns list")).To(And(ContainSubstring("red"), ContainSubstring("blue"), ContainSubstring("apart")))

		By("over the bridge")
		Expect(reach("red", "192.168.10.1")).To(Succeed())
		Expect(reach("red", "192.168.10.3")).To(Succeed())
		Expect(reach("blue", "192.168.10.2")).To(Succeed())
		Expect(reach("apart", "192.168.10.1")).To(MatchError(unix.ENETUNREACH), "which has no cable")

		By("over the gateway, once there is a default route")
		beyond := nstest.Current().Self().Addr().String()
		Expect(reach("red", beyond)).To(MatchError(unix.ENETUNREACH))
		run(ctx, "ip -n red route add default via 192.168.10.1")
		Expect(run(ctx, "ip -n red route show default")).To(ContainSubstring("via 192.168.10.1 dev eth0"))
		Expect(reach("red", beyond)).To(Succeed())
	})

	property.Seed("have a resolv.conf each where `ip netns exec` gives them a mount namespace", func(ctx SpecContext) {
		require.Program("ip")
		run(ctx, "ip netns add red")
		run(ctx, "ip link add gateway type veth peer name eth0 netns red")
		run(ctx, "ip addr add 192.168.10.1/24 dev gateway")
		run(ctx, "ip link set gateway up")
		run(ctx, "ip -n red addr add 192.168.10.2/24 dev eth0")
		run(ctx, "ip -n red link set eth0 up")
		_, err := nsx.Run(ctx, named("red").join(), pingAll, addrs("192.168.10.1"))
		Expect(err).NotTo(HaveOccurred(), "the cable carries packets")
		answer("192.168.10.1:53", "service.example", "192.168.10.1")

		before, err := os.ReadFile("/etc/resolv.conf")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(before)).NotTo(ContainSubstring("192.168.10.1"))
		_, err = net.DefaultResolver.LookupHost(ctx, "service.example")
		Expect(err).To(HaveOccurred(), "the environment's own nameserver does not know it")

		// Who may write to /etc leaves the file in /etc/netns/red, and ip(8) does the same.
		theirs := filepath.Join(GinkgoTB().TempDir(), "resolv.conf")
		Expect(os.WriteFile(theirs, []byte("nameserver 192.168.10.1\n"), 0o644)).To(Succeed())
		script := filepath.Join(GinkgoTB().TempDir(), "lookup")
		Expect(os.WriteFile(script, []byte("set -e\nmount --bind "+theirs+" /etc/resolv.conf\ngetent ahostsv4 service.example\n"), 0o644)).To(Succeed())
		Expect(run(ctx, "ip netns exec red sh "+script)).To(HavePrefix("192.168.10.1 "))

		Expect(os.ReadFile("/etc/resolv.conf")).To(Equal(before), "ours is what it was")
	})
}
