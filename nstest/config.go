package nstest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// Config says what an environment is like. The zero value is a good environment: every namespace its own, a private
// root behind which the machine's tree is visible, and one network with automatic addresses.
type Config struct {
	// Name is for messages. It need not be unique. Default: the test's name, or "env".
	Name string

	// Hostname of the environment's own host. Default: "self"; where a spec or test runs inside, "spec".
	Hostname string

	// Root is a directory of the machine that becomes the environment's root, behind a layer that vanishes. Default:
	// the machine's own tree, with secrets and other people's homes covered.
	Root string

	// Layers says which directories of the machine, stacked, become the environment's root in place of Root: the lowest
	// first, as an image lists its layers, at most 128. What a higher one has hides what lower ones have at the same path,
	// and directories merge. A higher one hides without showing anything by what overlayfs takes for that: a whiteout, which is
	// a character device 0:0, and a directory whose attribute overlay.opaque is "y" (its prefix is trusted. as root, and user.
	// otherwise). Nothing is written to any of them. With more than 16, Linux 6.8 or later is needed.
	//
	// Layers is called whenever an environment is made, and by nobody else: not where a spec's own process builds the tree
	// of specs again. Package fixtures/image has images whose method Layers is one.
	Layers func(context.Context) ([]string, error)

	// MachineRoot leaves the machine's tree as it is, without a private root: only /proc, /sys, /tmp, /run, /dev/shm and
	// /dev/mqueue are the environment's own. It is faster by the price of an overlay. As root, processes inside have no
	// rights over anybody's files; as an ordinary user they can write what that user can.
	MachineRoot bool

	// Visible are paths of the machine that are to be seen at their own place although they lie in a directory that is
	// covered, such as /tmp or /root. What is written there vanishes. The program itself, the module or working
	// directory, and Go's own directories are visible anyway.
	Visible []string

	// Shared are directories of the machine that are written through.
	Shared []Shared

	// Devices are device nodes of the machine to be shown at their own place, below /dev.
	Devices []string

	// IDs is how many user and group ids exist inside. Default: 65536 as root; otherwise as many as the system grants.
	IDs int

	// Share are the namespaces that are not the environment's own but the caller's. With PID or Mount these are not the
	// machine's either, but private copies that all environments of the program that share them have in common.
	Share Namespaces

	// Time shifts the monotonic and boot clocks (Linux 5.6). The wall clock cannot be shifted.
	Time *TimeOffsets

	// CapDrop are capabilities that nothing inside can have, and CapAdd exceptions from them: names of capabilities(7),
	// with or without CAP_, or ALL.
	CapDrop, CapAdd []string

	// Privileged leaves the user namespace out: root inside is the machine's root. It needs real root, isolates little
	// from a hostile process, and is meant for experiments with the kernel.
	Privileged bool

	// AllowIOUring lets io_uring_setup(2) through, which can make sockets that no filter sees.
	AllowIOUring bool

	// Loopback leaves the environment without a network: it has lo alone, and no hosts can be added until AddNetwork.
	Loopback bool

	// Lend are network devices of the machine that hosts may Borrow at the wish of a process inside, such as a hermetic spec.
	// The program that opens the environment may have any borrowed.
	Lend []string

	// Network describes the first network. Its default name is "lan". With Loopback or Share.Net there is none to describe.
	Network NetworkConfig

	// Outbound lets the environment reach what the machine can reach. Default: nothing.
	Outbound *Outbound
}

// A Shared directory is one that the machine and the environment both see, and write.
//
// As root, files made inside by root belong to the invoking user: the one in SUDO_UID, or else the directory's owner.
// Where only root is left the directory is read-only inside, because a setuid program made there would be the machine's
// root's.
type Shared struct {
	Path          string // absolute, without symbolic links
	Target        string // where it is inside; "" is Path
	ReadOnly      bool
	AllowHostRoot bool // let files made inside belong to the machine's root
}

// TimeOffsets are added to the clocks (time_namespaces(7)). Neither clock can become negative.
type TimeOffsets struct{ Monotonic, Boottime time.Duration }

// Namespaces names kinds of namespaces.
type Namespaces struct{ Net, IPC, UTS, PID, Mount, Cgroup bool }

func (n Namespaces) names() []string {
	var list []string
	for _, k := range []struct {
		set  bool
		name string
	}{{n.Net, "net"}, {n.IPC, "ipc"}, {n.UTS, "uts"}, {n.PID, "pid"}, {n.Mount, "mnt"}, {n.Cgroup, "cgroup"}} {
		if k.set {
			list = append(list, k.name)
		}
	}
	return list
}

