// Package shop_test shows how a system of services is tested with the servers that it stands on: five programs of ours,
// PostgreSQL, Redis, NATS and nginx, a payment provider on the internet and a browser. Every spec has a shop of its own,
// with everybody at the usual port under the usual name, breaks in it what it likes, and runs beside the others.
//
// Begin with shop_test.go.
package shop_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/fixtures/postgres"
	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestShop(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	suite, reporter := GinkgoConfiguration()
	reporter.Verbose = reporter.Verbose || testing.Verbose() // `go test -v` shows every step
	nstest.RunSpecs(t, "Shop", suite, reporter)
}

// prepared is what is done once, on the machine, for all specs.
var prepared struct {
	Binaries string // the directory of the services' programs
	Missing  string // why there is no PostgreSQL
}

var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "shop-")
	Expect(err).NotTo(HaveOccurred())
	prepared.Binaries = dir
	for _, sources := range []string{"cmd", "internal", "../internal"} { // where "go test" sees that they change, it runs again
		Expect(filepath.WalkDir(sources, func(_ string, _ fs.DirEntry, err error) error { return err })).To(Succeed())
	}
	build("-o", dir+string(filepath.Separator), "./cmd/...")
	build("-o", filepath.Join(dir, "orders-v1"), "-tags", "v1", "./cmd/orders")

	err = postgres.Prepare(context.Background(), shopDatabase)
	if errors.Is(err, postgres.ErrNotInstalled) {
		prepared.Missing, err = err.Error(), nil
	}
	Expect(err).NotTo(HaveOccurred())
	all, err := json.Marshal(prepared)
	Expect(err).NotTo(HaveOccurred())
	return all
}, func(all []byte) {
	Expect(json.Unmarshal(all, &prepared)).To(Succeed())
})

var _ = SynchronizedAfterSuite(func() {}, func() {
	Expect(os.RemoveAll(prepared.Binaries)).To(Succeed())
})

// build builds programs. Without what debuggers read, it takes half the time.
func build(args ...string) {
	GinkgoHelper()
	output, err := exec.Command("go", append([]string{"build", "-buildvcs=false", "-ldflags=-s -w"}, args...)...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(output))
}

var _ = BeforeEach(func() {
	if prepared.Missing != "" {
		require.Skip(prepared.Missing, "install the package postgresql: apt-get install --no-install-recommends postgresql")
	}
	for _, program := range []string{"redis-server", "nats-server", "nginx"} {
		require.PackageProgram(program, program)
	}
})
