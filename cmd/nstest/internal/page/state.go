package page

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A host is one of the state.
type host struct {
	ID, Name, Summary string
	Tables            []*table
	Errors            []string
}

// maxHosts is of how many hosts the state is shown.
const maxHosts = 300

// stateID is the id of a table of a host's state.
func (v *view) stateID(name, table string) string {
	if v.a.State == nil {
		return ""
	}
	n := slices.IndexFunc(v.a.State.Hosts, func(h bundle.HostState) bool { return h.Name == name })
	return fmt.Sprintf("state-%d-%s", n, table)
}

func (v *view) state() {
	s := v.a.State
	if s == nil {
		return
	}
	if !s.Time.IsZero() {
		v.StateAt = v.at(s.Time)
	}
	for i, h := range s.Hosts[:min(len(s.Hosts), maxHosts)] {
		n := host{ID: fmt.Sprintf("state-%d", i), Name: analysis.Clip(h.Name, maxName), Errors: h.Errors[:min(len(h.Errors), maxNotes)]}
		var summary []string
		for _, t := range tables(h) {
			if t.count == 0 {
				continue
			}
			t.ID = n.ID + "-" + t.ID
			t.Label = t.Caption + " of " + h.Name
			summary = append(summary, fmt.Sprintf("%s %d", strings.ToLower(t.Caption), t.count))
			n.Tables = append(n.Tables, t)
		}
		if len(h.Interfaces) > 0 && len(h.Routes) == 0 && len(h.Errors) == 0 {
			summary = append(summary, "routes: none")
		}
		n.Summary = strings.Join(summary, " · ")
		v.Hosts = append(v.Hosts, n)
	}
	if more := len(s.Hosts) - maxHosts; more > 0 {
		v.a.Notes = append(v.a.Notes, fmt.Sprintf("the state of %d more hosts is not shown", more))
	}
	if c := s.Cgroup; c != nil {
		t := &table{Label: "Control group", Caption: "Control group", Head: heads("of the whole environment", "value>")}
		t.add(false, "memory", bytes(c.Memory))
		if c.Limit > 0 {
			t.add(c.Memory*100 >= c.Limit*97, "limit of memory", bytes(c.Limit))
		}
		t.add(c.OOMKills > 0, "processes killed for lack of memory", strconv.Itoa(c.OOMKills))
		t.add(false, "processes", strconv.Itoa(c.PIDs))
		for _, p := range c.Pressure {
			t.add(false, p.Name, fmt.Sprintf("%.2f %%", float64(p.Value)/100))
		}
		v.Cgroup = t
	}
}

// tables are those of a host's state.
func tables(h bundle.HostState) []*table {
	return []*table{processes(h), ended(h), sockets(h), interfaces(h), routes(h), neighbours(h), counters(h), mounts(h), kernel(h)}
}

func processes(h bundle.HostState) *table {
	t := &table{ID: "processes", Caption: "Processes", Head: heads("pid>", "parent>", "state", "waits in", "uid>", "threads>", "memory>", "CPU>", "age>", "files>", "command")}
	for _, p := range h.Processes {
		t.add(strings.HasPrefix(p.State, "Z") || strings.HasPrefix(p.State, "D"), strconv.Itoa(p.PID), strconv.Itoa(p.Parent), p.State, p.Waits, strconv.Itoa(p.UID), strconv.Itoa(p.Threads),
			bytes(p.RSS), round(p.CPU), round(p.Age), strconv.Itoa(len(p.Files)), strings.Join(p.Args, " "))
	}
	return t
}

func ended(h bundle.HostState) *table {
	t := &table{ID: "ended", Caption: "Processes that have ended badly", Head: heads("pid>", "how", "command")}
	for _, p := range h.Ended {
		t.add(false, strconv.Itoa(p.PID), p.State, strings.Join(p.Args, " "))
	}
	return t
}

