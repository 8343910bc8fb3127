package target

import (
	"path"
	"slices"
	"strings"
)

// A mount is a line of /proc/self/mountinfo.
type mount struct {
	root, point string
	readOnly    bool
	propagation []string // "shared:1", "master:2"
	kind        string   // of file system
	options     string   // the file system's
}

func mountsOf(lines []string) []mount {
	var list []mount
	for _, line := range lines {
		before, after, ok := strings.Cut(line, " - ")
		a, b := strings.Fields(before), strings.Fields(after)
		if !ok || len(a) < 6 || len(b) < 3 {
			continue
		}
		readOnly := slices.Contains(strings.Split(a[5], ","), "ro") || slices.Contains(strings.Split(b[2], ","), "ro")
		list = append(list, mount{root: a[3], point: unescaped.Replace(a[4]), readOnly: readOnly, propagation: a[6:], kind: b[0], options: b[2]})
	}
	return list
}

// unescaped undoes what the kernel does to blanks in paths.
var unescaped = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// mountAt is what is mounted at a path, on top.
func (s *sight) mountAt(point string) *mount {
	for i := len(s.mounts) - 1; i >= 0; i-- {
		if s.mounts[i].point == point {
			return &s.mounts[i]
		}
	}
	return nil
}

// leadsToMount reports whether a path is a mount, or there is one below it.
func (s *sight) leadsToMount(p string) bool {
	return slices.ContainsFunc(s.mounts, func(m mount) bool { return m.point == p || strings.HasPrefix(m.point, path.Clean(p)+"/") })
}

// layered reports whether what is written to a mount is kept from what is below: an overlay, or memory.
func (m *mount) layered() bool { return slices.Contains([]string{"overlay", "tmpfs", "ramfs"}, m.kind) }
