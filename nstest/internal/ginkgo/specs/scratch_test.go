package specs

import (
	"os"
	"path/filepath"
	"testing"
)

// The second function of SynchronizedBeforeSuite begins in a process that may have no directory yet.
func TestScratchThatIsHandedOut(t *testing.T) {
	for _, handed := range []bool{false, true} {
		tmp, dir := t.TempDir(), ""
		t.Setenv("TMPDIR", tmp)
		if handed {
			dir = t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "built"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var s scratch
		end, err := s.begin()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.take(dir); err != nil {
				t.Error(err)
			}
		}
		if now := os.TempDir(); now == tmp || handed && now != dir {
			t.Errorf("handed out %q: temporary files are put in %q", dir, now)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		if now := os.TempDir(); now != tmp || s.name() != dir {
			t.Errorf("handed out %q: temporary files are put in %q afterwards, and specs see %q", dir, now, s.name())
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("handed out %q: left behind %v, %v", dir, left, err)
		}
	}
}
