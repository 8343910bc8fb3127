package probe

import "strings"

var (
	bridge = &probe{
		name: "bridge", title: "bridge", required: true, cost: "no networks: hosts cannot be connected",
		look: func(m *machine, t Trials) (string, error) {
			return tried(t, "bridge", "a switch for every network"), m.judge("bridges", "add bridge", t.Bridge())
		},
	}
	veth = &probe{
		name: "veth", title: "veth", required: true, cost: "no cables: hosts cannot be connected",
		look: func(m *machine, t Trials) (string, error) {
			return tried(t, "veth", "a cable for every host"), m.judge("veth", "add veth", t.Veth())
		},
	}
	netem = &probe{
		name: "netem", title: "netem", cost: "impairments run in the userspace wire: the same results for more CPU time",
		look: func(m *machine, t Trials) (string, error) {
			return tried(t, "netem", "delay, loss and reordering in the kernel"), m.judge("netem", "add netem", t.Netem())
		},
	}
	nfTables = &probe{
		name: "nftables", title: "nftables", cost: "no packet filters and no NAT in environments",
		look: func(m *machine, t Trials) (string, error) {
			err := t.NFTables()
			op := "nftables"
			if err != nil && strings.Contains(err.Error(), "family bridge") {
				op = "nftables bridge family"
			}
			return tried(t, "nftables", "families inet and bridge"), m.judge("nftables", op, err)
		},
	}
	tun = &probe{
		name: "tun", title: "/dev/net/tun", cost: "no TAP or TUN devices: the userspace wire uses packet sockets, which are slower",
		look: func(m *machine, t Trials) (string, error) {
			return "can be opened", m.judge("/dev/net/tun", "open /dev/net/tun", t.Tun())
		},
	}
	vsock = &probe{
		name: "vsock", title: "AF_VSOCK", look: lookVsock,
	}
	networkProbes = []*probe{bridge, veth, netem, nfTables, tun, vsock}
)

// vsock reads instead of opening a socket: that would load the module.
func (m *machine) vsock() bool { return strings.Contains(m.text("/proc/net/protocols"), "AF_VSOCK") }

// lookVsock never finds fault: the less there is of it, the less has to be closed.
func lookVsock(m *machine, _ Trials) (string, error) {
	if m.vsock() {
		return "present, belongs to no namespace: environments are denied it by a seccomp filter", nil
	}
	return "not loaded", nil
}
