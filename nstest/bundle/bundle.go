// Package bundle reads what nstest has kept of a test that failed: with NSTEST_KEEP=DIR set, each failed attempt of a spec, a
// test or an environment leaves a directory in DIR, or a file NAME.tar.zst, with everything that was recorded of it. A
// bundle can be read while its test runs, and after everything was killed.
//
// What a bundle holds was written by the test, the programs that it ran, and whoever passed the bundle on. So it is taken
// for hostile here: no file outside of the bundle is opened, nothing but ordinary files is, and sizes are bounded. Texts are
// returned as they are; who shows them has to escape them.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// The bounds of what is read into memory at once.
const (
	maxManifest = 16 << 20
	maxState    = 256 << 20
)

// A Bundle is one that is open for reading. Its methods may be called from several goroutines at the same time.
type Bundle struct {
	path     string
	root     *os.Root
	unpacked string // a directory that goes with Close; "" if there is none
	manifest Manifest
}

// ErrNoBundle means that a path is no bundle: it has no manifest.json, or one that is none.
var ErrNoBundle = errors.New("no bundle")

// Open opens a bundle: its directory, or the file NAME.tar.zst that it was packed into. The latter is unpacked to a
// directory in os.TempDir, as far as the bounds allow. The caller closes it.
//
// The error is ErrNoBundle if path exists and is something else. A bundle of a later version of nstest may be refused; the
// error says so.
func Open(path string) (*Bundle, error) {
	b, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", path, record.Pathless(err))
	}
	return b, nil
}

func open(path string) (*Bundle, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	dir, unpacked := path, ""
	switch {
	case info.IsDir():
	case info.Mode().IsRegular() && strings.HasSuffix(path, ".tar.zst"):
		if unpacked, err = unpackFile(path); err != nil {
			return nil, err
		}
		if dir, err = top(unpacked); err != nil {
			return nil, errors.Join(err, os.RemoveAll(unpacked))
		}
	default:
		return nil, fmt.Errorf("%w: neither a directory nor a file NAME.tar.zst", ErrNoBundle)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(err, removeAll(unpacked))
	}
	b := &Bundle{path: path, root: root, unpacked: unpacked}
	if err := b.readManifest(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Bundle) readManifest() error {
	err := b.decode(record.ManifestFile, maxManifest, &b.manifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: it has no %s", ErrNoBundle, record.ManifestFile)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNoBundle, err)
	case b.manifest.Version < 1:
		return fmt.Errorf("%w: %s has no version", ErrNoBundle, record.ManifestFile)
	case b.manifest.Version > record.Version:
		return fmt.Errorf("it has version %d, and this program knows %d: use a newer nstest", b.manifest.Version, record.Version)
	}
	return nil
}

// Close forgets the bundle, and removes what Open has unpacked. Files that were opened stay open.
func (b *Bundle) Close() error {
	return errors.Join(b.root.Close(), removeAll(b.unpacked))
}

func removeAll(dir string) error {
	if dir == "" {
		return nil
	}
	return os.RemoveAll(dir)
}

// Path is what was opened.
func (b *Bundle) Path() string { return b.path }

// Manifest says what the bundle is about, as of when it was opened. It is the caller's to change, but for what its slices
// hold.
func (b *Bundle) Manifest() Manifest { return b.manifest }

// State is what the environment was like at the moment of the first failure. The error is fs.ErrNotExist if that was not
// recorded.
func (b *Bundle) State() (*State, error) {
	var s State
	if err := b.decode(record.StateFile, maxState, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Capture is the file of the last packets of all cables, in the format pcapng, in one or more sections. The last packet of a
// bundle whose writer was killed may be cut. The caller closes it. The error is fs.ErrNotExist if no packets were recorded.
func (b *Bundle) Capture() (io.ReadCloser, error) {
	f, err := b.File(record.CaptureFile)
	if !errors.Is(err, fs.ErrNotExist) {
		if err != nil { // not a nil *os.File in an interface
			return nil, err
		}
		return f, nil
	}
	list := b.openRings()
	if len(list) == 0 {
		return nil, err
	}
	return list, nil
}

// openRings opens those that are there, the one that was written last at the end: that one may be cut.
func (b *Bundle) openRings() files {
	var list files
	for _, path := range record.RingFiles {
		if f, err := b.File(path); err == nil {
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(x, y *os.File) int { return modified(x).Compare(modified(y)) })
	return list
}

func modified(f *os.File) time.Time {
	info, err := f.Stat()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// files are read one after the other.
type files []*os.File

// Read implements io.Reader.
func (l files) Read(p []byte) (int, error) {
	for _, f := range l {
		if n, err := f.Read(p); n > 0 || err != io.EOF {
			return n, err
		}
	}
	return 0, io.EOF
}

// Close implements io.Closer.
func (l files) Close() error {
	var errs []error
	for _, f := range l {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// File opens an ordinary file of the bundle, by its path with slashes from the bundle's directory, as in Manifest.Files. The
// caller closes it. The error is fs.ErrNotExist if there is none, and another one for directories, devices and paths that
// lead out of the bundle, by symbolic links too.
func (b *Bundle) File(path string) (*os.File, error) {
	f, err := b.root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0) // a FIFO has no writer to be waited for
	if err != nil {
		return nil, fmt.Errorf("open %s of the bundle: %w", path, record.Pathless(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no ordinary file")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s of the bundle: %w", path, err), f.Close())
	}
	return f, nil
}

// Files are the ordinary files in a directory of the bundle, "." for all, and in those below it, by path, with their sizes:
// those that are there, whatever the manifest says. What has other types, and symbolic links, is left out. There are 65536
// at most.
func (b *Bundle) Files(dir string) ([]File, error) {
	var out []File
	err := fs.WalkDir(b.root.FS(), dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if len(out) == maxFiles {
			return fs.SkipAll
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) { // the test is still running
			return nil
		}
		if err == nil {
			out = append(out, File{Path: path, Size: info.Size()})
		}
		return err
	})
	if err != nil {
		return out, fmt.Errorf("list %s of the bundle: %w", dir, record.Pathless(err))
	}
	return out, nil
}

// decode reads a file of JSON that has at most so many bytes.
func (b *Bundle) decode(path string, most int64, v any) error {
	f, err := b.File(path)
	if err != nil {
		return err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", path, err)
	case int64(len(content)) > most:
		return fmt.Errorf("read %s: it has more than %d bytes", path, most)
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
