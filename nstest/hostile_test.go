package nstest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// Whoever is inside an environment may hold its connection. No request brings the keeper down, is answered with
// something of another environment's, or leaves the environment unusable.
func TestHostileRequests(t *testing.T) {
	bystander := New(t, Config{Name: "bystander"})
	bystander.Host("web")
	env := New(t, Config{})
	env.Host("web")

	long := strings.Repeat("x", 1<<20)
	sockaddr := make([]byte, 500)
	requests := map[string][]any{
		wire.MethodOpen:       {wire.OpenParams{}},
		wire.MethodHost:       {wire.HostParams{}, wire.HostParams{Name: long}, wire.HostParams{Name: "self"}, wire.HostParams{Name: "SELF"}, wire.HostParams{Name: "a/../../b"}, wire.HostParams{Name: "n", Networks: []wire.Attachment{{Network: "none"}}}},
		wire.MethodRemoveHost: {wire.JoinParams{}, wire.JoinParams{Host: "self"}, wire.JoinParams{Host: "none"}},
		wire.MethodNetwork:    {wire.NetworkParams{}, wire.NetworkParams{Name: "lan"}, wire.NetworkParams{Name: "n", MTU: math.MaxInt}},
		wire.MethodSpawn: {wire.SpawnParams{}, wire.SpawnParams{Host: "web", Paths: wire.Strings{"/bin/true"}, Args: wire.Strings{"true"}},
			wire.SpawnParams{Host: "web", Paths: wire.Strings{"/bin/true"}, Args: wire.Strings{"true"}, Credential: true, UID: -1, GID: -1, Terminal: true},
			wire.SpawnParams{Host: "web", Paths: wire.Strings{long}, Args: wire.Strings{long}, Terminal: true},
			wire.SpawnParams{Host: "web", Paths: make(wire.Strings, 1000), Args: wire.Strings{"x"}, Terminal: true}},
		wire.MethodWait:   {wire.ProcParams{}, wire.ProcParams{Proc: 1}, wire.ProcParams{Proc: -1}, wire.ProcParams{Proc: math.MaxInt}},
		wire.MethodSignal: {wire.SignalParams{}, wire.SignalParams{Proc: 1, Signal: 9}, wire.SignalParams{Proc: -1, Signal: 9, Group: true}},
		wire.MethodSocket: {wire.SocketParams{}, wire.SocketParams{Host: "web", Family: 16, Type: 3}, wire.SocketParams{Host: "web", Family: 2, Type: 1, Connect: sockaddr}, wire.SocketParams{Host: "web", Family: 2, Type: 1, Bind: sockaddr}, wire.SocketParams{Host: "web", Family: 2, Type: 1, Bind: []byte{}, Listen: math.MaxInt}},
		wire.MethodJoin:   {wire.JoinParams{}, wire.JoinParams{Host: "../self"}},
		wire.MethodLink:   {wire.LinkParams{}, wire.LinkParams{Host: "web", Network: "none"}},
		wire.MethodAddLink: {wire.AddLinkParams{}, wire.AddLinkParams{Host: "web"}, wire.AddLinkParams{Host: "self"}, wire.AddLinkParams{Host: "web", Attachment: wire.Attachment{Network: long}},
			wire.AddLinkParams{Host: "web", Attachment: wire.Attachment{Network: "lan", MAC: long, Addrs: make([]netip.Addr, 1000)}}},
		wire.MethodRemoveLink: {wire.LinkParams{}, wire.LinkParams{Host: "web", Network: "none"}, wire.LinkParams{Host: "none"}},
		wire.MethodMoveLink:   {wire.MoveLinkParams{}, wire.MoveLinkParams{Host: "web", To: "none"}, wire.MoveLinkParams{Host: "web", To: "lan"}, wire.MoveLinkParams{Host: "web"}},
		wire.MethodRenewLink:  {wire.RenewLinkParams{}, wire.RenewLinkParams{Host: "web", Addrs: make([]netip.Addr, 1000)}, wire.RenewLinkParams{Host: "web", Network: "none"}},
		wire.MethodLinkMTU:    {wire.LinkMTUParams{}, wire.LinkMTUParams{Host: "web"}, wire.LinkMTUParams{Host: "web", MTU: -1}, wire.LinkMTUParams{Host: "web", MTU: math.MaxInt}, wire.LinkMTUParams{Host: "web", MTU: 1 << 33}},
		wire.MethodFlap:       {wire.FlapParams{}, wire.FlapParams{Host: "web", Up: 1, Down: 1}, wire.FlapParams{Host: "web", Up: math.MinInt64, Down: time.Hour}, wire.FlapParams{Host: "none", Up: time.Hour, Down: time.Hour}},
		wire.MethodPartition:  {wire.PartitionParams{}, wire.PartitionParams{Groups: [][]string{{}, {}}}, wire.PartitionParams{Groups: [][]string{{"web"}, {"web"}}}, wire.PartitionParams{Groups: [][]string{{"web"}, {"none"}}}},
		wire.MethodDNS: {wire.DNSParams{DNS: wire.DNS{Records: []string{long}}}, wire.DNSParams{DNS: wire.DNS{Records: []string{"$INCLUDE /etc/passwd"}}},
			wire.DNSParams{DNS: wire.DNS{Views: []wire.DNSView{{Hosts: []string{"none"}}}}}, wire.DNSParams{DNS: wire.DNS{Faults: []wire.DNSFault{{Delay: math.MaxInt64}}}},
			wire.DNSParams{DNS: wire.DNS{Faults: make([]wire.DNSFault, 10000)}}},
		wire.MethodRecords:  {wire.RecordsParams{Records: []string{long}}, wire.RecordsParams{Remove: []string{long}}},
		wire.MethodQueries:  {wire.OpenParams{}},
		wire.MethodDescribe: {wire.OpenParams{}},
		"nonsense":          {struct{}{}, json.RawMessage(`{"a":1}`), json.RawMessage(`[]`)},
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for method, list := range requests {
		for i, params := range list {
			for _, files := range [][]*os.File{nil, {null}, {null, null}} {
				out, err := env.conn.Call(context.Background(), method, params, nil, files...)
				if err == nil {
					t.Errorf("%s %d with %d files was carried out", method, i, len(files))
				}
				if errors.Is(err, wire.ErrClosed) {
					t.Fatalf("%s %d ended the connection: %v", method, i, err)
				}
				closeAll(out)
			}
		}
	}
	// Healing what is not broken is no error, and does nothing.
	if err := env.call(context.Background(), wire.MethodHeal, wire.HealParams{Fault: -1}, nil); err != nil {
		t.Error(err)
	}
	for _, e := range []*Env{env, bystander} {
		if out, err := e.Host("web").Command("echo", "alive").Output(); err != nil || string(out) != "alive\n" {
			t.Errorf("%s after hostile requests: %q, %v", e.Name(), out, err)
		}
	}
}

// An environment that shares the keeper's PID namespace has no init whose end takes everything along.
func TestCloseEndsOrphansWithoutPIDNamespace(t *testing.T) {
	env, err := Open(context.Background(), Config{Share: Namespaces{PID: true}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := env.Self().Command("sh", "-c", "setsid nohup sleep 1000 >/dev/null 2>&1 & echo $!")
	if _, err := cmd.Output(); err != nil {
		t.Error(err)
	}
	list := func(e *Env) string {
		out, err := e.Self().Command("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").Output()
		if err != nil {
			t.Error(err)
		}
		return string(out)
	}
	other := New(t, Config{Share: Namespaces{PID: true}})
	for got := list(other); !strings.Contains(got, "sleep 1000"); got = list(other) { // it has yet to be executed
		if t.Context().Err() != nil || t.Failed() {
			t.Fatalf("the orphan is not visible where it should be: %s", got)
		}
	}
	if err := env.Close(); err != nil {
		t.Error(err)
	}
	if got := list(other); strings.Contains(got, "sleep 1000") {
		t.Errorf("the orphan is left: %s", got)
	}
}
