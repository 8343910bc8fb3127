package analysis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

// telling are the kernel's counters that say why something did not arrive (netstat(8) -s).
var telling = map[string]string{
	"ListenOverflows":           "connections that did not fit into an accept queue",
	"ListenDrops":               "connections that a listening socket has dropped",
	"TCPReqQFullDrop":           "connection requests dropped because the queue of requests was full",
	"TCPReqQFullDoCookies":      "SYN cookies sent because the queue of requests was full",
	"TCPBacklogDrop":            "segments dropped because the backlog was full",
	"TCPAbortOnMemory":          "connections ended for lack of memory",
	"TCPMemoryPressures":        "times that TCP was short of memory",
	"RcvbufErrors":              "datagrams dropped because the receive buffer was full",
	"SndbufErrors":              "datagrams dropped because the send buffer was full",
	"InCsumErrors":              "packets with a wrong checksum",
	"IPReversePathFilter":       "packets dropped by the reverse path filter",
	"InNoRoutes":                "packets without a route",
	"OutNoRoutes":               "packets without a route",
	"TCPTimeWaitOverflow":       "connections in TIME-WAIT that did not fit",
	"PAWSEstab":                 "segments dropped for their old timestamp",
	"ReasmFails":                "packets that could not be put together from fragments",
	"FragFails":                 "packets that could not be fragmented",
	"TCPRcvQDrop":               "segments dropped because the receive queue was full",
	"TCPZeroWindowDrop":         "segments dropped for a window of zero",
	"TCPKeepAliveFails":         "connections ended without an answer to keep-alives",
	"TCPAbortOnTimeout":         "connections ended because retransmissions had no answer",
	"TCPAbortFailed":            "resets that could not be sent",
	"InAddrErrors":              "packets for an address that is none of the host's",
	"InUnknownProtos":           "packets of unknown protocols",
	"TCPMD5Failure":             "segments with a wrong MD5 signature",
	"TCPFastOpenListenOverflow": "TCP fast open requests that did not fit",
}

// The bounds from which on something is full.
const (
	fullPercent   = 97
	manyDropped   = 10 // packets of an interface: a few are when it comes up
	waitsForDisk  = "D"
	waitsForDebug = "T"
)

// state finds what stands out in the state of the hosts.
func (f *finder) state() {
	if f.a.State == nil {
		return
	}
	for _, h := range f.a.State.Hosts {
		f.ended(h)
		f.mounts(h)
		f.sockets(h)
		f.counters(h)
		f.interfaces(h)
		for _, p := range h.Processes {
			switch {
			case strings.HasPrefix(p.State, waitsForDisk):
				f.inState(Odd, h.Name, "processes", fmt.Sprintf("%s: process %d waits in the kernel: %s", h.Name, p.PID, commandText(p.Args)), p.Waits)
			case strings.HasPrefix(p.State, waitsForDebug):
				f.inState(Bad, h.Name, "processes", fmt.Sprintf("%s: process %d is stopped: %s", h.Name, p.PID, commandText(p.Args)), "by a signal, or a debugger")
			case strings.HasPrefix(p.State, "Z"):
				f.inState(Odd, h.Name, "processes", fmt.Sprintf("%s: process %d is a zombie: %s", h.Name, p.PID, commandText(p.Args)), "its parent has not waited for it")
			}
		}
		for _, n := range h.Neighbours {
			if n.State == "FAILED" || n.State == "INCOMPLETE" {
				f.inState(Odd, h.Name, "neighbours", fmt.Sprintf("%s: nobody says who has %s", h.Name, f.named(n.Addr)), "ARP or neighbour discovery "+strings.ToLower(n.State))
			}
		}
	}
}

// ended finds processes that have ended badly, of which no event tells.
func (f *finder) ended(h bundle.HostState) {
	for _, p := range h.Ended {
		told := slices.ContainsFunc(f.about[p.Number], func(n int) bool {
			i := f.a.Items[n]
			return i.Kind == Process && i.Host == h.Name && !i.Lasts
		})
		if !told {
			f.inState(Odd, h.Name, "ended", fmt.Sprintf("%s: ended: %s — %s", h.Name, p.State, Clip(commandText(p.Args), 160)), "")
		}
	}
}

// named is an address with its host.
func (f *finder) named(addr string) string {
	for a, host := range f.a.addrs {
		if a.String() == addr {
			return addr + " (" + host + ")"
		}
	}
	return addr
}

