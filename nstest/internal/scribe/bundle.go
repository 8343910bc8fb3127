// Package scribe writes bundles: a directory for an attempt at a test, which is there while the test runs, vanishes if
// that passes, and is completed if it fails.
//
// It stays a directory. To pack it is for who wants to move it (bundle.Pack), since what is linked here is in every test's program, and
// initialised in each of its processes: the zstd that there is for Go makes a program 0.5 MB larger, and its start, of which
// each spec has one, at least 0.2 ms longer.
package scribe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// Limits are what a bundle may have, in bytes.
type Limits struct {
	All     int64
	Events  int64 // of the keeper, and as many again of the program's
	Packets int64 // in each of two files
	File    int64 // of the state, and of the dump of goroutines
}

// LimitsOf shares out so many bytes.
func LimitsOf(all int64) Limits {
	return Limits{All: all, Events: all / 16, Packets: all / 8, File: all / 16}
}

// A Bundle is one that is being written. Its methods may be called from any goroutine.
type Bundle struct {
	limits Limits

	mu       sync.Mutex
	parent   string // where dir is to be
	dir      string // "" until Make
	to       string // where it is moved to in the end; "" if nowhere
	manifest record.Manifest
	over     bool         // no event is written any more
	events   *os.File     // nil until Make, and when it is over
	waiting  bytes.Buffer // events, until Make
	room     int64        // for events of the program's
}

// Begin begins a bundle in parent, of which there is nothing before Make: most tests pass, and many sooner than files are made.
func Begin(parent string, m record.Manifest, limits Limits) *Bundle {
	m.Version, m.State = record.Version, "running"
	return &Bundle{limits: limits, parent: parent, manifest: m, room: limits.Events}
}

// Make makes the directory of the bundle, whose name has the time and the test, with what there is to be read so far. It has to be
// called before any method that is about files. Doing so again has no effect, nor has doing so after Remove.
func (r *Bundle) Make() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir != "" || r.over {
		return nil
	}
	if r.dir, err = makeDir(r.parent, name(r.manifest)); err != nil {
		r.dir = ""
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.closeEvents(), os.RemoveAll(r.dir))
			r.dir = ""
		}
	}()
	if err := r.writeFile(record.ManifestFile, r.encodeManifest()); err != nil {
		return err
	}
	if r.events, err = r.appendTo(record.EventsFile); err != nil {
		return err
	}
	_, err = r.waiting.WriteTo(r.events)
	return err
}

// name is what a bundle is called; names sort by time.
func name(m record.Manifest) string {
	n := m.Began.UTC().Format("20060102-150405.000") + "-" + fileName(m.Test)
	if m.Attempt > 1 {
		n += "-attempt-" + strconv.Itoa(m.Attempt)
	}
	return n
}

// fileName is a name without what has a meaning in paths, and not too long for one.
func fileName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '_'
	}, name)
	return cut(clean, 100)
}

