package nstest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/hermetic-go/nstest/nstest/internal/salvage"
)

// workingDirs are where a spec leaves files that nobody else can see.
var workingDirs = []string{"tmp", "var/tmp", "run", "dev/shm"}

// keep copies the files that a spec or test has left to a new directory in the one that NSTEST_KEEP names, if it has
// failed, and says where. failed is its name, "" if it has passed.
func (e *Env) keep(failed string) error {
	dir := os.Getenv("NSTEST_KEEP")
	if dir == "" || failed == "" {
		return nil
	}
	root, err := e.root()
	if err != nil {
		return fmt.Errorf("keep files of %q: %w", failed, err)
	}
	defer root.Close()
	kept, err := os.MkdirTemp(dir, fileName(failed)+"-")
	if err != nil {
		return fmt.Errorf("keep files of %q: %w", failed, err)
	}
	var errs []error
	for _, d := range workingDirs {
		to := filepath.Join(kept, d)
		err := os.MkdirAll(to, 0o700)
		if err == nil {
			err = salvage.Directory(root, d, ".", to)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("keep files of %q in /%s: %w", failed, d, err))
		}
	}
	fmt.Fprintf(os.Stderr, "nstest: the files of %q are in %s\n", failed, kept)
	return errors.Join(errs...)
}

// fileName is a name without what has a meaning in paths.
func fileName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '_'
	}, name)
	return clean[:min(len(clean), 100)]
}
