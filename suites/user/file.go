package user

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// run executes a program and returns what it prints.
var run = nsx.Register("user/run", func(_ *nsx.Parent, command []string) (string, error) {
	out, err := exec.Command(command[0], command[1:]...).Output()
	return strings.TrimSpace(string(out)), err
})

// list reads a directory.
var list = nsx.Register("user/list", func(_ *nsx.Parent, dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
})

// fileCapability is a file's attribute with capabilities(7), in the version that names no namespace: CAP_NET_RAW, effective.
func fileCapability() []byte {
	words := []uint32{0x02000001, 1 << unix.CAP_NET_RAW, 0, 0, 0}
	var attr []byte
	for _, w := range words {
		attr = binary.LittleEndian.AppendUint32(attr, w)
	}
	return attr
}

const (
	capabilityAttribute = "security.capability"
	netRaw              = "0000000000002000" // the identity.Capabilities of who has CAP_NET_RAW alone
)

// An attribute is a file's capabilities as a process reads them.
type attribute struct {
	Version int
	Root    int // whose namespace they are for; -1 where the version names none
}

func readAttribute(path string) (attribute, error) {
	data := make([]byte, 24)
	n, err := unix.Getxattr(path, capabilityAttribute, data)
	if err != nil {
		return attribute{}, err
	}
	a := attribute{int(binary.LittleEndian.Uint32(data) >> 24), -1}
	if n == len(data) {
		a.Root = int(binary.LittleEndian.Uint32(data[20:]))
	}
	return a, nil
}

// A bestowal is what is seen of a program that was given capabilities in a user namespace.
type bestowal struct {
	Inside, Outside attribute
	InsideCaps      string // of who executes it inside and is not root
	OutsideCaps     string // of who owns it
}

// executed is the capabilities that a copy of cat has.
func executed(ctx context.Context, s nsx.Spec, cat string) (string, error) {
	status, err := nsx.Run(ctx, s, run, []string{cat, "/proc/self/status"})
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", errors.New("no CapEff in the status of a program")
}

// bestowInside gives a program the capability, as root of a user namespace, and executes it as an ordinary user of one within.
var bestowInside = nsx.Register("user/bestow-inside", func(_ *nsx.Parent, cat string) (b bestowal, err error) {
	if err := unix.Setxattr(cat, capabilityAttribute, fileCapability(), 0); err != nil {
		return b, err
	}
	if b.Inside, err = readAttribute(cat); err != nil {
		return b, err
	}
	id := other
	one := []nsx.IDMap{{Inside: id, Outside: 0, Count: 1}}
	b.InsideCaps, err = executed(context.Background(), nsx.Spec{Kinds: nsx.User, UIDMaps: one, UID: &id}, cat)
	return b, err
})

// bestow has bestowInside do so in a namespace whose root is the caller, and executes the program as itself.
var bestow = nsx.Register("user/bestow", func(_ *nsx.Parent, cat string) (b bestowal, err error) {
	if err := copyProgram("cat", cat); err != nil {
		return b, err
	}
	if b, err = nsx.Run(context.Background(), nsx.Spec{}.AsRoot(), bestowInside, cat); err != nil {
		return b, err
	}
	if b.Outside, err = readAttribute(cat); err != nil {
		return b, err
	}
	b.OutsideCaps, err = executed(context.Background(), nsx.Spec{}, cat)
	return b, err
})