// cut is the beginning of a text, without half a rune.
func cut(text string, size int) string {
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// place finds a name that is free in parent, which do takes or says fs.ErrExist.
func place(parent, name string, do func(path string) error) (string, error) {
	for i := 1; ; i++ {
		path := filepath.Join(parent, name)
		if i > 1 {
			path += "-" + strconv.Itoa(i)
		}
		if err := do(path); !errors.Is(err, fs.ErrExist) {
			return path, err
		}
	}
}

func makeDir(parent, name string) (string, error) {
	return place(parent, name, func(path string) error { return os.Mkdir(path, 0o700) })
}

var errNotMade = errors.New("the bundle has no directory")

// appendTo opens a file of the bundle for whole lines of several writers.
func (r *Bundle) appendTo(name string) (*os.File, error) {
	if r.dir == "" {
		return nil, errNotMade
	}
	return os.OpenFile(filepath.Join(r.dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// Path is the directory, "" before Make. It changes when the bundle is moved, or named after another test.
func (r *Bundle) Path() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dir
}

// Place is where the directory is when it is complete.
func (r *Bundle) Place() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to != "" {
		return r.to
	}
	return r.dir
}

// Move moves the bundle below a directory: at once, or, to another file system, when it is complete.
func (r *Bundle) Move(parent string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	path, err := place(parent, filepath.Base(r.dir), r.rename)
	switch {
	case err == nil:
		r.dir = path
	case errors.Is(err, unix.EXDEV):
		if r.to, err = makeDir(parent, filepath.Base(r.dir)); err != nil {
			return err
		}
	default:
		return err
	}
	r.manifest.Of = "" // it is not among the files of another one
	return nil
}

// rename gives the directory another path, where nothing is.
func (r *Bundle) rename(path string) error {
	return unix.Renameat2(unix.AT_FDCWD, r.dir, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
}

// Limits are what the bundle may have.
func (r *Bundle) Limits() Limits { return r.limits }

// Began is when the attempt began.
func (r *Bundle) Began() time.Time { return r.manifest.Began }

// Test is what the bundle is about.
func (r *Bundle) Test() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifest.Test
}

// Events opens the file of the events for somebody else who writes there.
func (r *Bundle) Events() (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.appendTo(record.EventsFile)
}

// Rings makes the files for packets. After an error there is none.
func (r *Bundle) Rings() (files []*os.File, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range record.RingFiles {
		f, err := r.appendTo(name)
		if err != nil {
			for _, f := range files {
				err = errors.Join(err, f.Close(), os.Remove(f.Name()))
			}
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// Create opens a new file of the bundle.
func (r *Bundle) Create(name string) (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.appendTo(name)
}

// Has reports whether there is a file.
func (r *Bundle) Has(name string) bool {
	_, err := os.Lstat(filepath.Join(r.Path(), name))
	return err == nil
}

// Attachments are the paths of files for people that the bundle has when it is complete; the one that a page shows, if it shows
// one, comes first.
func (r *Bundle) Attachments() (paths []string) {
	for _, name := range []string{record.DrawingFile, record.ManifestFile, record.EventsFile, record.StateFile, record.GoroutinesFile} {
		if r.Has(name) {
			paths = append(paths, filepath.Join(r.Place(), name))
		}
	}
	if r.Has(record.RingFiles[0]) { // of which it is made
		paths = append(paths, filepath.Join(r.Place(), record.CaptureFile))
	}
	return paths
}

// WriteFile writes a file of the bundle.
func (r *Bundle) WriteFile(name string, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writeFile(name, data)
}

// writeFile is WriteFile for those who hold the mutex.
func (r *Bundle) writeFile(name string, data []byte) error {
	if r.dir == "" {
		return errNotMade
	}
	return os.WriteFile(filepath.Join(r.dir, name), data, 0o600)
}

// maxText bounds the text of an event, in bytes.
const maxText = 64 << 10

// Event writes an event. What does not fit is left out, and so is what cannot be written: a test does not fail for that.
func (r *Bundle) Event(e record.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Text = cut(e.Text, maxText)
	line := encode(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.room <= 0 {
		return
	}
	if r.room -= int64(len(line)); r.room <= 0 {
		line = encode(record.Event{Time: e.Time, Kind: record.KindNote, Text: "the test does more than is recorded: nodes, steps and failures are left out from here on"})
	}
	if r.events == nil {
		r.waiting.Write(line)
		return
	}
	if _, err := r.events.Write(line); err != nil {
		r.room = 0
		r.omitLocked("Nodes, steps and failures are left out from %s on: %v.", e.Time.Format(time.RFC3339Nano), err)
	}
}

// encode is a line of JSON.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // what we have can be encoded
	return b.Bytes()
}

// maxFailures bounds how many failures a manifest has.
const maxFailures = 20

// maxMessage bounds a message and a stack in the manifest, in bytes.
const maxMessage = 16 << 10

// Fail notes a failure of the test, after which the bundle is named if it is the first one, and reports whether it is.
func (r *Bundle) Fail(test string, f record.Failure) (first bool) {
	f.Message, f.Stack = cut(f.Message, maxMessage), cut(f.Stack, maxMessage)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.manifest.Failures) >= maxFailures {
		return false
	}
	r.manifest.Failures = append(r.manifest.Failures, f)
	first = len(r.manifest.Failures) == 1
	if first && test != r.manifest.Test {
		m := r.manifest
		m.Test = test
		if dir, err := place(filepath.Dir(r.dir), name(m), r.rename); err == nil {
			r.dir, r.manifest.Test = dir, test
		}
	}
	if err := r.writeManifest(); err != nil {
		r.omitLocked("The manifest was not written when the test failed: %v.", err)
	}
	return first
}

// Manifest is what the bundle is about, as of now.
func (r *Bundle) Manifest() record.Manifest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifest
}

// Failed reports whether the test has failed.
func (r *Bundle) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.manifest.Failures) > 0
}

// Hosts notes which hosts there are.
func (r *Bundle) Hosts(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifest.Hosts = names
}

// Omit notes what the bundle has not, and why: a sentence.
func (r *Bundle) Omit(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.omitLocked(format, args...)
}

func (r *Bundle) omitLocked(format string, args ...any) {
	r.manifest.Omitted = append(r.manifest.Omitted, fmt.Sprintf(format, args...))
}

func (r *Bundle) encodeManifest() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	_ = enc.Encode(r.manifest) // what it has can be encoded
	return b.Bytes()
}

// writeManifest replaces the manifest, in one step. The mutex is held.
func (r *Bundle) writeManifest() error {
	path := filepath.Join(r.dir, record.ManifestFile)
	if err := r.writeFile(record.ManifestFile+".new", r.encodeManifest()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Remove removes the bundle: the test has passed.
func (r *Bundle) Remove() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.dir == "" {
		return nil
	}
	return errors.Join(r.closeEvents(), os.RemoveAll(r.dir))
}

// closeEvents closes the program's file of events. The mutex is held.
func (r *Bundle) closeEvents() error {
	if r.events == nil {
		return nil
	}
	f := r.events
	r.events = nil
	return f.Close()
}
