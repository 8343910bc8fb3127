package keeper

import (
	"encoding/json"
	"fmt"

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

// recordChange writes down what a request has changed, that was carried out.
func (e *environment) recordChange(req *wire.Request) {
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
	e.record(event)
}
