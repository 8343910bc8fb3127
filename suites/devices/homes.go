package devices

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// homes are the home directories of root and of other people than the one who runs this, as passwd(5) knows them.
func homes() (dirs []string) {
	GinkgoHelper()
	f, err := os.Open("/etc/passwd")
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Split(s.Text(), ":")
		uid, err := strconv.Atoi(fields[2])
		Expect(err).NotTo(HaveOccurred())
		if person := uid == 0 || uid >= 1000 && uid < 65534; person && (uid == 0 || uid != os.Getuid()) {
			dirs = append(dirs, filepath.Clean(fields[5]))
		}
	}
	return dirs
}

// readIn lists the regular files directly in some directories that the calling process may read.
func readIn(dirs []string) (paths []string) {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it is not to be read, which is no failure
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.Type().IsRegular() && unix.Access(path, unix.R_OK) == nil {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

var readInside = nsx.Register("devices/read-in", func(_ *nsx.Parent, dirs []string) ([]string, error) { return readIn(dirs), nil })

func registerHomes() {
	property.It("D7", func(_ SpecContext, c *property.Check) {
		others := homes()
		c.Positive("the probe finds what may be read, as in /etc", func() {
			found := readIn([]string{"/etc"})
			c.Saw("files", len(found))
			Expect(found).To(ContainElement("/etc/passwd"))
		})
		if require.IsMachineRoot() {
			found := readIn(others)
			if len(found) == 0 {
				c.Skip("there is no file in anybody's home", "run the suite where somebody has logged in")
			}
			c.Positive("and, as the machine's root, files in people's homes", func() {
				c.Saw("homes", others)
				c.Saw("files", len(found))
			})
		}
		c.Negative("root of an environment reads none in root's home, nor in other people's", func() {
			found, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{}).Self(), readInside, others)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("homes", others)
			c.Saw("files", found)
			Expect(found).To(BeEmpty())
		})
	}, nstest.InProcess)
}
