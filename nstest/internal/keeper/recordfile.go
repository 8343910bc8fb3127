package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// checkRecordFiles refuses files that no record can be written to. They remain the caller's.
func checkRecordFiles(files []*os.File) error {
	if n := len(files); n != 1 && n != 3 {
		return refuse(unix.EINVAL, "a record needs a file for events, and two or none for packets, not %d files", n)
	}
	var infos []os.FileInfo
	for _, f := range files {
		if err := checkCaptureFile(f); err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(infos, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
			return refuse(unix.EINVAL, "a record needs a file of its own for events and for each half of the packets")
		}
		infos = append(infos, info)
	}
	return nil
}

// prepareRecordFiles checks files and empties those for packets: before anybody has a mutex, since whoever serves them may let us
// wait.
func prepareRecordFiles(files []*os.File) error {
	if err := checkRecordFiles(files); err != nil {
		return err
	}
	for _, f := range files[1:] {
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("empty the file: %w", record.Pathless(err))
		}
	}
	return nil
}

// recordTo has the record that was begun without files in these from now on, with all that it has. What there is no file for is let
// go: the packets, or everything.
func (e *environment) recordTo(ctx context.Context, files []*os.File) (err error) {
	if len(files) > 0 {
		err = prepareRecordFiles(files)
	}
	r := e.recorder.Load()
	switch {
	case err != nil:
	case r == nil:
		err = refuse(unix.EINVAL, "the environment is not recorded")
	case len(files) > 1 && r.ring == nil:
		err = refuse(unix.EINVAL, "%d files, and packets are not recorded", len(files))
	case !r.given.CompareAndSwap(false, true):
		err = refuse(unix.EBUSY, "the record has its files already")
	}
	if err != nil {
		return errors.Join(err, closeAll(files))
	}
	if len(files) == 0 {
		r.letGo()
	}
	if len(files) <= 1 && r.ring != nil {
		e.audience.leave(r.ring)
		r.ring.letGo()
	}
	r.put(ctx, files)
	return nil
}

// letGo has the record keep no events: nobody wants them.
func (r *recorder) letGo() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.sink.letGo()
}

// put hands over the files that there are.
func (r *recorder) put(ctx context.Context, files []*os.File) {
	if len(files) > 0 {
		r.sink.give(files[0])
	}
	if len(files) > 1 {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		r.ring.give(ctx, files[1:])
	}
}
