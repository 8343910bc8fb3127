package probe

import (
	"fmt"
	"strings"
)

var (
	procMount = &probe{
		name: "mount.proc", title: "fresh /proc", required: true, cost: "no environment: /proc would show the machine's processes",
		look: func(m *machine, t Trials) (string, error) { return m.fresh("proc", "/proc", t.Proc) },
	}
	sysfsMount = &probe{
		name: "mount.sysfs", title: "fresh /sys", required: true, cost: "/sys/class/net would show the machine's links",
		look: func(m *machine, t Trials) (string, error) { return m.fresh("sysfs", "/sys", t.Sysfs) },
	}
	overlay = &probe{
		name: "overlay", title: "overlayfs", required: true,
		cost: "no private root: environments must run on the machine's own tree",
		look: func(m *machine, t Trials) (string, error) {
			detail := "an upper layer over a lower one"
			if m.mode() != Root {
				detail = "with userxattr, in a user namespace"
			}
			return tried(t, "overlay", detail), m.judge("overlayfs", "mount overlay", t.Overlay())
		},
	}
	idMapped = &probe{
		name: "mount.idmapped", title: "idmapped mounts",
		cost: "files of the machine belong to nobody (65534) inside, unless they are the user's own",
		look: func(m *machine, t Trials) (string, error) {
			return "the root filesystem (" + m.rootType() + ") takes them", m.judge("idmapped mounts", "idmap mount", t.IDMap())
		},
	}
	mountProbes = []*probe{procMount, sysfsMount, overlay, idMapped}
)

// fresh looks at what is mounted over a pseudo filesystem first: an environment's user namespace is refused because of it
// even where the caller, with capabilities over the machine, is not.
func (m *machine) fresh(fstype, at string, trial func() error) (string, error) {
	over, readOnly, visible := m.masked(fstype)
	if len(over) > 0 {
		return "", m.maskedAbsent(fstype, at, over)
	}
	detail := "nothing is mounted over parts of " + at
	if readOnly {
		detail += "; it is read-only here, and so will be a fresh one"
	}
	err := m.judge("a fresh "+at, "mount "+fstype, trial())
	if err != nil && !visible {
		return "", fmt.Errorf("no whole %s is mounted here: %w", fstype, err)
	}
	return detail, err
}

func (m *machine) maskedAbsent(fstype, at string, over []string) *Absent {
	cause, remedy := m.maskedCause(at, over)
	return &Absent{Feature: "a fresh " + at, Cause: restricted{cause}, Remedy: remedy}
}

func (m *machine) maskedCause(at string, over []string) (cause, remedy string) {
	const shown = 4
	list := over
	if len(list) > shown {
		list = list[:shown]
	}
	text := strings.Join(list, ", ")
	if more := len(over) - len(list); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "something is mounted over " + text + m.inContainer() + ", so the kernel refuses a fresh " + at + " to user namespaces",
		m.containerRemedy(allowProc)
}

// rootType is the type of the root filesystem.
func (m *machine) rootType() string {
	fstype := "of unknown type"
	for _, at := range m.mounts() {
		if at.point == "/" {
			fstype = at.fstype
		}
	}
	return fstype
}
