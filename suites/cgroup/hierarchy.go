package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// A membership is a line of /proc/PID/cgroup: in which cgroup of a hierarchy a process is, as the reader sees it.
type membership struct {
	Controllers string // of version 1, separated by commas; "" is version 2
	Path        string
}

// memberships are those of a process, or of "self".
func memberships(pid any) ([]membership, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%v/cgroup", pid))
	if err != nil {
		return nil, err
	}
	return parseMemberships(string(text))
}

func parseMemberships(text string) ([]membership, error) {
	var list []membership
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("read cgroups: no three fields in %q", line)
		}
		list = append(list, membership{fields[1], fields[2]})
	}
	return list, nil
}

// mounted is where the hierarchy is mounted for the caller.
func (m membership) mounted() (*mountinfo.Info, error) {
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return !m.isOf(i), m.isOf(i) })
	if err == nil && len(infos) == 0 {
		err = fmt.Errorf("the hierarchy %q of cgroups is not mounted", m.Controllers)
	}
	if err != nil {
		return nil, err
	}
	return infos[0], nil
}

// isOf reports whether something that is mounted is the hierarchy.
func (m membership) isOf(i *mountinfo.Info) bool {
	if m.Controllers == "" {
		return i.FSType == "cgroup2"
	}
	first, _, _ := strings.Cut(m.Controllers, ",")
	return i.FSType == "cgroup" && slices.Contains(strings.Split(i.VFSOptions, ","), first)
}

// filesystem is what mount(2) takes for the hierarchy.
func (m membership) filesystem() (fstype, options string) {
	if m.Controllers == "" {
		return "cgroup2", ""
	}
	return "cgroup", m.Controllers
}

// directory is our cgroup's, and that of the mount.
func (m membership) directory() (own, top string, err error) {
	mount, err := m.mounted()
	if err != nil {
		return "", "", err
	}
	below, ok := strings.CutPrefix(m.Path, strings.TrimSuffix(mount.Root, "/"))
	if !ok {
		return "", "", fmt.Errorf("the cgroup %s is not below what is mounted at %s", m.Path, mount.Mountpoint)
	}
	return path.Join(mount.Mountpoint, below), mount.Mountpoint, nil
}

// A place finds a directory in which a spec can make a cgroup.
type place func() (directory string, err error)

// unified is the nearest cgroup of version 2, from our own upwards, below which there is a controller; with "", our own.
func unified(controller string) place {
	return func() (string, error) {
		ours, err := find("")
		if err != nil {
			return "", err
		}
		at, top, err := ours.directory()
		if err != nil {
			return "", err
		}
		for ; ; at = path.Dir(at) {
			enabled, err := os.ReadFile(at + "/cgroup.subtree_control")
			if err != nil {
				return "", err
			}
			if controller == "" || slices.Contains(strings.Fields(string(enabled)), controller) {
				return at, nil
			}
			if at == top {
				return "", fmt.Errorf("the controller %s of cgroup v2 is in no cgroup.subtree_control from ours up to %s", controller, top)
			}
		}
	}
}

// legacy is our own cgroup in the hierarchy of version 1 that has a controller.
func legacy(controller string) place {
	return func() (string, error) {
		ours, err := find(controller)
		if err != nil {
			return "", err
		}
		at, _, err := ours.directory()
		return at, err
	}
}

// find is ours in the hierarchy with a controller of version 1, or that of version 2.
func find(controller string) (membership, error) {
	list, err := memberships("self")
	if err != nil {
		return membership{}, err
	}
	for _, m := range list {
		if slices.Contains(strings.Split(m.Controllers, ","), controller) {
			return m, nil
		}
	}
	return membership{}, fmt.Errorf("no hierarchy of cgroups has the controller %q: %w", controller, errors.ErrUnsupported)
}
