package bundle

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// The bounds of what is unpacked.
const (
	maxFiles  = 1 << 16
	maxDepth  = 64
	maxName   = 4096
	maxHeader = 8 << 10   // of a file in the archive, in bytes
	maxWindow = 128 << 20 // of memory that zstd asks for: what the zstd program itself accepts by default
)

// maxUnpacked is how many bytes a packed bundle may have, unpacked. A variable for the test.
var maxUnpacked int64 = 4 << 30

// ErrBounds means that a packed bundle is larger than what is unpacked.
var ErrBounds = errors.New("the bundle is beyond bounds")

// unpackFile unpacks a file to a directory of its own in os.TempDir, which is its to remove only if it fails.
func unpackFile(file string) (dir string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return "", err
	}
	defer z.Close()
	if dir, err = os.MkdirTemp("", "nstest-bundle-"); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err == nil {
		err = errors.Join(unpack(root, tar.NewReader(&bounded{z, maxUnpacked + maxFiles*maxHeader})), root.Close())
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// bounded reads so many bytes: headers may be without end too.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrBounds, maxUnpacked)
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// unpack makes the ordinary files of an archive below root. Everything else in it is passed over, as nothing in a bundle is
// anything else. Whatever the names are, root lets nothing out.
func unpack(root *os.Root, archive *tar.Reader) error {
	left := maxUnpacked
	for entries := 0; ; entries++ {
		h, err := archive.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("unpack: %w", err)
		case entries == maxFiles:
			return fmt.Errorf("%w: more than %d files", ErrBounds, maxFiles)
		case h.Size > left:
			return fmt.Errorf("%w: more than %d bytes", ErrBounds, maxUnpacked)
		}
		left -= h.Size // also of what is passed over, which takes time
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := path.Clean(h.Name)
		switch {
		case !filepath.IsLocal(name) || name == ".":
			return fmt.Errorf("unpack: %q leads out of the bundle", shorten(h.Name))
		case len(name) > maxName || strings.Count(name, "/") >= maxDepth:
			return fmt.Errorf("%w: the path %q", ErrBounds, shorten(h.Name))
		}
		if err := unpackEntry(root, name, io.LimitReader(archive, h.Size)); err != nil {
			return fmt.Errorf("unpack %q: %w", shorten(name), err)
		}
	}
}

func unpackEntry(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return record.Pathless(err)
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return record.Pathless(err)
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

func shorten(name string) string {
	if len(name) <= 200 {
		return name
	}
	return name[:200] + "…"
}

// top is the directory of the bundle in an archive: the one that has the manifest, which is the archive's own or the only one
// in that.
func top(dir string) (string, error) {
	if _, err := os.Lstat(filepath.Join(dir, record.ManifestFile)); err == nil {
		return dir, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) == 1 && entries[0].IsDir() {
		return filepath.Join(dir, entries[0].Name()), nil
	}
	return dir, nil
}
