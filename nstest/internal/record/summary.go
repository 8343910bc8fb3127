package record

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Summary writes what matters of the state for people, a line each: first what may be the matter (faults in force, processes
// that have ended badly or hang, listening sockets whose queue is full, interfaces without a carrier, full file systems,
// neighbours that do not answer, …), then what could not be seen, and then a line for each host. Of each sort there are a few,
// and how many more there are. A width other than 0 is the most that a line may have, in characters.
//
// What a terminal would not show as it is, such as escape sequences in the arguments of a process, is written as Go would
// write it in a string.
func (s *State) Summary(w io.Writer, width int) error {
	t := &summary{width: width}
	processes := 0
	for _, h := range s.Hosts {
		processes += len(h.Processes)
	}
	t.line("%s, %s, at %s", count(len(s.Hosts), "host"), count(processes, "process"), s.Time.UTC().Format("15:04:05.000"))
	t.sort(s.faults(), "faults")
	t.sort(s.each(HostState.badEnds), "processes that have ended badly")
	t.sort(s.outOfMemory(), "")
	t.sort(s.each(HostState.hanging), "processes that hang")
	t.sort(s.each(HostState.zombies), "zombies")
	t.sort(s.each(HostState.fullQueues), "full queues")
	t.sort(s.each(HostState.withoutCarrier), "interfaces without a carrier")
	t.sort(s.each(HostState.full), "full file systems")
	t.sort(s.each(HostState.silent), "neighbours that do not answer")
	t.sort(s.each(HostState.unanswered), "connections whose other side does not answer")
	t.sort(s.each(HostState.unread), "sockets that nobody reads")
	t.sort(s.each(HostState.dropped), "counters")
	t.sort(s.unseen(), "things that could not be seen")
	t.hosts(s.Hosts)
	_, err := io.WriteString(w, t.text.String())
	return err
}

// How many lines of a sort there are at most.
const (
	mostLines = 4
	mostHosts = 12
)

type summary struct {
	width int
	text  strings.Builder
}

func (t *summary) line(format string, args ...any) {
	line := []rune(printable(fmt.Sprintf(format, args...)))
	if t.width > 0 && len(line) > t.width {
		line = append(line[:max(t.width-1, 0)], '…')
	}
	t.text.WriteString(string(line) + "\n")
}

// sort writes lines of one sort.
func (t *summary) sort(lines []string, what string) {
	if len(lines) > mostLines+1 { // one more line is not longer than to say that there is one
		more := len(lines) - mostLines
		lines = append(slices.Clone(lines[:mostLines]), fmt.Sprintf("… and %d more %s", more, what))
	}
	for _, l := range lines {
		t.line("  %s", l)
	}
}

func (t *summary) hosts(hosts []HostState) {
	longest := 0
	for _, h := range hosts[:min(len(hosts), mostHosts)] {
		longest = max(longest, len(h.Name))
	}
	for i, h := range hosts {
		if i == mostHosts {
			t.line("  … and %d more hosts", len(hosts)-i)
			return
		}
		t.line("  %-*s %s", longest+1, h.Name+":", h.brief())
	}
}

// brief is a host in a line.
func (h HostState) brief() string {
	parts := []string{count(len(h.Processes), "process")}
	if p, ok := h.busiest(); ok {
		parts[0] += " (" + strings.Join(p, ", ") + ")"
	}
	if n := len(h.Sockets); n > 0 {
		parts = append(parts, count(n, "socket"))
	}
	for _, i := range h.Interfaces {
		if i.Name == "lo" {
			continue
		}
		addr := ""
		if len(i.Addrs) > 0 {
			addr, _, _ = strings.Cut(i.Addrs[0], "/")
			addr = " " + addr
		}
		state := ""
		if i.State != "up" && i.State != "unknown" {
			state = " " + i.State
		}
		parts = append(parts, fmt.Sprintf("%s%s%s", i.Name, addr, state))
	}
	return strings.Join(parts, ", ")
}

// busiest are the names of some programs of the host, but its init.
func (h HostState) busiest() (names []string, ok bool) {
	for _, p := range h.Processes {
		name := program(p.Args)
		switch {
		case p.PID == 1 && name == "nstest-init" || slices.Contains(names, name):
		case len(names) == 3:
			return append(names, "…"), true
		default:
			names = append(names, name)
		}
	}
	return names, len(names) > 0
}

func program(args []string) string {
	if len(args) == 0 {
		return "?"
	}
	return clip(args[0][strings.LastIndexByte(args[0], '/')+1:], 30)
}

// command is a process's command line, as far as there is room.
func command(args []string) string {
	var out []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " '\"") {
			a = strconv.Quote(a)
		}
		out = append(out, a)
	}
	return clip(strings.Join(out, " "), 60)
}

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// each collects lines of all hosts.
func (s *State) each(of func(HostState) []string) (lines []string) {
	for _, h := range s.Hosts {
		for _, l := range of(h) {
			lines = append(lines, h.Name+": "+l)
		}
	}
	return lines
}

