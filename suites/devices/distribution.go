package devices

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// makeDistribution makes the tree of a distribution that has a static busybox and its name, and nothing else.
func makeDistribution(name string) (root string) {
	GinkgoHelper()
	root = GinkgoTB().TempDir()
	for _, dir := range []string{"bin", "etc", "lib"} {
		Expect(os.Mkdir(filepath.Join(root, dir), 0o755)).To(Succeed())
	}
	in, err := os.Open(require.Program("busybox"))
	Expect(err).NotTo(HaveOccurred())
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(root, "bin/busybox"), os.O_CREATE|os.O_WRONLY, 0o755)
	Expect(err).NotTo(HaveOccurred())
	_, err = io.Copy(out, in)
	Expect(err).NotTo(HaveOccurred())
	Expect(out.Close()).To(Succeed())
	for _, applet := range []string{"sh", "uname", "hostname", "ls"} {
		Expect(os.Symlink("busybox", filepath.Join(root, "bin", applet))).To(Succeed())
	}
	Expect(os.WriteFile(filepath.Join(root, "etc/os-release"), []byte("ID="+name+"\n"), 0o644)).To(Succeed())
	return root
}

func registerDistribution() {
	property.Seed("the same spec passes on another distribution's root, with the same kernel", func(SpecContext) {
		var u unix.Utsname
		Expect(unix.Uname(&u)).To(Succeed())
		release := unix.ByteSliceToString(u.Release[:])
		ours, err := os.Hostname()
		Expect(err).NotTo(HaveOccurred())

		// The spec: who is renamed inside is not outside, whatever the system.
		spec := func(cfg nstest.Config) (id string, programs []string) {
			GinkgoHelper()
			sh := nstest.New(GinkgoTB(), cfg).Self().Command("/bin/sh", "-ec",
				`. /etc/os-release; echo $ID; uname -r; hostname renamed; hostname; ls /bin`)
			out, err := sh.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(out))
			lines := strings.Fields(string(out))
			Expect(lines[1]).To(Equal(release))
			Expect(lines[2]).To(Equal("renamed"))
			Expect(os.Hostname()).To(Equal(ours))
			return lines[0], lines[3:]
		}
		By("the control: on the machine's own root it is the machine's distribution")
		host, programs := spec(nstest.Config{})
		Expect(host).NotTo(Equal("elsewhere"))
		Expect(programs).To(ContainElement("ps"))

		By("on a root with busybox alone it is another one")
		root := makeDistribution("elsewhere")
		other, programs := spec(nstest.Config{Root: root})
		AddReportEntry("distributions on Linux "+release, host+", "+other, ReportEntryVisibilityFailureOrVerbose)
		Expect(other).To(Equal("elsewhere"))
		Expect(programs).To(ConsistOf("busybox", "hostname", "ls", "sh", "uname"))
		found, err := listHere(root)
		Expect(err).NotTo(HaveOccurred())
		Expect(found.Names).To(ConsistOf("bin", "etc", "lib"), "what an environment adds to the root stays in its layer")
	})
}
