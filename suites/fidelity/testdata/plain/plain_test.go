// Package plain is tests that use all that package testing has. It is run twice, in the program itself and in
// environments, and is to say the same both times.
package plain

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// run is nstest.Run, or what it is to be equal to.
func run(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv("PLAIN_NATIVE") == "1" {
		f(t)
		return
	}
	nstest.Run(t, func(t *testing.T, _ *nstest.Env) { f(t) })
}

func TestPass(t *testing.T) { run(t, func(t *testing.T) { t.Log("one"); t.Log("two\nlines") }) }

func TestPrint(t *testing.T) {
	run(t, func(t *testing.T) {
		fmt.Println("printed")
		fmt.Print("without an end ")
		t.Log("logged")
		fmt.Println("    indented like a log")
		fmt.Fprintln(os.Stderr, "to standard error")
		out := exec.Command("echo", "by a child")
		out.Stdout = os.Stdout
		if err := out.Run(); err != nil {
			t.Error(err)
		}
		fmt.Print("at the end")
	})
}

func TestOutput(t *testing.T) {
	run(t, func(t *testing.T) {
		fmt.Fprintln(t.Output(), "without a place")
		fmt.Fprint(t.Output(), "half")
		t.Log("after half")
		log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		log.Info("structured", "key", "value")
		t.Attr("kind", "an attribute")
	})
}

func TestSubtests(t *testing.T) {
	run(t, func(t *testing.T) {
		for _, name := range []string{"a", "a", "with space", "", "", "a#01", "x/y", "ünï", "\x01"} {
			t.Run(name, func(t *testing.T) {
				t.Log("this is", t.Name())
				fmt.Println("printed by", t.Name())
				t.Run("inner", func(t *testing.T) { t.Log("deep") })
				t.Log("between")
			})
			t.Log("beside")
		}
	})
}

func TestFail(t *testing.T) { run(t, func(t *testing.T) { t.Error("bad"); t.Log("goes on") }) }

func TestFatal(t *testing.T) {
	run(t, func(t *testing.T) {
		t.Cleanup(func() { t.Log("cleaned up, failed:", t.Failed()) })
		fatal(t)
		t.Log("never")
	})
	t.Error("never either")
}

func fatal(t *testing.T) {
	t.Helper()
	t.Fatal("by a helper")
}

func TestSkip(t *testing.T) {
	run(t, func(t *testing.T) { t.Skip("not today") })
	t.Error("never")
}

func TestSkipAndFail(t *testing.T) { run(t, func(t *testing.T) { t.Error("first"); t.Skip("then") }) }

func TestSubtestsEnd(t *testing.T) {
	run(t, func(t *testing.T) {
		t.Run("fails", func(t *testing.T) { t.Error("no") })
		t.Run("skips", func(t *testing.T) { t.Skip("no") })
		t.Run("stops", func(t *testing.T) { t.FailNow() })
		t.Run("passes", func(t *testing.T) {})
		t.Run("cleans up badly", func(t *testing.T) { t.Cleanup(func() { t.Error("while cleaning up") }) })
	})
}

func TestCleanup(t *testing.T) {
	run(t, func(t *testing.T) {
		t.Cleanup(func() { t.Log("last") })
		t.Cleanup(func() {
			if t.Context().Err() == nil {
				t.Error("the context is alive")
			}
			t.Log("first")
			fmt.Println("printed while cleaning up")
		})
		if t.Context().Err() != nil {
			t.Error("the context has ended")
		}
	})
}

// One parallel subtest at a time runs on to its end, so that the order is certain.
func TestParallelSubtests(t *testing.T) {
	run(t, func(t *testing.T) {
		turn := make(chan int, 1)
		turn <- 0
		for i := range 3 {
			t.Run(fmt.Sprint("p", i), func(t *testing.T) {
				t.Log("before")
				t.Parallel()
				defer func() { turn <- <-turn + 1 }()
				t.Log("after")
				t.Run("inner", func(t *testing.T) { t.Log("inside") })
				if i == 1 {
					t.Error("bad")
				}
			})
		}
		t.Cleanup(func() { t.Log("all", <-turn, "have ended") })
		t.Log("the function ends")
	})
}

func TestParallelInside(t *testing.T) {
	run(t, func(t *testing.T) {
		t.Log("serial")
		t.Parallel()
		t.Log("parallel")
	})
}

func TestParallelBefore(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T) { t.Log("in", t.Name()) })
		})
	}
}

func TestDirectories(t *testing.T) {
	t.Setenv("BEFORE", "1")
	run(t, func(t *testing.T) {
		dir := t.TempDir()
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Error(entries, err)
		}
		t.Chdir(dir)
		if wd, err := os.Getwd(); err != nil || wd != dir || os.Getenv("PWD") != dir {
			t.Error(wd, err)
		}
		t.Setenv("PLAIN", "set")
		t.Log(os.Getenv("PLAIN"), os.Getenv("BEFORE"))
	})
}

func TestArtifacts(t *testing.T) {
	run(t, func(t *testing.T) {
		dir := t.ArtifactDir()
		child := exec.Command("sh", "-c", `mkdir -p "$1/deep" && echo text >"$1/deep/file"`, "sh", dir)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
			t.Error(err)
		}
		t.Run("sub", func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "own"), nil, 0o600); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestVerbose(t *testing.T) {
	run(t, func(t *testing.T) { fmt.Println("verbose:", testing.Verbose(), "short:", testing.Short()) })
}

// It waits for somebody who sees that it does.
func TestWaits(t *testing.T) {
	dir := os.Getenv("PLAIN_SHARED")
	if dir == "" {
		t.Skip("nobody is there")
	}
	nstest.RunWith(t, nstest.Config{Shared: []nstest.Shared{{Path: dir, ReadOnly: true}}}, func(t *testing.T, _ *nstest.Env) {
		fmt.Println("waiting")
		if text, err := os.ReadFile(filepath.Join(dir, "fifo")); string(text) != "go on" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

func TestCovered(t *testing.T) {
	run(t, func(t *testing.T) { t.Log(inside()) })
	t.Log(outside())
}

func BenchmarkAlone(b *testing.B) {
	for b.Loop() {
	}
}

func TestSurroundings(t *testing.T) {
	t.Log("before")
	t.Run("before", func(t *testing.T) { t.Log("a subtest") })
	run(t, func(t *testing.T) { t.Run("before", func(t *testing.T) { t.Log("of the same name") }) })
	run(t, func(t *testing.T) { t.Log("again") })
	t.Log("after")
	t.Run("after", func(t *testing.T) {})
}

func FuzzSeeds(f *testing.F) {
	f.Add("one")
	f.Add("two")
	f.Fuzz(func(t *testing.T, s string) {
		run(t, func(t *testing.T) { t.Log("seed", s) })
	})
}
