package report

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
)

// A Kernel is one, with those options of its configuration that properties depend on.
type Kernel struct {
	Release string            `json:"release"`
	Version string            `json:"version"`
	Config  string            `json:"config,omitempty"`
	Options map[string]string `json:"options,omitempty"`
}

// options are those of a kernel's configuration that decide what it isolates.
var options = strings.Fields(`NAMESPACES UTS_NS IPC_NS USER_NS PID_NS NET_NS TIME_NS
	CGROUPS MEMCG CGROUP_PIDS CPUSETS SYSVIPC POSIX_MQUEUE KEYS PERSISTENT_KEYRINGS SECCOMP SECCOMP_FILTER
	OVERLAY_FS TMPFS FUSE_FS BINFMT_MISC DEVTMPFS UNIX98_PTYS LEGACY_TIOCSTI
	VETH BRIDGE VLAN_8021Q BRIDGE_VLAN_FILTERING TUN IFB IPV6 NF_TABLES NET_SCH_NETEM NET_SCH_TBF NET_CLS_BPF VSOCKETS IO_URING
	SECURITY SECURITY_SELINUX SECURITY_APPARMOR SECURITY_LANDLOCK SECURITY_YAMA LSM CHECKPOINT_RESTORE PROC_CHILDREN HZ PREEMPT_RT`)

// configure takes the options from the first file that can be read.
func (k *Kernel) configure(paths ...string) {
	for _, path := range paths {
		text, err := readConfig(path)
		if err != nil {
			continue
		}
		k.Config, k.Options = path, map[string]string{}
		for _, name := range options {
			k.Options[name] = "n" // not set, or not known to this kernel
		}
		for line := range strings.Lines(text) {
			name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "CONFIG_"), "=")
			if _, wanted := k.Options[name]; ok && wanted {
				k.Options[name] = strings.Trim(value, `"`)
			}
		}
		return
	}
}

func readConfig(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return string(data), err
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(zip)
	return string(text), err
}
