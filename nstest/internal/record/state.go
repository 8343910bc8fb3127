package record

import "time"

// A State is what an environment was like at a moment.
type State struct {
	Time   time.Time    `json:"time"`
	Hosts  []HostState  `json:"hosts"`
	Faults []FaultState `json:"faults,omitempty"` // that were in force
	Cgroup *Cgroup      `json:"cgroup,omitempty"` // of the whole environment, if it has one
	Errors []string     `json:"errors,omitempty"` // what could not be seen, and why
}

// A HostState is what a host was like.
type HostState struct {
	Name       string      `json:"name"`
	Processes  []Process   `json:"processes,omitempty"` // by PID
	Ended      []Ended     `json:"ended,omitempty"`
	Sockets    []Socket    `json:"sockets,omitempty"`
	Interfaces []Interface `json:"interfaces,omitempty"`
	Routes     []Route     `json:"routes,omitempty"`
	Neighbours []Neighbour `json:"neighbours,omitempty"`
	Counters   []Counter   `json:"counters,omitempty"`
	Mounts     []Mount     `json:"mounts,omitempty"`
	Kernel     []Statistic `json:"kernel,omitempty"` // what netstat(8) -s shows of what went wrong and is not zero, such as TcpExt ListenDrops
	Errors     []string    `json:"errors,omitempty"`
}

// A Process is one of a host's (proc_pid_stat(5)).
type Process struct {
	PID     int        `json:"pid"` // in the host's PID namespace
	Parent  int        `json:"parent,omitempty"`
	Number  int        `json:"number,omitempty"` // as Event.Process, of those that were started by Host.Command
	Args    []string   `json:"args"`             // of one without arguments its name in brackets
	State   string     `json:"state"`            // "R", "S", "D", "Z", "T"
	Waits   string     `json:"waits,omitempty"`  // the system call or kernel function in which it waits, such as "read(3)" or "open(/run/fifo)"
	UID     int        `json:"uid"`              // inside
	Threads int        `json:"threads"`
	RSS     int64      `json:"rss"`           // bytes
	CPU     Duration   `json:"cpu,omitempty"` // that it has used
	Age     Duration   `json:"age"`
	Files   []OpenFile `json:"files,omitempty"`
}

// An Ended is a process that was started by Host.Command and has ended badly: with another status than 0, or by a signal, which
// is not what it was told to by Process.Signal. The last ones are there.
type Ended struct {
	PID    int      `json:"pid"`    // in the host's PID namespace
	Number int      `json:"number"` // as Process.Number
	Args   []string `json:"args"`
	State  string   `json:"state"` // as Event.State
}

// An OpenFile is a file that a process has open.
type OpenFile struct {
	FD     int    `json:"fd"`
	Target string `json:"target"` // as the link in /proc/PID/fd
}

// A Socket is one of a host's (sock_diag(7)).
type Socket struct {
	Protocol string `json:"protocol"` // "tcp", "udp", "unix", "raw", "packet"
	State    string `json:"state,omitempty"`
	Local    string `json:"local,omitempty"`
	Remote   string `json:"remote,omitempty"`
	Receive  int    `json:"receive"` // bytes that nobody has read; of a listening socket the connections that nobody has accepted
	Send     int    `json:"send"`    // bytes that nobody has acknowledged; of a listening socket how many connections may wait
	Retries  int    `json:"retries,omitempty"`
	Inode    uint64 `json:"inode,omitempty"` // the number in the targets of open files: "socket:[123]"
	PIDs     []int  `json:"pids,omitempty"`  // who has it open
}

// An Interface is one of a host's.
type Interface struct {
	Name      string   `json:"name"`
	Network   string   `json:"network,omitempty"`
	State     string   `json:"state"`          // operstate: "up", "down", "lowerlayerdown"
	Down      bool     `json:"down,omitempty"` // by the host itself, such as with ip link set down: its administrative state
	MAC       string   `json:"mac,omitempty"`
	MTU       int      `json:"mtu"`
	Addrs     []string `json:"addrs,omitempty"` // with prefix length
	RxPackets uint64   `json:"rxPackets"`
	RxBytes   uint64   `json:"rxBytes"`
	RxDropped uint64   `json:"rxDropped,omitempty"`
	RxErrors  uint64   `json:"rxErrors,omitempty"`
	TxPackets uint64   `json:"txPackets"`
	TxBytes   uint64   `json:"txBytes"`
	TxDropped uint64   `json:"txDropped,omitempty"`
	TxErrors  uint64   `json:"txErrors,omitempty"`
}

// A Route is one of a host's, of any table but that of its own addresses.
type Route struct {
	To     string `json:"to"` // "default" or a prefix
	Via    string `json:"via,omitempty"`
	Device string `json:"device,omitempty"`
	Table  int    `json:"table,omitempty"` // 0 = the main one
	Type   string `json:"type,omitempty"`  // "" = unicast; "blackhole", "unreachable", "prohibit"
}

// A Neighbour is an entry of a host's tables of neighbours.
type Neighbour struct {
	Addr   string `json:"addr"`
	Device string `json:"device"`
	MAC    string `json:"mac,omitempty"`
	State  string `json:"state"` // "REACHABLE", "STALE", "FAILED", "INCOMPLETE", …
}

// A Counter is a rule of nftables that counts.
type Counter struct {
	Where   string `json:"where"` // "inet filter input rule 3", or the rule in the words of Firewall or NAT
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// A Mount is one of a host's (proc_pid_mountinfo(5)).
type Mount struct {
	Target  string `json:"target"`
	Type    string `json:"type"`
	Source  string `json:"source,omitempty"`
	Options string `json:"options,omitempty"`
	Size    int64  `json:"size,omitempty"` // bytes, of file systems that keep files
	Free    int64  `json:"free"`           // bytes
	Inodes  int64  `json:"inodes,omitempty"`
	IFree   int64  `json:"ifree"`
}

// A Statistic is one of the kernel's counters.
type Statistic struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// A FaultState is a fault in force.
type FaultState struct {
	Fault int       `json:"fault"`
	Since time.Time `json:"since"`
	Text  string    `json:"text"` // "partition of a, b | c", "flap of a on lan", "a on lan: delay 20ms, loss 5 %", "a on lan: cable pulled"
	Hosts []string  `json:"hosts,omitempty"`
}

// A Cgroup is what a control group says of its members (cgroups(7)).
type Cgroup struct {
	Path     string      `json:"path"`
	Memory   int64       `json:"memory"`          // bytes in use
	Limit    int64       `json:"limit,omitempty"` // bytes; 0 = none
	OOMKills int         `json:"oomKills,omitempty"`
	PIDs     int         `json:"pids,omitempty"`
	Pressure []Statistic `json:"pressure,omitempty"` // PSI, in hundredths of a percent of the last ten seconds
}
