package scribe

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// A Redaction is what is done to a bundle before it is complete. The zero value does nothing.
type Redaction struct {
	Text    func(string) string // of every text
	Packets bool                // are kept although there is a Text
	Files   bool                // likewise: what the test has left, and core dumps
}

// WithPackets reports whether packets are kept.
func (r Redaction) WithPackets() bool { return r.Text == nil || r.Packets }

// WithFiles reports whether files are.
func (r Redaction) WithFiles() bool { return r.Text == nil || r.Files }

// Left is how much more may be put into the bundle, in bytes, when there is room for everything that may still come by
// itself: events, which logs have again, and packets.
func (r *Bundle) Left() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.limits.All - 4*r.limits.Events - 2*r.limits.Packets
	for _, f := range r.files() {
		if f.Path != record.EventsFile && !slices.Contains(record.RingFiles[:], f.Path) {
			left -= f.Size
		}
	}
	return max(0, left)
}

// Complete completes the bundle, when the environment has ended and nobody else writes there any more.
func (r *Bundle) Complete(redact Redaction) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	errs := []error{r.closeEvents(), r.sortEvents(redact.Text), r.redact(redact.Text), r.mergeRings(redact), r.writeLogs()}
	r.manifest.Ended = time.Now()
	if len(r.manifest.Failures) > 0 {
		r.manifest.State = r.manifest.Failures[0].State
	}
	for _, err := range errs {
		if err != nil {
			r.omitLocked("%v.", err)
		}
	}
	r.manifest.Files = r.files()
	for _, f := range r.manifest.Files {
		dir, name := filepath.Split(f.Path)
		if name == record.ManifestFile && filepath.Dir(filepath.Clean(dir)) == filepath.Join(record.FilesDir, record.Inside) {
			r.manifest.Further = append(r.manifest.Further, filepath.Clean(dir))
		}
	}
	if text := redact.Text; text != nil {
		r.redactManifest(text)
	}
	return errors.Join(r.writeManifest(), r.moveAway())
}

// moveAway copies the directory to where it belongs. The mutex is held.
func (r *Bundle) moveAway() error {
	if r.to == "" {
		return nil
	}
	if err := os.CopyFS(r.to, os.DirFS(r.dir)); err != nil {
		return err
	}
	from := r.dir
	r.dir, r.to = r.to, ""
	return os.RemoveAll(from)
}

// mergeRings makes one file of the packets, the older ones first.
func (r *Bundle) mergeRings(redact Redaction) error {
	type ring struct {
		path string
		at   time.Time
		size int64
	}
	var list []ring
	for _, name := range record.RingFiles {
		path := filepath.Join(r.dir, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.Size() == 0 || !redact.WithPackets():
			if err := os.Remove(path); err != nil {
				return err
			}
		default:
			list = append(list, ring{path, info.ModTime(), info.Size()})
		}
	}
	if !redact.WithPackets() {
		r.omitLocked("%s, because packets cannot be redacted.", record.CaptureFile)
	}
	if len(list) == 0 {
		return nil
	}
	if len(list) == 2 {
		if list[1].at.Before(list[0].at) {
			list[0], list[1] = list[1], list[0]
		}
		if err := appendFile(list[0].path, list[1].path); err != nil {
			return err
		}
		if err := os.Remove(list[1].path); err != nil {
			return err
		}
	}
	return os.Rename(list[0].path, filepath.Join(r.dir, record.CaptureFile))
}

func appendFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// maxListed bounds how many files a manifest names.
const maxListed = 2000

// files are those of the bundle, but for the manifest.
func (r *Bundle) files() []record.File {
	var list []record.File
	_ = filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what cannot be read is not listed
		}
		rel, err := filepath.Rel(r.dir, path)
		if err != nil || rel == record.ManifestFile || len(list) >= maxListed {
			return nil
		}
		if info, err := d.Info(); err == nil {
			list = append(list, record.File{Path: rel, Size: info.Size(), What: what(rel)})
		}
		return nil
	})
	return list
}

// what says for people what a file of a bundle is.
func what(path string) string {
	top, _, _ := strings.Cut(path, "/")
	switch top {
	case record.EventsFile:
		return "what happened when"
	case record.StateFile:
		return "what the environment was like when the test failed"
	case record.CaptureFile:
		return "the last packets of all cables"
	case record.TopologyFile:
		return "the environment when the test failed, as nstest.Topology"
	case record.DrawingFile:
		return "a drawing of it"
	case record.GoroutinesFile:
		return "the goroutines of the test's process"
	case record.LogsDir:
		return "what a process has printed"
	case record.FilesDir:
		return "a file that the test has left"
	case record.CoresDir:
		return "a core dump, or the program of one"
	}
	return ""
}
