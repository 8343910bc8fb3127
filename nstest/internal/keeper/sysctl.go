package keeper

import (
	"os"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// A new network namespace copies some settings from the machine's. An environment must not depend on the machine that
// it is made on: these are set back to the kernel's own defaults where the machine differs.
var baseline = []sysctl{
	{"net/ipv4/ip_forward", "0"},
	{"net/ipv4/conf/all/rp_filter", "0"},
	{"net/ipv4/conf/default/rp_filter", "0"},
	{"net/ipv4/conf/all/accept_redirects", "1"},
	{"net/ipv4/conf/all/arp_ignore", "0"},
	{"net/ipv4/conf/default/arp_ignore", "0"},
	{"net/ipv4/conf/all/arp_announce", "0"},
	{"net/ipv4/conf/default/arp_announce", "0"},
	{"net/ipv4/conf/all/log_martians", "0"},
	{"net/ipv4/tcp_congestion_control", "cubic"},
	{"net/ipv6/conf/all/disable_ipv6", "0"},
	{"net/ipv6/conf/default/disable_ipv6", "0"},
	{"net/ipv6/conf/all/forwarding", "0"},
}

type sysctl struct{ name, value string }

// deviations are the settings in which the machine differs from the baseline.
func deviations() []sysctl {
	var list []sysctl
	for _, s := range baseline {
		b, err := os.ReadFile("/proc/sys/" + s.name)
		if err == nil && strings.TrimSpace(string(b)) != s.value {
			list = append(list, s)
		}
	}
	return list
}

// pin sets them back. A setting that the kernel does not let a namespace change is left.
func pin(p *pid1.Program, list []sysctl) {
	for _, s := range list {
		f := p.Try("open /proc/sys/"+s.name, unix.SYS_OPENAT, pid1.Int(unix.AT_FDCWD), p.String("/proc/sys/"+s.name), pid1.Int(unix.O_WRONLY|unix.O_CLOEXEC), pid1.Int(0))
		p.Try("write "+s.name, unix.SYS_WRITE, f.Arg(), p.String(s.value), pid1.Int(len(s.value)))
		p.Try("close", unix.SYS_CLOSE, f.Arg())
	}
}
