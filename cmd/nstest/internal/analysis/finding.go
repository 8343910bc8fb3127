package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A Finding is something that stands out: a cause of the failure, perhaps.
type Finding struct {
	Level  Level
	Title  string
	Detail string
	Count  int    // how often it was seen
	Item   int    // of Analysis.Items, -1 = none
	Host   string // whose State has it; "" = none
	Table  string // of the state, such as "mounts"
	// Follows is set of what another finding explains: such are after all others.
	Follows bool

	rank rank
}

// A rank puts findings in order that are equally bad.
type rank int

const (
	plain  rank = iota
	causes      // it makes others happen, and nothing that is recorded makes it happen
)

// InForce is how the titles of faults begin that were in force when the test failed.
const InForce = "In force: "

// force is 1 for them, since they are what the test is about.
func (f Finding) force() int {
	if strings.HasPrefix(f.Title, InForce) {
		return 1
	}
	return 0
}

// maxFindings is how many are shown.
const maxFindings = 60

// find finds what stands out.
func (a *Analysis) find(events []bundle.Event) []Finding {
	f := newFinder(a)
	f.faults()
	f.processes(events)
	f.conns()
	f.messages()
	f.requests()
	f.queries()
	f.drops()
	f.state()
	f.hangs()
	f.goroutines()
	f.follow()
	slices.SortStableFunc(f.list, func(x, y Finding) int {
		return cmp.Or(after(x.Follows, y.Follows), cmp.Compare(y.force(), x.force()), cmp.Compare(y.Level, x.Level), cmp.Compare(y.rank, x.rank))
	})
	if over := len(f.list) - maxFindings; over > 0 {
		f.list = f.list[:maxFindings]
		a.note("%d more things that stand out are not shown", over)
	}
	return f.list
}

