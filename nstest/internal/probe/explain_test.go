package probe

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	rootStatus     = "CapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n"
	userStatus     = "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n"
	filteredStatus = "CapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n"
	wholeMounts    = "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / /proc rw - proc proc rw\n3 1 0:3 / /sys rw - sysfs sysfs rw\n" +
		"4 3 0:4 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n5 2 0:5 / /proc/sys/fs/binfmt_misc rw - autofs a rw\n"
	dockerMounts = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /proc rw - proc proc rw\n3 1 0:3 / /sys ro - sysfs sysfs ro\n" +
		"4 2 0:2 /sys /proc/sys ro - proc proc rw\n5 2 0:9 / /proc/kcore rw - tmpfs tmpfs rw\n6 3 0:8 / /sys/firmware ro - tmpfs tmpfs ro\n"
)

// tree is what a machine's files hold, over what every one has.
type tree map[string]string

func fakeMachine(t *testing.T, release string, uid int, files tree) *machine {
	t.Helper()
	root := t.TempDir()
	all := tree{
		"/proc/self/status": userStatus, "/proc/self/mountinfo": wholeMounts, "/proc/self/uid_map": "0 0 4294967295",
		"/etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
	}
	for _, k := range kinds {
		all["/proc/self/ns/"+k.name] = ""
		all["/proc/sys/user/"+k.limit] = "30000"
	}
	for path, content := range files {
		all[path] = content
	}
	for path, content := range all {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range files {
		if content == "absent" {
			if err := os.Remove(filepath.Join(root, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	return newMachine(root, release, uid, uid)
}

func TestExplain(t *testing.T) {
	const ubuntu = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	const shift = "0 524288 65536"
	for name, c := range map[string]struct {
		op            string
		errno         syscall.Errno
		release       string
		files         tree
		cause, remedy string // parts of what comes back
	}{
		"limit of zero": {"clone user namespace", syscall.ENOSPC, "6.1.0", tree{"/proc/sys/user/max_user_namespaces": "0"},
			"user.max_user_namespaces is 0", "sudo sysctl -w user.max_user_namespaces=65536"},
		"limit reached": {"clone user namespace", syscall.ENOSPC, "6.1.0", nil,
			"user.max_user_namespaces is 30000", "sysctl -w user.max_user_namespaces=131072"},
		"32 levels": {"clone user namespace", syscall.EUSERS, "6.1.0", tree{"/proc/self/uid_map": shift}, "32 levels deep", "nest fewer"},
		"Debian": {"clone user namespace", syscall.EPERM, "5.10.0", tree{"/proc/sys/kernel/unprivileged_userns_clone": "0"},
			"kernel.unprivileged_userns_clone: it is 0", "sysctl -w kernel.unprivileged_userns_clone=1"},
		"Ubuntu": {"clone user namespace", syscall.EPERM, "6.8.0", tree{ubuntu: "1"},
			"kernel.apparmor_restrict_unprivileged_userns is 1", "sudo apparmor_parser -r /etc/apparmor.d/nstest"},
		"Ubuntu, the map": {"write uid_map", syscall.EPERM, "6.8.0", tree{ubuntu: "1"},
			"apparmor_restrict_unprivileged_userns is 1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		"Ubuntu, inside": {"net namespace", syscall.EPERM, "6.8.0", tree{ubuntu: "1"}, "apparmor_restrict_unprivileged_userns is 1", "userns,"},
		"chroot": {"clone user namespace", syscall.EPERM, "6.1.0", tree{"/proc/self/mountinfo": "2 1 0:2 / /proc rw - proc proc rw\n"},
			"chroot(2)", "pivot_root"},
		"docker's filter": {"clone user namespace", syscall.EPERM, "6.1.0", tree{"/proc/self/status": filteredStatus, "/.dockerenv": ""},
			"seccomp filter is in force in a container (docker)", "docker run --security-opt seccomp=unconfined"},
		"podman's filter": {"clone user namespace", syscall.EPERM, "6.1.0", tree{"/proc/self/status": filteredStatus, "/run/.containerenv": ""},
			"(podman)", "podman run --security-opt seccomp=unconfined"},
		"docker's profile": {"mount proc", syscall.EACCES, "6.1.0",
			tree{"/proc/self/attr/current": "docker-default (enforce)", "/sys/module/apparmor/x": "", "/.dockerenv": ""},
			"AppArmor profile docker-default (enforce)", "docker run --security-opt apparmor=unconfined"},
		"no kernel support": {"clone user namespace", syscall.EINVAL, "6.1.0", tree{"/proc/self/ns/user": "absent"},
			"no user namespaces", "CONFIG_USER_NS"},
		"one id": {"write uid_map", syscall.EPERM, "6.1.0", tree{"/etc/os-release": "ID=ubuntu\nID_LIKE=debian\n"},
			"there is no newuidmap", "sudo apt-get install uidmap"},
		"bad map": {"write gid_map", syscall.EINVAL, "6.1.0", nil, "overlap", "nstest doctor"},
		"no time": {"time namespace", syscall.EINVAL, "5.4.0", tree{"/proc/self/ns/time": "absent"}, "no time namespaces", "Linux 5.6"},
		"limit of one of several": {"start init: start nstest-init in new user,pid,net,mnt,ipc,uts,cgroup namespaces", syscall.ENOSPC, "6.1.0",
			tree{"/proc/sys/user/max_user_namespaces": "0"}, "user.max_user_namespaces is 0", "=65536"},
		"none of several": {"start init: start nstest-init in new user,pid,net,mnt,ipc,uts,cgroup namespaces", syscall.ENOSPC, "6.1.0",
			nil, "a limit of user namespaces is reached", "user.max_user_namespaces="},
		"net limit": {"unshare net namespace", syscall.ENOSPC, "6.1.0", tree{"/proc/sys/user/max_net_namespaces": "3"}, "user.max_net_namespaces is 3", "=65536"},
		"masked /proc": {"mount proc", syscall.EPERM, "6.1.0", tree{"/proc/self/mountinfo": dockerMounts, "/.dockerenv": ""},
			"mounted over /proc/sys, /proc/kcore in a container (docker)", "--security-opt systempaths=unconfined"},
		"masked /sys": {"mount sysfs", syscall.EPERM, "6.1.0", tree{"/proc/self/mountinfo": dockerMounts, "/run/.containerenv": ""},
			"mounted over /sys/firmware", "podman run --security-opt unmask=ALL"},
		"no /proc to see":    {"mount proc", syscall.EPERM, "6.1.0", tree{"/proc/self/mountinfo": "1 0 8:1 / / rw - ext4 a rw\n"}, "no whole proc", "mount -t proc"},
		"the machine's net":  {"mount sysfs", syscall.EPERM, "6.1.0", nil, "not the environment's own", "--host-net"},
		"old overlay":        {"mount overlay", syscall.EPERM, "5.4.0", nil, "Linux 5.4.0 mounts an overlay for root only", "5.11"},
		"overlay on overlay": {"mount overlay", syscall.EINVAL, "6.1.0", nil, "overlay on overlay", "TMPDIR"},
		"idmap unprivileged": {"idmap mount", syscall.EPERM, "6.1.0", nil, "only root", "run as root"},
		"idmap on NFS": {"idmap mount", syscall.EINVAL, "6.1.0",
			tree{"/proc/self/status": rootStatus, "/proc/self/mountinfo": "1 0 0:1 / / rw - nfs4 a rw\n"}, "nfs4", "ext4"},
		"old kernel":   {"mount_setattr", syscall.ENOSYS, "5.4.0", nil, "came with Linux 5.12", "5.12"},
		"tun refused":  {"open /dev/net/tun", syscall.EACCES, "6.1.0", nil, "not writable for uid 1000", "chmod 0666 /dev/net/tun"},
		"tun missing":  {"open /dev/net/tun", syscall.ENOENT, "6.1.0", nil, "module tun is not loaded", "sudo modprobe tun"},
		"tun, podman":  {"open /dev/net/tun", syscall.ENOENT, "6.1.0", tree{"/run/.containerenv": ""}, "(podman)", "--device /dev/net/tun"},
		"netem":        {"add netem", syscall.ENOENT, "6.1.0", tree{"/boot/config-6.1.0": "# CONFIG_NET_SCH_NETEM is not set\n"}, "CONFIG_NET_SCH_NETEM", "=m"},
		"netem module": {"add netem", syscall.ENOENT, "6.1.0", tree{"/lib/modules/6.1.0/modules.dep": "kernel/veth.ko:\n", "/etc/os-release": "ID=ubuntu\n"}, "no module sch_netem in /lib/modules/6.1.0", "linux-modules-extra-6.1.0"},
		"nft bridge": {"nftables bridge family", syscall.EOPNOTSUPP, "6.1.0",
			tree{"/boot/config-6.1.0": "CONFIG_NF_TABLES=y\n"}, "CONFIG_NF_TABLES_BRIDGE", "=m"},
		"open files": {"open socket", syscall.EMFILE, "6.1.0", nil, "RLIMIT_NOFILE", "ulimit -n"},
		"keys":       {"join keyring", syscall.EDQUOT, "6.1.0", tree{"/proc/sys/kernel/keys/maxkeys": "200"}, "maxkeys is 200", "sysctl -w kernel.keys.maxkeys=2000"},
		"processes":  {"fork", syscall.EAGAIN, "6.1.0", tree{"/proc/sys/kernel/pid_max": "32768"}, "32768", "kernel.pid_max"},
		"unheard of": {"do something", syscall.EXDEV, "6.1.0", nil, "invalid cross-device link", "nstest doctor"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", "")
			m := fakeMachine(t, c.release, 1000, c.files)
			cause, remedy := m.explain(fmt.Errorf("step: %w", c.errno), c.op)
			if !strings.Contains(cause, c.cause) || !strings.Contains(remedy, c.remedy) {
				t.Errorf("explain(%v, %q)\ncause  %q\nwithout %q, or\nremedy %q\nwithout %q", c.errno, c.op, cause, c.cause, remedy, c.remedy)
			}
		})
	}
}

func TestExplainWithoutErrno(t *testing.T) {
	if cause, remedy := Explain(nil, "mount proc"); cause != "" || remedy != "" {
		t.Errorf("of nil: %q, %q", cause, remedy)
	}
	if cause, _ := Explain(errors.New("out of names"), "mount proc"); cause != "out of names" {
		t.Errorf("of an error without errno: %q", cause)
	}
	absent := &Absent{Feature: "x", Cause: errors.New("why"), Remedy: "what"}
	if cause, remedy := Explain(fmt.Errorf("open: %w", absent), "x"); cause != "why" || remedy != "what" {
		t.Errorf("of an Absent: %q, %q", cause, remedy)
	}
}

func TestConfigIsReadFromProc(t *testing.T) {
	m := fakeMachine(t, "6.1.0", 1000, nil)
	file, err := os.Create(m.path("/proc/config.gz"))
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(file)
	_, err = zip.Write([]byte("CONFIG_VETH=m\nCONFIG_BRIDGE=y\n# CONFIG_TUN is not set\n"))
	if err := errors.Join(err, zip.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	for option, want := range map[string]string{"VETH": "m", "BRIDGE": "y", "TUN": "n"} {
		if got := m.config(option); got != want {
			t.Errorf("CONFIG_%s = %q, want %q", option, got, want)
		}
	}
}
