package bundle

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Pack writes the bundle as one file, which Open reads if it is called NAME.tar.zst: a tar archive, compressed by zstd
// (RFC 8878), of its ordinary files in a directory of that name. A file that grows meanwhile, as while the test runs, has the
// size that it had at first.
func (b *Bundle) Pack(w io.Writer, name string) error {
	z, err := zstd.NewWriter(w)
	if err != nil {
		return fmt.Errorf("pack bundle: %w", err)
	}
	archive := tar.NewWriter(z)
	files, err := b.Files(".")
	for _, f := range files {
		if err == nil {
			err = b.pack(archive, path.Join(name, f.Path), f)
		}
	}
	if err == nil {
		err = archive.Close()
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return fmt.Errorf("pack bundle: %w", err)
	}
	return nil
}

func (b *Bundle) pack(archive *tar.Writer, name string, f File) error {
	from, err := b.File(f.Path)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: f.Size, Mode: 0o600, ModTime: info.ModTime().Truncate(time.Second)}
	if err := archive.WriteHeader(&h); err != nil {
		return err
	}
	if n, err := io.Copy(archive, io.LimitReader(from, f.Size)); err != nil || n < f.Size {
		return errors.Join(fmt.Errorf("%s: %d bytes of %d", f.Path, n, f.Size), err)
	}
	return nil
}
