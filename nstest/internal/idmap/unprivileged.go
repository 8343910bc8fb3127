package idmap

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// Where the system grants ids to users. Tests have files of their own.
var subuidFile, subgidFile = "/etc/subuid", "/etc/subgid"

// WriteUnprivileged writes the maps of process pid, a child of this process in a new user namespace, without any
// privilege: id 0 inside is the caller; ids from 1 on are the caller's subordinate ids (subuid(5)) where newuidmap(1)
// and newgidmap(1) are installed and grant some. It returns what it wrote, and why there is only one id, if so.
func WriteUnprivileged(pid int) (m Map, why error, err error) {
	uid, gid := os.Geteuid(), os.Getegid()
	one := Map{UIDs: []Range{{0, uid, 1}}, GIDs: []Range{{0, gid, 1}}}
	uids, uerr := subordinate(subuidFile, uid)
	gids, gerr := subordinate(subgidFile, uid)
	if why = errors.Join(uerr, gerr); why == nil {
		m = Map{UIDs: append(one.UIDs, uids...), GIDs: append(one.GIDs, gids...)}
		// A map can be written only once: the one with the ids of groups first, which is refused for the same reasons.
		if why = byHelper("newgidmap", pid, m.GIDs); why == nil {
			if why = byHelper("newuidmap", pid, m.UIDs); why == nil {
				return m, nil, nil
			}
			m.UIDs = one.UIDs
			return m, why, write(pid, "uid_map", m.UIDs)
		}
	}
	// setgroups must be given up before a group map may be written without privilege (Linux 3.19).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/setgroups", pid), []byte("deny"), 0); err != nil && !os.IsNotExist(err) {
		return Map{}, why, fmt.Errorf("give up setgroups: %w", err)
	}
	return one, why, one.Write(pid)
}

// byHelper lets one of the programs of newuidmap(1) write a map.
func byHelper(name string, pid int, ranges []Range) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%w (Debian, Ubuntu: package uidmap)", err)
	}
	args := []string{strconv.Itoa(pid)}
	for _, r := range ranges {
		args = append(args, strconv.Itoa(r.Inside), strconv.Itoa(r.Outside), strconv.Itoa(r.Count))
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// subordinate is the ids that file grants the user, as inside ids from 1 on. 65535 of them suffice.
func subordinate(file string, uid int) ([]Range, error) {
	names := []string{strconv.Itoa(uid)}
	if u, err := user.LookupId(names[0]); err == nil {
		names = append(names, u.Username)
	}
	ranges, err := grants(file, func(name string) bool {
		return name == names[0] || len(names) > 1 && name == names[1]
	})
	if err != nil {
		return nil, err
	}
	next := 1
	var out []Range
	for _, r := range ranges {
		n := min(r.Count, 65536-next)
		if n <= 0 {
			break
		}
		out = append(out, Range{next, r.Outside, n})
		next += n
	}
	if out == nil {
		return nil, fmt.Errorf("%s grants no ids to uid %d", file, uid)
	}
	return out, nil
}

// grants reads the ranges of subuid(5) whose owner is meant.
func grants(file string, meant func(owner string) bool) ([]Range, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read subordinate ids: %w", err)
	}
	defer f.Close()
	var out []Range
	s := bufio.NewScanner(f)
	for s.Scan() {
		parts := strings.Split(strings.TrimSpace(s.Text()), ":")
		if len(parts) != 3 || !meant(parts[0]) {
			continue
		}
		start, err1 := strconv.Atoi(parts[1])
		count, err2 := strconv.Atoi(parts[2])
		if err1 == nil && err2 == nil && count > 0 {
			out = append(out, Range{0, start, count})
		}
	}
	return out, s.Err()
}
