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

// WriteUnprivileged writes the maps of process pid, a child of this process in a new user namespace, without any
// privilege: id 0 inside is the caller; ids from 1 on are the caller's subordinate ids (subuid(5)) where newuidmap(1)
// and newgidmap(1) are installed and grant some. It returns what it wrote, and why there is only one id, if so.
func WriteUnprivileged(pid int) (m Map, why error, err error) {
	uid, gid := os.Geteuid(), os.Getegid()
	uids, uerr := subordinate("/etc/subuid", uid)
	gids, gerr := subordinate("/etc/subgid", uid)
	if uerr == nil && gerr == nil {
		m = Map{
			UIDs: append([]Range{{0, uid, 1}}, uids...),
			GIDs: append([]Range{{0, gid, 1}}, gids...),
		}
		if why = m.writeByHelper(pid); why == nil {
			return m, nil, nil
		}
	} else {
		why = errors.Join(uerr, gerr)
	}
	// setgroups must be given up before a group map may be written without privilege (Linux 3.19).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/setgroups", pid), []byte("deny"), 0); err != nil && !os.IsNotExist(err) {
		return Map{}, why, fmt.Errorf("give up setgroups: %w", err)
	}
	m = Map{UIDs: []Range{{0, uid, 1}}, GIDs: []Range{{0, gid, 1}}}
	return m, why, m.Write(pid)
}

func (m Map) writeByHelper(pid int) error {
	for _, h := range []struct {
		name   string
		ranges []Range
	}{{"newuidmap", m.UIDs}, {"newgidmap", m.GIDs}} {
		path, err := exec.LookPath(h.name)
		if err != nil {
			return fmt.Errorf("%w (Debian, Ubuntu: package uidmap)", err)
		}
		args := []string{strconv.Itoa(pid)}
		for _, r := range h.ranges {
			args = append(args, strconv.Itoa(r.Inside), strconv.Itoa(r.Outside), strconv.Itoa(r.Count))
		}
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", h.name, err, strings.TrimSpace(string(out)))
		}
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
