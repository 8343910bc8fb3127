package network

import (
	"net/netip"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
)

// ways are those in which a process gets a new network namespace.
var ways = []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare}

// A namespace is a network namespace that lives as long as the file that has it open, or a process in it.
type namespace struct {
	file   *os.File
	holder *nsx.Process[any]
}

// hold reports once, and ends when it may go on.
var hold = nsx.Register("network/hold", func(parent *nsx.Parent, _ any) (any, error) { return nil, parent.Report(nil, nil) })

// newNamespace makes a network namespace with one process in it, whose other namespaces are those of the spec.
func newNamespace(ctx SpecContext) namespace {
	GinkgoHelper()
	p, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.Net}, hold, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	Expect(p.Await(nil)).To(Succeed())
	f, err := p.Open(nsx.Net)
	Expect(err).NotTo(HaveOccurred())
	n := namespace{f, p}
	DeferCleanup(n.end)
	return n
}

// end ends what keeps n alive, unless that has happened.
func (n namespace) end() {
	GinkgoHelper()
	Expect(n.holder.Close()).To(Succeed())
	n.file.Close()
}

// join is the spec of a process that joins n.
func (n namespace) join() nsx.Spec { return nsx.Spec{How: nsx.Setns, Into: []*os.File{n.file}} }

// A device is what a namespace is to have, or to change if Kind is "".
type device struct {
	Name, Kind string
	Peer       string // the other end, of a veth; what it stands on, of a macvlan
	Addrs      []netip.Prefix
	Master     string // the bridge that it is plugged into
	Set        string // "up", "down", or "" for how it is
}

// make makes or changes a device of the calling thread's namespace.
func (d device) make() error {
	var err error
	switch d.Kind {
	case "":
	case "veth":
		err = rtnetlink.AddVeth(d.Name, d.Peer)
	case "macvlan":
		err = rtnetlink.AddMacvlan(d.Name, d.Peer)
	default:
		err = rtnetlink.Add(d.Name, d.Kind)
	}
	for _, a := range d.Addrs {
		if err == nil {
			err = rtnetlink.AddAddr(d.Name, a)
		}
	}
	if err == nil && d.Master != "" {
		err = rtnetlink.SetMaster(d.Name, d.Master)
	}
	switch {
	case err == nil && d.Set == "up":
		err = rtnetlink.Up(d.Name)
	case err == nil && d.Set == "down":
		err = rtnetlink.Down(d.Name)
	}
	return err
}

// unshareMounts gives the calling thread, a probe's, a mount namespace of its own, from which nothing is passed on.
func unshareMounts() error {
	if err := nsx.UnshareThread(nsx.Mount); err != nil {
		return err
	}
	return os.NewSyscallError("make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// equip makes and changes devices of its namespace, and returns all that there are then.
var equip = nsx.Register("network/equip", func(_ *nsx.Parent, list []device) ([]rtnetlink.Link, error) {
	for _, d := range list {
		if err := d.make(); err != nil {
			return nil, err
		}
	}
	return rtnetlink.Links()
})

// equipped makes and changes devices of n, and returns all that there are then.
func (n namespace) equipped(ctx SpecContext, list ...device) []rtnetlink.Link {
	GinkgoHelper()
	links, err := nsx.Run(ctx, n.join(), equip, list)
	Expect(err).NotTo(HaveOccurred())
	return links
}

// here makes and changes devices of the spec's namespace, and returns all that there are then.
func here(list ...device) []rtnetlink.Link {
	GinkgoHelper()
	for _, d := range list {
		Expect(d.make()).To(Succeed())
	}
	links, err := rtnetlink.Links()
	Expect(err).NotTo(HaveOccurred())
	return links
}