func (s *State) faults() (lines []string) {
	for _, f := range s.Faults {
		since := ""
		if d := s.Time.Sub(f.Since); !f.Since.IsZero() && d >= 0 {
			since = ", for " + short(d)
		}
		lines = append(lines, "fault: "+f.Text+since)
	}
	return lines
}

func (s *State) outOfMemory() []string {
	if s.Cgroup == nil || s.Cgroup.OOMKills == 0 {
		return nil
	}
	limit := ""
	if s.Cgroup.Limit > 0 {
		limit = fmt.Sprintf(", of %s %s are in use", size(s.Cgroup.Limit), size(s.Cgroup.Memory))
	}
	return []string{fmt.Sprintf("out of memory: the kernel has killed %s%s", count(s.Cgroup.OOMKills, "process"), limit)}
}

func (s *State) unseen() []string {
	lines := slices.Clone(s.Errors)
	lines = append(lines, s.each(func(h HostState) []string { return h.Errors })...)
	for i, l := range lines {
		lines[i] = "not seen: " + l
	}
	return lines
}

func (h HostState) badEnds() (lines []string) {
	for i := len(h.Ended) - 1; i >= 0; i-- { // the last one first
		e := h.Ended[i]
		lines = append(lines, fmt.Sprintf("process %d (%s) has ended: %s", e.PID, command(e.Args), e.State))
	}
	return lines
}

// hanging are processes that nothing but what they wait for can wake, and those that were stopped.
func (h HostState) hanging() (lines []string) {
	for _, p := range h.Processes {
		switch p.State {
		case "D":
			in := ""
			if p.Waits != "" {
				in = " in " + p.Waits
			}
			lines = append(lines, fmt.Sprintf("process %d (%s) cannot be interrupted%s", p.PID, command(p.Args), in))
		case "T":
			lines = append(lines, fmt.Sprintf("process %d (%s) is stopped", p.PID, command(p.Args)))
		}
	}
	return lines
}

func (h HostState) zombies() (lines []string) {
	for _, p := range h.Processes {
		if p.State != "Z" {
			continue
		}
		parent := ""
		if i := slices.IndexFunc(h.Processes, func(o Process) bool { return o.PID == p.Parent }); i >= 0 {
			parent = fmt.Sprintf(": process %d (%s) has not waited for it", p.Parent, command(h.Processes[i].Args))
		}
		lines = append(lines, fmt.Sprintf("process %d (%s) is a zombie%s", p.PID, command(p.Args), parent))
	}
	return lines
}

func (h HostState) fullQueues() (lines []string) {
	for _, s := range h.Sockets {
		if s.State == "LISTEN" && s.Receive > s.Send {
			lines = append(lines, fmt.Sprintf("%s %s%s accepts nobody: %s, and there is no room for more", s.Protocol, s.Local, h.owners(s), wait(s.Receive)))
		}
	}
	return lines
}

func wait(connections int) string {
	if connections == 1 {
		return "1 connection waits"
	}
	return fmt.Sprintf("%d connections wait", connections)
}

