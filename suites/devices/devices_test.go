package devices

import (
	"os"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestDevices(t *testing.T) {
	RegisterFailHandler(Fail)
	Register()
	nstest.RunSpecs(t, "Devices and files")
}
