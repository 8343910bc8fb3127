// Package topology_test holds the specs of drawing an environment, and of ready-made topologies inside of one.
package topology_test

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

func TestTopology(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Topology")
}
