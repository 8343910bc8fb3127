package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
)

// covers are those that show something. They stay, because overlays may lie over them: tests show the same few directories
// again and again.
type covers struct {
	mu   sync.Mutex
	list []cover
}

// maxCovers bounds the memory that covers take.
const maxCovers = 32

// showing is the cover that shows as many of the directories in paths as an overlay over the root file system can, and
// nothing else of what is hidden. The others need overlays of their own.
func (m *Machine) showing(paths []string) (cover, error) {
	wanted := map[string]os.FileMode{}
	for _, path := range paths {
		if resolved, err := m.checked(path); err != nil || resolved != path || !m.covered(path) || m.mountOf(path).Mountpoint != "/" {
			continue
		}
		if fi, err := m.stat(path); err == nil {
			wanted[path] = fi.Mode() & (os.ModePerm | os.ModeSetuid | os.ModeSetgid | os.ModeSticky)
		}
	}
	maps.DeleteFunc(wanted, func(path string, _ os.FileMode) bool {
		for dir := range wanted {
			if dir != path && within(path, dir) {
				return true
			}
		}
		return false
	})

	m.covers.mu.Lock()
	defer m.covers.mu.Unlock()
	best := cover{dir: coverDir}
	for _, c := range m.covers.list {
		if len(c.shown) > len(best.shown) && c.within(wanted) {
			best = c
		}
	}
	if len(best.shown) == len(wanted) || len(m.covers.list) == maxCovers {
		return best, nil
	}
	dir, err := os.MkdirTemp(coversDir, "")
	if err != nil {
		return cover{}, fmt.Errorf("make cover: %w", err)
	}
	c := cover{dir, wanted}
	if err := m.make(c); err != nil {
		return cover{}, errors.Join(err, os.RemoveAll(dir))
	}
	m.covers.list = append(m.covers.list, c)
	return c, nil
}
