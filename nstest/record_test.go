package nstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// recorded has an environment recorded in a directory.
func recorded(t *testing.T, env *Env, dir string, p wire.RecordParams) {
	t.Helper()
	callRecord(t, env, wire.MethodRecord, p, recordFiles(t, dir, p.Packets != 0)...)
}

// recordFiles are those for a record in a directory.
func recordFiles(t *testing.T, dir string, packets bool) (files []*os.File) {
	t.Helper()
	for _, name := range []string{record.EventsFile, "ring0", "ring1"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if files = append(files, f); !packets {
			break
		}
	}
	return files
}

// callRecord sends a request with files, which it closes.
func callRecord(t *testing.T, env *Env, method string, params any, files ...*os.File) {
	t.Helper()
	_, err := env.callFiles(context.Background(), method, params, nil, files...)
	if err = errors.Join(err, closeAll(files)); err != nil {
		t.Fatal(err)
	}
}

// events are what the record in a directory has, which is whole.
func events(t *testing.T, dir string) []record.Event {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, record.EventsFile))
	if err != nil {
		t.Fatal(err)
	}
	var list []record.Event
	for line := range strings.Lines(string(data)) {
		var e record.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, e)
	}
	return list
}

// hostsIn are the hosts that were made, by the events.
func hostsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, e := range events(t, dir) {
		if e.Kind == record.KindHost {
			names = append(names, e.Host)
		}
	}
	return names
}

// brief is an event without what is different each time.
func brief(e record.Event) string {
	text := string(e.Kind)
	for _, s := range []string{e.Host, e.Network, strings.Join(e.Args, " "), e.Stream, e.Text, e.State, strings.Join(e.Hosts, "+"), strings.Join(e.Addrs, " ")} {
		if s != "" {
			text += " " + s
		}
	}
	return text
}

func TestRecordOfEvents(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	env, err := Open(context.Background(), Config{Network: NetworkConfig{NoIPv6: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(name string) *Host {
		t.Helper()
		h, err := env.AddHost(HostConfig{Name: name})
		check(err)
		return h
	}
	before := add("before")
	recorded(t, env, dir, wire.RecordParams{Began: began, Limit: 1 << 20})
	web := add("web")
	n, err := env.AddNetwork(NetworkConfig{Name: "b", NoIPv6: true})
	check(err)
	cut, err := env.AddPartition([]*Host{before}, []*Host{web})
	check(err)
	check(cut.Close())
	check(web.Link("").Down())
	check(web.Link("").Up())
	check(web.Link("").SetMTU(1400))
	link, err := web.AddLink(Attachment{Network: n.Name()})
	check(err)
	check(link.Remove())
	check(web.SetFirewall(Firewall{}))
	if err := web.Command("false").Run(); err == nil {
		t.Error("false has succeeded")
	}
	_, err = web.LookupNetIP(context.Background(), "before")
	check(err)
	check(env.RemoveHost("web"))
	check(env.Close())

	got := events(t, dir)
	var list, aside []string // what the environment does at the same time as the test
	for _, e := range got {
		switch {
		case e.Kind == record.KindExit, e.Kind == record.KindQuery:
			aside = append(aside, brief(e))
		default:
			list = append(list, brief(e))
		}
	}
	slices.Sort(aside)
	want := []string{
		"note the environment was asked for",
		"host before " + before.Addr().String(),
		"host self " + env.Self().Addr().String(),
		"host web " + web.Addr().String(),
		"note b network b is there",
		"fault partition of before | web before+web",
		"fault partition of before | web healed before+web",
		"link web lan down",
		"link web lan up",
		"link web lan MTU 1400",
		"link web b added as eth1",
		"link web b removed",
		"note web the firewall of host web was replaced: allow everything",
		"start web false",
		"host web gone",
	}
	wantAside := []string{"exit web exit status 1", "query web A before. NOERROR " + before.Addr().String(), "query web AAAA before. NOERROR"}
	if !slices.Equal(aside, wantAside) {
		t.Errorf("got %q, want %q", aside, wantAside)
	}
	if !slices.Equal(list, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(list, "\n"), strings.Join(want, "\n"))
	}
	if !got[0].Time.Equal(began) {
		t.Errorf("asked for at %v, not %v", got[0].Time, began)
	}
}

func TestRecordOfWhatIsKilled(t *testing.T) {
	dir := t.TempDir()
	env := New(t, Config{})
	recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20})
	cmd := env.Host("web").Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a sleep that was killed has succeeded")
	}
	left := env.Host("web").Command("sleep", "1000")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	var starts, exits []record.Event
	for _, e := range events(t, dir) {
		switch e.Kind {
		case record.KindStart:
			starts = append(starts, e)
		case record.KindExit:
			exits = append(exits, e)
		}
	}
	if len(starts) != 2 || len(exits) != 1 { // what the end of the environment has ended is there until the end
		t.Fatalf("starts %v, exits %v", starts, exits)
	}
	if x := exits[0]; x.State != "signal: killed" || x.OOM || x.Took <= 0 || x.Process != starts[0].Process || x.PID != cmd.Process.Pid || starts[0].PID != x.PID {
		t.Errorf("started %v, ended %v", starts[0], x)
	}
}

