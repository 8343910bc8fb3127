package network

import (
	"errors"
	"os"
	"runtime"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// A view is what there is to see from the calling thread's network namespace, and from where a socket was made.
type view struct {
	Devices    []string
	Old, Fresh search // for nz0, by a socket that was made before, and by one that is made for it
}

// A search is what became of looking a device up.
type search struct {
	Found bool
	Errno unix.Errno
}

// keepSocket makes the device nz0 and a socket, leaves the namespace, and is what there is to see before and after.
var keepSocket = nsx.Register("network/keep-socket", func(*nsx.Parent, any) (views [2]view, err error) {
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "nz0"}}); err != nil {
		return views, err
	}
	old, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return views, err
	}
	defer unix.Close(old)
	for i := range views {
		if i > 0 {
			if err := nsx.UnshareThread(nsx.Net); err != nil {
				return views, err
			}
		}
		if views[i], err = lookUp(old); err != nil {
			return views, err
		}
	}
	return views, nil
})

func lookUp(old int) (v view, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return v, err
	}
	for _, l := range links {
		v.Devices = append(v.Devices, l.Attrs().Name)
	}
	fresh, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return v, err
	}
	defer unix.Close(fresh)
	if v.Old, err = searchDevice(old, "nz0"); err != nil {
		return v, err
	}
	v.Fresh, err = searchDevice(fresh, "nz0")
	return v, err
}

// searchDevice asks the namespace of a socket for a device.
func searchDevice(socket int, name string) (search, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return search{}, err
	}
	var errno unix.Errno
	err = unix.IoctlIfreq(socket, unix.SIOCGIFINDEX, request)
	if errors.As(err, &errno) {
		return search{Errno: errno}, nil
	}
	return search{Found: true}, err
}

// places are the network namespaces of a process, which is its first thread, and of the calling one.
type places struct{ Process, Thread string }

func readPlaces() (p places, err error) {
	if p.Process, err = os.Readlink("/proc/self/ns/net"); err != nil {
		return p, err
	}
	p.Thread, err = os.Readlink("/proc/thread-self/ns/net")
	return p, err
}

// leaveOnThread has a second thread leave the network namespace, and is where that is before and after.
var leaveOnThread = nsx.Register("network/leave-on-thread", func(*nsx.Parent, any) (list [2]places, err error) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var err error
		if list[0], err = readPlaces(); err == nil {
			if err = nsx.UnshareThread(nsx.Net); err == nil {
				list[1], err = readPlaces()
			}
		}
		done <- err
	}()
	err = <-done
	return list, err
})

func registerThreads() {
	property.It("N21", func(ctx SpecContext, c *property.Check) {
		views, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, keepSocket, nil)
		Expect(err).NotTo(HaveOccurred())
		before, after := views[0], views[1]
		c.Positive("a socket finds its namespace's device nz0, before and after its process has left", func() {
			c.Saw("before", before)
			c.Saw("after", after)
			Expect(before.Devices).To(ConsistOf("lo", "nz0"))
			Expect(before.Old.Found).To(BeTrue())
			Expect(before.Fresh.Found).To(BeTrue())
			Expect(after.Old.Found).To(BeTrue())
		})
		c.Negative("there is none for a socket that is made afterwards", func() {
			c.Saw("devices", after.Devices)
			c.Saw("looking for it", after.Fresh)
			Expect(after.Devices).To(ConsistOf("lo"))
			Expect(after.Fresh).To(Equal(search{Errno: unix.ENODEV}))
		})
	})

	property.It("N22", func(ctx SpecContext, c *property.Check) {
		list, err := nsx.Run(ctx, nsx.Spec{}, leaveOnThread, nil)
		Expect(err).NotTo(HaveOccurred())
		before, after := list[0], list[1]
		c.Positive("before it calls unshare(2), a thread is where its process is", func() {
			c.Saw("namespaces", before)
			Expect(before.Thread).To(Equal(before.Process))
		})
		c.Negative("afterwards it is elsewhere, and the process is where it was", func() {
			c.Saw("namespaces", after)
			Expect(after.Thread).NotTo(Equal(after.Process))
			Expect(after.Process).To(Equal(before.Process))
		})
	})
}
