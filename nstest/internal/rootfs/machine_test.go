package rootfs

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
)

// A container's table, shortened: binds over files, masks below /proc, and a mount that a later one hides.
const table = `
1 0 0:1 / / rw - overlay overlay rw
2 1 0:2 / /proc rw - proc proc rw
3 2 0:3 / /proc/acpi ro - tmpfs tmpfs ro
4 1 0:4 / /sys ro - sysfs sysfs ro
5 1 0:5 / /dev rw - tmpfs tmpfs rw
6 1 8:1 /hosts /etc/hosts rw - ext4 /dev/sda1 rw
7 1 8:2 / /data rw - ext4 /dev/sdb1 rw
8 7 8:3 / /data/inner rw - ext4 /dev/sdc1 rw
9 1 0:6 / /data rw - tmpfs tmpfs rw
10 7 0:7 / /data rw - tmpfs stacked rw
11 10 0:8 / /data/top rw - tmpfs top rw
`

func parse(t *testing.T, text string) []*mountinfo.Info {
	t.Helper()
	mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(strings.TrimSpace(text)+"\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return mounts
}

func TestVisibleMounts(t *testing.T) {
	text := strings.Replace(table, "9 1 0:6 / /data rw - tmpfs tmpfs rw\n", "", 1)
	var got []string
	for _, mi := range visible(parse(t, text)) {
		got = append(got, mi.Mountpoint+" "+mi.Source)
	}
	want := []string{"/ overlay", "/proc proc", "/proc/acpi tmpfs", "/sys sysfs", "/dev tmpfs", "/etc/hosts /dev/sda1", "/data stacked", "/data/top top"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestInRoot(t *testing.T) {
	m := Machine{mounts: visible(parse(t, table))}
	for path, want := range map[string]bool{"/": true, "/home/data": true, "/database": true, "/data": false, "/data/a/b": false, "/etc/hosts": false} {
		if got := m.inRoot(path); got != want {
			t.Errorf("inRoot(%q) = %v", path, got)
		}
	}
}

func TestVisibleKeepsMountsUnderAHiddenSibling(t *testing.T) {
	mounts := visible(parse(t, `
1 0 0:1 / / rw - ext4 /dev/sda1 rw
2 1 0:2 / /a/b rw - tmpfs under rw
3 1 0:3 / /a rw - tmpfs over rw
`))
	for _, mi := range mounts {
		if mi.Source == "under" {
			t.Error("/a/b is listed, and nobody can reach it")
		}
	}
	if len(mounts) != 2 {
		t.Errorf("got %d mounts, want / and /a", len(mounts))
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		path, dir string
		want      bool
	}{{"/tmp", "/tmp", true}, {"/tmp/x", "/tmp", true}, {"/tmpx", "/tmp", false}, {"/", "/tmp", false}, {"/anything", "/", true}} {
		if got := within(c.path, c.dir); got != c.want {
			t.Errorf("within(%q, %q) = %v", c.path, c.dir, got)
		}
	}
}

func TestHasMountBelow(t *testing.T) {
	m := &Machine{mounts: parse(t, table)}
	for path, want := range map[string]bool{"/": true, "/etc": true, "/etc/hosts": false, "/usr": false, "/data": true} {
		if got := m.hasMountBelow(path); got != want {
			t.Errorf("hasMountBelow(%q) = %v", path, got)
		}
	}
}

func TestChecked(t *testing.T) {
	m := &Machine{}
	dir := t.TempDir()
	if got, err := m.checked(dir + "/"); err != nil || got != dir {
		t.Errorf("got %q, %v for a directory", got, err)
	}
	for _, bad := range []string{"relative", dir + "/missing", "/proc/self", "/etc/passwd"} {
		if got, err := m.checked(bad); err == nil {
			t.Errorf("%q was accepted as %q", bad, got)
		}
	}
}
