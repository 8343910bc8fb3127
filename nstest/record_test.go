package nstest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// recorded has an environment recorded in a directory.
func recorded(t *testing.T, env *Env, dir string, p wire.RecordParams) {
	t.Helper()
	var files []*os.File
	for _, name := range []string{record.EventsFile, "ring0", "ring1"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	if p.Packets == 0 {
		files = files[:1]
	}
	if _, err := env.callFiles(context.Background(), wire.MethodRecord, p, nil, files...); err != nil {
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
		"fault partition of before | web before+web",
		"fault partition of before | web healed before+web",
		"link web lan down",
		"link web lan up",
		"link web lan MTU 1400",
		"link web b added as eth1",
		"link web b removed",
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
		"no file":        {fine, nil},
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
	huge := wire.RecordParams{Began: time.Now().Add(1e6 * time.Hour), Limit: math.MaxInt64, Packets: math.MaxInt64, Snap: math.MaxInt}
	if _, err := env.callFiles(context.Background(), wire.MethodRecord, huge, nil, good, a, b); err != nil { // the control
		t.Error(err)
	}
	if _, err := env.callFiles(context.Background(), wire.MethodRecord, fine, nil, good, a, b); err == nil || !strings.Contains(err.Error(), "recorded already") {
		t.Errorf("a second time: %v", err)
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

// packets are the payloads of the UDP packets to a port in a capture that is whole, by the interfaces where they were seen.
func packets(t *testing.T, path string, port uint16) (list []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	le, be := binary.LittleEndian, binary.BigEndian
	var interfaces []string
	for i := 0; len(text) > 0; i++ {
		if len(text) < 12 || int(le.Uint32(text[4:])) > len(text) {
			t.Fatalf("%s: the last block is cut", path)
		}
		block := text[:le.Uint32(text[4:])]
		text = text[len(block):]
		kind := le.Uint32(block)
		if (kind == 0x0a0d0d0a) != (i == 0) || le.Uint32(block[len(block)-4:]) != uint32(len(block)) {
			t.Fatalf("%s: block %d of kind %d, %d bytes", path, i, kind, len(block))
		}
		switch kind {
		case 1: // the interface's description begins with its name
			interfaces = append(interfaces, string(block[20:][:le.Uint16(block[18:])]))
		case 6:
			frame := block[28:][:le.Uint32(block[20:])]
			if len(frame) > 42 && be.Uint16(frame[12:]) == 0x800 && frame[23] == 17 && be.Uint16(frame[36:]) == port {
				list = append(list, interfaces[le.Uint32(block[8:])]+" "+strings.TrimRight(string(frame[42:]), " "))
			}
		}
	}
	return list
}

func TestRecordOfPackets(t *testing.T) {
	dir := t.TempDir()
	env, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	const size = 64 << 10
	recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20, Packets: size})
	send := func(from *Host, to *Host, text string) {
		t.Helper()
		conn, err := from.DialContext(context.Background(), "udp4", net.JoinHostPort(to.Addr().String(), "5000"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	var hosts [2]*Host
	for i, name := range []string{"a", "b"} {
		if hosts[i], err = env.AddHost(HostConfig{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i := range 300 {
		send(hosts[0], hosts[1], fmt.Sprintf("%-1000d", i))
		want = append(want, fmt.Sprint("a/eth0 ", i), fmt.Sprint("b/eth0 ", i))
	}
	if _, err := env.AddNetwork(NetworkConfig{Name: "later", NoIPv6: true}); err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		if _, err := h.AddLink(Attachment{Network: "later"}); err != nil {
			t.Fatal(err)
		}
	}
	later := hosts[1].Link("later").Addrs()[0]
	conn, err := hosts[0].DialContext(context.Background(), "udp4", net.JoinHostPort(later.String(), "5000"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}

	var got [2][]string
	var other []string // each switch has an order of its own
	for i := range got {
		for _, p := range packets(t, filepath.Join(dir, fmt.Sprint("ring", i)), 5000) {
			if strings.HasSuffix(p, " last") {
				other = append(other, p)
			} else {
				got[i] = append(got[i], p)
			}
		}
	}
	if last := len(got[0]) - 1; last >= 0 && got[0][last] == "b/eth0 299" {
		slices.Reverse(got[:])
	}
	all := slices.Concat(got[:]...)
	if !slices.Equal(other, []string{"a/eth1 last", "b/eth1 last"}) {
		t.Errorf("on the other switch: %q", other)
	}
	if len(all) < size/2/1100 || len(all) > 2*size/1000 || len(got[0]) < size/2/1100 || !slices.Equal(all, want[len(want)-len(all):]) {
		t.Errorf("got %d and %d packets: %v", len(got[0]), len(got[1]), got)
	}
	for _, name := range []string{"ring0", "ring1"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > size {
			t.Errorf("%d bytes, %v", info.Size(), err)
		}
	}
}

// What was recorded of one environment is in no other record, though the next one uses the same switch.
func TestRecordsShareNoPackets(t *testing.T) {
	for round := range 5 {
		dir := t.TempDir()
		env, err := Open(context.Background(), Config{Network: NetworkConfig{NoIPv6: true}})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		web, err := env.AddHost(HostConfig{Name: "web"})
		if err != nil {
			t.Fatal(err)
		}
		send := func(text string) {
			conn, err := web.DialContext(context.Background(), "udp4", net.JoinHostPort(env.Self().Addr().String(), "5000"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		send("before")
		recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20, Packets: 1 << 20})
		send(fmt.Sprint("round ", round))
		if err := env.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{fmt.Sprint("web/eth0 round ", round), fmt.Sprint("self/eth0 round ", round)}
		if got := packets(t, filepath.Join(dir, "ring0"), 5000); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := packets(t, filepath.Join(dir, "ring1"), 5000); len(got) != 0 {
			t.Errorf("in the other file: %q", got)
		}
	}
}

// said are the lines that the processes of a record have written.
func said(t *testing.T, dir string) (list []string) {
	t.Helper()
	for _, e := range events(t, dir) {
		if e.Kind == record.KindLog {
			list = append(list, brief(e))
		}
	}
	return list
}

func TestRecordOfOutput(t *testing.T) {
	for _, is := range []struct {
		name string
		run  func(c *Cmd) (string, error)
		want []string
	}{
		{"nobody's", func(c *Cmd) (string, error) { return "", c.Run() }, []string{"stdout one", "stderr two", "stdout three"}},
		{"a writer's", func(c *Cmd) (string, error) {
			var out, errs strings.Builder
			c.Stdout, c.Stderr = &out, &errs
			err := c.Run()
			return out.String() + "|" + errs.String(), err
		}, []string{"stdout one", "stderr two", "stdout three"}},
		{"one writer's", func(c *Cmd) (string, error) {
			out, err := c.CombinedOutput()
			return string(out), err
		}, []string{"stdout one", "stdout two", "stdout three"}},
		{"a pipe", func(c *Cmd) (string, error) {
			r, err := c.StdoutPipe()
			if err != nil {
				return "", err
			}
			if err := c.Start(); err != nil {
				return "", err
			}
			out, err := io.ReadAll(r)
			return string(out), errors.Join(err, c.Wait())
		}, []string{"stdout one", "stderr two", "stdout three"}},
		{"the user's file", func(c *Cmd) (string, error) {
			f, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				return "", err
			}
			defer f.Close()
			c.Stdout = f
			err = c.Run()
			out, rerr := os.ReadFile(f.Name())
			return string(out), errors.Join(err, rerr)
		}, []string{"stderr two"}},
	} {
		t.Run(is.name, func(t *testing.T) {
			var outputs []string
			for _, record := range []bool{false, true} {
				dir := t.TempDir()
				env := New(t, Config{})
				if record {
					recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20})
				}
				out, err := is.run(env.Host("web").Command("sh", "-c", "echo one; echo two >&2; printf three"))
				if err != nil {
					t.Fatal(err)
				}
				outputs = append(outputs, out)
				if err := env.Close(); err != nil {
					t.Fatal(err)
				}
				if !record {
					continue
				}
				got, want := said(t, dir), []string{}
				for _, w := range is.want {
					want = append(want, "log web "+w)
				}
				if is.name != "one writer's" { // two pipes have no order
					slices.Sort(got)
					slices.Sort(want)
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if outputs[0] != outputs[1] {
				t.Errorf("got %q, and %q when that is recorded", outputs[0], outputs[1])
			}
		})
	}
}

// What a process sees and what comes out of it is as without a record, at the ends as well.
func TestRecordOfOutputChangesNothing(t *testing.T) {
	dir := t.TempDir()
	env := New(t, Config{})
	recorded(t, env, dir, wire.RecordParams{Limit: 64 << 20})
	web := env.Host("web")

	t.Run("every byte", func(t *testing.T) {
		var want bytes.Buffer
		for i := range 1 << 20 {
			want.WriteByte(byte(i * i >> 8))
		}
		c := web.Command("cat")
		c.Stdin = bytes.NewReader(want.Bytes())
		got, err := c.Output()
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d bytes of %d, %v", len(got), want.Len(), err)
		}
	})
	t.Run("nobody reads any more", func(t *testing.T) {
		c := web.Command("yes")
		r, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		var ee *ExitError
		if err := c.Wait(); !errors.As(err, &ee) || ee.Signal() != syscall.SIGPIPE {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nobody reads yet", func(t *testing.T) {
		c := web.Command("sh", "-c", "head -c 3000000 /dev/zero; echo done >&2")
		r, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		errs, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := errs.(interface{ SetReadDeadline(time.Time) error }).SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := errs.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the process has written all that nobody reads: %v", err)
		}
		got, err := io.ReadAll(r)
		if err != nil || len(got) != 3000000 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a child that stays", func(t *testing.T) {
		c := web.Command("sh", "-c", "(read line; echo $line) <&3 & echo begun")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		r.Fd() // which makes reading wait
		c.ExtraFiles = []*os.File{r}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		lines := bufio.NewReader(out)
		if got, err := lines.ReadString('\n'); got != "begun\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := w.WriteString("later\n"); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(lines); string(got) != "later\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("opened again", func(t *testing.T) {
		c := web.Command("sh", "-c", "echo x >/dev/stdout")
		c.User = &User{UID: 1000, GID: 1000}
		if out, err := c.Output(); string(out) != "x\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("the end with the environment", func(t *testing.T) {
		c := web.Command("sh", "-c", "echo last; printf words; head -c 60000 /dev/zero; echo full >&2; sleep 1000")
		r, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		errs, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if text, err := bufio.NewReader(errs).ReadString('\n'); text != "full\n" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if err := env.Close(); err != nil {
			t.Error(err)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "last\nwords"+strings.Repeat("\x00", 60000) {
			t.Errorf("%d bytes, %v", len(rest), err)
		}
		if err := c.Wait(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	got := said(t, dir)
	for _, want := range []string{"log web stdout begun", "log web stdout later", "log web stdout x", "log web stdout last"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
	unended := func(line string) bool {
		return strings.HasPrefix(line, "log web stdout words\x00\x00") && strings.HasSuffix(line, "\x00…")
	}
	if !slices.ContainsFunc(got, unended) {
		t.Errorf("no line that did not end, in %d of them", len(got))
	}
}
