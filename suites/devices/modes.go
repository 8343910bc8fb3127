package devices

import (
	"io/fs"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/property"
)

// modes are those of files.
var modes = nsx.Register("devices/modes", func(_ *nsx.Parent, paths []string) (map[string]fs.FileMode, error) {
	found := map[string]fs.FileMode{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		found[path] = info.Mode()
	}
	return found, nil
})

func registerModes() {
	property.It("D8", func(_ SpecContext, c *property.Check) {
		const everybodys = fs.ModeDir | fs.ModeSticky | 0o777
		declared := map[string]fs.FileMode{
			"/proc": fs.ModeDir | 0o555, "/sys": fs.ModeDir | 0o555,
			"/dev": fs.ModeDir | 0o755, "/dev/pts": fs.ModeDir | 0o755, "/dev/shm": everybodys, "/dev/mqueue": everybodys,
			"/run": fs.ModeDir | 0o755, "/tmp": everybodys, "/var/tmp": everybodys,
			"/etc/hostname": 0o644, "/etc/hosts": 0o644, "/etc/resolv.conf": 0o644,
		}
		var paths []string
		for path := range declared {
			paths = append(paths, path)
		}
		unix.Umask(0o077)
		c.Positive("the program's umask is seen in the mode of what it makes", func() {
			Expect(os.Mkdir("/tmp/made", 0o777)).To(Succeed())
			info, err := os.Stat("/tmp/made")
			Expect(err).NotTo(HaveOccurred())
			c.Saw("mode", info.Mode())
			Expect(info.Mode()).To(Equal(fs.ModeDir | 0o700))
		})
		env := nstest.New(GinkgoTB(), nstest.Config{})
		for what, host := range map[string]*nstest.Host{"an environment": env.Self(), "a further host": env.Host("other")} {
			c.Negative("and not in that of what is made for "+what, func() {
				found, err := inside.Run(host, modes, paths)
				Expect(err).NotTo(HaveOccurred())
				c.Saw("modes", found)
				Expect(found).To(Equal(declared))
			})
		}
	})
}
