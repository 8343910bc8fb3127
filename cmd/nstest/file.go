package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// writeFile writes a file as a whole that only the user can read, as bundles are, or leaves what was there; "-" is standard
// output. It says what it has written.
func writeFile(sys *system, path string, content func(io.Writer) error) error {
	if path == "-" {
		w := bufio.NewWriter(sys.Stdout)
		return errors.Join(content(w), w.Flush())
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".nstest-")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	w := bufio.NewWriter(f)
	err = errors.Join(content(w), w.Flush(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	sys.warnf("wrote %s", path)
	return nil
}
