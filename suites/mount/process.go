package mount

import (
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
)

// A process is one that makes mounts and is looked at by matchers: the spec's own, or one in a namespace of its own.
type process interface {
	PID() int
	try(deed) (string, error)
}

// here is the spec's own process, in its environment: "outside" of the namespaces that the spec makes.
type here struct{}

var outside here

func (here) PID() int                   { return os.Getpid() }
func (here) try(d deed) (string, error) { return d.perform() }

// A worker is a process that does deeds in its namespaces, one after the other.
type worker struct{ *nsx.Process[any] }

var work = nsx.Register("mount/work", func(parent *nsx.Parent, _ any) (any, error) {
	var last outcome
	for {
		var next deed
		if err := parent.Report(last, &next); err != nil {
			return nil, err
		}
		last = outcomeOf(next.perform())
	}
})

// enter starts a worker. It ends with the spec.
func enter(ctx SpecContext, s nsx.Spec) worker {
	GinkgoHelper()
	p, err := nsx.Spawn(ctx, s, work, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	Expect(p.Await(nil)).To(Succeed())
	return worker{p}
}

func (w worker) try(d deed) (string, error) {
	if err := w.Continue(d); err != nil {
		return "", err
	}
	var o outcome
	if err := w.Await(&o); err != nil {
		return "", err
	}
	return o.Value, o.err()
}

// do has a process do deeds that have to succeed, and is the last one's value.
func do(p process, deeds ...deed) (value string) {
	GinkgoHelper()
	for _, d := range deeds {
		var err error
		value, err = p.try(d)
		Expect(err).NotTo(HaveOccurred(), "process %d: %v (it says %q)", p.PID(), d, value)
	}
	return value
}

// failure is the error of a deed.
func failure(p process, d deed) error {
	_, err := p.try(d)
	return err
}

// ground is a fresh tmpfs of the spec's environment, with some empty directories. flags say how it propagates. Processes
// that begin with a copy of the environment's mounts have it too.
func ground(flags uintptr, dirs ...string) (path string) {
	GinkgoHelper()
	path = GinkgoTB().TempDir()
	do(outside, mount("tmpfs", path, "mode=755"))
	DeferCleanup(func() error { return failure(outside, detach(path)) })
	do(outside, propagate(path, flags))
	for _, d := range dirs {
		Expect(os.MkdirAll(path+"/"+d, 0o755)).To(Succeed())
	}
	return path
}

// mountsAt are the mounts that a process has at a path, the topmost one last.
func mountsAt(p process, path string) []*mountinfo.Info {
	GinkgoHelper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", p.PID()))
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	infos, err := mountinfo.GetMountsFromReader(f, func(i *mountinfo.Info) (skip, stop bool) { return i.Mountpoint != path, false })
	Expect(err).NotTo(HaveOccurred())
	return infos
}

// tags are the optional fields of the mounts at a path, "shared:5 master:2", which say how they propagate: "private" is none
// of them, and "no mount" is what it says.
func tags(p process, path string) string {
	GinkgoHelper()
	var words []string
	for _, i := range mountsAt(p, path) {
		if i.Optional == "" {
			i.Optional = "private"
		}
		words = append(words, i.Optional)
	}
	if len(words) == 0 {
		return "no mount"
	}
	return strings.Join(words, ", ")
}

// private is the spec of a process with a copy of the spec's mounts, which propagate as they do there.
var private = nsx.Spec{Kinds: nsx.Mount}

// unprivileged is likewise, in a user namespace of its own: its rights over mounts begin with its own ones.
func unprivileged(more nsx.Kinds) nsx.Spec {
	return nsx.Spec{Kinds: nsx.Mount | more}.AsRoot()
}

// everyWay is s by each of the ways in which a mount namespace is made.
func everyWay(s nsx.Spec) (list []nsx.Spec) {
	for _, s.How = range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare} {
		list = append(list, s)
	}
	return list
}

// The propagation types, and the flag that means a mount with all below it.
const (
	shared, slave, alone, unbindable = unix.MS_SHARED, unix.MS_SLAVE, unix.MS_PRIVATE, unix.MS_UNBINDABLE
	recursive                        = unix.MS_REC
)
