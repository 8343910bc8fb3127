package mount

import (
	"fmt"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// joined starts a worker in a namespace of one kind that is open.
func joined(ctx SpecContext, kind nsx.Kinds, f *os.File) worker {
	GinkgoHelper()
	return enter(ctx, into(kind, f))
}

func into(kind nsx.Kinds, f *os.File) nsx.Spec {
	return nsx.Spec{How: nsx.Setns, Kinds: kind, Into: []*os.File{f}}
}

// furnished starts a process with a mount namespace that has a file system of its own, which a file is in.
func furnished(ctx SpecContext, path string) worker {
	GinkgoHelper()
	w := enter(ctx, private)
	do(w, tmpfs(path), write(path+"/file", "text"))
	return w
}

// watchedIn watches the file system that a process has at a path.
func watchedIn(p process, path string) *watch {
	GinkgoHelper()
	return watched(fmt.Sprintf("/proc/%d/root%s", p.PID(), path))
}

func registerKeepers() {
	property.Seed("a mount namespace that nobody keeps ends with its last process", func(ctx SpecContext) {
		path := ground(alone, "at") + "/at"
		last := furnished(ctx, path)
		end := watchedIn(last, path)
		Expect(end.hasEnded()).To(BeFalse())
		Expect(last.Close()).To(Succeed())
		Eventually(end.hasEnded).WithContext(ctx).Should(BeTrue())
	})

	property.Seed("one that is pinned by a bind mount outlives it, until that is unmounted", func(ctx SpecContext) {
		dir := ground(alone, "at")
		path, pin := dir+"/at", dir+"/pin"
		do(outside, write(pin, ""))
		// Of two, the kernel allows one to be pinned in the other: see M19.
		keeper, last := furnished(ctx, path), furnished(ctx, path)
		if failure(keeper, bind(namespaceOf(last), pin, 0)) != nil {
			keeper, last = last, keeper
			do(keeper, bind(namespaceOf(last), pin, 0))
		}
		end := watchedIn(last, path)
		inode, err := last.Inode(nsx.Mount)
		Expect(err).NotTo(HaveOccurred())
		Expect(last.Close()).To(Succeed())

		f, err := os.Open(fmt.Sprintf("/proc/%d/root%s", keeper.PID(), pin))
		Expect(err).NotTo(HaveOccurred())
		Expect(f).To(matchers.BeInNamespace(nsx.Mount, inode))
		next := joined(ctx, nsx.Mount, f)
		Expect(f.Close()).To(Succeed())
		Expect(do(next, read(path+"/file"))).To(Equal("text"))
		Expect(next.Close()).To(Succeed())
		Expect(end.hasEnded()).To(BeFalse())

		do(keeper, umount(pin))
		Eventually(end.hasEnded).WithContext(ctx).Should(BeTrue())
	})

	property.Seed("one that is open outlives it, until the file is closed", func(ctx SpecContext) {
		path := ground(alone, "at") + "/at"
		last := furnished(ctx, path)
		end := watchedIn(last, path)
		f, err := last.Open(nsx.Mount)
		Expect(err).NotTo(HaveOccurred())
		Expect(last.Close()).To(Succeed())
		next := joined(ctx, nsx.Mount, f)
		Expect(do(next, read(path+"/file"))).To(Equal("text"))
		Expect(next.Close()).To(Succeed())
		Expect(end.hasEnded()).To(BeFalse())

		Expect(f.Close()).To(Succeed())
		Eventually(end.hasEnded).WithContext(ctx).Should(BeTrue())
	})
}

func registerKinds() {
	for _, kind := range []nsx.Kinds{nsx.UTS, nsx.IPC, nsx.Net, nsx.Cgroup, nsx.User} {
		property.Seed("a namespace of kind "+kind.String()+" that is pinned or open can be joined when its last process has ended", func(ctx SpecContext) {
			s := nsx.Spec{Kinds: kind}
			if kind == nsx.User {
				s = s.AsRoot()
			}
			last := enter(ctx, s)
			inode, err := last.Inode(kind)
			Expect(err).NotTo(HaveOccurred())
			pin := ground(alone) + "/pin"
			Expect(last.Pin(kind, pin)).To(Succeed())
			open, err := last.Open(kind)
			Expect(err).NotTo(HaveOccurred())
			defer open.Close()
			Expect(last.Close()).To(Succeed())

			pinned, err := os.Open(pin)
			Expect(err).NotTo(HaveOccurred())
			for _, f := range []*os.File{open, pinned} {
				next := joined(ctx, kind, f)
				Expect(next).To(matchers.BeInNamespace(kind, inode))
				Expect(outside).NotTo(matchers.BeInNamespace(kind, inode))
				Expect(next.Close()).To(Succeed())
			}

			Expect(pinned.Close()).To(Succeed())

			do(outside, umount(pin))
			file, err := os.Open(pin)
			Expect(err).NotTo(HaveOccurred())
			defer file.Close()
			_, err = nsx.Spawn(ctx, into(kind, file), work, nil)
			Expect(err).To(MatchError(unix.EINVAL), "it is a file like any other")
		})
	}

	property.Seed("a PID namespace can be joined while its init lives; once that has ended, an open file keeps but the name", func(ctx SpecContext) {
		last := enter(ctx, nsx.Spec{Kinds: nsx.PID})
		open, err := last.Open(nsx.PID)
		Expect(err).NotTo(HaveOccurred())
		defer open.Close()
		Expect(joined(ctx, nsx.PID, open)).To(matchers.ShareNamespace(nsx.PID, open))
		Expect(last.Close()).To(Succeed())

		_, err = nsx.Spawn(ctx, into(nsx.PID, open), work, nil)
		Expect(err).To(MatchError(unix.ENOMEM))
	})
}
