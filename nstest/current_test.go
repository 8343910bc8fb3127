package nstest_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The suite runs in a program of its own, as Ginkgo runs one suite a program.
func TestCurrentInProcess(t *testing.T) {
	if os.Getenv("NSTEST_INPROCESS") == "1" {
		RegisterFailHandler(Fail)
		nstest.RunSpecs(t, "Specs in the suite's process")
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCurrentInProcess$", "-test.v", "-ginkgo.no-color")
	cmd.Env = append(os.Environ(), "NSTEST_INPROCESS=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "2 Passed | 0 Failed") {
		t.Errorf("%v:\n%s", err, out)
	}
}

var _ = Describe("A spec in the suite's process", Ordered, func() {
	var before *nstest.Env
	It("has one environment, whichever goroutine asks", func() {
		envs := make([]*nstest.Env, 8)
		var asking sync.WaitGroup
		for i := range envs {
			asking.Go(func() {
				defer GinkgoRecover()
				envs[i] = nstest.Current()
			})
		}
		asking.Wait()
		before = nstest.Current()
		Expect(envs).To(HaveEach(BeIdenticalTo(before)))
	})
	It("has another one than the spec before, which is no more", func() {
		Expect(nstest.Current()).NotTo(BeIdenticalTo(before))
		Expect(nstest.Current().Self().Command("true").Run()).To(Succeed())
		Expect(before.Self().Command("true").Run()).To(MatchError(nstest.ErrClosed))
	})
})
