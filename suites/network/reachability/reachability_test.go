package reachability_test

import (
	"fmt"
	"math/rand/v2"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func count() int {
	if os.Getenv("NSTEST_SOAK") == "1" {
		return 200
	}
	return 12
}

var _ = Describe("In a random environment", func() {
	for i := range count() {
		It(fmt.Sprintf("hosts reach each other as its plan says (%d)", i), func() {
			seed := uint64(GinkgoRandomSeed())
			p := newPlan(rand.New(rand.NewPCG(seed, uint64(i))))
			e := newEnvironment(p)
			expected := p.answers(echo, connect, refusal)
			GinkgoWriter.Printf("-ginkgo.seed=%d, number %d: %s\n", seed, i, tally(expected))
			Expect(e.differences(expected)).To(BeEmpty(), "-ginkgo.seed=%d, number %d\n%s", seed, i, p)

			if i%2 != 0 {
				return // it takes most of a second until hosts ask again for neighbours that were not there
			}
			By("repairing everything")
			e.repair()
			expected = p.answers(echo)
			GinkgoWriter.Println(tally(expected))
			Expect(e.differences(expected)).To(BeEmpty(), "-ginkgo.seed=%d, number %d, repaired\n%s", seed, i, p)
		})
	}
})

func tally(expected map[question]bool) string {
	yes := 0
	for _, want := range expected {
		if want {
			yes++
		}
	}
	return fmt.Sprintf("%d of %d questions are to be answered", yes, len(expected))
}