func sockets(h bundle.HostState) *table {
	names := map[int]string{}
	for _, p := range h.Processes {
		if len(p.Args) > 0 {
			names[p.PID] = p.Args[0][strings.LastIndexByte(p.Args[0], '/')+1:]
		}
	}
	t := &table{ID: "sockets", Caption: "Sockets", Head: heads("protocol", "state", "local", "remote", "receive>", "send>", "sent again>", "whose")}
	for _, s := range h.Sockets {
		var who []string
		for _, pid := range s.PIDs {
			who = append(who, strings.TrimSpace(fmt.Sprintf("%d %s", pid, names[pid])))
		}
		full := s.State == "LISTEN" && s.Receive > 0 && s.Receive >= s.Send
		t.add(full || s.Retries > 0, s.Protocol, s.State, s.Local, s.Remote, strconv.Itoa(s.Receive), strconv.Itoa(s.Send), strconv.Itoa(s.Retries), strings.Join(who, ", "))
	}
	return t
}

func interfaces(h bundle.HostState) *table {
	t := &table{ID: "interfaces", Caption: "Interfaces", Head: heads("name", "network", "state", "addresses", "MAC", "MTU>", "received>", "dropped>", "sent>", "dropped>")}
	for _, i := range h.Interfaces {
		t.add(i.State == "down" || i.State == "lowerlayerdown" || i.RxDropped+i.TxDropped+i.RxErrors+i.TxErrors > 0, i.Name, i.Network, i.State, strings.Join(i.Addrs, " "), i.MAC, strconv.Itoa(i.MTU),
			fmt.Sprintf("%d (%s)", i.RxPackets, bytes(int64(i.RxBytes))), strconv.FormatUint(i.RxDropped+i.RxErrors, 10),
			fmt.Sprintf("%d (%s)", i.TxPackets, bytes(int64(i.TxBytes))), strconv.FormatUint(i.TxDropped+i.TxErrors, 10))
	}
	return t
}

func routes(h bundle.HostState) *table {
	t := &table{ID: "routes", Caption: "Routes", Head: heads("to", "via", "device", "type", "table>")}
	for _, r := range h.Routes {
		number := "main"
		if r.Table != 0 {
			number = strconv.Itoa(r.Table)
		}
		t.add(r.Type == "blackhole" || r.Type == "unreachable" || r.Type == "prohibit", r.To, r.Via, r.Device, r.Type, number)
	}
	return t
}

func neighbours(h bundle.HostState) *table {
	t := &table{ID: "neighbours", Caption: "Neighbours", Head: heads("address", "device", "MAC", "state")}
	for _, n := range h.Neighbours {
		t.add(n.State == "FAILED" || n.State == "INCOMPLETE", n.Addr, n.Device, n.MAC, n.State)
	}
	return t
}

func counters(h bundle.HostState) *table {
	t := &table{ID: "counters", Caption: "Firewall rules", Head: heads("rule", "packets>", "bytes>")}
	for _, c := range h.Counters {
		t.add(false, c.Where, strconv.FormatUint(c.Packets, 10), strconv.FormatUint(c.Bytes, 10))
	}
	return t
}

func mounts(h bundle.HostState) *table {
	t := &table{ID: "mounts", Caption: "Mounts", Head: heads("target", "type", "source", "size>", "free>", "inodes free>", "options")}
	list := slices.Clone(h.Mounts)
	slices.SortStableFunc(list, func(a, b bundle.Mount) int { return standard(a) - standard(b) })
	for _, m := range list {
		size, free, inodes := "", "", ""
		if m.Size > 0 {
			size, free = bytes(m.Size), bytes(m.Free)
		}
		if m.Inodes > 0 {
			inodes = strconv.FormatInt(m.IFree, 10)
		}
		t.add(m.Size > 0 && m.Free*100 <= m.Size*3 && !slices.Contains(strings.Split(m.Options, ","), "ro"), m.Target, m.Type, m.Source, size, free, inodes, m.Options)
	}
	return t
}

// standard is 1 for a mount that every environment has, which are the last ones.
func standard(m bundle.Mount) int {
	if strings.HasPrefix(m.Target, "/dev") || strings.HasPrefix(m.Target, "/proc") || strings.HasPrefix(m.Target, "/sys") {
		return 1
	}
	return 0
}

func kernel(h bundle.HostState) *table {
	t := &table{ID: "kernel", Caption: "Kernel counters", Head: heads("name", "value>")}
	for _, s := range h.Kernel {
		t.add(false, s.Name, strconv.FormatInt(s.Value, 10))
	}
	return t
}

// bytes is a number of them for people.
func bytes(n int64) string {
	v, unit := float64(n), ""
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v /= 1024
		unit = u
	}
	if unit == "" {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}