// What a process does that is killed, and its children, is written down before that.
func TestRecordOfWhatWasDoneBeforeAKill(t *testing.T) {
	dir := t.TempDir()
	env := New(t, Config{})
	recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20})
	web := env.Host("web")
	cmd := web.Command("sh", "-c", "mkfifo /run/a; echo waits; read x </run/a")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = out.Read(make([]byte, 10))
	}
	if err != nil {
		t.Fatal(err)
	}
	stat := fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid)
	for state := ""; state != "S"; {
		stat, err := web.Command("cat", stat).Output()
		if err != nil {
			t.Fatal(err)
		}
		state = strings.Fields(string(stat))[2]
	}
	began := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	over := time.Now()
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("before it was killed: sh (%d) waits in open(/run/a)", cmd.Process.Pid)
	said := false
	for _, e := range events(t, dir) {
		if e.Process != 1 {
			continue
		}
		said = said || e.Kind == record.KindNote && e.Text == want
		if e.Kind == record.KindExit && (e.Time.Before(began) || e.Time.After(over)) {
			t.Errorf("it has ended at %v, and was killed between %v and %v", e.Time, began, over)
		}
	}
	if !said {
		t.Errorf("%q is not in %v", want, events(t, dir))
	}
}

func TestRecordsAreRefused(t *testing.T) {
	env := New(t, Config{})
	dir := t.TempDir()
	open := func(name string, flags int) *os.File {
		f, err := os.OpenFile(filepath.Join(dir, name), flags|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	good := open("good", os.O_WRONLY|os.O_APPEND)
	a, b := open("a", os.O_WRONLY|os.O_APPEND), open("b", os.O_WRONLY|os.O_APPEND)
	same := open("good", os.O_WRONLY|os.O_APPEND)
	proc, err := os.OpenFile("/proc/self/comm", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fine := wire.RecordParams{Limit: 1 << 20, Packets: 1 << 20}
	for name, c := range map[string]struct {
		params wire.RecordParams
		files  []*os.File
	}{
		"no file":        {wire.RecordParams{Limit: 1 << 20, Packets: 1}, nil},
		"two files":      {fine, []*os.File{good, a}},
		"four files":     {fine, []*os.File{good, a, b, w}},
		"one file twice": {fine, []*os.File{good, a, same}},
		"not appending":  {fine, []*os.File{open("c", os.O_WRONLY)}},
		"pipe":           {fine, []*os.File{w}},
		"proc":           {fine, []*os.File{good, a, proc}},
		"no limit":       {wire.RecordParams{}, []*os.File{good}},
		"negative limit": {wire.RecordParams{Limit: math.MinInt64}, []*os.File{good}},
		"no packets":     {wire.RecordParams{Limit: 1 << 20}, []*os.File{good, a, b}},
		"negative snap":  {wire.RecordParams{Limit: 1 << 20, Packets: 1 << 20, Snap: -1}, []*os.File{good, a, b}},
	} {
		if _, err := env.callFiles(context.Background(), wire.MethodRecord, c.params, nil, c.files...); err == nil || errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := env.callFiles(context.Background(), wire.MethodRecordTo, nil, nil, good, a, b); err == nil {
		t.Error("there are files for no record")
	}
	huge := wire.RecordParams{Began: time.Now().Add(1e6 * time.Hour), Limit: math.MaxInt64, Packets: math.MaxInt64, Snap: math.MaxInt}
	if _, err := env.callFiles(context.Background(), wire.MethodRecord, huge, nil, good, a, b); err != nil { // the control
		t.Error(err)
	}
	if _, err := env.callFiles(context.Background(), wire.MethodRecord, fine, nil, good, a, b); err == nil || !strings.Contains(err.Error(), "recorded already") {
		t.Errorf("a second time: %v", err)
	}
	if _, err := env.callFiles(context.Background(), wire.MethodRecordTo, nil, nil, good, a, b); err == nil || !strings.Contains(err.Error(), "its files already") {
		t.Errorf("files a second time: %v", err)
	}
}

// What is recorded before there are files is in them, and of an environment that ends without there is nothing.
func TestRecordWaitsForItsFiles(t *testing.T) {
	for _, late := range []bool{true, false} {
		dir := t.TempDir()
		env, err := Open(context.Background(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		const size = 64 << 10
		callRecord(t, env, wire.MethodRecord, wire.RecordParams{Limit: 1 << 20, Packets: size})
		var hosts [2]*Host
		for i, name := range []string{"a", "b"} {
			if hosts[i], err = env.AddHost(HostConfig{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		listener, err := hosts[1].ListenPacket("udp4", ":5000") // else the sender gets errors
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		conn, err := hosts[0].DialContext(context.Background(), "udp4", hosts[1].Addr().String()+":5000")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		send := func(from, to int) {
			for i := from; i < to; i++ {
				if _, err := fmt.Fprintf(conn, "%-1000d", i); err != nil {
					t.Fatal(err)
				}
			}
		}
		send(0, 40) // twice each, and so more than one of the files has room for
		if late {
			wrong := recordFiles(t, t.TempDir(), true)[:2]
			if _, err := env.callFiles(context.Background(), wire.MethodRecordTo, nil, nil, wrong...); err == nil {
				t.Error("packets are recorded into one file")
			}
			closeAll(wrong)
			callRecord(t, env, wire.MethodRecordTo, nil, recordFiles(t, dir, true)...)
		}
		send(40, 45)
		if _, err := env.AddHost(HostConfig{Name: "c"}); err != nil {
			t.Fatal(err)
		}
		if err := env.Close(); err != nil {
			t.Fatal(err)
		}
		if !late {
			continue
		}
		got := hostsIn(t, dir)
		if want := []string{"self", "a", "b", "c"}; !slices.Equal(got, want) {
			t.Errorf("hosts %q, want %q", got, want)
		}
		rings := [][]string{packets(t, filepath.Join(dir, "ring0"), 5000), packets(t, filepath.Join(dir, "ring1"), 5000)}
		if last := len(rings[0]) - 1; last >= 0 && rings[0][last] == "b/eth0 44" {
			slices.Reverse(rings)
		}
		got = slices.Concat(rings...)
		var want []string
		for i := 45 - len(got)/2; i < 45; i++ {
			want = append(want, fmt.Sprint("a/eth0 ", i), fmt.Sprint("b/eth0 ", i))
		}
		if len(got) < 60 || !slices.Equal(got, want) {
			t.Errorf("%d packets:\n%q\nwant the last ones:\n%q", len(got), got, want)
		}
	}
}

func TestRecordThatIsFull(t *testing.T) {
	dir := t.TempDir()
	env := New(t, Config{})
	const limit = 16 << 10
	recorded(t, env, dir, wire.RecordParams{Limit: limit})
	web := env.Host("web")
	for i := range 200 {
		if _, err := web.LookupNetIP(context.Background(), fmt.Sprintf("no%d", i)); err == nil {
			t.Fatal("a name is known that is not")
		}
	}
	if err := web.Link("").Down(); err != nil {
		t.Fatal(err)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	queries := 0
	var others []string
	for _, e := range events(t, dir) {
		if e.Kind == record.KindQuery {
			queries++
		} else {
			others = append(others, brief(e))
		}
	}
	want := []string{
		"note the record is full: lines of output and DNS queries from here on are left out",
		"link web lan down", // for which there is room
		fmt.Sprintf("note %d lines of output and DNS queries were left out, since the record was full", 2*200-queries),
	}
	if len(others) < 3 || !slices.Equal(others[len(others)-3:], want) || queries < 20 {
		t.Errorf("%d queries, and\n%s", queries, strings.Join(others, "\n"))
	}
	if info, err := os.Stat(filepath.Join(dir, record.EventsFile)); err != nil || info.Size() > limit {
		t.Errorf("%v, %v", info.Size(), err)
	}
}
