package nstest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/draw"
)

// graph is the topology in words, to be drawn.
func (t *Topology) graph() *draw.Graph {
	g := &draw.Graph{Title: t.Name}
	networks, machines := map[string]int{}, map[string]int{}
	for i, n := range t.Networks {
		networks[n.Name] = i
		g.Networks = append(g.Networks, n.drawn())
	}
	network := func(name string) int {
		i, known := networks[name]
		if !known { // a program has made this topology
			i = len(g.Networks)
			networks[name] = i
			g.Networks = append(g.Networks, draw.Network{Name: name})
		}
		return i
	}
	routers := 0
	for i, h := range t.Hosts {
		machines[h.Name] = i
		m := draw.Machine{Name: h.Name, Router: h.Router}
		m.Facts, m.Details = h.facts()
		for _, l := range h.Links {
			m.Cables = append(m.Cables, draw.Cable{Network: network(l.Network), Interface: l.Interface, Addrs: texts(l.Addrs), MAC: l.MAC, Down: l.Down})
		}
		g.Machines = append(g.Machines, m)
		if h.Router {
			routers++
		}
	}
	for _, n := range t.Networks {
		for _, to := range n.Trunks {
			g.Joins = append(g.Joins, draw.Join{From: network(n.Name), To: network(to), Label: "trunk"})
		}
		if n.Over != "" {
			g.Joins = append(g.Joins, draw.Join{From: network(n.Name), To: network(n.Over), Label: "over"})
		}
	}
	for _, groups := range t.Partitions {
		var f draw.Fault
		for _, group := range groups {
			var members []int
			for _, name := range group {
				if i, known := machines[name]; known { // a host that was removed is cut off again when it is back
					members = append(members, i)
				}
			}
			f.Groups = append(f.Groups, members)
		}
		g.Faults = append(g.Faults, f)
	}
	g.Summary = counted(len(g.Networks), "network") + ", " + counted(len(t.Hosts)-routers, "host")
	if routers > 0 {
		g.Summary += ", " + counted(routers, "router")
	}
	return g
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

func texts[T fmt.Stringer](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}

// drawn is the network in a few words.
func (n TopologyNetwork) drawn() draw.Network {
	d := draw.Network{Name: n.Name, Facts: texts(n.Prefixes)}
	add := func(is bool, fact string) {
		if is {
			d.Facts = append(d.Facts, fact)
		}
	}
	add(n.PointToPoint, "point-to-point")
	add(n.Hub, "hub")
	add(n.STP, "STP")
	medium := n.Medium
	if n.VNI != 0 {
		medium += " " + strconv.Itoa(n.VNI)
	}
	add(n.Medium != "", medium)
	add(n.MTU != 0 && n.MTU != 1500, "MTU "+strconv.Itoa(n.MTU))
	if len(n.Gateways) > 0 {
		d.Details = []string{"gateway " + strings.Join(texts(n.Gateways), " ")}
	}
	return d
}

// facts are what the host does, in a few words each, and in full.
func (h TopologyHost) facts() (short, long []string) {
	if n := len(h.Routes); n > 0 {
		short = append(short, counted(n, "route"))
	}
	for _, r := range h.Routes {
		long = append(long, r.text())
	}
	if h.MoreRoutes {
		long = append(long, "and more routes")
	}
	for _, n := range h.NAT {
		short = append(short, "NAT "+n.Kind.String())
		long = append(long, n.text())
		for _, f := range n.Forwards {
			text := fmt.Sprintf("forward %s %d to %s", f.Network, f.Port, f.To)
			short, long = append(short, text), append(long, text)
		}
	}
	if n := h.NAT64; n != nil {
		prefix := n.Prefix
		if !prefix.IsValid() {
			prefix = netip.MustParsePrefix("64:ff9b::/96")
		}
		short = append(short, "NAT64")
		long = append(long, fmt.Sprintf("nat64 %s outside %s", prefix, n.Outside))
	}
	for _, a := range h.Advertise {
		short = append(short, "RA "+a.Network)
		long = append(long, strings.TrimSpace("advertise "+a.Network+" "+strings.Join(texts(a.Prefixes), " ")))
	}
	if f := h.Firewall; f != nil {
		text := fmt.Sprintf("firewall %s, %s", f.Default, counted(f.Rules, "rule"))
		if f.Stateless {
			text += ", stateless"
		}
		short, long = append(short, text), append(long, text)
	}
	for _, device := range h.Borrowed {
		text := "borrowed " + device
		short, long = append(short, text), append(long, text)
	}
	return short, long
}

// text is the route in the words of ip-route(8).
func (r Route) text() string {
	to := r.To.String()
	if !r.To.IsValid() || r.To.Bits() == 0 {
		to = "default"
	}
	text := "route " + to
	if r.Type != Unicast {
		text = "route " + r.Type.String() + " " + to
	}
	if r.Via.IsValid() {
		text += " via " + r.Via.String()
	} else if r.Network != "" {
		text += " on " + r.Network
	}
	if r.Metric != 0 {
		text += " metric " + strconv.Itoa(r.Metric)
	}
	if r.Table != 0 {
		text += " table " + strconv.Itoa(r.Table)
	}
	return text
}

func (n NAT) text() string {
	text := "nat " + n.Kind.String() + " outside " + n.Outside
	if len(n.Inside) > 0 {
		text += " inside " + strings.Join(n.Inside, " ")
	}
	if n.Hairpin {
		text += " hairpin"
	}
	if n.NAT66 {
		text += " nat66"
	}
	if n.NPTv6.IsValid() {
		text += " nptv6 " + n.NPTv6.String()
	}
	return text
}
