package hermetic_test

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("A spec", func() {
	It("makes further environments beside itself", func() {
		for _, name := range []string{"one", "two"} {
			env := nstest.New(GinkgoTB(), nstest.Config{Name: name, Hostname: name})
			l, err := env.Self().Listen("tcp", ":80")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(l.Close)
			Expect(env.Self().Command("hostname").Output()).To(BeEquivalentTo(name + "\n"))
		}
		Expect(os.Hostname()).To(Equal("spec"))
	})

	It("builds and runs programs", func() {
		dir := GinkgoTB().TempDir()
		Expect(os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { println(`built inside`) }\n"), 0o600)).To(Succeed())
		program := filepath.Join(dir, "program")
		build := exec.Command("go", "build", "-o", program, filepath.Join(dir, "main.go"))
		out, err := build.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(exec.Command(program).CombinedOutput()).To(BeEquivalentTo("built inside\n"))
	})

	It("writes where its suite is, and nobody else sees it", func() {
		if unix.Access(".", unix.W_OK) != nil {
			require.Skip("the suite's directory is somebody else's", "run the suite in a clone of your own")
		}
		Expect(os.WriteFile("left-by-a-spec", nil, 0o600)).To(Succeed())
		Expect("left-by-a-spec").To(BeAnExistingFile())
	})
	It("does not see that", nstest.InProcess, func() {
		Expect("left-by-a-spec").NotTo(BeAnExistingFile())
		Expect("nested_test.go").To(BeAnExistingFile(), "the control")
	})
})
