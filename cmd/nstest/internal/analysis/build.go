package analysis

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// build makes the items of events and of packets.
func (a *Analysis) build(events []bundle.Event) {
	b := newBuilder(a)
	for _, e := range events {
		b.add(e)
	}
	a.End = a.Manifest.Ended
	if len(events) > 0 && events[len(events)-1].Time.After(a.End) {
		a.End = events[len(events)-1].Time
	}
	b.failures()
	a.addTraffic()
	slices.SortStableFunc(a.Items, func(x, y Item) int { return x.Time.Compare(y.Time) })
	a.bound()
}

// bound leaves packets out, and then what came first, where there is too much.
func (a *Analysis) bound() {
	if over := len(a.Items) - maxItems; over > 0 {
		left := 0
		a.Items = slices.DeleteFunc(a.Items, func(i Item) bool {
			gone := i.Kind == Packet && left < over
			if gone {
				left++
			}
			return gone
		})
		a.note("the first %d packets are not shown", left)
	}
	if over := len(a.Items) - maxItems; over > 0 {
		a.Items = slices.Delete(a.Items, 0, over)
		a.note("the first %d things that happened are not shown", over)
	}
}

// A builder joins the events that begin something with those that end it.
type builder struct {
	a         *Analysis
	nodes     map[string][]int // items of nodes and steps that have no end yet, by kind, text and place
	step      int              // the item of the last step, if it has no end; else -1
	processes map[int]int      // items of processes
	faults    map[int]int      // items of faults in force
	changed   []int            // items that were amended since they were put
}

func newBuilder(a *Analysis) builder {
	return builder{a: a, step: -1, nodes: map[string][]int{}, processes: map[int]int{}, faults: map[int]int{}}
}

// amend is an item that is about to change.
func (b *builder) amend(at int) *Item {
	b.changed = append(b.changed, at)
	return &b.a.Items[at]
}

func (b *builder) put(i Item) int {
	i.Text = Clip(i.Text, maxText)
	b.a.Items = append(b.a.Items, i)
	return len(b.a.Items) - 1
}

func (b *builder) add(e bundle.Event) {
	i := Item{Time: e.Time, Host: e.Host, Text: e.Text, Process: e.Process, Fault: e.Fault}
	i.fact("at", e.Location)
	switch e.Kind {
	case bundle.KindNode, bundle.KindStep:
		b.node(e, i)
	case bundle.KindFailure:
		i.Kind, i.Level = Failure, Bad
		i.fact("state", e.State)
		b.put(i)
	case bundle.KindFault:
		b.fault(e, i)
	case bundle.KindStart:
		b.start(e, i)
	case bundle.KindExit:
		b.exit(e, i)
	case bundle.KindLog:
		i.Kind = Log
		if e.Stream != "stdout" {
			i.fact("stream", e.Stream)
		}
		b.put(i)
	case bundle.KindQuery:
		b.query(e, i)
	case bundle.KindLink:
		i.Kind, i.Level, i.Text = Link, Odd, strings.TrimSpace(e.Network+" "+e.Text)
		if e.Text == "up" {
			i.Level = Normal
		}
		b.put(i)
	case bundle.KindHost:
		i.Kind, i.Text = Host, strings.TrimSpace("host is there "+strings.Join(e.Addrs, " "))
		if e.State == "gone" {
			i.Text = "host is gone"
		}
		b.put(i)
	default:
		i.Kind = Note
		for _, change := range []string{" replaced", " were changed", " was set"} {
			if strings.Contains(e.Text, change) {
				i.Level = Odd
			}
		}
		b.put(i)
	}
}

func (i *Item) fact(name, value string) {
	if value != "" {
		i.Facts = append(i.Facts, Fact{name, Clip(value, maxText)})
	}
}

