package nstest

import (
	"slices"
	"testing"
	"time"
)

// A test is listed with the subtest that it is in.
func TestListTellsTheSubtest(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]string{"order": "TestHeld/second", "turns": "TestHeld/first"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := runHeld(t, what, false)
			began := time.Now()
			for {
				list, err := List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				at := slices.IndexFunc(list, func(l Listing) bool { return l.PID == s.cmd.Process.Pid })
				if at < 0 || list[at].At.Text != want {
					continue
				}
				if l := list[at]; l.At.Since.Before(l.Began) || l.At.Since.After(time.Now()) || l.At.Location != "" {
					t.Errorf("listed as %+v; the program began at %v", l, began)
				}
				break
			}
			if err := s.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = s.cmd.Wait()
		})
	}
}
