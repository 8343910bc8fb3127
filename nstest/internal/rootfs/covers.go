package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
)

// covers are those that have something below hidden directories. They stay, because overlays may lie over them: tests show the same few directories
// again and again.
type covers struct {
	mu   sync.Mutex
	list []cover
}

// maxCovers bounds the memory that covers take.
const maxCovers = 32

// covering is the cover for an environment that is to see the paths of two lists: directories behind a layer, which the
// cover shows as far as an overlay over the root file system can, and others, for which it has mount points. It has nothing
// for anything else; what it has nothing for needs an overlay of its own, or is in nobody's way.
func (m *Machine) covering(layered, readOnly []string) (cover, error) {
	wanted := cover{shown: map[string]os.FileMode{}, points: map[string]bool{}}
	for _, path := range layered {
		if resolved, err := m.checked(path); err != nil || resolved != path || !m.covered(path) || !m.inRoot(path) {
			continue
		}
		if fi, err := m.stat(path); err == nil {
			wanted.shown[path] = fi.Mode() & (os.ModePerm | os.ModeSetuid | os.ModeSetgid | os.ModeSticky)
		}
	}
	maps.DeleteFunc(wanted.shown, func(path string, _ os.FileMode) bool {
		for dir := range wanted.shown {
			if dir != path && within(path, dir) {
				return true
			}
		}
		return false
	})
	for _, path := range readOnly {
		dir := filepath.Dir(path)
		if resolved, err := m.checked(dir); err != nil || resolved != dir || !m.covered(dir) || isPrivate(path) || wanted.shows(path) {
			continue
		}
		if fi, err := m.stat(path); err == nil && (fi.IsDir() || fi.Mode().IsRegular()) {
			wanted.points[path] = fi.IsDir()
		}
	}

	m.covers.mu.Lock()
	defer m.covers.mu.Unlock()
	best := cover{dir: coverDir}
	for _, c := range m.covers.list {
		if c.size() > best.size() && c.within(wanted) {
			best = c
		}
	}
	if best.size() == wanted.size() || len(m.covers.list) == maxCovers {
		return best, nil
	}
	var err error
	if wanted.dir, err = os.MkdirTemp(coversDir, ""); err != nil {
		return cover{}, fmt.Errorf("make cover: %w", err)
	}
	if err := m.make(wanted); err != nil {
		return cover{}, errors.Join(err, os.RemoveAll(wanted.dir))
	}
	m.covers.list = append(m.covers.list, wanted)
	return wanted, nil
}
