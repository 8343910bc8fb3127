package mount

import (
	"os"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

// printed is what a shell on a host prints, without the last newline.
func printed(h *nstest.Host, script string) string {
	GinkgoHelper()
	out, err := h.Command("sh", "-c", script).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return strings.TrimSuffix(string(out), "\n")
}

// A host that is a network namespace and nothing else is the control: it sees what the environment's own host sees.
func registerHosts() {
	property.Seed("a further host of an environment has a /proc, /sys, /tmp, /run and /dev/shm of its own", func(SpecContext) {
		env := nstest.Current()
		host := env.Host("web")
		thin, err := env.AddHost(nstest.HostConfig{Name: "thin", NetOnly: true})
		Expect(err).NotTo(HaveOccurred())

		for _, dir := range []string{"/tmp", "/run", "/dev/shm"} {
			Expect(os.WriteFile(dir+"/ours", []byte("ours"), 0o644)).To(Succeed())
			Expect(printed(thin, "ls "+dir)).To(ContainSubstring("ours"), dir)
			Expect(printed(host, "ls "+dir)).NotTo(ContainSubstring("ours"), dir)
		}
		us := strconv.Itoa(os.Getpid())
		Expect(printed(thin, "ls /proc")).To(MatchRegexp("(?m)^" + us + "$"))
		Expect(printed(host, "ls /proc | grep '^[0-9]' | sort -n | head -1; cat /proc/1/comm; ls /proc")).
			To(And(HavePrefix("1\nnstest-init\n"), Not(MatchRegexp("(?m)^"+us+"$"))))

		ours, err := os.ReadFile("/sys/class/net/eth0/address")
		Expect(err).NotTo(HaveOccurred())
		address := "cat /sys/class/net/eth0/address"
		Expect(printed(thin, address) + "\n").To(Equal(string(ours)))
		Expect(printed(host, address) + "\n").NotTo(Equal(string(ours)))
	})
}
