package idmap

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// grantFiles are what the system grants, for one test.
func grantFiles(t *testing.T, uids, gids string) {
	t.Helper()
	dir := t.TempDir()
	u, g := subuidFile, subgidFile
	t.Cleanup(func() { subuidFile, subgidFile = u, g })
	subuidFile, subgidFile = filepath.Join(dir, "subuid"), filepath.Join(dir, "subgid")
	check(t, os.WriteFile(subuidFile, []byte(uids), 0o644))
	check(t, os.WriteFile(subgidFile, []byte(gids), 0o644))
}

func TestSubordinate(t *testing.T) {
	uid := os.Geteuid()
	name := "nobody-has-this-name"
	if u, err := user.LookupId(fmt.Sprint(uid)); err == nil {
		name = u.Username
	}
	for _, c := range []struct {
		file string
		want []Range
	}{
		{"", nil},
		{"somebody:100000:65536\n", nil},
		{fmt.Sprintf("%d:100000:65536\n", uid), []Range{{1, 100000, 65535}}},
		{fmt.Sprintf("somebody:1:5\n%d:100000:10\n%d:200000:20\n", uid, uid), []Range{{1, 100000, 10}, {11, 200000, 20}}},
		{fmt.Sprintf("%d:100000:65530\n%d:200000:20\n%d:300000:1\n", uid, uid, uid), []Range{{1, 100000, 65530}, {65531, 200000, 5}}},
	} {
		grantFiles(t, c.file, "")
		got, err := subordinate(subuidFile, uid)
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%q: %v, %v, want %v", c.file, got, err, c.want)
		}
	}
	grantFiles(t, name+":100000:7\n", "")
	if got, err := subordinate(subuidFile, uid); name != "nobody-has-this-name" && !slices.Equal(got, []Range{{1, 100000, 7}}) {
		t.Errorf("by name: %v, %v", got, err)
	}
}

// child is a process in a new user namespace without maps.
func child(t *testing.T) int {
	t.Helper()
	if err := ns.Trial(0, ns.TrialIDs{}); err != nil {
		if os.Getenv("NSTEST_MUST_RUN") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no user namespaces: %v (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces)", err)
	}
	p, err := ns.Start(ns.Spec{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Kinds: ns.User, DieWithUs: true})
	check(t, err)
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
		p.PIDFD.Close()
	})
	return p.PID
}

// wantMaps compares what was said to be written with what the kernel has.
func wantMaps(t *testing.T, pid int, got, want Map) {
	t.Helper()
	for _, f := range []struct {
		name      string
		got, want []Range
	}{{"uid_map", got.UIDs, want.UIDs}, {"gid_map", got.GIDs, want.GIDs}} {
		have, err := read(fmt.Sprintf("/proc/%d/%s", pid, f.name))
		if err != nil || !slices.Equal(have, f.want) || !slices.Equal(f.got, f.want) {
			t.Errorf("%s: returned %v, written %v (%v), want %v", f.name, f.got, have, err, f.want)
		}
	}
}

func TestWriteUnprivilegedWithoutGrants(t *testing.T) {
	grantFiles(t, "", "")
	pid := child(t)
	m, why, err := WriteUnprivileged(pid)
	check(t, err)
	wantMaps(t, pid, m, Map{UIDs: []Range{{0, os.Geteuid(), 1}}, GIDs: []Range{{0, os.Getegid(), 1}}})
	if why == nil || !strings.Contains(why.Error(), "grants no ids") {
		t.Errorf("why one id: %v", why)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/setgroups", pid)); err != nil || strings.TrimSpace(string(b)) != "deny" {
		t.Errorf("setgroups: %q, %v", b, err)
	}
}

// helpers puts shell scripts in the place of newuidmap and newgidmap. The word in each says whether it works.
func helpers(t *testing.T, uidmap, gidmap string) {
	t.Helper()
	dir := t.TempDir()
	for _, h := range [][3]string{{"newuidmap", "uid_map", uidmap}, {"newgidmap", "gid_map", gidmap}} {
		text := "#!/bin/sh\necho not today >&2\nexit 1\n"
		if h[2] == "works" {
			text = "#!/bin/sh\npid=$1; shift\nwhile [ $# -gt 0 ]; do echo $1 $2 $3; shift 3; done | /bin/dd of=/proc/$pid/" + h[1] + " bs=4096 iflag=fullblock status=none\n"
		}
		if h[2] != "" {
			check(t, os.WriteFile(filepath.Join(dir, h[0]), []byte(text), 0o755))
		}
	}
	t.Setenv("PATH", dir)
}

func TestWriteUnprivilegedByHelpers(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	uids, gids := Range{1, 700000, 10}, Range{1, 800000, 20}
	one := Map{UIDs: []Range{{0, uid, 1}}, GIDs: []Range{{0, gid, 1}}}
	many := Map{UIDs: append(slices.Clone(one.UIDs), uids), GIDs: append(slices.Clone(one.GIDs), gids)}
	for _, c := range []struct {
		uidmap, gidmap string
		want           Map
		why            string
	}{
		{"works", "works", many, ""},
		{"works", "fails", one, "newgidmap: exit status 1: not today"},
		{"fails", "works", Map{UIDs: one.UIDs, GIDs: many.GIDs}, "newuidmap: exit status 1: not today"},
		{"works", "", one, "executable file not found"},
		{"", "works", Map{UIDs: one.UIDs, GIDs: many.GIDs}, "package uidmap"},
	} {
		if uid != 0 && c.gidmap == "works" {
			continue // the scripts have no privilege then
		}
		t.Run(fmt.Sprintf("uid %s, gid %s", c.uidmap, c.gidmap), func(t *testing.T) {
			grantFiles(t, fmt.Sprintf("%d:%d:%d\n", uid, uids.Outside, uids.Count), fmt.Sprintf("%d:%d:%d\n", uid, gids.Outside, gids.Count))
			pid := child(t)
			helpers(t, c.uidmap, c.gidmap)
			m, why, err := WriteUnprivileged(pid)
			check(t, err)
			wantMaps(t, pid, m, c.want)
			if (why == nil) != (c.why == "") || why != nil && !strings.Contains(why.Error(), c.why) {
				t.Errorf("why one id: %v, want %q", why, c.why)
			}
		})
	}
}

func TestWriteUnprivilegedOfNobody(t *testing.T) {
	grantFiles(t, "", "")
	cmd := exec.Command("/bin/true")
	check(t, cmd.Run())
	if _, _, err := WriteUnprivileged(cmd.Process.Pid); err == nil {
		t.Error("a process that has ended: no error")
	}
}
