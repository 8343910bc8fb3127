package nstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/gotest"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// Run is RunWith with the zero Config.
func Run(t *testing.T, f func(t *testing.T, env *Env)) {
	t.Helper()
	RunWith(t, Config{}, f)
}

// RunWith runs f as the function of the test t, wholly inside a fresh environment: every goroutine and child process of
// it is there, because f runs in a process of its own, the test binary once more. t behaves as in any test: f can run
// subtests, also parallel ones, register cleanup functions, log, skip, fail and stop. All of it is reported where and
// when it would be if f ran here, by this very test and subtests of it, under -v, -json, -run (with patterns for
// subtests of f too), -skip, -count, -cpu, -shuffle, -failfast, -parallel, -short, -fullpath, -cover, -race and
// -artifacts. The cache of "go test" notices what f has looked at.
//
// env is the environment that f runs in; its own host is where f is. Hosts and networks that are asked for by name are
// made on first use. The environment ends with f, its cleanup functions and its subtests, and with it every process and
// goroutine that is left.
//
// # What surrounds it
//
// Run should be all that the test's function does, but for T.Parallel before it. What precedes Run is run in both
// processes, as are init functions, package variables, TestMain, and the functions of the tests that this one is a
// subtest of. It is reported by this process alone. What follows Run in the same function is run in this process alone,
// after f has ended; if parallel subtests of f wait for the end of the function, then before those. When f has stopped
// the test, by T.FailNow or T.SkipNow, that has happened to the test's function here too. Nothing but that comes back:
// a variable that f sets is one of the other process's.
//
// Both processes have to come to Run, in a test of the same name. Run may be called several times in a test, each time
// for an environment of its own, and within f, for an environment in the environment.
//
// # When it fails
//
// Where no environment can be made the test fails and says what the machine lacks. If the process of f ends early, by
// os.Exit, a panic, a signal or a fatal error of the runtime, or badly after the test, by an exit in TestMain, then this
// test fails and says so, and other tests go on. If the time of -timeout is nearly up (a tenth is left, at most two
// seconds), the process of f is made to print its goroutines and ended; then the program ends as always.
//
// # For a debugger
//
// With NSTEST_INPROCESS=1 in the environment f runs in this process, outside of env, as with New: it can start
// processes in env, dial and listen there, but its own sockets, files and processes are those of the machine. Nothing
// is run twice.
//
// With NSTEST_HOLD=1 a test that fails waits when f has returned, before its cleanup functions, and says on the terminal how
// to look at env: by the command nstest. It goes on after Enter there or Release, or SIGINT, after which no test of the program
// waits any more. If its process has died it waits too. The time of -timeout goes on: -timeout 0 has no end.
//
// # What is not as without it
//
//   - Times: a test with an environment takes some ten milliseconds more, and ends when the environment has ended.
//   - A panic, an exit or a data race ends or marks this test and not the program, so that what follows is still run.
//     Its text stands before the line FAIL of the test, not behind it.
//   - Cleanup functions that f registers see T.Skipped report true.
//   - -parallel bounds the tests of the program, and the subtests in each f by themselves.
//   - T.TempDir is in the environment's /tmp and vanishes with it. The directory of T.ArtifactDir under -artifacts is
//     inside at first, and what it holds, ordinary files and directories, is copied to the one that is reported; with
//     Config.Share.Mount it is a directory that vanishes.
//   - Directly under a test, a subtest that is named like one of the subtests' own subtests (T.Run("a") and T.Run("a/b"))
//     is taken for that while the former runs.
//   - flag.Lookup and os.Args tell of other -test flags; testing.Verbose does not.
//   - What several goroutines print at the same time, be it parallel subtests, comes in no certain order, as ever.
//   - Profiles, traces and the counters of -timeout's last coverage are those of this process.
//   - Benchmarks have no Run. Under -fuzz, f is skipped for every input; run without it, the seeds of a fuzz target do
//     run, if its function calls Run.
func RunWith(t *testing.T, cfg Config, f func(t *testing.T, env *Env)) {
	t.Helper()
	if f == nil {
		t.Fatal("nstest: Run needs a function, and has nil")
	}
	if cfg.Name == "" {
		cfg.Name = t.Name()
	}
	if inProcess() {
		f(t, New(t, cfg))
		return
	}
	start := func(p twin.Plan, collect func(gotest.OpenRoot) error) (*twin.Twin, error) {
		return startTwin(context.Background(), "test", false, cfg, func(env *Env, rec *recording) twin.Plan {
			p.Test = cfg.Name
			p.Collect = func(failed string) error { return errors.Join(collect(env.root), rec.collect(failed)) }
			return p
		})
	}
	gotest.Run(t, gotest.Environment{Start: start, OwnTmp: !cfg.Share.Mount}, func() {
		env, err := inherited()
		if err != nil {
			t.Fatal(err)
		}
		env.tb = t
		f(t, env)
	})
}

// root opens the root directory of the environment's own host.
func (e *Env) root() (*os.File, error) {
	files, err := e.callFiles(context.Background(), wire.MethodJoin, wire.JoinParams{Host: e.self.name}, nil)
	if err == nil && len(files) != 1 {
		err = errors.New("the keeper answered without a process")
	}
	defer func() { _ = closeAll(files) }()
	if err != nil {
		return nil, wrap("open root directory", e.name, "", err)
	}
	pid := pidOf(files[0].Fd())
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, wrap("open root directory", e.name, "", err)
	}
	root := os.NewFile(uintptr(fd), "/")
	if pidOf(files[0].Fd()) != pid { // it has ended, and the number may be another's
		return nil, wrap("open root directory", e.name, "", errors.Join(ErrClosed, root.Close()))
	}
	return root, nil
}

// isGoTest reports whether a test is one of package testing's.
func isGoTest(tb TB) bool {
	_, ok := tb.(*testing.T)
	return ok
}

// artifactDir is the directory for artifacts of a test, "" if it has none.
func artifactDir(tb TB) string {
	if t, ok := tb.(*testing.T); ok {
		return gotest.ArtifactDir(t)
	}
	return ""
}