// node begins a node or step, or ends the last one like it that has begun.
func (b *builder) node(e bundle.Event, i Item) {
	i.Kind = Node
	if e.Kind == bundle.KindStep {
		i.Kind = Step
	}
	key := string(i.Kind) + "\x00" + e.Text + "\x00" + e.Location
	open := b.nodes[key]
	ends := e.Took != 0 || e.State != ""
	if i.Kind == Node || !ends {
		b.endStep(e.Time)
	}
	if !ends {
		i.Lasts = true
		at := b.put(i)
		b.nodes[key] = append(open, at)
		if i.Kind == Step {
			b.step = at
		}
		return
	}
	if len(open) == 0 {
		i.Time, i.Took = e.Time.Add(-e.Took), e.Took
		i.fact("state", e.State)
		b.put(i)
		return
	}
	begun := b.amend(open[len(open)-1])
	b.nodes[key] = open[:len(open)-1]
	begun.Took, begun.Lasts = max(e.Took, e.Time.Sub(begun.Time)), false
	begun.fact("state", e.State)
	if e.State != "" && e.State != "passed" {
		begun.Level = Bad
	}
}

// endStep ends the last step, which has no end of its own, where the next one or its node does.
func (b *builder) endStep(at time.Time) {
	if b.step < 0 {
		return
	}
	if b.a.Items[b.step].Lasts {
		s := b.amend(b.step)
		s.Took, s.Lasts = at.Sub(s.Time), false
	}
	b.step = -1
}

func (b *builder) fault(e bundle.Event, i Item) {
	if at, known := b.faults[e.Fault]; known && e.State == "healed" {
		begun := b.amend(at)
		begun.Took, begun.Lasts = e.Time.Sub(begun.Time), false
		begun.fact("healed after", begun.Took.String())
		delete(b.faults, e.Fault)
		return
	}
	i.Kind, i.Level, i.Lasts = Fault, Odd, e.State != "healed"
	if e.State == "healed" {
		i.Text += " healed"
	}
	i.fact("hosts", strings.Join(e.Hosts, ", "))
	b.faults[e.Fault] = b.put(i)
}

func (b *builder) start(e bundle.Event, i Item) {
	i.Kind, i.Lasts, i.Text = Process, true, commandText(e.Args)
	if e.Text != "" {
		i.Text += " " + e.Text
	}
	i.fact("pid", number(e.PID))
	at := b.put(i)
	if e.Process != 0 {
		b.processes[e.Process] = at
	}
}

func (b *builder) exit(e bundle.Event, i Item) {
	level, how := ending(e)
	i.Kind, i.Level, i.Text = Process, level, "ended: "+how
	if at, known := b.processes[e.Process]; known {
		begun := b.amend(at)
		if level == Odd && e.State == "exit status 1" && strings.Contains(begun.Text, " -test.run=") { // it says that the test has failed
			level, i.Level = Normal, Normal
		}
		begun.Took, begun.Lasts, begun.Level = e.Time.Sub(begun.Time), false, level
		begun.fact("ended", how)
		i.Text += " — " + begun.Text
	}
	i.fact("pid", number(e.PID))
	if e.Took > 0 {
		i.fact("ran", e.Took.String())
	}
	b.put(i)
}

// outOfMemory is what the end of a process has that was killed for lack of it.
const outOfMemory = " (out of memory)"

// ending is how a process has ended.
func ending(e bundle.Event) (Level, string) {
	switch {
	case e.OOM:
		return Bad, strings.TrimSpace(e.State + outOfMemory)
	case e.State == "" || e.State == "exit status 0":
		return Normal, "exit status 0"
	case strings.HasPrefix(e.State, "signal: ") && !slices.ContainsFunc([]string{"killed", "terminated", "interrupt"}, func(s string) bool { return strings.Contains(e.State, s) }):
		return Bad, e.State // a crash
	}
	return Odd, e.State
}

