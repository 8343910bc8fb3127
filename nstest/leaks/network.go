package leaks

import (
	"os"
	"strings"
)

func mounts() []entry {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var list []entry
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line) // id, parent, device, root, mount point, options ...
		if len(fields) < 6 {
			continue
		}
		list = append(list, entry{class: strings.Join(fields[3:], " "), id: fields[0], what: fields[4], origin: strings.Join(fields, " ")})
	}
	return list
}

func links() []entry {
	b, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return nil
	}
	var list []entry
	for line := range strings.Lines(string(b)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			list = append(list, entry{class: name, id: name, what: name})
		}
	}
	return list
}

type unixSocket struct{ inode, path string }

func unixSockets() []unixSocket {
	b, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		return nil
	}
	var list []unixSocket
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line) // address, references, protocol, flags, type, state, inode[, path]
		if len(f) < 7 {
			continue
		}
		s := unixSocket{inode: f[6], path: "without a name"}
		if len(f) > 7 {
			s.path = f[7]
		}
		list = append(list, s)
	}
	return list
}

// sockets are those abstract ones that nstest names and that this program or a descendant has open: the same machine may
// have other programs that use nstest.
func sockets(tree []process) []entry {
	named := map[string]string{}
	for _, s := range unixSockets() {
		if strings.HasPrefix(s.path, "@nstest") {
			named["socket:["+s.inode+"]"] = s.path
		}
	}
	if len(named) == 0 {
		return nil
	}
	self := process{pid: selfPID(), command: "this program"}
	var list []entry
	for _, p := range append([]process{self}, tree...) {
		fds, err := os.ReadDir("/proc/" + p.pid + "/fd")
		if err != nil {
			continue
		}
		for _, fd := range fds {
			target, err := os.Readlink("/proc/" + p.pid + "/fd/" + fd.Name())
			if name, ok := named[target]; err == nil && ok {
				delete(named, target)
				class := target
				if p.command == keeperName { // as processes does it
					class = keeperName
				}
				list = append(list, entry{class: class, id: target, what: name, origin: "open in process " + p.pid + " " + p.command + " as " + fd.Name()})
			}
		}
	}
	return list
}
