// Package loan lends network devices of the machine to hosts, and gives them back as they were, also when whoever borrowed
// one was killed.
package loan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// A Record says what a device was like before it was lent. It is a file, which whoever has the device keeps locked
// (flock(2)): the kernel lets go of the lock when that process dies, however it does.
type Record struct {
	Boot  string // /proc/sys/kernel/random/boot_id
	NetNS string // the inode of the network namespace that the device belongs to
	Name  string
	Index int
	MAC   []byte
	MTU   int
	Up    bool

	// What it is known by. A device without hardware is one end of a veth, and known by its other end.
	Hardware  string
	Permanent []byte
	Peer      int

	Addrs, Routes []rtnl.Setting

	file *os.File // locked
	path string
}

const suffix = ".json"

// Directories are where records may be: below run, the machine's /run, and below /tmp for those who cannot write there.
func Directories(run string) []string {
	return []string{filepath.Join(run, "nstest"), fmt.Sprintf("/tmp/nstest-%d", os.Geteuid())}
}

// directoryBelow is the first of them that we can have, made if need be.
func directoryBelow(run string) (string, error) {
	var errs []error
	for _, dir := range Directories(run) {
		err := os.Mkdir(dir, 0o700)
		if err == nil || errors.Is(err, fs.ErrExist) {
			err = check(dir)
		}
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("find a directory for records of lent devices: %w", errors.Join(errs...))
}

// check refuses a directory that others can write.
func check(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that we alone can write: remove it", dir)
	}
	return nil
}

// save writes the record below run, whole or not at all, and keeps it locked.
func (r *Record) save(run string) (err error) {
	f, err := newFile(run)
	if err != nil {
		return fmt.Errorf("save record: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save record: %w", err), f.Close(), os.Remove(f.Name()))
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	if err := json.NewEncoder(f).Encode(r); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	dir, name := filepath.Split(f.Name())
	path := filepath.Join(dir, r.Name+"-"+strings.TrimPrefix(name, unfinished)+suffix)
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	r.file, r.path = f, path
	return nil
}

// unfinished begins the name of a record that is not complete.
const unfinished = ".new-"

// newFile makes a file for us alone in the directory of records. Whoever removes the last record removes the directory too, so
// that this may take several attempts.
func newFile(run string) (*os.File, error) {
	const attempts = 10
	for i := 0; ; i++ {
		dir, err := directoryBelow(run)
		if err != nil {
			return nil, err
		}
		f, err := os.CreateTemp(dir, unfinished+"*")
		if err == nil || !errors.Is(err, fs.ErrNotExist) || i == attempts {
			return f, err
		}
	}
}

// remove ends the record.
func (r *Record) remove() error {
	err := errors.Join(os.Remove(r.path), r.file.Close())
	_ = os.Remove(filepath.Dir(r.path)) // if it is empty
	return err
}

// Close lets go of the record, which stays for Abandoned.
func (r *Record) Close() error { return r.file.Close() }

// Abandoned are the records in a directory that nobody keeps locked. They are locked now: whoever asks has to Close them, or
// to give back the device.
func Abandoned(dir string) ([]*Record, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, err
	}
	rest, err := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	if err != nil || len(paths)+len(rest) == 0 {
		return nil, err
	}
	if err := check(dir); err != nil {
		return nil, err
	}
	var list []*Record
	var errs []error
	for _, path := range rest { // of one who was killed before he touched the device, or is at it
		if r, _ := lock(path); r != nil {
			errs = append(errs, r.remove())
		}
	}
	for _, path := range paths {
		r, err := take(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("read record %s: %w", path, err))
		}
		if r != nil {
			list = append(list, r)
		}
	}
	return list, errors.Join(errs...)
}

// take locks and reads a record; it is nil if somebody else has it.
func take(path string) (*Record, error) {
	r, err := lock(path)
	if r == nil || err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r.file)
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// lock is take without reading.
func lock(path string) (*Record, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has just been removed
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = nil
		}
		return nil, errors.Join(err, f.Close())
	}
	then, err := f.Stat()
	if err == nil {
		var now os.FileInfo
		now, err = os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, then) {
			return nil, f.Close() // the device was given back before we had the lock
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Record{file: f, path: path}, nil
}
