package mount

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerDiscs() {
	property.Seed("a CD-ROM that is mounted after a slave began is seen there, and not by one with a private copy", func(ctx SpecContext) {
		media := ground(shared, "cdrom")
		cdrom := media + "/cdrom"
		follower, recluse := enter(ctx, private), enter(ctx, private)
		do(follower, propagate("/", slave|recursive))
		do(recluse, propagate("/", alone|recursive))

		By("the disc is put in")
		do(outside, tmpfs(cdrom), write(cdrom+"/README", "a disc"))
		Expect(outside).To(matchers.HaveMount(cdrom, matchers.Shared))
		Expect(follower).To(matchers.HaveMount(cdrom, matchers.Slave))
		Expect(do(follower, read(cdrom+"/README"))).To(Equal("a disc"))
		Expect(recluse).NotTo(matchers.HaveMount(cdrom))
		Expect(failure(recluse, read(cdrom+"/README"))).To(MatchError(unix.ENOENT))

		By("the slave puts it away, which is its own affair")
		do(follower, umount(cdrom))
		Expect(follower).NotTo(matchers.HaveMount(cdrom))
		Expect(outside).To(matchers.HaveMount(cdrom))

		By("the disc is taken out")
		end := watched(cdrom)
		do(outside, umount(cdrom))
		Expect(outside).NotTo(matchers.HaveMount(cdrom))
		Eventually(end.hasEnded).WithContext(ctx).Should(BeTrue(), "nobody else has kept it")
	})

	property.Seed("a CD-ROM that was mounted before is taken out of a slave too, and stays in a private copy", func(ctx SpecContext) {
		media := ground(shared, "cdrom")
		cdrom := media + "/cdrom"
		do(outside, tmpfs(cdrom))
		follower, recluse := enter(ctx, private), enter(ctx, private)
		do(follower, propagate("/", slave|recursive))
		do(recluse, propagate("/", alone|recursive))
		Expect(follower).To(matchers.HaveMount(cdrom))
		Expect(recluse).To(matchers.HaveMount(cdrom))

		do(outside, umount(cdrom))
		Expect(outside).NotTo(matchers.HaveMount(cdrom))
		Expect(follower).NotTo(matchers.HaveMount(cdrom))
		Expect(recluse).To(matchers.HaveMount(cdrom))
	})
}
