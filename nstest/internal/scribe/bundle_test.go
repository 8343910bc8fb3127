package scribe

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

func begin(t *testing.T, limit int64) *Bundle {
	t.Helper()
	return made(t, t.TempDir(), record.Manifest{Test: "a shop sells", Attempt: 1, Began: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)}, limit)
}

func made(t *testing.T, dir string, m record.Manifest, limit int64) *Bundle {
	t.Helper()
	b := Begin(dir, m, LimitsOf(limit))
	if err := b.Make(); err != nil {
		t.Fatal(err)
	}
	return b
}

func manifest(t *testing.T, b *Bundle) (m record.Manifest) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.Path(), record.ManifestFile))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func read(t *testing.T, b *Bundle, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.Path(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A bundle can be read from its first moment on, and nothing is left of it when it is removed.
func TestBundleOfATestThatPasses(t *testing.T) {
	b := begin(t, 1<<20)
	if got := filepath.Base(b.Path()); got != "20260102-030405.006-a_shop_sells" {
		t.Errorf("it is called %s", got)
	}
	if m := manifest(t, b); m.State != "running" || m.Version != record.Version {
		t.Errorf("manifest %+v", m)
	}
	b.Event(record.Event{Kind: record.KindStep, Text: "buy"})
	if got := read(t, b, record.EventsFile); !strings.Contains(got, `"text":"buy"`) || !strings.HasSuffix(got, "\n") {
		t.Errorf("events %q", got)
	}
	if info, err := os.Stat(b.Path()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	parent := filepath.Dir(b.Path())
	if err := b.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Of a bundle that is not made there is nothing, whatever happens; one that is made has what happened before.
func TestBundleThatIsMadeLater(t *testing.T) {
	for _, later := range []bool{false, true} {
		dir := t.TempDir()
		b := Begin(dir, record.Manifest{Test: "a shop sells"}, LimitsOf(1<<20))
		b.Event(record.Event{Kind: record.KindStep, Text: "buy"})
		if _, err := b.Events(); err == nil || b.WriteFile(record.StateFile, nil) == nil {
			t.Error("there are files of a bundle that has no directory")
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 || b.Path() != "" {
			t.Errorf("before Make: %v, %v", left, err)
		}
		if later {
			if err := errors.Join(b.Make(), b.Make()); err != nil {
				t.Fatal(err)
			}
			b.Event(record.Event{Kind: record.KindStep, Text: "sell"})
			if text := read(t, b, record.EventsFile); strings.Count(text, "\n") != 2 || strings.Index(text, "buy") > strings.Index(text, "sell") {
				t.Errorf("events %q", text)
			}
		}
		if err := errors.Join(b.Remove(), b.Make()); err != nil {
			t.Fatal(err)
		}
		b.Event(record.Event{Kind: record.KindStep, Text: "late"})
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

func TestBundleThatCannotBeMade(t *testing.T) {
	b := Begin(filepath.Join(t.TempDir(), "nowhere"), record.Manifest{Test: "a shop sells"}, LimitsOf(1<<20))
	if err := b.Make(); !errors.Is(err, os.ErrNotExist) || b.Path() != "" {
		t.Errorf("%v, %s", err, b.Path())
	}
	if err := b.Remove(); err != nil {
		t.Error(err)
	}
}

// Two of one name and time are two; the second attempt says so; and one is named after what fails in it.
func TestBundleNames(t *testing.T) {
	dir := t.TempDir()
	m := record.Manifest{Test: "an/ordered\ncontainer " + strings.Repeat("ä", 100), Began: time.Unix(0, 0)}
	var names []string
	for i := range 3 {
		m.Attempt = max(1, i)
		b := made(t, dir, m, 1<<20)
		names = append(names, filepath.Base(b.Path()))
		if i == 0 {
			b.Fail("its spec", record.Failure{State: "failed"})
			b.Fail("another spec", record.Failure{State: "failed"})
			names = append(names, filepath.Base(b.Path()))
			if got := manifest(t, b); got.Test != "its spec" || len(got.Failures) != 2 {
				t.Errorf("%+v", got)
			}
		}
	}
	long := "19700101-000000.000-an_ordered_container_" + strings.Repeat("ä", 39)
	if want := []string{long, "19700101-000000.000-its_spec", long, long + "-attempt-2"}; !slices.Equal(names, want) {
		t.Errorf("got  %q\nwant %q", names, want)
	}
}

// What is printed is put together by process, packets are in order of age, and events of others are among ours.
func TestBundleOfATestThatFails(t *testing.T) {
	b := begin(t, 1<<20)
	b.Event(record.Event{Time: time.Unix(2, 0), Kind: record.KindStep, Text: "buy"})
	keeper, err := b.Events()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []record.Event{
		{Kind: record.KindStart, Host: "web", Process: 1, PID: 7, Args: []string{"/usr/bin/nginx", "-g"}},
		{Kind: record.KindStart, Host: "db", Process: 2, PID: 7, Args: []string{"postgres"}},
		{Kind: record.KindLog, Host: "web", Process: 1, PID: 7, Text: "ready"},
		{Kind: record.KindLog, Host: "db", Process: 2, PID: 7, Text: "starting"},
		{Kind: record.KindLog, Host: "web", Process: 1, PID: 7, Text: "lost db"},
	} {
		e.Time = time.Unix(1, 0)
		if _, err := keeper.Write(encode(e)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keeper.WriteString(`{"kind":"log","text":"half a li`); err != nil {
		t.Fatal(err)
	}
	if first := b.Fail("a shop sells", record.Failure{Message: "no", State: "timedout"}); !first {
		t.Error("the first failure is not the first")
	}
	if got, want := b.LastLines(strings.ToUpper), "nginx on web (pid 7):\n  READY\n  LOST DB\npostgres on db (pid 7):\n  STARTING\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	files, err := b.Rings()
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"newer", "older"} {
		if _, err := files[i].WriteString(text); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1000-i), 0)
		if err := os.Chtimes(files[i].Name(), at, at); err != nil {
			t.Fatal(err)
		}
		files[i].Close()
	}
	keeper.Close()
	if err := b.Complete(Redaction{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, record.CaptureFile); got != "oldernewer" {
		t.Errorf("packets: %q", got)
	}
	if got := read(t, b, "logs/web/001-nginx.log"); got != "ready\nlost db\n" {
		t.Errorf("log: %q", got)
	}
	var order []string
	if err := readEvents(filepath.Join(b.Path(), record.EventsFile), func(_ []byte, e record.Event) error { order = append(order, e.Text); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"", "", "ready", "starting", "lost db", "buy"}; !slices.Equal(order, want) {
		t.Errorf("events %q, want %q", order, want)
	}
	m := manifest(t, b)
	var paths []string
	for _, f := range m.Files {
		paths = append(paths, f.Path)
		if f.What == "" || f.Size != int64(len(read(t, b, f.Path))) {
			t.Errorf("%+v", f)
		}
	}
	if want := []string{"capture.pcapng", "events.jsonl", "logs/db/002-postgres.log", "logs/web/001-nginx.log"}; !slices.Equal(paths, want) {
		t.Errorf("files %q, want %q", paths, want)
	}
	if m.State != "timedout" || m.Ended.IsZero() || len(m.Omitted) > 0 {
		t.Errorf("%+v", m)
	}
}

// A secret is nowhere in a bundle, and what cannot be redacted is left out unless it is asked for.
func TestRedaction(t *testing.T) {
	const secret = "hunter2"
	without := func(s string) string { return strings.ReplaceAll(s, secret, "***") }
	for _, keep := range []bool{false, true} {
		b := begin(t, 1<<20)
		b.Event(record.Event{Kind: record.KindLog, Host: "web", Process: 1, Text: "password " + secret, Args: []string{secret}})
		b.Fail("a shop sells", record.Failure{Message: secret + " is wrong", Stack: secret, State: "failed"})
		b.Omit("%s.", secret)
		for _, name := range []string{record.StateFile, record.TopologyFile} {
			if err := b.WriteFile(name, []byte(`{"n": 12345678901234567, "args": ["-p", "`+secret+`"], "time": "2026-01-01T00:00:00Z"}`)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.WriteFile(record.GoroutinesFile, []byte("goroutine 1: "+secret)); err != nil {
			t.Fatal(err)
		}
		files, err := b.Rings()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := files[1].WriteString("packets"); err != nil {
			t.Fatal(err)
		}
		if err := b.Complete(Redaction{Text: without, Packets: keep}); err != nil {
			t.Fatal(err)
		}
		texts := 0
		for _, f := range append(manifest(t, b).Files, record.File{Path: record.ManifestFile}) {
			text := read(t, b, f.Path)
			if strings.Contains(text, secret) {
				t.Errorf("%s: %s", f.Path, text)
			}
			texts += strings.Count(text, "***")
		}
		if texts != 9 { // event ×2, log, state, topology, goroutines, message, stack, omitted
			t.Errorf("%d texts were redacted, want 9", texts)
		}
		if !strings.Contains(read(t, b, record.StateFile), "12345678901234567") {
			t.Error("a number is another one")
		}
		if got := b.Has(record.CaptureFile); got != keep {
			t.Errorf("there are packets: %v, want %v", got, keep)
		}
	}
}

// Whoever does something without end does not fill the disk.
func TestEventsAreBounded(t *testing.T) {
	b := begin(t, 1<<20)
	for range 10000 {
		b.Event(record.Event{Kind: record.KindStep, Text: strings.Repeat("x", 100)})
	}
	text := read(t, b, record.EventsFile)
	if size := int64(len(text)); size > b.Limits().Events+1000 || !strings.HasSuffix(text, "left out from here on\"}\n") {
		t.Errorf("%d bytes, which end with %q", size, text[len(text)-100:])
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"-run=.": "-run=.", "it's": `'it'\''s'`, "a b": "'a b'", "": "''", "$HOME": "'$HOME'"} {
		if got := Quote(word); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
}
