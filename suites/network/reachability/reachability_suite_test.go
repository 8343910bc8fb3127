// Package reachability_test compares who reaches whom in random environments with what their plans say. What the plans say
// is computed here, from routes, cables, partitions and firewalls, without a look at the environment.
//
// The environments follow from Ginkgo's seed, which it prints: -ginkgo.seed makes the same ones again. NSTEST_SOAK=1 makes
// many.
package reachability_test

import (
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestReachability(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Reachability")
}
