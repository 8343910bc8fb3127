package record

import (
	"errors"
	"io/fs"
)

// Pathless is an error without the path of a file, where that is said anyway, or means nothing to who reads it.
func Pathless(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
