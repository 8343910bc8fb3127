package security

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// A file is what somebody outside sees of one.
type file struct {
	Owner  int
	Setuid bool
}

func registerShared() {
	// install has root of an environment make a setuid program in a directory that is shared with it, and returns what it is
	// outside.
	install := func(share nstest.Shared) (file, error) {
		GinkgoHelper()
		env := nstest.New(GinkgoTB(), nstest.Config{Shared: []nstest.Shared{share}})
		program := filepath.Join(share.Path, "program")
		if _, err := env.Self().Command("install", "-m", "4755", "/bin/true", program).Output(); err != nil {
			return file{}, err
		}
		Expect(env.Self().Command("stat", "-c", "%u %a", program).Output()).To(BeEquivalentTo("0 4755\n"), "inside it is root's")
		info, err := os.Stat(program)
		Expect(err).NotTo(HaveOccurred())
		return file{int(info.Sys().(*syscall.Stat_t).Uid), info.Mode()&os.ModeSetuid != 0}, nil
	}
	// directory is one of the machine's that belongs to a user.
	directory := func(owner int) string {
		GinkgoHelper()
		dir := GinkgoTB().TempDir()
		Expect(os.Chown(dir, owner, owner)).To(Succeed())
		return dir
	}

	property.Seed("make no program of the machine's root's in a directory of a user's that they share", func(SpecContext) {
		owner := os.Getuid()
		if owner == 0 {
			require.MachineRoot()
			Expect(install(nstest.Shared{Path: directory(0), AllowHostRoot: true})).To(Equal(file{0, true}),
				"the control: who asks for the hole by its name gets it")
			owner = 1000
		}
		dir := directory(owner)
		if id, err := strconv.Atoi(os.Getenv("SUDO_UID")); err == nil && id != 0 && os.Getuid() == 0 {
			owner = id
		}
		Expect(install(nstest.Shared{Path: dir})).To(Equal(file{owner, true}))
		Expect(owner).NotTo(BeZero())
	}, nstest.InProcess)

	property.Seed("make nothing at all in one of the machine's root's, unless somebody has called sudo", func(SpecContext) {
		require.MachineRoot()
		dir := directory(0)
		if id := os.Getenv("SUDO_UID"); id != "" && id != "0" {
			Skip("there is a user whose the files can be: " + id + "\nWhat to do: run it as root without sudo")
		}
		_, err := install(nstest.Shared{Path: dir})
		Expect(err).To(HaveOccurred())
		Expect(err.(*nstest.ExitError).Stderr).To(ContainSubstring("Read-only file system"))
		Expect(os.ReadDir(dir)).To(BeEmpty())
		Expect(install(nstest.Shared{Path: dir, AllowHostRoot: true})).To(Equal(file{0, true}), "the control")
	}, nstest.InProcess)
}