// mounts finds file systems without room. Those that are read-only are full by nature.
func (f *finder) mounts(h bundle.HostState) {
	for _, m := range h.Mounts {
		if slices.Contains(strings.Split(m.Options, ","), "ro") {
			continue
		}
		if m.Size > 0 && float64(m.Size-m.Free) >= float64(m.Size)*fullPercent/100 {
			f.inState(Bad, h.Name, "mounts", fmt.Sprintf("%s: %s is full", h.Name, m.Target), fmt.Sprintf("%s of %s are left (%s)", size(m.Free), size(m.Size), m.Type))
		}
		if m.Inodes > 0 && float64(m.Inodes-m.IFree) >= float64(m.Inodes)*fullPercent/100 {
			f.inState(Bad, h.Name, "mounts", fmt.Sprintf("%s: %s has no inodes left", h.Name, m.Target), fmt.Sprintf("%d of %d (%s)", m.IFree, m.Inodes, m.Type))
		}
	}
}

// maxUnread is how many bytes nobody has read before that stands out.
const maxUnread = 64 << 10

// sockets finds queues that are full.
func (f *finder) sockets(h bundle.HostState) {
	for _, s := range h.Sockets {
		listens := strings.HasPrefix(strings.ToUpper(s.State), "LISTEN")
		switch {
		case listens && s.Receive > 0 && s.Receive >= s.Send:
			f.inState(Bad, h.Name, "sockets", fmt.Sprintf("%s: the accept queue of %s is full", h.Name, s.Local), fmt.Sprintf("%d connections wait, of %d that may", s.Receive, s.Send))
		case listens && s.Receive > 0:
			f.inState(Odd, h.Name, "sockets", fmt.Sprintf("%s: connections to %s are not accepted", h.Name, s.Local), fmt.Sprintf("%d wait, of %d that may", s.Receive, s.Send))
		case listens || s.Protocol != "tcp" && s.Protocol != "udp":
		case s.State == "SYN-SENT" || s.State == "SYN_SENT":
			f.inState(Bad, h.Name, "sockets", fmt.Sprintf("%s: still connecting to %s", h.Name, s.Remote), retries(s.Retries))
		case s.Retries > 0:
			f.inState(Bad, h.Name, "sockets", fmt.Sprintf("%s: %s gets no acknowledgement from %s", h.Name, s.Local, s.Remote), retries(s.Retries))
		case s.Receive > maxUnread:
			f.inState(Odd, h.Name, "sockets", fmt.Sprintf("%s: nobody reads from %s", h.Name, s.Local), size(int64(s.Receive))+" wait")
		case s.State == "CLOSE-WAIT" || s.State == "CLOSE_WAIT":
			f.inState(Odd, h.Name, "sockets", fmt.Sprintf("%s: %s has not closed what %s has closed", h.Name, s.Local, s.Remote), "CLOSE-WAIT")
		}
	}
}

func retries(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("sent again %d times", n)
}

// counters finds rules of firewalls that have dropped something, and counters of the kernel that say why something was.
func (f *finder) counters(h bundle.HostState) {
	for _, c := range h.Counters {
		where := strings.ToLower(c.Where)
		if c.Packets > 0 && (strings.Contains(where, "drop") || strings.Contains(where, "reject")) {
			what := "dropped"
			if !strings.Contains(where, "drop") {
				what = "rejected"
			}
			f.inState(Bad, h.Name, "counters", fmt.Sprintf("%s: the firewall has %s %d packets", h.Name, what, c.Packets), c.Where)
		}
	}
	for _, s := range h.Kernel {
		name := s.Name[strings.LastIndexAny(s.Name, " .")+1:]
		if what := telling[name]; what != "" && s.Value > 0 {
			f.inState(Odd, h.Name, "kernel", fmt.Sprintf("%s: %d %s", h.Name, s.Value, what), s.Name)
		}
	}
}

// interfaces finds cables that are pulled and packets that the host has dropped.
func (f *finder) interfaces(h bundle.HostState) {
	for _, i := range h.Interfaces {
		switch {
		case i.Down && i.Network != "":
			f.inState(Bad, h.Name, "interfaces", fmt.Sprintf("%s: %s is down", h.Name, i.Name), "set down by the host itself, as ip link set down does: it has no way into network "+i.Network)
		case i.State == "down" || i.State == "lowerlayerdown":
			f.inState(Odd, h.Name, "interfaces", fmt.Sprintf("%s: %s is down", h.Name, i.Name), i.State)
		}
		if i.RxDropped+i.TxDropped >= manyDropped || i.RxErrors+i.TxErrors > 0 {
			f.inState(Odd, h.Name, "interfaces", fmt.Sprintf("%s: %s has dropped packets", h.Name, i.Name),
				fmt.Sprintf("%d received, %d sent, %d and %d errors", i.RxDropped, i.TxDropped, i.RxErrors, i.TxErrors))
		}
	}
}

// size is a number of bytes for people.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	v := float64(n)
	for len(units) > 1 && v >= 1024 {
		v /= 1024
		units = units[1:]
	}
	if units[0] == "bytes" {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.3g %s", v, units[0])
}

// since is a duration in nanoseconds for people.
func since(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
