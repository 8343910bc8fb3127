package keeper

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A reader takes the file that was written last for the newer one, so that is what it is.
func TestRingGetsItsFilesInOrder(t *testing.T) {
	for _, older := range []string{"", "older"} {
		dir := t.TempDir()
		c := &capture{sink: &sink{}, ring: &ring{spare: &sink{}}}
		write := func(s *sink, text string) {
			if _, err := s.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if older != "" {
			write(c.ring.spare, older)
		}
		write(c.sink, "newer")
		paths := []string{filepath.Join(dir, "0"), filepath.Join(dir, "1")}
		c.give(t.Context(), []*os.File{appended(t, paths[0]), appended(t, paths[1])})
		for _, s := range []*sink{c.sink, c.ring.spare} {
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
		}
		want := [2]string{"newer", ""}
		if older != "" {
			want = [2]string{older, "newer"}
		}
		var got [2]string
		var infos [2]os.FileInfo
		for i, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if infos[i], err = os.Stat(path); err != nil {
				t.Fatal(err)
			}
			got[i] = string(text)
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if older != "" && infos[1].ModTime().Before(infos[0].ModTime()) {
			t.Errorf("the newer file is of %v, and the older one of %v", infos[1].ModTime(), infos[0].ModTime())
		}
	}
}

func TestSinkWithoutAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	early, never := &sink{early: maxWaiting + 10}, &sink{}
	for _, s := range []*sink{early, never} {
		if _, err := s.Write(make([]byte, maxWaiting)); err != nil {
			t.Fatal(err)
		}
		if err := s.flush(t.Context()); err != nil {
			t.Errorf("flush waits for what cannot be: %v", err)
		}
	}
	if _, err := never.Write([]byte("x")); err != errSinkFull {
		t.Errorf("more than there is room for: %v", err)
	}
	if _, err := early.Write([]byte("more")); err != nil {
		t.Error(err)
	}
	early.give(appended(t, path))
	if err := early.flush(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := early.Write([]byte(" and more")); err != nil {
		t.Error(err)
	}
	if err := early.close(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text[min(len(text), maxWaiting):]) != "more and more" {
		t.Errorf("the file has %d bytes, %v", len(text), err)
	}
	if err := never.close(); err != nil {
		t.Error(err)
	}
	if _, err := never.Write([]byte("x")); err == nil {
		t.Error("it takes something after its end")
	}
	late := appended(t, path)
	never.give(late)
	if err := late.Close(); err == nil {
		t.Error("a file that comes after the end is not closed")
	}
}

// What nobody wants takes no memory, and neither does what comes later.
func TestRingLetsGo(t *testing.T) {
	c, err := newRing(wire.RecordParams{Packets: minRing}, "x")
	if err != nil {
		t.Fatal(err)
	}
	c.ring.remember([]byte("LABEL 00 00\n"))
	if !c.sink.waits() {
		t.Fatal("the ring has nothing to let go of")
	}
	c.letGo()
	for _, s := range []*sink{c.sink, c.ring.spare} {
		if s.waiting.bytes != nil || s.waiting.ends != nil {
			t.Errorf("%d bytes are kept", cap(s.waiting.bytes))
		}
		if _, err := s.Write([]byte("x")); err == nil {
			t.Error("it takes something")
		}
		if err := s.flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	c.tellSecrets([]byte("LABEL 00 00\n"))
	if c.ring.secrets != nil {
		t.Error("secrets are kept")
	}
	if stats, err := c.complete(nil, 1); err != nil || stats != (wire.CaptureStats{}) {
		t.Errorf("the end of it: %+v, %v", stats, err)
	}
}
