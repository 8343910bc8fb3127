package keeper

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// changes is what has happened where a request was carried out that no event of its own tells of: a format for whom it is about.
var changes = map[string]string{
	wire.MethodNetwork:   "network %s is there",
	wire.MethodRoute:     "a route of host %s was set",
	wire.MethodRule:      "a rule of host %s was set",
	wire.MethodNAT:       "the NAT of host %s was replaced",
	wire.MethodNAT64:     "the NAT64 of host %s was replaced",
	wire.MethodAdvertise: "the router advertisements of host %s were replaced",
	wire.MethodFirewall:  "the firewall of host %s was replaced",
	wire.MethodDNS:       "the records and faults of DNS were replaced",
	wire.MethodRecords:   "records of DNS were changed",
	wire.MethodBorrow:    "host %s has borrowed a device of the machine",
	wire.MethodGiveBack:  "host %s has given a device back to the machine",
}

// A before is what there was before a request that replaces it, if the environment is recorded.
type before struct {
	records []string
	few     bool // they are all
}

// maxCompared is among how many records of DNS those are looked for that were changed.
const maxCompared = 1000

func (e *environment) before(req *wire.Request) (b before) {
	if e.recorder.Load() != nil && (req.Method == wire.MethodDNS || req.Method == wire.MethodRecords) {
		b.records, b.few = e.zone.Records(maxCompared)
	}
	return b
}

// recordChange writes down what a request has changed, that was carried out.
func (e *environment) recordChange(req *wire.Request, was before) {
	format, ok := changes[req.Method]
	if !ok || e.recorder.Load() == nil {
		return
	}
	var about struct{ Host, Name, Network string }
	if json.Unmarshal(req.Params, &about) != nil {
		return
	}
	event := record.Event{Kind: record.KindNote, Host: about.Host, Text: format}
	switch {
	case req.Method == wire.MethodNetwork:
		event.Network, event.Text = about.Name, fmt.Sprintf(format, about.Name)
	case about.Host != "":
		event.Network, event.Text = about.Network, fmt.Sprintf(format, about.Host)
	}
	if more := e.changed(req, was); more != "" {
		event.Text += ": " + more
	}
	e.record(event)
}

// changed says from what to what, or to what.
func (e *environment) changed(req *wire.Request, was before) string {
	switch req.Method {
	case wire.MethodFirewall:
		var p wire.FirewallParams
		if json.Unmarshal(req.Params, &p) == nil {
			return firewallText(p.Firewall)
		}
	case wire.MethodRecords:
		return e.recordsSince(was)
	case wire.MethodDNS:
		var p wire.DNSParams
		if json.Unmarshal(req.Params, &p) != nil {
			return ""
		}
		parts := []string{e.recordsSince(was)}
		for _, v := range p.DNS.Views {
			parts = append(parts, fmt.Sprintf("%s alone: %s", strings.Join(v.Hosts, ", "), recordsText(nil, v.Records)))
		}
		for _, f := range p.DNS.Faults {
			parts = append(parts, dnsFaultText(f))
		}
		return listed(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
	}
	return ""
}

// maxListed is how many rules or records a text has.
const maxListed = 20

func listed(parts []string, separator string) string {
	more := ""
	if len(parts) > maxListed {
		parts, more = parts[:maxListed], fmt.Sprintf("%sand %d more", separator, len(parts)-maxListed)
	}
	return strings.Join(parts, separator) + more
}

func (e *environment) recordsSince(was before) string {
	now, few := e.zone.Records(maxCompared)
	if !few || !was.few {
		return ""
	}
	return recordsText(was.records, now)
}

// recordsText says which records are gone and which are new.
func recordsText(old, records []string) string {
	without := func(list, other []string) (out []string) {
		known := map[string]bool{}
		for _, r := range other {
			known[r] = true
		}
		for _, r := range list {
			if !known[r] {
				out = append(out, strings.Join(strings.Fields(r), " "))
			}
		}
		return out
	}
	gone, fresh := without(old, records), without(records, old)
	switch {
	case len(gone) == 0:
		return listed(fresh, ", ")
	case len(fresh) == 0:
		return "without " + listed(gone, ", ")
	}
	return listed(fresh, ", ") + " in place of " + listed(gone, ", ")
}

// dnsFaultText is a fault of DNS in words, such as "nxdomain for A db. asked by web".
func dnsFaultText(f wire.DNSFault) string {
	text := cmp.Or(f.Answer, "the answer")
	if f.Delay > 0 {
		text += " after " + f.Delay.String()
	}
	text += " for " + strings.TrimSpace(f.Type+" "+cmp.Or(f.Name, "every name"))
	if len(f.Hosts) > 0 {
		text += " asked by " + strings.Join(f.Hosts, ", ")
	}
	if f.Times > 0 {
		text += fmt.Sprintf(", %d times", f.Times)
	}
	return text
}

// firewallText is a firewall in words, such as "drop out tcp to shop, else allow".
func firewallText(f wire.Firewall) string {
	var parts []string
	for _, r := range f.Rules {
		parts = append(parts, ruleText(r))
	}
	last := cmp.Or(f.Default, "allow")
	if len(parts) == 0 {
		return last + " everything"
	}
	return listed(parts, ", ") + ", else " + last
}

func ruleText(r wire.FirewallRule) string {
	words := []string{cmp.Or(r.Verdict, "allow"), r.Direction, r.Protocol}
	for i, p := range r.Ports {
		text := fmt.Sprint(p.First)
		if p.Last > p.First {
			text += fmt.Sprintf("–%d", p.Last)
		}
		if i == 0 {
			text = "port " + text
		}
		words = append(words, text)
	}
	if r.From != "" {
		words = append(words, "from "+r.From)
	}
	if r.To != "" {
		words = append(words, "to "+r.To)
	}
	if r.Redirect.IsValid() {
		words[0] = "redirect"
		words = append(words, "→ "+r.Redirect.String())
	}
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " ")
}
