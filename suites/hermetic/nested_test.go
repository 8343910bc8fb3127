package hermetic_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
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

	It(writesBesideTheSuite, func() {
		if unix.Access(".", unix.W_OK) != nil {
			require.Skip("the suite's directory is somebody else's", "run the suite in a clone of your own")
		}
		Expect(os.WriteFile(written, nil, 0o600)).To(Succeed())
		Expect(written).To(BeAnExistingFile())
	})
})

const (
	writesBesideTheSuite = "writes where its suite is, and nobody else sees it"
	written              = "left-by-a-spec"
)

// The suite's process looks for the file when all specs have run, in whatever order and in how many processes. A file
// that is there is removed, so that the next run does not find this one's.
var _ = ReportAfterSuite("what a spec has written beside the suite", func(report Report) {
	specs := report.SpecReports.WithLeafNodeType(types.NodeTypeIt)
	wrote := slices.ContainsFunc(specs, func(spec SpecReport) bool {
		return spec.LeafNodeText == writesBesideTheSuite && spec.State.Is(types.SpecStatePassed)
	})
	if wrote {
		Expect("nested_test.go").To(BeAnExistingFile(), "the control: files there are to be seen")
		Expect(os.Remove(written)).To(MatchError(fs.ErrNotExist), "what a spec has written is on the machine")
	}
})
