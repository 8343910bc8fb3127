package nstest

import (
	"os"
	"path/filepath"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/salvage"
	"github.com/hermetic-go/nstest/nstest/internal/scribe"
)

// workingDirs are where a spec leaves files that nobody else can see.
var workingDirs = []string{"tmp", "var/tmp", "run", "dev/shm"}

// keepFiles copies the files that a spec or test has left.
func (r *recording) keepFiles(b *scribe.Bundle) {
	if !redaction().WithFiles() {
		b.Omit("%s and %s, because files cannot be redacted.", record.FilesDir, record.CoresDir)
		return
	}
	root, err := r.env.root()
	if err != nil {
		b.Omit("%s: %v.", record.FilesDir, err)
		return
	}
	defer root.Close()
	budget := &salvage.Budget{Left: b.Left()}
	for _, dir := range workingDirs {
		if err := keepDirectory(budget, root, dir, filepath.Join(b.Path(), record.FilesDir, dir)); err != nil {
			b.Omit("Files in /%s: %v.", dir, err)
		}
	}
	_ = os.RemoveAll(filepath.Join(b.Path(), record.FilesDir, "run/nstest")) // is the environment's own
	r.keepCores(b, budget, root)
	for _, name := range budget.Omitted {
		b.Omit("/%s, which is too large.", name)
	}
	if n := budget.Uncounted; n > 0 {
		b.Omit("%d more files, for which there is no room.", n)
	}
}

// keepDirectory copies what is in a directory, and leaves nothing where nothing is in it.
func keepDirectory(budget *salvage.Budget, root *os.File, dir, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	err := budget.Directory(root, dir, ".", to)
	for _, empty := range []string{to, filepath.Dir(to)} {
		_ = os.Remove(empty) // it is, or it stays
	}
	return err
}
