package network

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	"github.com/hermetic-go/nstest/suites/property"
)

// spareVariable names a physical device that specs may take away from the machine for a moment. Nobody's is taken who has
// not said so.
const spareVariable = "NSTEST_SPARE_NIC"

const spareRemedy = "run it as root, with " + spareVariable + "=eth1 for a physical device that is down and that nothing uses"

// spare is the device that may be taken, or why there is none.
func spare() (string, error) {
	name := os.Getenv(spareVariable)
	switch {
	case name == "":
		return "", fmt.Errorf("it takes a physical device away from the machine for a moment, and %s names none", spareVariable)
	case !require.IsMachineRoot():
		return "", fmt.Errorf("it takes the machine's root to move %s", name)
	}
	if _, err := os.Stat(filepath.Join("/sys/class/net", name, "device")); err != nil {
		return "", fmt.Errorf("%s is no physical device: %w", name, err)
	}
	link, err := rtnetlink.Find(name)
	if err == nil && link.Up {
		err = fmt.Errorf("%s is up, so that somebody may use it", name)
	}
	return name, err
}

// A frame is what is sent, and looked for, at a device: its EtherType is one for experiments (IEEE 802).
type frame struct{ Device, Text string }

const etherType = 0x88b5

// broadcast sends a frame to everybody on the wire.
var broadcast = nsx.Register("network/send", func(_ *nsx.Parent, f frame) (any, error) {
	fd, to, err := packetSocket(f.Device)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	broadcast := bytes.Repeat([]byte{0xff}, 6)
	data := append(append(broadcast, 2, 0, 0, 0, 0, 1), byte(etherType>>8), byte(etherType&0xff))
	data = append(data, make([]byte, 46)...) // the least that Ethernet carries
	copy(data[14:], f.Text)
	return nil, os.NewSyscallError("sendto", unix.Sendto(fd, data, 0, to))
})

// capture reports when it listens at a device, and returns the texts of the frames up to the one that is given.
var capture = nsx.Register("network/capture", func(parent *nsx.Parent, last frame) ([]string, error) {
	fd, _, err := packetSocket(last.Device)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := parent.Report(nil, nil); err != nil {
		return nil, err
	}
	var list []string
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case err == unix.EINTR, err == unix.ENETDOWN: // which it says once if the device was down
			continue
		case err != nil:
			return nil, os.NewSyscallError("recvfrom", err)
		}
		if n < 14 || binary.BigEndian.Uint16(buf[12:]) != etherType {
			continue
		}
		text := strings.TrimRight(string(buf[14:n]), "\x00")
		list = append(list, text)
		if text == last.Text {
			return list, nil
		}
	}
})

// packetSocket is a socket for all frames at a device, also those that go out.
func packetSocket(device string) (int, *unix.SockaddrLinklayer, error) {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return 0, nil, err
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	at := &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}
	if err := unix.Bind(fd, at); err != nil {
		unix.Close(fd)
		return 0, nil, os.NewSyscallError("bind", err)
	}
	return fd, at, nil
}

// bridge moves a device into a namespace, and has it bridged there to a veth. What is sent at the veth's other end leaves
// at the device once it is plugged into the bridge, and not before. The namespace has ended then.
func bridge(ctx SpecContext, nic string) {
	GinkgoHelper()
	n := newNamespace(ctx)
	Expect(rtnetlink.Move(nic, n.file, "")).To(Succeed())
	n.equipped(ctx, device{Name: "switch", Kind: "bridge", Set: "up"}, device{Name: "box", Kind: "veth", Peer: "port", Set: "up"},
		device{Name: "port", Master: "switch", Set: "up"}, device{Name: nic, Set: "up"})
	Eventually(ctx, func() []rtnetlink.Link { return n.equipped(ctx) }).Should(ContainElement(And(HaveField("Name", nic), haveCarrier())), "is there a cable in it?")
	Eventually(ctx, func() []rtnetlink.Link { return n.equipped(ctx) }).Should(ContainElement(And(HaveField("Name", "box"), haveCarrier())))
	listen := func(device, last string) *nsx.Process[[]string] {
		GinkgoHelper()
		p, err := nsx.Spawn(ctx, n.join(), capture, frame{device, last})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(p.Close)
		Expect(p.Await(nil)).To(Succeed())
		Expect(p.Continue(nil)).To(Succeed())
		return p
	}
	sent := func(text string) {
		GinkgoHelper()
		_, err := nsx.Run(ctx, n.join(), broadcast, frame{"box", text})
		Expect(err).NotTo(HaveOccurred())
	}
	atNIC, atSwitch := listen(nic, "bridged"), listen("switch", "not bridged")
	sent("not bridged")
	Expect(atSwitch.Result()).To(Equal([]string{"not bridged"}), "the bridge itself has it")
	n.equipped(ctx, device{Name: nic, Master: "switch"})
	Eventually(ctx, func() <-chan struct{} { // until the port forwards
		sent("bridged")
		return atNIC.Ended()
	}).Should(BeClosed())
	Expect(atNIC.Result()).To(Equal([]string{"bridged"}))
	n.end()
}

func registerNICs() {
	property.It("N11", func(ctx SpecContext, c *property.Check) {
		nic, err := spare()
		c.Need(err, spareRemedy)
		inside := newNamespace(ctx)
		inside.equipped(ctx, device{Name: "virtual", Kind: "veth", Peer: "virtual-peer"})
		c.Positive("it is moved to another namespace, where a virtual one is too", func() {
			Expect(rtnetlink.Move(nic, inside.file, "")).To(Succeed())
			there := rtnetlink.Names(inside.equipped(ctx))
			c.Saw("devices there", there)
			Expect(there).To(ContainElements(nic, "virtual"))
			Expect(rtnetlink.Names(here())).NotTo(ContainElement(nic))
		})
		c.Negative("when that ends it comes back, and the virtual one does not", func() {
			inside.end()
			Eventually(ctx, func() []string { return rtnetlink.Names(here()) }).Should(ContainElement(nic))
			now := rtnetlink.Names(here())
			c.Saw("devices here", now)
			Expect(now).NotTo(ContainElement("virtual"))
		})
	}, Serial, nstest.InProcess) // a physical device is in the machine's namespace: no environment has one

	property.Seed("have a veth bridged to another device", func(ctx SpecContext) {
		here(device{Name: "cable", Kind: "veth", Peer: "far-end"}, device{Name: "far-end", Set: "up"})
		bridge(ctx, "cable")
	})

	property.Seed("have a veth bridged to a physical device", func(ctx SpecContext) {
		nic, err := spare()
		if err != nil { // not a matter of NSTEST_MUST_RUN: few machines have one to spare
			Skip(err.Error() + "\nWhat to do: " + spareRemedy)
		}
		bridge(ctx, nic)
		Eventually(ctx, rtnetlink.Find).WithArguments(nic).ShouldNot(BeZero(), "it comes back")
	}, Serial, nstest.InProcess)
}