// owners are who has a socket open.
func (h HostState) owners(s Socket) string {
	var names []string
	for _, p := range h.Processes {
		if slices.Contains(s.PIDs, p.PID) && len(names) < 2 {
			names = append(names, fmt.Sprintf("%s[%d]", program(p.Args), p.PID))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " of " + strings.Join(names, " and ")
}

func (h HostState) withoutCarrier() (lines []string) {
	for _, i := range h.Interfaces {
		on := ""
		if i.Network != "" {
			on = " on " + i.Network
		}
		switch {
		case i.Down && i.Network != "":
			lines = append(lines, fmt.Sprintf("%s%s was set down in the host", i.Name, on))
		case !i.Down && (i.State == "down" || i.State == "lowerlayerdown"):
			lines = append(lines, fmt.Sprintf("%s%s has no carrier", i.Name, on))
		}
	}
	return lines
}

func (h HostState) full() (lines []string) {
	for _, m := range h.Mounts {
		if !slices.Contains(strings.Split(m.Options, ","), "rw") {
			continue
		}
		switch {
		case m.Size > 0 && m.Free < m.Size/100:
			lines = append(lines, fmt.Sprintf("%s is full: %s of %s are free (%s)", m.Target, size(m.Free), size(m.Size), m.Type))
		case m.Inodes > 0 && m.IFree < m.Inodes/100:
			lines = append(lines, fmt.Sprintf("%s is full: %d of %d files are left (%s)", m.Target, m.IFree, m.Inodes, m.Type))
		}
	}
	return lines
}

func (h HostState) silent() (lines []string) {
	for _, n := range h.Neighbours {
		if n.State == "FAILED" || n.State == "INCOMPLETE" {
			lines = append(lines, fmt.Sprintf("%s on %s does not answer: %s", n.Addr, n.Device, n.State))
		}
	}
	return lines
}

func (h HostState) unanswered() (lines []string) {
	for _, s := range h.Sockets {
		switch {
		case s.State == "SYN_SENT":
			lines = append(lines, fmt.Sprintf("%s %s%s is being connected to %s, after %s", s.Protocol, s.Local, h.owners(s), s.Remote, retries(s.Retries)))
		case s.Retries > 0 && s.State != "LISTEN":
			lines = append(lines, fmt.Sprintf("%s %s%s has %s that %s does not acknowledge, after %s", s.Protocol, s.Local, h.owners(s), count(s.Send, "byte"), s.Remote, retries(s.Retries)))
		}
	}
	return lines
}

func retries(n int) string {
	if n == 1 {
		return "1 retry"
	}
	return fmt.Sprintf("%d retries", n)
}

func (h HostState) unread() (lines []string) {
	for _, s := range h.Sockets {
		if s.Receive > 0 && s.State != "LISTEN" {
			from := ""
			if s.Remote != "" {
				from = " from " + s.Remote
			}
			lines = append(lines, fmt.Sprintf("%s %s%s has %s%s that nobody has read", s.Protocol, s.Local, h.owners(s), count(s.Receive, "byte"), from))
		}
	}
	return lines
}

// telling are counters of the kernel that are zero where nothing is the matter.
var telling = []string{"TcpExt ListenOverflows", "TcpExt ListenDrops", "TcpExt TCPBacklogDrop", "Udp RcvbufErrors", "Udp6 RcvbufErrors", "Tcp InErrs"}

func (h HostState) dropped() (lines []string) {
	for _, c := range h.Counters {
		if c.Packets > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s", c.Where, count(int(c.Packets), "packet")))
		}
	}
	for _, k := range h.Kernel {
		if slices.Contains(telling, k.Name) {
			lines = append(lines, fmt.Sprintf("%s: %d", k.Name, k.Value))
		}
	}
	return lines
}

func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// short is a duration as precisely as somebody wants to read it.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return count(int(n), "byte")
	}
	v, unit := float64(n), -1
	for ; v >= 1024 && unit < len(units)-1; unit++ {
		v /= 1024
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[unit:unit+1] + "iB"
}

// printable is s with everything that a terminal would not show as it is in the notation of Go.
func printable(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "�") {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
	}
	return b.String()
}
