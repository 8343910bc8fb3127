package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
)

// isolated is an audit of an environment of root's that is as it should be.
func isolated() *audit {
	inside, outside := map[string]string{}, map[string]string{}
	for _, kind := range look.Kinds {
		inside[kind], outside[kind] = kind+":[2]", kind+":[1]"
	}
	inside["time"] = outside["time"]
	all := look.ParseCaps([]string{"ALL"})
	return &audit{
		flags:   &environmentFlags{},
		inside:  measurement{Namespaces: inside, Files: []string{"0", "1", "2"}, Devices: []string{"lo", "eth0"}, Effective: all, Bounding: all, Writable: []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/hostname"}},
		outside: measurement{Namespaces: outside, UIDMap: initialMap, GIDMap: initialMap, Files: []string{"0", "1", "2"}, Devices: []string{"lo", "eth0", "wlan0"}},
		uidMap:  []string{"0 524288 65536"}, gidMap: []string{"0 524288 65536"},
	}
}

func TestAuditComplains(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(a *audit)
		want  string // "" is nothing
	}{
		{"as it should be", func(*audit) {}, ""},
		{"same namespace", func(a *audit) { a.inside.Namespaces["ipc"] = "ipc:[1]" }, "the ipc namespace is this process's"},
		{"no namespace", func(a *audit) { delete(a.inside.Namespaces, "cgroup") }, "the cgroup namespace is this process's"},
		{"kernel without the kind", func(a *audit) {
			delete(a.inside.Namespaces, "time")
			delete(a.outside.Namespaces, "time")
		}, ""},
		{"shared as asked", func(a *audit) { a.flags.NoIPC = true; a.inside.Namespaces["ipc"] = "ipc:[1]" }, ""},
		{"not shared as asked", func(a *audit) { a.flags.HostNet = true; a.inside.Writable = nil }, "the net namespace is not this process's"},
		{"unshifted time", func(a *audit) { a.flags.TimeOffset = []string{"boottime=1h"} }, "the time namespace is this process's"},
		{"root of the machine", func(a *audit) { a.uidMap = []string{"0 0 1", "1 524288 65535"} }, "user id 0 of the machine exists inside"},
		{"group of the machine", func(a *audit) { a.gidMap = []string{"1 524288 65535", "0 0 1"} }, "group id 0 of the machine exists inside"},
		{"nested", func(a *audit) { a.outside.UIDMap = []string{"0 524288 65536"}; a.uidMap = []string{"0 0 65536"} }, ""},
		{"capability kept", func(a *audit) { a.flags.CapDrop = []string{"net_raw"}; a.inside.Bounding = 0 }, "capabilities were dropped and are there: NET_RAW"},
		{"capability to be had", func(a *audit) { a.flags.CapDrop = []string{"CAP_NET_RAW"}; a.inside.Effective = 0 }, "capabilities were dropped and can be had: NET_RAW"},
		{"capability excepted", func(a *audit) {
			a.flags.CapDrop, a.flags.CapAdd = []string{"ALL"}, []string{"CHOWN"}
			a.inside.Effective, a.inside.Bounding = 1, 1
		}, ""},
		{"open file", func(a *audit) { a.inside.Files = append(a.inside.Files, "9") }, "files besides 0, 1 and 2 are open: 0 1 2 9"},
		{"foreign device", func(a *audit) { a.inside.Devices = append(a.inside.Devices, "wlan0") }, "there is a network device wlan0"},
		{"setting of the machine", func(a *audit) { a.inside.Writable = append(a.inside.Writable, "/proc/sys/kernel/core_pattern") }, "/proc/sys/kernel/core_pattern opens for writing"},
		{"setting of a shared namespace", func(a *audit) {
			a.flags.NoUTS = true
			a.inside.Namespaces["uts"] = "uts:[1]"
		}, "/proc/sys/kernel/hostname opens for writing"},
		{"file in sysfs", func(a *audit) { a.inside.Writable = append(a.inside.Writable, "/sys/power/state") }, "/sys/power/state opens for writing"},
		{"own device's attribute", func(a *audit) {
			a.inside.Writable = append(a.inside.Writable, "/sys/devices/virtual/net/eth0/mtu")
		}, ""},
		{"not measured", func(a *audit) { a.inside.Failed = []string{"open /proc/self/status: no such file"} }, "not measured: open /proc/self/status: no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := isolated()
			test.spoil(a)
			var out bytes.Buffer
			a.report(&out)
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			if !slices.Equal(a.wrong, want) {
				t.Errorf("complaints %q, want %q; the report:\n%s", a.wrong, want, out.String())
			}
			for kind := range maps.Keys(a.outside.Namespaces) {
				if !strings.Contains(out.String(), kind+" namespace") {
					t.Errorf("the report does not tell of the %s namespace", kind)
				}
			}
		})
	}
}
