package probe

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const oneID = "an environment has one uid and one gid: programs that drop to another user fail, and Cmd.User runs in a further user namespace"

var idProbes = []*probe{
	{name: "ids.helpers", title: "newuidmap and newgidmap", cost: oneID, look: lookIDHelpers},
	idRanges,
}

var idRanges = &probe{name: "ids.ranges", title: "subordinate ids", cost: oneID, look: lookIDRanges}

func lookIDHelpers(m *machine, _ Trials) (string, error) {
	if mode := m.mode(); mode != Rootless {
		return "not needed in mode " + string(mode), nil
	}
	install := m.install("uidmap", "shadow-utils", "shadow", "shadow-uidmap", "shadow")
	var found []string
	for _, program := range []string{"newuidmap", "newgidmap"} {
		path := m.find(program)
		if path == "" {
			return "", &Absent{Feature: program, Cause: fmt.Errorf("there is no %s", program), Remedy: install}
		}
		if !m.raises(path) {
			return "", &Absent{
				Feature: program, Cause: restricted{path + " is neither setuid root nor has it file capabilities"},
				Remedy: "sudo chmod u+s " + path,
			}
		}
		found = append(found, path)
	}
	if m.status("NoNewPrivs") == "1" {
		return "", &Absent{
			Feature: "newuidmap", Cause: restricted{"the no_new_privs flag is set, so that " + found[0] + " gets no rights"},
			Remedy: "run without no_new_privs (docker: without --security-opt no-new-privileges; systemd: NoNewPrivileges=no)",
		}
	}
	return strings.Join(found, ", "), nil
}

// raises says whether a program gets rights that its caller has not.
func (m *machine) raises(path string) bool {
	info, err := os.Stat(m.path(path))
	if err != nil {
		return false
	}
	if info.Mode()&os.ModeSetuid != 0 {
		return true
	}
	n, err := unix.Getxattr(m.path(path), "security.capability", nil)
	return err == nil && n > 0
}

func lookIDRanges(m *machine, t Trials) (string, error) {
	switch m.mode() {
	case Root:
		return fmt.Sprintf("each environment gets %d of its own, from %d on", idCount, firstID), nil
	case Nested:
		mapped := m.mapped()
		if mapped < idCount {
			return "", &Absent{
				Feature: "subordinate ids", Cause: restricted{fmt.Sprintf("%d ids are mapped here, an environment takes %d", mapped, idCount)},
				Remedy: "make the outer environment with more ids (--id-count)",
			}
		}
		return fmt.Sprintf("%d ids are mapped here", mapped), nil
	}
	uids, nextUID := m.subordinate("/etc/subuid")
	gids, nextGID := m.subordinate("/etc/subgid")
	if count := min(uids, gids); count < idCount {
		first := max(nextUID, nextGID)
		return "", &Absent{
			Feature: "subordinate ids",
			Cause:   restricted{fmt.Sprintf("%d uids in /etc/subuid and %d gids in /etc/subgid for %s, an environment takes %d", uids, gids, m.user(), idCount)},
			Remedy:  fmt.Sprintf("sudo usermod --add-subuids %[1]d-%[2]d --add-subgids %[1]d-%[2]d %[3]s", first, first+idCount-1, m.user()),
		}
	}
	if _, err := lookIDHelpers(m, t); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d uids, %d gids", uids, gids), nil
}

// mapped is how many ids the process's user namespace has.
func (m *machine) mapped() int64 {
	var total int64
	for line := range strings.Lines(m.text("/proc/self/uid_map")) {
		if fields := strings.Fields(line); len(fields) == 3 {
			count, err := strconv.ParseInt(fields[2], 10, 64)
			if err == nil {
				total += count
			}
		}
	}
	return total
}

// subordinate is the length of the longest range that a file like /etc/subuid (subuid(5)) gives to the caller, and the first
// id beyond all ranges.
func (m *machine) subordinate(path string) (count, next int64) {
	next = 100000
	for line := range strings.Lines(m.text(path)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 {
			continue
		}
		first, errFirst := strconv.ParseInt(fields[1], 10, 64)
		length, errLength := strconv.ParseInt(fields[2], 10, 64)
		if errFirst != nil || errLength != nil {
			continue
		}
		next = max(next, first+length)
		if fields[0] == m.user() || fields[0] == strconv.Itoa(m.uid) {
			count = max(count, length)
		}
	}
	return count, next
}
