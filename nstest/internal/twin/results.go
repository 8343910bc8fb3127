package twin

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Results are the files that a twin leaves for the original, in a directory that it has open and does not see: its
// coverage counters, and the log of files and variables that its tests looked at, which decides whether the go command
// may use a cached result.
type Results struct {
	top  string   // only we get in
	dir  *os.File // in it, and open for everybody who has it
	path string
}

const (
	coverDir    = "cover"
	testLogFile = "testlog"
)

// newResults makes the directory; nil if there is nothing to leave.
func newResults() (_ *Results, err error) {
	if testing.CoverMode() == "" && flagValue("test.testlogfile") == "" {
		return nil, nil
	}
	r := &Results{}
	if r.top, err = os.MkdirTemp("", "nstest-results-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	r.path = filepath.Join(r.top, "results")
	for _, dir := range []string{r.path, filepath.Join(r.path, coverDir)} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		// The environment's root is nobody here. It reaches the directory by its descriptor alone.
		if err := os.Chmod(dir, 0o777); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Open(r.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", r.path, err)
	}
	r.dir = os.NewFile(uintptr(fd), r.path)
	return r, nil
}

// flags make a twin leave them.
func (r *Results) flags() []string {
	if r == nil {
		return nil
	}
	var list []string
	if testing.CoverMode() != "" {
		list = append(list, "-test.gocoverdir="+resultsPath()+"/"+coverDir)
	}
	if flagValue("test.testlogfile") != "" {
		list = append(list, "-test.testlogfile="+resultsPath()+"/"+testLogFile)
	}
	return list
}

func flagValue(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

func (r *Results) close() error {
	if r == nil {
		return nil
	}
	var err error
	if r.dir != nil {
		err = r.dir.Close()
	}
	return errors.Join(err, os.RemoveAll(r.top))
}

// collect takes in what the twin has left. Nothing there is followed or trusted: names are those that we expect, and
// only ordinary files count.
func (r *Results) collect() error {
	if r == nil {
		return nil
	}
	root, err := os.OpenRoot(r.path)
	if err != nil {
		return err
	}
	return errors.Join(collectCoverage(root), collectTestLog(root), root.Close())
}

// ordinary reads a file that is one.
func ordinary(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s, which a spec's process left, is not an ordinary file", name)
	}
	return root.ReadFile(name)
}

// collectCoverage puts the counters where package testing finds them when it writes the profile of the whole.
func collectCoverage(root *os.Root) error {
	if testing.CoverMode() == "" {
		return nil
	}
	to, err := coverage()
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(root.FS(), coverDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "covcounters.") && !strings.HasPrefix(e.Name(), "covmeta.") {
			continue
		}
		data, err := ordinary(root, coverDir+"/"+e.Name())
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("collect coverage: %w", err)
		}
	}
	return nil
}

// coverage is the directory of counters of this test run. Where the go command has named none, it is one that package
// testing has to find, and that stays when the program has ended: there is no later moment to remove it.
var coverage = sync.OnceValues(func() (string, error) {
	if dir := flagValue("test.gocoverdir"); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "nstest-cover-")
	if err != nil {
		return "", err
	}
	return dir, flag.Set("test.gocoverdir", dir)
})

// collectTestLog looks at everything that the twin looked at, so that package testing logs it here too.
func collectTestLog(root *os.Root) error {
	if flagValue("test.testlogfile") == "" {
		return nil
	}
	data, err := ordinary(root, testLogFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it ended before its tests began
	}
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		verb, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || strings.HasPrefix(line, "#") || !looked.first(verb+" "+dir+" "+name) {
			continue
		}
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		switch verb {
		case "getenv":
			_ = os.Getenv(name)
		case "chdir":
			dir = path
		case "stat":
			_, _ = os.Stat(path)
		case "open":
			look(path)
		}
	}
	return nil
}

// look opens a file for package testing's log, if that cannot block and has no effect: the file may be a pipe, or a
// device.
func look(path string) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return
	}
	if f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0); err == nil {
		_ = f.Close()
	}
}

// looked is what was looked at already.
var looked seen

type seen struct {
	mu   sync.Mutex
	keys map[string]bool
}

func (s *seen) first(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]bool{}
	}
	known := s.keys[key]
	s.keys[key] = true
	return !known
}