// NetworkConfig describes a network: a switch on which hosts hang, up to 1,023 (Trunks included), or a medium over another
// network. Hosts that talk to very many others may find the machine's neighbour table full, which all network namespaces share:
// net.ipv4.neigh.default.gc_thresh3 and its twin of IPv6, by default 1,024 entries.
type NetworkConfig struct {
	// Name is unique in the environment. It is required for AddNetwork.
	Name string

	// Prefixes are the network's addresses, at most one of IPv4 and one of IPv6. A family without one gets an automatic
	// prefix: 10.N.0.0/16 and fd6e:…/64.
	Prefixes []netip.Prefix

	// Gateway is where hosts send what is for no network of theirs: whoever has that address. Default: the first Router on
	// the network; without one, nowhere, so that such a connection fails at once.
	Gateway netip.Addr

	// MTU in bytes, from 1280 to 65535, of every cable to it. Default: 1500.
	MTU int

	// NoIPv4 and NoIPv6 leave a family out.
	NoIPv4, NoIPv6 bool

	// PointToPoint makes it a link between two hosts; a third is refused. Its automatic prefixes are a /31 (RFC 3021) and a
	// /127 (RFC 6164), of which both addresses are given out. Explicit ones may be larger.
	PointToPoint bool

	// Hub makes the switch forget who is where: every frame goes to every host, and one in promiscuous mode sees them all.
	Hub bool

	// Trunks are networks whose switches this one's is cabled to. Together they are one segment, with the prefixes and the
	// gateway of its first network, the one without Trunks; this one has none of its own. A host gets the segment's next free
	// address, whichever switch it hangs on. A loop is refused unless every switch of it has STP.
	//
	// A Partition cuts hosts on different switches by the MAC addresses of their links: those that a host gives itself are
	// not cut.
	Trunks []string

	// STP has the switch speak the spanning tree protocol (IEEE 802.1D-1998), with the shortest times that Linux permits. A
	// port passes frames 4 seconds after it is plugged in, for which AddHost and Link.Up wait. The network that was made
	// first is the root of the tree.
	STP bool

	// Medium is what carries the frames. Anything but Switched is made of the hosts' links to the network Over, which a host
	// must have before it gets one to this network. Such a link has no cable of its own: its Up and Down are refused, and a
	// Partition cuts it by cutting the network Over.
	Medium Medium
	Over   string

	// VNI is the number of a VXLAN, 1 to 16777215. Default: one that is free in the environment.
	VNI int
}

// A Medium is what carries the frames of a network.
type Medium int

// The values of Medium.
const (
	// Switched is a cable from each host to a switch.
	Switched Medium = iota

	// VXLAN is UDP packets between the hosts, to port 4789 (RFC 7348). They find each other by multicast on the network below.
	// The MTU is less than that network's by 50 bytes, or by 70 if that has IPv6 alone. It needs CONFIG_VXLAN.
	VXLAN

	// Macvlan is further MAC addresses on the hosts' cables to the network below. It needs CONFIG_MACVLAN.
	Macvlan
)

func (m Medium) String() string {
	if names := [...]string{"", "vxlan", "macvlan"}; m >= 0 && int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("Medium(%d)", int(m))
}

// leaveOut is a variable that names guards which every environment of the program lacks, separated by semicolons. It is
// there for suites/mutation, which sees that some spec notices each of them.
const leaveOut = "NSTEST_LEAVE_OUT"

func (c NetworkConfig) params() wire.NetworkParams {
	return wire.NetworkParams{Name: c.Name, Prefixes: c.Prefixes, Gateway: c.Gateway, MTU: c.MTU, NoIPv4: c.NoIPv4, NoIPv6: c.NoIPv6,
		PointToPoint: c.PointToPoint, Hub: c.Hub, Trunks: c.Trunks, STP: c.STP, Medium: c.Medium.String(), Over: c.Over, VNI: c.VNI}
}

// params checks what can be checked here and fills in the defaults.
func (c Config) params(ctx context.Context) (wire.OpenParams, error) {
	p := wire.OpenParams{
		Name: c.Name, Hostname: c.Hostname, Root: c.Root, MachineRoot: c.MachineRoot, IDCount: c.IDs, Devices: c.Devices,
		ShareKinds: c.Share.names(), CapAdd: c.CapAdd, CapDrop: c.CapDrop, Privileged: c.Privileged,
		AllowIOUring: c.AllowIOUring, Loopback: c.Loopback, Lend: c.Lend, Network: c.Network.params(), Outbound: c.Outbound.params(),
	}
	if p.Name == "" {
		p.Name = "env"
	}
	if p.Network.Name == "" {
		p.Network.Name = "lan"
	}
	if (c.Loopback || c.Share.Net) && !reflect.DeepEqual(c.Network, NetworkConfig{}) {
		return p, errors.New("with Loopback or Share.Net there is no first network: leave Network out, and use AddNetwork")
	}
	if err := c.addLayers(ctx, &p); err != nil {
		return p, err
	}
	if c.Time != nil {
		p.Time = &wire.TimeOffsets{Monotonic: c.Time.Monotonic, Boottime: c.Time.Boottime}
	}
	for _, s := range c.Shared {
		if s.Path == "" {
			return p, errors.New("a shared directory has no Path")
		}
		p.Shared = append(p.Shared, wire.Share(s))
	}
	for _, path := range c.Visible {
		if _, err := os.Stat(path); err != nil {
			return p, fmt.Errorf("visible path: %w", err)
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return p, fmt.Errorf("visible path: %w", err)
		}
		p.Visible = append(p.Visible, abs)
	}
	if guards := os.Getenv(leaveOut); guards != "" {
		p.LeaveOut = strings.Split(guards, ";")
	}
	layered, readOnly := needed()
	p.Visible = append(p.Visible, layered...)
	p.ReadOnly = readOnly
	return p, nil
}

// addLayers asks for the layers, unless the rest of c makes them pointless.
func (c Config) addLayers(ctx context.Context, p *wire.OpenParams) error {
	if c.Layers != nil && c.Root == "" && (c.MachineRoot || c.Share.Mount) {
		return errors.New("layers need a root of the environment's own: leave out MachineRoot and Share.Mount")
	}
	var err error
	p.Layers, err = layersOf(ctx, c.Root, c.Layers)
	return err
}

// layersOf asks for the layers of an environment or host, if it has any.
func layersOf(ctx context.Context, root string, ask func(context.Context) ([]string, error)) ([]string, error) {
	switch {
	case ask == nil:
		return nil, nil
	case root != "":
		return nil, errors.New("with Root there are no Layers: name the directory among them, the lowest first")
	}
	layers, err := ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("layers: %w", err)
	}
	if len(layers) == 0 {
		return nil, errors.New("layers: there are none, and a root needs one: leave Layers out for the tree that is there without")
	}
	return layers, nil
}
