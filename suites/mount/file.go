package mount

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerFiles() {
	property.Seed("files are shared between mount namespaces, unlike mounts", func(ctx SpecContext) {
		for _, s := range []nsx.Spec{private, unprivileged(0)} {
			dir := ground(alone, "own")
			inside := enter(ctx, s)
			do(inside, write(dir+"/inside", "from inside"))
			do(outside, write(dir+"/outside", "from outside"))
			Expect(do(outside, read(dir+"/inside"))).To(Equal("from inside"))
			Expect(do(inside, read(dir+"/outside"))).To(Equal("from outside"))

			By("in a mount of its own they are its own")
			do(inside, tmpfs(dir+"/own"), write(dir+"/own/file", ""))
			Expect(outside).NotTo(matchers.HaveMount(dir + "/own"))
			Expect(failure(outside, read(dir+"/own/file"))).To(MatchError(unix.ENOENT))
		}
	})

	property.Seed("/etc/hosts, hostname and resolv.conf bound read-only are a process's own, and fixed", func(ctx SpecContext) {
		dir := ground(alone)
		own := map[string]string{"hosts": "10.9.8.7\tinside\n", "hostname": "inside\n", "resolv.conf": "nameserver 10.9.8.1\n"}
		inside := enter(ctx, nsx.Spec{Kinds: nsx.Mount | nsx.UTS})
		for name, text := range own {
			at := "/etc/" + name
			before := do(outside, read(at))
			Expect(before).NotTo(Equal(text))
			do(outside, write(dir+"/"+name, text))

			do(inside, bind(dir+"/"+name, at, 0))
			Expect(do(inside, read(at))).To(Equal(text))
			Expect(failure(inside, write(at, text))).NotTo(HaveOccurred(), "as long as it is not read-only it can be written")
			do(inside, remount(at, unix.MS_RDONLY))
			Expect(failure(inside, write(at, "other"))).To(MatchError(unix.EROFS))
			Expect(do(inside, read(at))).To(Equal(text))
			Expect(do(outside, read(at))).To(Equal(before))
			Expect(os.WriteFile(dir+"/"+name, []byte("changed\n"), 0o644)).To(Succeed(), "who has bound it may write to it")
			Expect(do(inside, read(at))).To(Equal("changed\n"))
		}
	})
}