// after puts what is false before what is true.
func after(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

// A finder collects findings. What is seen several times is one.
type finder struct {
	a    *Analysis
	list []Finding
	at   map[string]int

	failed  int64              // Analysis.failed
	answers map[answered][]int // items of the name server's own record, by time
	about   map[int][]int      // items of processes, likewise
}

// An answered is who has asked the name server, and an address that was the answer.
type answered struct{ host, addr string }

// newFinder looks through the items once for what is asked for each connection and each process.
func newFinder(a *Analysis) *finder {
	f := &finder{a: a, at: map[string]int{}, failed: a.failed(), answers: map[answered][]int{}, about: map[int][]int{}}
	for n, i := range a.Items {
		if i.Process != 0 && i.Kind != Log {
			f.about[i.Process] = append(f.about[i.Process], n)
		}
		if i.Kind != DNS || i.Packet != 0 || i.Level != Normal {
			continue
		}
		_, addrs, _ := strings.Cut(i.Text, ": ")
		for _, addr := range strings.Fields(addrs) {
			k := answered{i.Host, addr}
			f.answers[k] = append(f.answers[k], n)
		}
	}
	return f
}

func (f *finder) add(n Finding) {
	n.Title, n.Detail = Clip(n.Title, 300), Clip(n.Detail, 600)
	if i, known := f.at[n.Title]; known {
		had := &f.list[i]
		had.Count += n.Count
		if n.Detail != "" && len(had.Detail) < 200 && !strings.Contains(had.Detail, n.Detail) {
			had.Detail = strings.TrimPrefix(had.Detail+"; "+n.Detail, "; ")
		}
		return
	}
	f.at[n.Title] = len(f.list)
	f.list = append(f.list, n)
}

// seen is a finding about an item.
func (f *finder) seen(level Level, item int, title, detail string) {
	f.add(Finding{Level: level, Title: title, Detail: detail, Count: 1, Item: item})
}

// inState is a finding about a table of a host's state.
func (f *finder) inState(level Level, host, table, title, detail string) {
	f.add(Finding{Level: level, Title: title, Detail: detail, Count: 1, Item: -1, Host: host, Table: table})
}

// failed is when the first failure was; the end if none has a time.
func (a *Analysis) failed() (at int64) {
	for _, i := range a.Items {
		if i.Kind == Failure {
			return i.Time.UnixNano()
		}
	}
	return a.End.UnixNano()
}

// faults finds those in force when the test failed.
func (f *finder) faults() {
	failed := f.failed
	told := map[int]bool{}
	for n, i := range f.a.Items {
		if i.Kind != Fault && (i.Kind != Link || i.Level == Normal) {
			continue
		}
		if i.Kind == Fault && i.Time.UnixNano() <= failed && (i.Lasts || i.Time.Add(i.Took).UnixNano() >= failed) {
			told[i.Fault] = true
			f.seen(Odd, n, InForce+i.Text, fmt.Sprintf("for %s when the test failed", since(failed-i.Time.UnixNano())))
		}
	}
	if f.a.State == nil {
		return
	}
	for _, s := range f.a.State.Faults {
		if !told[s.Fault] {
			f.add(Finding{Level: Odd, Title: InForce + s.Text, Detail: strings.Join(s.Hosts, ", "), Count: 1, Item: -1})
		}
	}
}

// processes finds those that have died.
func (f *finder) processes(events []bundle.Event) {
	failed := f.failed
	printed := lastLines(events)
	for n, i := range f.a.Items {
		if i.Kind != Process || i.Level == Normal || i.Took != 0 || i.Lasts {
			continue
		}
		level := i.Level
		if i.Time.UnixNano() > failed && level != Bad { // the test's clean-up
			continue
		}
		detail := lastWords(printed[i.Process])
		if c := f.cgroup(); c != nil && c.Limit > 0 && strings.Contains(i.Text, outOfMemory) {
			detail = strings.TrimSuffix("memory is limited to "+size(c.Limit)+"; "+detail, "; ")
		}
		if killed := f.untilKilled(i); killed != "" {
			detail = strings.TrimSuffix(killed+"; "+detail, "; ")
		}
		f.seen(level, n, i.Host+": "+Clip(i.Text, 160), detail)
	}
	if c := f.cgroup(); c != nil && c.OOMKills > 0 {
		f.add(Finding{Level: Bad, Title: "The kernel has killed processes for lack of memory",
			Detail: fmt.Sprintf("%s of %s in use", size(c.Memory), size(c.Limit)), Count: c.OOMKills, Item: -1, rank: causes})
	}
}

// untilKilled is what a process did that was told to end, "" if it was not.
func (f *finder) untilKilled(end Item) string {
	if end.Process == 0 || !strings.Contains(end.Text, "signal: killed") && !strings.Contains(end.Text, "signal: terminated") {
		return ""
	}
	var text string
	for _, n := range f.about[end.Process] {
		switch i := f.a.Items[n]; {
		case i.Kind == Process && i.Took > 0:
			text = "it had run for " + since(int64(i.Took))
		case i.Kind == Note:
			text += "; " + i.Text
		}
	}
	return text
}

func (f *finder) cgroup() *bundle.Cgroup {
	if f.a.State == nil {
		return nil
	}
	return f.a.State.Cgroup
}

// maxLastWords is how many lines these are.
const maxLastWords = 6

// lastLines are the last lines that each process has printed.
func lastLines(events []bundle.Event) map[int][]string {
	printed := map[int][]string{}
	for _, e := range slices.Backward(events) {
		if e.Kind != bundle.KindLog || e.Process == 0 || len(printed[e.Process]) == maxLastWords {
			continue
		}
		if text := strings.TrimSpace(e.Text); text != "" {
			printed[e.Process] = append(printed[e.Process], text)
		}
	}
	for _, lines := range printed {
		slices.Reverse(lines)
	}
	return printed
}

// lastWords are the last lines of a process as a text.
func lastWords(words []string) string {
	if words == nil {
		return ""
	}
	return "its last words: " + strings.Join(words, " ⏎ ")
}

// conns finds connections that were refused, reset or black-holed.
func (f *finder) conns() {
	if f.a.Capture == nil {
		return
	}
	items := map[int]int{}
	for n, i := range f.a.Items {
		if i.Kind == Conn {
			items[i.Conn] = n
		}
	}
	for _, c := range f.a.Capture.Conns {
		item, shown := items[c.Number]
		if !shown {
			item = -1
		}
		to := fmt.Sprintf("%s → %s:%d", c.From, c.To, c.Server.Port())
		switch c.State {
		case traffic.Refused:
			f.refused(c, item)
		case traffic.Unreachable:
			f.seen(Bad, item, "Unreachable: "+to, "ICMP in answer to SYN: "+c.Reason)
		case traffic.Unanswered:
			detail := "SYN without an answer"
			if c.SYNs > 1 {
				detail = fmt.Sprintf("%d SYNs without an answer", c.SYNs)
			}
			if c.Lost > 0 {
				detail += ": " + cmp.Or(c.Dropped, "lost on the way")
			}
			f.seen(Bad, item, "Black-holed: "+to, detail)
		case traffic.Reset:
			f.seen(Odd, item, "Reset: "+to, "by "+c.ResetBy)
		}
		if c.Again > 0 {
			f.add(Finding{Level: Odd, Title: "Segments sent again: " + to, Detail: "for lack of an acknowledgement", Count: c.Again, Item: item})
		}
	}
}

// messages finds alerts of TLS, errors of ICMP, and answers of HTTP servers that have failed.
func (f *finder) messages() {
	certificates := map[int]string{} // the last one before, by connection
	for n, i := range f.a.Items {
		switch {
		case i.Kind == TLS && i.Conn != 0 && strings.HasPrefix(i.Text, traffic.Certificate):
			certificates[i.Conn] = "of " + i.Host + ": " + i.Text
		case i.Level != Bad:
		case i.Kind == TLS:
			f.seen(Bad, n, fmt.Sprintf("TLS %s: %s → %s", i.Text, i.Host, i.To), certificates[i.Conn])
		case i.Kind == ICMP && i.Conn == 0:
			f.seen(Odd, n, fmt.Sprintf("%s: %s → %s", i.Text, i.Host, i.To), "")
		case i.Kind == HTTP && serverFailed(i.Text):
			f.seen(Odd, n, fmt.Sprintf("%s: %s → %s", i.Text, i.Host, i.To), "")
		}
	}
}

// failures of gRPC that are not about what was asked for.
var failures = []string{"UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}

// serverFailed reports whether an answer of HTTP is that a server, or a proxy, has failed.
func serverFailed(text string) bool {
	protocol, said, _ := strings.Cut(text, " ")
	switch {
	case protocol == "gRPC":
		code, _, _ := strings.Cut(said, " ")
		return slices.Contains(failures, strings.TrimSuffix(code, ":"))
	case protocol == "HTTP/2" && (strings.HasPrefix(said, "RST_STREAM ") || strings.HasPrefix(said, "GOAWAY ")):
		return true
	}
	return strings.HasPrefix(protocol, "HTTP/") && strings.HasPrefix(said, "5")
}

// queries finds names that were not found.
func (f *finder) queries() {
	for n, i := range f.a.Items {
		if i.Kind != DNS || i.Level != Bad {
			continue
		}
		kind, name, _ := strings.Cut(i.Text, " ")                                                               // clients ask for A and AAAA at once
		f.seen(Bad, n, fmt.Sprintf("DNS: %s asked for %s", cmp.Or(i.To, i.Host, "a host"), name), "type "+kind) // an answer is to who has asked
	}
}

// drops finds packets that were lost.
func (f *finder) drops() {
	if f.a.Capture == nil {
		return
	}
	items := map[int]int{}
	for n, i := range f.a.Items {
		if i.Kind == Packet {
			items[i.Packet] = n
		}
	}
	for _, d := range f.a.Capture.Dropped() {
		item, shown := items[d.Packet]
		if !shown {
			item = -1
		}
		how := cmp.Or(d.Reason, "they left, and did not arrive")
		f.add(Finding{Level: Odd, Title: fmt.Sprintf("Packets lost: %s → %s", d.From, d.To), Detail: how + "; the first one: " + d.Text, Count: d.Count, Item: item})
	}
}
