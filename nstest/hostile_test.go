package nstest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// Whoever is inside an environment may hold its connection. No request brings the keeper down, is answered with
// something of another environment's, or leaves the environment unusable.
func TestHostileRequests(t *testing.T) {
	bystander := New(t, Config{Name: "bystander"})
	bystander.Host("web")
	env := New(t, Config{})
	env.Host("web")
	if _, err := env.AddNetwork(NetworkConfig{Name: "net"}); err != nil {
		t.Fatal(err)
	}
	if _, err := env.AddRouter(RouterConfig{Name: "gw", Networks: []Attachment{{Network: "lan"}, {Network: "net"}}}); err != nil {
		t.Fatal(err)
	}

	long := strings.Repeat("x", 1<<20)
	text := long[:1<<10]
	sockaddr := make([]byte, 500)
	router := func(p wire.RouterParams) wire.RouterParams {
		p.HostParams = wire.HostParams{Name: "r", Networks: []wire.Attachment{{Network: "lan"}, {Network: "net"}}}
		return p
	}
	nat := func(n wire.NAT) wire.NATParams {
		n.Outside = cmp.Or(n.Outside, "net")
		return wire.NATParams{Host: "gw", NAT: []wire.NAT{n}}
	}
	advertise := func(list ...wire.Advertisement) wire.AdvertiseParams {
		return wire.AdvertiseParams{Host: "gw", Advertise: list}
	}
	fence := func(r wire.FirewallRule) wire.FirewallParams {
		return wire.FirewallParams{Host: "web", Firewall: wire.Firewall{Rules: []wire.FirewallRule{r}}}
	}
	requests := map[string][]any{
		wire.MethodOpen:       {wire.OpenParams{}},
		wire.MethodHost:       {wire.HostParams{}, wire.HostParams{Name: long}, wire.HostParams{Name: "self"}, wire.HostParams{Name: "SELF"}, wire.HostParams{Name: "a/../../b"}, wire.HostParams{Name: "n", Networks: []wire.Attachment{{Network: "none"}}}},
		wire.MethodRemoveHost: {wire.JoinParams{}, wire.JoinParams{Host: "self"}, wire.JoinParams{Host: "none"}},
		wire.MethodNetwork: {wire.NetworkParams{}, wire.NetworkParams{Name: "lan"}, wire.NetworkParams{Name: "n", MTU: math.MaxInt},
			wire.NetworkParams{Name: "n", Prefixes: make([]netip.Prefix, 1000)}, wire.NetworkParams{Name: "n", Trunks: []string{"lan", "lan"}}, wire.NetworkParams{Name: "n", Trunks: []string{"n"}},
			wire.NetworkParams{Name: "n", Trunks: []string{text}}, wire.NetworkParams{Name: "n", Medium: "vxlan"}, wire.NetworkParams{Name: "n", Medium: "vxlan", Over: "lan", VNI: math.MaxInt},
			wire.NetworkParams{Name: "n", Medium: "macvlan", Over: "lan", VNI: -1}, wire.NetworkParams{Name: "n", Medium: text, Over: "lan"}},
		wire.MethodKeyLog:   {wire.KeyLogParams{}, wire.KeyLogParams{Lines: "x"}, wire.KeyLogParams{Lines: "\x00\n"}, wire.KeyLogParams{Lines: long + "\n"}},
		wire.MethodRecord:   {wire.RecordParams{}, wire.RecordParams{Limit: math.MinInt64, Packets: math.MaxInt64}, wire.RecordParams{Limit: math.MaxInt64, Packets: math.MinInt64}},
		wire.MethodRecordTo: {struct{}{}, wire.RecordParams{Limit: math.MaxInt64}},
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
		wire.MethodPartition:  {wire.PartitionParams{}, wire.PartitionParams{Groups: [][]string{{}, {}}}, wire.PartitionParams{Groups: [][]string{{"web"}, {"web"}}}, wire.PartitionParams{Groups: [][]string{{"web"}, {"none"}}}, wire.PartitionParams{Groups: [][]string{{"web"}, {"WEB"}}}},
		wire.MethodDNS: {wire.DNSParams{DNS: wire.DNS{Records: []string{long}}}, wire.DNSParams{DNS: wire.DNS{Records: []string{"$INCLUDE /etc/passwd"}}},
			wire.DNSParams{DNS: wire.DNS{Views: []wire.DNSView{{Hosts: []string{"none"}}}}}, wire.DNSParams{DNS: wire.DNS{Faults: []wire.DNSFault{{Delay: math.MaxInt64}}}},
			wire.DNSParams{DNS: wire.DNS{Faults: make([]wire.DNSFault, 10000)}}},
		wire.MethodRouter: {wire.RouterParams{}, wire.RouterParams{HostParams: wire.HostParams{Name: "r"}}, router(wire.RouterParams{Routes: make([]wire.Route, 1000)}),
			router(wire.RouterParams{Routes: []wire.Route{{To: netip.MustParsePrefix("10.9.0.0/16"), Network: "lan", Table: -1}}}),
			router(wire.RouterParams{Rules: []wire.Rule{{Table: math.MaxInt}}}), router(wire.RouterParams{NAT: make([]wire.NAT, 1000)}),
			router(wire.RouterParams{NAT64: &wire.NAT64{}}), router(wire.RouterParams{Advertise: make([]wire.Advertisement, 1000)}),
			router(wire.RouterParams{Firewall: wire.Firewall{Default: text}})},
		wire.MethodRoute: {wire.RouteParams{}, wire.RouteParams{Host: "web"}, wire.RouteParams{Host: "web", Route: wire.Route{Type: text}},
			wire.RouteParams{Host: "web", Route: wire.Route{To: netip.MustParsePrefix("10.9.0.0/16"), Metric: math.MaxInt}}},
		wire.MethodRule: {wire.RuleParams{}, wire.RuleParams{Host: "web", Rule: wire.Rule{Priority: -1}}, wire.RuleParams{Host: "web", Rule: wire.Rule{In: text}}},
		wire.MethodNAT: {wire.NATParams{}, wire.NATParams{Host: "web"}, wire.NATParams{Host: "gw", NAT: make([]wire.NAT, 2)}, wire.NATParams{Host: "gw", NAT: make([]wire.NAT, 10000)},
			nat(wire.NAT{Outside: "none"}), nat(wire.NAT{Kind: text}), nat(wire.NAT{Inside: []string{"lan", "lan"}}), nat(wire.NAT{UDPTimeout: -1}), nat(wire.NAT{TCPTimeout: math.MaxInt64}),
			nat(wire.NAT{Forwards: make([]wire.Forward, 10000)}), nat(wire.NAT{Forwards: []wire.Forward{{Network: "tcp", Port: 80}}}),
			nat(wire.NAT{Forwards: []wire.Forward{{Network: "udp", Port: 80, To: netip.MustParseAddrPort("[::ffff:10.1.0.2]:80")}}}),
			nat(wire.NAT{NPTv6: netip.MustParsePrefix("10.0.0.0/8")}), nat(wire.NAT{NPTv6: netip.MustParsePrefix("2001:db8::/128")}), nat(wire.NAT{NPTv6: netip.MustParsePrefix("::/0")})},
		wire.MethodNAT64: {wire.NAT64Params{}, wire.NAT64Params{Host: "web"}, wire.NAT64Params{Host: "gw", NAT64: &wire.NAT64{}},
			wire.NAT64Params{Host: "gw", NAT64: &wire.NAT64{Outside: "net", Prefix: netip.MustParsePrefix("::/0")}}, wire.NAT64Params{Host: "gw", NAT64: &wire.NAT64{Outside: "net", Prefix: netip.MustParsePrefix("10.0.0.0/8")}}},
		wire.MethodAdvertise: {wire.AdvertiseParams{}, wire.AdvertiseParams{Host: "web", Advertise: []wire.Advertisement{{Network: "lan"}}}, advertise(wire.Advertisement{Network: "none"}),
			advertise(wire.Advertisement{Network: "lan"}, wire.Advertisement{Network: "lan"}), advertise(wire.Advertisement{Network: "lan", Interval: 1}), advertise(wire.Advertisement{Network: "lan", Interval: math.MinInt64}),
			advertise(wire.Advertisement{Network: "lan", Lifetime: math.MaxInt64}), advertise(wire.Advertisement{Network: "lan", MTU: -1}), advertise(wire.Advertisement{Network: "lan", Prefixes: make([]netip.Prefix, 1)}),
			advertise(wire.Advertisement{Network: "lan", DNS: make([]netip.Addr, 1)}), advertise(wire.Advertisement{Network: "lan", DNS: slices.Repeat([]netip.Addr{netip.IPv6Loopback()}, 1000)}),
			advertise(wire.Advertisement{Network: "lan", Search: []string{text}}), advertise(wire.Advertisement{Network: "lan", Search: slices.Repeat([]string{"example"}, 1000)}),
			advertise(wire.Advertisement{Network: "lan", NAT64: netip.MustParsePrefix("::/0")}), advertise(wire.Advertisement{Network: "lan", NAT64: netip.MustParsePrefix("10.0.0.0/32")}),
			advertise(wire.Advertisement{Network: "lan", Preferred: math.MaxInt64, Valid: 1})},
		wire.MethodFirewall: {wire.FirewallParams{}, wire.FirewallParams{Host: "web", Firewall: wire.Firewall{Default: text}}, wire.FirewallParams{Host: "web", Firewall: wire.Firewall{Rules: make([]wire.FirewallRule, 10000)}},
			fence(wire.FirewallRule{From: text}), fence(wire.FirewallRule{To: "fe80::1%eth0"}), fence(wire.FirewallRule{To: "::ffff:10.1.0.2"}), fence(wire.FirewallRule{To: "10.0.0.0/-1"}), fence(wire.FirewallRule{Direction: text}),
			fence(wire.FirewallRule{Protocol: "tcp", Ports: make([]wire.PortRange, 1)}), fence(wire.FirewallRule{Protocol: "tcp", Ports: make([]wire.PortRange, 10000)}),
			fence(wire.FirewallRule{Protocol: "tcp", Redirect: netip.MustParseAddrPort("0.0.0.0:80")}), fence(wire.FirewallRule{Protocol: "tcp", Redirect: netip.MustParseAddrPort("[fe80::1%eth0]:80")})},
		wire.MethodTrunk:       {wire.TrunkParams{}, wire.TrunkParams{Network: "lan", To: "lan"}, wire.TrunkParams{Network: text, To: text}},
		wire.MethodFindNetwork: {wire.FindNetworkParams{Network: "none"}},
		wire.MethodTopology:    {wire.OpenParams{}},
		wire.MethodInventory:   {wire.OpenParams{}},
		wire.MethodBorrow:      {wire.BorrowParams{}, wire.BorrowParams{Host: "web", Device: text}},
		wire.MethodRecords:     {wire.RecordsParams{Records: []string{long}}, wire.RecordsParams{Remove: []string{long}}},
		wire.MethodQueries:     {wire.OpenParams{}},
		wire.MethodDescribe:    {wire.OpenParams{}},
		"nonsense":             {struct{}{}, json.RawMessage(`{"a":1}`), json.RawMessage(`[]`)},
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

// A capture writes with the keeper's rights to a file that somebody else has opened.
func TestHostileCaptures(t *testing.T) {
	env := New(t, Config{})
	env.Host("web")
	dir := t.TempDir()
	files := map[string]*os.File{}
	open := func(name, path string, flags int) {
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files[name] = f
	}
	sealed := func(name string, seals int) {
		fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND)
		}
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		}
		if err != nil {
			t.Fatal(err)
		}
		files[name] = os.NewFile(uintptr(fd), name)
		t.Cleanup(func() { files[name].Close() })
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	files["pipe"] = r
	open("directory", dir, os.O_RDONLY)
	open("read only", filepath.Join(dir, "read"), os.O_RDONLY|os.O_CREATE)
	open("path", filepath.Join(dir, "read"), unix.O_PATH)
	open("not appending", filepath.Join(dir, "write"), os.O_WRONLY|os.O_CREATE)
	open("device", os.DevNull, os.O_WRONLY|os.O_APPEND)
	open("proc", "/proc/self/comm", os.O_WRONLY|os.O_APPEND)
	sealed("sealed against writing", unix.F_SEAL_WRITE)
	sealed("sealed against growing", unix.F_SEAL_GROW)
	good := wire.CaptureParams{Limit: 1 << 20}
	refused := func(name string, f *os.File, p wire.CaptureParams) {
		t.Helper()
		out, err := env.conn.Call(context.Background(), wire.MethodCapture, p, nil, f)
		if err == nil || errors.Is(err, wire.ErrClosed) {
			t.Errorf("%s: got %v", name, err)
		}
		closeAll(out)
	}
	noState := func(name string, files ...*os.File) {
		t.Helper()
		out, err := env.conn.Call(context.Background(), wire.MethodState, nil, nil, files...)
		if err == nil || errors.Is(err, wire.ErrClosed) {
			t.Errorf("state into %s: got %v", name, err)
		}
		closeAll(out)
	}
	for name, f := range files {
		refused(name, f, good)
		noState(name, f)
	}
	noState("nothing")
	open("good", filepath.Join(dir, "good"), os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	noState("two files", files["good"], files["good"])
	for range 2 { // the second replaces the first
		if _, err := env.callFiles(context.Background(), wire.MethodState, nil, nil, files["good"]); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "good"))
	if err != nil || !json.Valid(text) {
		t.Errorf("the file of a state: %v: %s", err, text)
	}
	for i, p := range []wire.CaptureParams{
		{}, {Limit: -1}, {Limit: 1}, {Limit: 1 << 20, Snap: -1}, {Limit: 1 << 20, Host: "none"}, {Limit: 1 << 20, Host: "web", Network: "none"},
		{Limit: 1 << 20, Filter: strings.Repeat("1+", 1<<20) + "1=1"}, {Limit: 1 << 20, Filter: strings.Repeat("(", 1<<15)},
		{Limit: 1 << 20, Filter: strings.Repeat("(1=1)or", 1<<12)},
	} {
		refused(fmt.Sprint("parameters ", i), files["good"], p)
	}
	for _, method := range []string{wire.MethodFlush, wire.MethodStop} {
		for _, n := range []int{0, -1, math.MaxInt} {
			if err := env.call(context.Background(), method, wire.CaptureResult{Capture: n}, nil); err == nil || errors.Is(err, wire.ErrClosed) {
				t.Errorf("%s %d: got %v", method, n, err)
			}
		}
	}
	var c wire.CaptureResult // the control
	huge := wire.CaptureParams{Limit: math.MaxInt64, Snap: math.MaxInt, Filter: "1=1" + strings.Repeat("||1=1", 1<<12)}
	if _, err := env.callFiles(context.Background(), wire.MethodCapture, huge, &c, files["good"]); err != nil {
		t.Fatal(err)
	}
	if err := env.call(context.Background(), wire.MethodStop, c, nil); err != nil {
		t.Error(err)
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
