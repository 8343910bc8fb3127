package analysis

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// refused finds out why a connection was refused: the sockets that there were when the test failed say more than the answer.
func (f *finder) refused(c *traffic.Conn, item int) {
	detail := "RST in answer to SYN: nobody listened there, or a firewall rejects"
	why := ""
	if h := f.seenSockets(c.To); h != nil {
		why, detail = f.listening(*h, c.Server)
	}
	title := fmt.Sprintf("Refused: %s → %s:%d", c.From, c.To, c.Server.Port())
	if name := f.nameOf(c); name != "" {
		detail = fmt.Sprintf("%s asked for %s, which is %s = %s; ", c.From, name, c.Server.Addr(), c.To) + detail
	}
	if why != "" {
		title += " — " + why
	}
	family := "over IPv4"
	if c.Server.Addr().Unmap().Is6() {
		family = "over IPv6"
	}
	f.add(Finding{Level: Bad, Title: title, Detail: detail, Count: 1, Item: item})
	f.add(Finding{Level: Bad, Title: title, Detail: family, Item: item})
}

// seenSockets is the state of a host if its sockets were seen, and its own; else nil.
func (f *finder) seenSockets(host string) *bundle.HostState {
	if f.a.State == nil {
		return nil
	}
	for i, h := range f.a.State.Hosts {
		if h.Name != host || len(h.Interfaces) == 0 {
			continue
		}
		unseen := func(e string) bool { // what comes after the sockets was looked at for itself
			return !strings.HasPrefix(e, "process") && !strings.HasPrefix(e, "mounts") && !strings.HasPrefix(e, "counters")
		}
		translated := func(c bundle.Counter) bool { return strings.Contains(strings.ToLower(c.Where), "nat") } // somebody else has answered
		if slices.ContainsFunc(h.Errors, unseen) || slices.ContainsFunc(h.Counters, translated) {
			return nil
		}
		return &f.a.State.Hosts[i]
	}
	return nil
}

// listening says in a few words who listens on a port that has refused, and in more.
func (f *finder) listening(h bundle.HostState, server netip.AddrPort) (why, detail string) {
	var all, others []string
	fits := false
	for _, s := range h.Sockets {
		local, err := netip.ParseAddrPort(s.Local)
		if s.Protocol != "tcp" || s.State != "LISTEN" {
			continue
		}
		if err != nil { // which nothing can be said of
			fits = fits || strings.HasSuffix(s.Local, fmt.Sprintf(":%d", server.Port()))
			continue
		}
		all = append(all, s.Local)
		if local.Port() != server.Port() {
			continue
		}
		fits = fits || local.Addr().IsUnspecified() || local.Addr().Unmap().WithZone("") == server.Addr().Unmap().WithZone("")
		others = append(others, s.Local)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	slices.Sort(others)
	others = slices.Compact(others)
	switch {
	case fits:
		if reject := rejects(h); reject != "" {
			return "a firewall rule of " + h.Name + " rejects", reject
		}
		return "", fmt.Sprintf("RST in answer to SYN, but %s listened on %s when the test failed: it did not yet, or a firewall rejects", h.Name, strings.Join(others, ", "))
	case len(others) > 0:
		return fmt.Sprintf("%s listens on %s only", h.Name, strings.Join(others, ", ")), "when the test failed"
	}
	why = fmt.Sprintf("nothing listens on port %d of %s", server.Port(), h.Name)
	detail = "when the test failed, it had no listening socket of TCP at all"
	if len(all) > 0 {
		detail = "when the test failed, it listened on " + strings.Join(all[:min(len(all), maxErrors)], ", ")
	}
	if there := f.alsoOn(server.Port(), h.Name); there != "" {
		detail += fmt.Sprintf("; port %d is listened on by %s", server.Port(), there)
	}
	return why, detail
}

// rejects is the rule of a host's firewall that has rejected something.
func rejects(h bundle.HostState) string {
	for _, c := range h.Counters {
		if c.Packets > 0 && strings.Contains(strings.ToLower(c.Where), "reject") {
			return fmt.Sprintf("%s: %d packets", c.Where, c.Packets)
		}
	}
	return ""
}

// alsoOn are the other hosts that listen on a port, on more than loopback.
func (f *finder) alsoOn(port uint16, but string) string {
	var list []string
	for _, h := range f.a.State.Hosts {
		open := slices.ContainsFunc(h.Sockets, func(s bundle.Socket) bool {
			local, err := netip.ParseAddrPort(s.Local)
			return err == nil && s.Protocol == "tcp" && s.State == "LISTEN" && local.Port() == port && !local.Addr().IsLoopback()
		})
		if open && h.Name != but && len(list) < maxErrors {
			list = append(list, h.Name)
		}
	}
	return strings.Join(list, ", ")
}

// nameOf is the name for which the client of a connection has got the server's address, unless it is the server's own.
func (f *finder) nameOf(c *traffic.Conn) string {
	list := f.answers[answered{c.From, c.Server.Addr().String()}]
	before := sort.Search(len(list), func(n int) bool { return f.a.Items[list[n]].Time.After(c.Began) })
	if before == 0 {
		return ""
	}
	question, _, _ := strings.Cut(f.a.Items[list[before-1]].Text, ": ")
	_, name, _ := strings.Cut(question, " ")
	name = strings.TrimSuffix(name, ".")
	if strings.EqualFold(name, c.To) || strings.HasPrefix(strings.ToLower(name), strings.ToLower(c.To)+".") {
		return ""
	}
	return name
}