func (b *builder) query(e bundle.Event, i Item) {
	i.Kind, i.Text = DNS, e.Text+": "+e.State
	if e.State == "NOERROR" || e.State == "" {
		i.Text = e.Text + ": " + strings.Join(e.Addrs, " ")
		if len(e.Addrs) == 0 {
			i.Text = e.Text + ": no records"
		}
	} else {
		i.Level = Bad
	}
	i.fact("answer", e.State)
	if e.Took > 0 {
		i.fact("took", e.Took.String())
	}
	b.put(i)
}

// failures adds those of the manifest that no event tells of.
func (b *builder) failures() {
	for _, f := range b.a.Manifest.Failures {
		told := f.Time.IsZero() || slices.ContainsFunc(b.a.Items, func(i Item) bool {
			return i.Kind == Failure && (i.Time.Equal(f.Time) || i.Text == Clip(f.Message, maxText) && i.Time.Sub(f.Time).Abs() < time.Second)
		})
		if !told {
			i := Item{Time: f.Time, Kind: Failure, Level: Bad, Text: f.Message}
			i.fact("at", f.Location)
			b.put(i)
		}
	}
}

// addTraffic makes items of what was captured.
func (a *Analysis) addTraffic() {
	if a.Capture == nil {
		return
	}
	kinds := map[traffic.MessageKind]Kind{traffic.TCP: TCP, traffic.HTTP: HTTP, traffic.TLS: TLS, traffic.DNS: DNS, traffic.ICMP: ICMP}
	for _, m := range a.Capture.Messages {
		i := Item{Time: m.Time, Kind: kinds[m.Kind], Host: m.From, To: m.To, Text: Clip(m.Text, maxText), Conn: m.Conn, Packet: m.Packet, role: m.Role, stream: m.Stream}
		if m.Bad {
			i.Level = Bad
		}
		a.Items = append(a.Items, i)
	}
	for _, c := range a.Capture.Conns {
		i := Item{Time: c.Began, Took: c.Ended.Sub(c.Began), Kind: Conn, Level: badConn(c), Host: c.From, To: c.To, Text: c.Title(), Conn: c.Number, Packet: c.Packet}
		i.fact("client", c.Client.String())
		i.fact("server", c.Server.String())
		a.Items = append(a.Items, i)
	}
	for _, p := range a.Capture.Packets {
		i := Item{Time: p.Time, Kind: Packet, Host: p.From, Text: p.Text, Conn: p.Conn, Packet: p.Number}
		if i.Host == "" && p.Src.IsValid() {
			i.Host = a.Capture.Owner(p.Src.Addr())
		}
		if len(p.To) > 0 {
			i.To = p.To[0]
		} else if p.Dst.Addr().IsValid() && !p.Dst.Addr().IsMulticast() && p.Dst.Addr() != netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			i.To = a.Capture.Owner(p.Dst.Addr())
		}
		if len(p.To) > 1 {
			i.fact("reached", strings.Join(p.To, ", "))
		}
		switch {
		case p.Dropped != "" && !p.Lost: // for some of those whom it was for
			i.Level, i.Text = Odd, i.Text+" — "+p.Dropped
		case p.Lost:
			i.Level, i.Text = Bad, i.Text+" — "+cmp.Or(p.Dropped, "lost on the way")
		}
		for _, text := range p.Comments {
			i.fact("comment", text)
		}
		a.Items = append(a.Items, i)
		if p.Time.After(a.End) {
			a.End = p.Time
		}
	}
}

func badConn(c *traffic.Conn) Level {
	switch c.State {
	case traffic.Refused, traffic.Unanswered, traffic.Unreachable:
		return Bad
	case traffic.Reset:
		return Odd
	}
	if c.Lost > 0 || c.Again > 0 {
		return Odd
	}
	return Normal
}

// commandText is a command in a line.
func commandText(args []string) string {
	var b strings.Builder
	for i, arg := range args {
		if b.Len() > maxText {
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'") {
			arg = fmt.Sprintf("%q", arg)
		}
		b.WriteString(arg)
	}
	return b.String()
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
