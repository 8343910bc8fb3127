package live

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

// Whose a connection over loopback is, the kernel knows: in both families, and as long as it is anybody's.
func TestVisitor(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("%v\nWhat to do: give this network namespace a loopback device with %s", err, address)
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if v, local := visitorOf(c); !local || int(v) != os.Geteuid() || !v.allowed() {
			t.Errorf("%s: %d, %v", address, v, local)
		}
		here, there := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
		client.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the other end was not closed")
		}
		for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
			if uid, err := ownerIn(table, there, here); err == nil {
				t.Errorf("%s: a connection that was closed is %d's", address, uid)
			}
		}
	}
	for _, v := range []visitor{-1, visitor(os.Geteuid() + 1)} {
		if v.allowed() {
			t.Errorf("%d is allowed to look", v)
		}
	}
}

// A reader returns whole events that are old enough, each once.
func TestReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), bundle.EventsFile)
	r := reader{path: path}
	defer r.close()
	now := time.Now()
	read := func(until time.Time) (texts []string) {
		for _, e := range r.read(until) {
			texts = append(texts, e.Text)
		}
		return texts
	}
	if got := read(time.Time{}); got != nil {
		t.Errorf("%q before there is a file", got)
	}
	line := func(at time.Time, text string) string {
		return `{"time":"` + at.Format(time.RFC3339Nano) + `","kind":"note","text":"` + text + "\"}\n"
	}
	write := func(text string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	second := line(now, "second")
	write(line(now.Add(-time.Hour), "first") + second[:10])
	if got := read(now.Add(-time.Minute)); !slices.Equal(got, []string{"first"}) {
		t.Errorf("%q", got)
	}
	write(second[10:] + "no event\n" + line(now.Add(-2*time.Hour), "late"))
	if got := read(now.Add(-time.Minute)); !slices.Equal(got, []string{"late"}) {
		t.Errorf("%q", got)
	}
	if got := read(time.Time{}); !slices.Equal(got, []string{"second"}) {
		t.Errorf("%q", got)
	}
	if got := read(time.Time{}); got != nil {
		t.Errorf("%q again", got)
	}
}

// One address has one server, and one that is taken says so.
func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := netip.MustParseAddrPort(taken.Addr().String())
	if _, err := Listen(addr, "x"); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("%v", err)
	}
	taken.Close()
	s, err := Listen(addr, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(addr, "x"); !errors.Is(err, ErrServed) {
		t.Errorf("%v", err)
	}
	if err := errors.Join(s.page.Close(), s.door.Close()); err != nil {
		t.Error(err)
	}
}

// What is remembered of tests that are over is bounded, and reports in memory are removed.
func TestHubForgets(t *testing.T) {
	var h hub
	dir := t.TempDir()
	open, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &scratch{open, 1}
	for range maxPassed + 10 {
		h.end(h.begin(notice{State: "running"}, dir, nil), notice{State: "passed"}, dir)
	}
	first := ""
	for range maxKept + 10 {
		own, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = own
		}
		h.end(h.begin(notice{State: "running"}, own, s), notice{State: "failed"}, own)
	}
	if n := len(h.tests); n != maxPassed+maxKept+10 {
		t.Errorf("%d tests are remembered", n)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != maxKept {
		t.Errorf("%d reports are kept, %v", len(list), err)
	}
	if _, err := os.Stat(first); err == nil {
		t.Error("the first one is there")
	}
	if h.counts != (counts{Failed: maxKept + 10, Passed: maxPassed + 10}) {
		t.Errorf("%+v", h.counts)
	}
	if l, now, _, over := h.since(-1); len(l.Tests) != len(h.tests) || !l.First || over {
		t.Errorf("a list of %d, %v, %v", len(l.Tests), l.First, over)
	} else if l, _, _, _ := h.since(now); len(l.Tests) != 0 {
		t.Errorf("%d have changed since", len(l.Tests))
	}
	h.release(s)
	if s.users != maxKept {
		t.Errorf("%d use the directory", s.users)
	}
}
