package analysis

import (
	"fmt"
	"slices"
	"strings"
)

// follow marks what others explain, and puts what explains others first.
//
// A mark is not a proof: it needs that the one can make the other happen, and that they were where and when it would.
func (f *finder) follow() {
	for i := range f.list {
		n := &f.list[i]
		switch {
		case n.Follows:
		case n.Table == "counters" || n.Table == "mounts" || n.Table == "interfaces" && n.Level == Bad:
			n.rank = causes
		case n.Level == Bad && (n.Table == "processes" || n.Item >= 0 && f.a.Items[n.Item].Kind == Process):
			n.rank = causes
		case n.Item >= 0 && f.a.Items[n.Item].Kind == Process:
			n.Follows = f.reports(i)
		case strings.HasPrefix(n.Title, "Reset: "):
			n.Follows = f.sameConn(i)
		case n.Table == "kernel" && strings.Contains(n.Title, "without a route"):
			n.Follows = f.has(func(o Finding) bool { return o.Host == n.Host && o.Table == "interfaces" && o.Level == Bad })
		case n.Table == "neighbours" || strings.HasPrefix(n.Title, "Packets lost: ") || strings.HasPrefix(n.Title, "Segments sent again: "):
			n.Follows = f.has(func(o Finding) bool { return o.force() == 1 })
		}
	}
}

func (f *finder) has(fits func(Finding) bool) bool {
	return slices.ContainsFunc(f.list, fits)
}

// reports reports whether a process has ended with a status that only tells what had happened to it: something bad, in its host,
// while it ran.
func (f *finder) reports(n int) bool {
	end := f.a.Items[f.list[n].Item]
	if f.list[n].Level == Bad || !strings.Contains(end.Text, "exit status") {
		return false
	}
	began := end.Time
	for _, n := range f.about[end.Process] {
		if i := f.a.Items[n]; i.Kind == Process && i.Host == end.Host && i.Took > 0 {
			began = i.Time
		}
	}
	return f.has(func(o Finding) bool {
		if o.Level != Bad || o.Item < 0 {
			return false
		}
		i := f.a.Items[o.Item]
		met := i.Host
		if i.Kind == DNS && i.To != "" {
			met = i.To
		}
		switch i.Kind {
		case Conn, DNS, HTTP, TLS:
			return met == end.Host && !i.Time.Before(began) && !i.Time.After(end.Time)
		}
		return false
	})
}

// sameConn reports whether a finding has another, worse one about the same connection.
func (f *finder) sameConn(n int) bool {
	conn := f.a.Items[max(f.list[n].Item, 0)].Conn
	return f.list[n].Item >= 0 && conn != 0 && f.list[n].Count == 1 && f.has(func(o Finding) bool {
		return o.Level == Bad && o.Item >= 0 && f.a.Items[o.Item].Conn == conn
	})
}

// hangs finds processes that wait for what may never come: that of a FIFO's other end, or a lock of a file.
func (f *finder) hangs() {
	if f.a.State == nil {
		return
	}
	for _, h := range f.a.State.Hosts {
		for _, p := range h.Processes {
			call, _, _ := strings.Cut(p.Waits, "(")
			if p.State != "S" || call != "open" && call != "flock" {
				continue
			}
			what := Clip(commandText(p.Args), 160)
			f.inState(Bad, h.Name, "processes", fmt.Sprintf("%s: process %d hangs in %s: %s", h.Name, p.PID, p.Waits, what),
				fmt.Sprintf("it had run for %s when the test failed", since(int64(p.Age))))
		}
	}
}