// copyProgram copies a program of the machine.
func copyProgram(name, path string) error {
	program, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func registerFiles() {
	property.It("R14", func(ctx SpecContext, c *property.Check) {
		needIDs(c, other)
		const owner = 5
		// A file system of the environment's own, because /tmp honours no setuid bit.
		dir := GinkgoTB().TempDir()
		Expect(unix.Mount("setuid", dir, "tmpfs", 0, "")).To(Succeed())
		DeferCleanup(unix.Unmount, dir, unix.MNT_DETACH)
		id := filepath.Join(dir, "id")
		require.Program("id")
		Expect(copyProgram("id", id)).To(Succeed())
		Expect(os.Chown(id, owner, owner)).To(Succeed())
		Expect(os.Chmod(id, os.ModeSetuid|0o755)).To(Succeed())

		executed := func(s nsx.Spec) string {
			GinkgoHelper()
			uid, err := nsx.Run(ctx, s, run, []string{id, "-u"})
			Expect(err).NotTo(HaveOccurred())
			c.Saw("id -u", uid)
			return uid
		}
		c.Positive("where the owner, 5, has an id the program runs as the owner", func() {
			Expect(executed(nsx.Spec{})).To(Equal("5"))
		})
		c.Positive("so it does where that id is 77", func() {
			both := []nsx.IDMap{{Inside: 0, Outside: 0, Count: 1}, {Inside: 77, Outside: owner, Count: 1}}
			Expect(executed(nsx.Spec{Kinds: nsx.User, UIDMaps: both, GIDMaps: both})).To(Equal("77"))
		})
		c.Negative("where the owner has none it runs as its caller", func() {
			Expect(executed(nsx.Spec{}.AsRoot())).To(Equal("0"))
		})
	})

	// The machine's own user namespace is what must not honour the capability: one of ours, as its parent, would.
	property.It("R15", func(ctx SpecContext, c *property.Check) {
		require.Program("cat")
		user, own := ordinary()
		dir := GinkgoTB().TempDir()
		var fs unix.Statfs_t
		Expect(unix.Statfs(dir, &fs)).To(Succeed())
		if fs.Flags&unix.ST_NOSUID != 0 {
			c.Skip(dir+" honours no capabilities of files: it is mounted with nosuid", "set TMPDIR to a directory that is not")
		}
		if user.UID != nil {
			Expect(os.Chown(dir, own, own)).To(Succeed())
		}
		b, err := nsx.Run(ctx, user, bestow, filepath.Join(dir, "cat"))
		if errors.Is(err, unix.EOPNOTSUPP) {
			c.Skip("the file system of "+dir+" has no capabilities of files", "set TMPDIR to a directory on ext4, xfs or tmpfs")
		}
		Expect(err).NotTo(HaveOccurred())
		c.Positive("inside, the file reads as it was written, and who executes it has the capability", func() {
			c.Saw("attribute", b.Inside)
			c.Saw("capabilities of its process", b.InsideCaps)
			Expect(b.Inside).To(Equal(attribute{2, -1}))
			Expect(b.InsideCaps).To(Equal(netRaw))
		})
		c.Negative("outside, it says whose namespace it is for, and gives nobody anything", func() {
			c.Saw("attribute", b.Outside)
			c.Saw("capabilities of its process", b.OutsideCaps)
			Expect(b.Outside).To(Equal(attribute{3, own}))
			Expect(b.OutsideCaps).To(Equal(none))
		})
	}, nstest.InProcess)

	property.It("R17", func(ctx SpecContext, c *property.Check) {
		dir := GinkgoTB().TempDir()
		Expect(os.Chmod(filepath.Dir(dir), 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "secret"), nil, 0o600)).To(Succeed())
		Expect(os.Chmod(dir, 0o700)).To(Succeed())
		read := func(s nsx.Spec, dir string) ([]string, error) {
			GinkgoHelper()
			me, err := nsx.Run(ctx, s, whoAmI, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(me).To(Equal(identity{0, 0, allCapabilities()}), "root reads, with all capabilities")
			names, err := nsx.Run(ctx, s, list, dir)
			c.Saw(dir, names)
			c.Saw("error", err)
			return names, err
		}
		c.Positive("root of the environment reads a directory of its own, mode 0700", func() {
			Expect(read(nsx.Spec{}, dir)).To(Equal([]string{"secret"}))
		})
		c.Positive("so does root of a namespace within, who is the same id outside", func() {
			Expect(read(nsx.Spec{}.AsRoot(), dir)).To(Equal([]string{"secret"}))
		})
		c.Negative("neither reads one of the machine's root", func() {
			for _, s := range []nsx.Spec{{}, nsx.Spec{}.AsRoot()} {
				_, err := read(s, rootsDirectory)
				Expect(err).To(MatchError(unix.EACCES))
			}
		})
		if ids() > other {
			c.Negative("root of a namespace who is another id outside does not read the environment's", func() {
				_, err := read(rootAs(other), dir)
				Expect(err).To(MatchError(unix.EACCES))
			})
		}
	})
}
