package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"golang.org/x/sys/unix"
)

// A Net is what looks at a network namespace.
type Net struct {
	route      *rtnl.Conn
	diag       *netlink
	spent      bool     // the answers in diag are those to an earlier question
	filter     *netlink // nil where the kernel has none
	raw        []*os.File
	packet     *os.File
	statistics []*os.File
	devices    map[int]string
}

// OpenNet opens everything in the namespace that is needed, and reads nothing yet. The caller closes the Net.
func OpenNet(netns *os.File) (*Net, error) {
	n := &Net{}
	err := ns.InNet(netns, n.open)
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Net) open() (err error) {
	if n.route, err = rtnl.Open(); err != nil {
		return err
	}
	if n.diag, err = openNetlink(unix.NETLINK_SOCK_DIAG); err != nil {
		return err
	}
	if n.filter, err = openNetlink(unix.NETLINK_NETFILTER); errors.Is(err, unix.EPROTONOSUPPORT) {
		err = nil
	}
	if err != nil {
		return err
	}
	open := func(name string) *os.File {
		f, ferr := os.Open("/proc/thread-self/net/" + name)
		if ferr != nil && !errors.Is(ferr, os.ErrNotExist) { // of a kernel without IPv6, say
			err = errors.Join(err, ferr)
		}
		return f
	}
	for _, name := range []string{"raw", "raw6"} {
		if f := open(name); f != nil {
			n.raw = append(n.raw, f)
		}
	}
	n.packet = open("packet")
	for _, name := range []string{"netstat", "snmp", "snmp6"} {
		if f := open(name); f != nil {
			n.statistics = append(n.statistics, f)
		}
	}
	return err
}

// Close closes what OpenNet has opened.
func (n *Net) Close() error {
	var errs []error
	if n.route != nil {
		errs = append(errs, n.route.Close())
	}
	for _, s := range []*netlink{n.diag, n.filter} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	for _, f := range append(append(n.raw, n.packet), n.statistics...) {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// Interfaces lists the devices with their addresses, and what could not be seen, as the other methods do.
func (n *Net) Interfaces() ([]record.Interface, []string) {
	links, truncated, err := n.route.FirstLinks(mostInterfaces)
	if err != nil {
		return nil, []string{err.Error()}
	}
	var notes []string
	if truncated {
		notes = append(notes, more(mostInterfaces, "interfaces"))
	}
	addrs, truncated, err := n.route.FirstAddrs(mostAddresses)
	if err != nil {
		notes = append(notes, err.Error())
	}
	if truncated {
		notes = append(notes, more(mostAddresses, "addresses"))
	}
	of := map[int][]string{}
	for _, a := range addrs {
		of[a.Index] = append(of[a.Index], a.Prefix.String())
	}
	var list []record.Interface
	for _, l := range links {
		list = append(list, record.Interface{
			Name: l.Name, State: l.OperState.String(), MAC: mac(l.MAC), MTU: l.MTU, Addrs: of[l.Index], Down: l.Flags&unix.IFF_UP == 0,
			RxPackets: l.Stats.RxPackets, RxBytes: l.Stats.RxBytes, RxDropped: l.Stats.RxDropped, RxErrors: l.Stats.RxErrors,
			TxPackets: l.Stats.TxPackets, TxBytes: l.Stats.TxBytes, TxDropped: l.Stats.TxDropped, TxErrors: l.Stats.TxErrors,
		})
	}
	n.devices = map[int]string{}
	for _, l := range links {
		n.devices[l.Index] = l.Name
	}
	return list, notes
}

// device is the name of a device, where Interfaces has seen it.
func (n *Net) device(index int) string {
	if name, ok := n.devices[index]; ok || index == 0 {
		return name
	}
	return "#" + strconv.Itoa(index)
}

func mac(b []byte) string {
	if slices.Max(append([]byte{0}, b...)) == 0 { // lo
		return ""
	}
	var s strings.Builder
	for i, c := range b {
		if i > 0 {
			s.WriteByte(':')
		}
		fmt.Fprintf(&s, "%02x", c)
	}
	return s.String()
}

var routeTypes = map[uint8]string{
	unix.RTN_UNICAST: "", unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast", unix.RTN_MULTICAST: "multicast",
	unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw",
}

// Routes lists the routes of all tables but that of the host's own addresses.
func (n *Net) Routes() ([]record.Route, []string) {
	routes, truncated, err := n.route.FirstRoutes(mostRoutes, func(r rtnl.Route) bool { return r.Table != unix.RT_TABLE_LOCAL })
	if err != nil {
		return nil, []string{err.Error()}
	}
	var notes []string
	if truncated {
		notes = append(notes, more(mostRoutes, "routes"))
	}
	var list []record.Route
	for _, r := range routes {
		to := r.Dst.String()
		if r.Dst.Bits() == 0 {
			to = "default"
			if r.Dst.Addr().Is6() && !r.Gateway.IsValid() {
				to = "default (IPv6)"
			}
		}
		k := record.Route{To: to, Device: n.device(r.Index), Type: routeTypes[r.Type]}
		if _, known := routeTypes[r.Type]; !known {
			k.Type = "type " + strconv.Itoa(int(r.Type))
		}
		if r.Gateway.IsValid() {
			k.Via = r.Gateway.String()
		}
		if r.Table != unix.RT_TABLE_MAIN {
			k.Table = int(r.Table)
		}
		list = append(list, k)
	}
	return list, notes
}

var neighbourStates = []struct {
	bit  uint16
	name string
}{
	{1, "INCOMPLETE"}, {2, "REACHABLE"}, {4, "STALE"}, {8, "DELAY"}, {16, "PROBE"}, {32, "FAILED"}, {64, "NOARP"}, {128, "PERMANENT"},
}

const withoutARP = 64

// Neighbours lists those whom the host has asked for their hardware addresses, or was told them.
func (n *Net) Neighbours() ([]record.Neighbour, []string) {
	neighbours, truncated, err := n.route.FirstNeighbours(mostNeighbours, func(k rtnl.Neighbour) bool { return k.State&withoutARP == 0 && k.Addr.IsValid() })
	if err != nil {
		return nil, []string{err.Error()}
	}
	var notes []string
	if truncated {
		notes = append(notes, more(mostNeighbours, "neighbours"))
	}
	var list []record.Neighbour
	for _, k := range neighbours {
		state := "NONE"
		for _, s := range neighbourStates {
			if k.State&s.bit != 0 {
				state = s.name
			}
		}
		list = append(list, record.Neighbour{Addr: k.Addr.String(), Device: n.device(k.Index), MAC: mac(k.MAC), State: state})
	}
	slices.SortFunc(list, func(a, b record.Neighbour) int {
		x, _ := netip.ParseAddr(a.Addr)
		y, _ := netip.ParseAddr(b.Addr)
		return cmp.Or(cmp.Compare(a.Device, b.Device), x.Compare(y))
	})
	return list, notes
}

// Sockets lists the sockets, without those who have them open: see Processes.
func (n *Net) Sockets() ([]record.Socket, []string) { return n.sockets() }
