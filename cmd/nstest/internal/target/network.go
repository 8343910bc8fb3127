package target

import (
	"net"
	"strings"
)

var networks = []check{
	{"devices", "N2", "no network devices of the machine", func(s *sight, f *finding) {
		list, err := net.Interfaces()
		if err != nil {
			f.unknown("%v", err)
			return
		}
		var names, physical []string
		for _, d := range list {
			names = append(names, d.Name)
			if exists("/sys/class/net/" + d.Name + "/device") {
				physical = append(physical, d.Name)
			}
		}
		f.saw("devices", strings.Join(names, " "))
		f.saw("physical", strings.Join(physical, " "))
		switch {
		case s.initial("net") == yes:
			f.leaks("the machine's: %s", some(names))
		case s.initial("net") == no && len(physical) > 0: // where /sys is of the same namespace
			f.leaks("physical: %s", some(physical))
		case s.initial("net") == no:
			f.isolated()
		}
	}},
	{"abstract", "N7", "abstract sockets of the machine cannot be reached", func(s *sight, f *finding) {
		n := 0
		for _, line := range lines("/proc/self/net/unix") {
			if fields := strings.Fields(line); strings.HasPrefix(fields[len(fields)-1], "@") {
				n++
			}
		}
		f.saw("abstract sockets", n)
		switch s.initial("net") {
		case yes:
			f.leaks("the network namespace is the machine's, and has %d", n)
		case no:
			f.isolated()
		}
	}},
}
