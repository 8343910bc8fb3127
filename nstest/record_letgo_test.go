package nstest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/scribe"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// What there is no file for is let go, and the environment goes on: of a record all, or its packets.
func TestRecordLetsGoOfWhatHasNoFile(t *testing.T) {
	for _, kept := range []bool{false, true} {
		dir := t.TempDir()
		env := New(t, Config{})
		callRecord(t, env, wire.MethodRecord, wire.RecordParams{Limit: 1 << 20, Packets: 64 << 10})
		web := env.Host("web")
		sendTo(t, web, env.Self(), "before")
		var files []*os.File
		if kept {
			files = recordFiles(t, dir, false)
		}
		callRecord(t, env, wire.MethodRecordTo, nil, files...)
		if _, err := env.callFiles(context.Background(), wire.MethodRecordTo, nil, nil); err == nil || !strings.Contains(err.Error(), "its files already") {
			t.Errorf("a second time: %v", err)
		}
		sendTo(t, web, env.Self(), "after")
		if _, err := env.KeyLogWriter().Write([]byte("LABEL 00 00\n")); err != nil {
			t.Error(err)
		}
		if err := web.Command("true").Run(); err != nil {
			t.Error(err)
		}
		if err := web.Link("").Down(); err != nil {
			t.Error(err)
		}
		if err := env.Close(); err != nil {
			t.Fatal(err)
		}
		if !kept {
			continue
		}
		var got []string
		for _, e := range slices.DeleteFunc(events(t, dir), func(e record.Event) bool { return e.Kind == record.KindStart || e.Kind == record.KindExit }) {
			got = append(got, string(e.Kind)+" "+e.Host)
		}
		if want := []string{"host self", "host web", "link web"}; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	}
}

// A bundle in which there can be no files for packets has the events, and says what it has not.
func TestBundleWithoutFilesForPackets(t *testing.T) {
	env := New(t, Config{})
	b := scribe.Begin(t.TempDir(), record.Manifest{Test: "x", Began: time.Now()}, scribe.LimitsOf(1<<20))
	r := &recording{env: env, asked: time.Now()}
	if err := r.attach(b); err != nil {
		t.Fatal(err)
	}
	env.Host("web")
	if err := b.Make(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(b.Path(), record.RingFiles[1]), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.handOver(b); err != nil {
		t.Error(err)
	}
	if b.Has(record.RingFiles[0]) {
		t.Error("half of the files for packets is there")
	}
	env.Host("db")
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	hosts := hostsIn(t, b.Path())
	if want := []string{"self", "web", "db"}; !slices.Equal(hosts, want) {
		t.Errorf("hosts %q, want %q", hosts, want)
	}
	if omitted := b.Manifest().Omitted; len(omitted) != 1 || !strings.HasPrefix(omitted[0], "Packets: open ") {
		t.Errorf("left out: %q", omitted)
	}
}

// Where there can be no bundle the keeper holds nothing for it.
func TestRecordOfNoBundle(t *testing.T) {
	env := New(t, Config{})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := scribe.Begin(file, record.Manifest{Test: "x", Began: time.Now()}, scribe.LimitsOf(1<<20))
	r := &recording{env: env, asked: time.Now(), begun: make(chan struct{})}
	if err := r.attach(b); err != nil {
		t.Fatal(err)
	}
	close(r.begun)
	for range 2 {
		if err := r.write(b); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("a bundle below a file: %v", err)
		}
	}
	if err := r.recordTo(); err == nil || !strings.Contains(err.Error(), "its files already") {
		t.Errorf("the keeper waits for files: %v", err)
	}
}
