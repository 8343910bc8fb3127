package leaks_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// forgetful says that the suite below is to leave a file open.
const forgetful = "NSTEST_LEAKS_FORGETFUL"

var _ = BeforeSuite(func() { leaks.Check(GinkgoTB()) })

var _ = It("may forget a file", func() {
	if os.Getenv(forgetful) == "1" {
		_, err := unix.Open("/etc/passwd", unix.O_CLOEXEC, 0) // an os.File would be closed by the garbage collector
		Expect(err).NotTo(HaveOccurred())
	}
})

func TestGinkgo(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Leaks of a Ginkgo suite")
}

func TestASuiteFailsForWhatItsSpecsForget(t *testing.T) {
	c := exec.Command(os.Args[0], "-test.run", "^TestGinkgo$", "-ginkgo.no-color")
	c.Env = append(os.Environ(), forgetful+"=1")
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "→ /etc/passwd") {
		t.Errorf("got %v, want a failure that names the file:\n%s", err, out)
	}
}
