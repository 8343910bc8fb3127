package wire

import (
	"net/netip"
	"time"
)

// The methods that a keeper answers. Open and Trim are for the control connection of the process that started the keeper;
// the others are for the connection that Open hands back, which can name nothing outside its own environment.
const (
	MethodOpen        = "open"        // OpenParams → OpenResult, one file: the connection of the environment[, one for a process inside]
	MethodTrim        = "trim"        // nothing → nothing: what is kept ready for the next Open is gone when the answer comes
	MethodScratch     = "scratch"     // ScratchParams → nothing, one file: a directory in memory, mounted nowhere
	MethodHost        = "host"        // HostParams → HostResult
	MethodNetwork     = "network"     // NetworkParams → NetworkResult
	MethodFindNetwork = "findnetwork" // FindNetworkParams → NetworkResult
	MethodSpawn       = "spawn"       // SpawnParams, files stdin stdout stderr [3…] → SpawnResult, files: a pidfd[, the pty's controlling end]
	MethodWait        = "wait"        // ProcParams → WaitResult, when the process has ended
	MethodSignal      = "signal"      // SignalParams → nothing
	MethodSocket      = "socket"      // SocketParams → nothing, one file: the socket
	MethodJoin        = "join"        // JoinParams → nothing, one file: a pidfd of the host's init
	MethodLink        = "link"        // LinkParams → nothing
	MethodPartition   = "partition"   // PartitionParams → PartitionResult
	MethodHeal        = "heal"        // HealParams → nothing
	MethodFindHost    = "findhost"    // JoinParams → HostResult
	MethodRemoveHost  = "removehost"  // JoinParams → nothing
	MethodAddLink     = "addlink"     // AddLinkParams → LinkResult
	MethodRemoveLink  = "removelink"  // LinkParams → nothing
	MethodMoveLink    = "movelink"    // MoveLinkParams → LinkResult
	MethodRenewLink   = "renewlink"   // RenewLinkParams → LinkResult
	MethodLinkMTU     = "linkmtu"     // LinkMTUParams → nothing
	MethodFlap        = "flap"        // FlapParams → PartitionResult
	MethodRouter      = "router"      // RouterParams → HostResult
	MethodRoute       = "route"       // RouteParams → nothing
	MethodRule        = "rule"        // RuleParams → nothing
	MethodNAT         = "nat"         // NATParams → nothing
	MethodNAT64       = "nat64"       // NAT64Params → nothing
	MethodAdvertise   = "advertise"   // AdvertiseParams → nothing
	MethodFirewall    = "firewall"    // FirewallParams → nothing
	MethodDNS         = "dns"         // DNSParams → nothing
	MethodRecords     = "records"     // RecordsParams → nothing
	MethodQueries     = "queries"     // nothing → QueriesResult
	MethodBorrow      = "borrow"      // BorrowParams → BorrowResult
	MethodGiveBack    = "giveback"    // BorrowParams → nothing
	MethodCapture     = "capture"     // CaptureParams, a file → CaptureResult
	MethodFlush       = "flush"       // CaptureResult → CaptureStats
	MethodStop        = "stop"        // CaptureResult → CaptureStats: the file is complete
	MethodOver        = "over"        // CaptureResult → nothing, when the capture has ended
	MethodRecord      = "record"      // RecordParams, files: the events', then two for packets, or the events' alone → nothing
	MethodRecordTo    = "recordto"    // nothing, files: as those of record, which came without; what has none is let go → nothing
	MethodState       = "state"       // nothing, one file → nothing: a record.State is in the file
	MethodKeyLog      = "keylog"      // KeyLogParams → nothing: the captures under way have the lines
	MethodTopology    = "topology"    // nothing → TopologyResult
	MethodInventory   = "inventory"   // nothing → InventoryResult
	MethodTrunk       = "trunk"       // TrunkParams → nothing
	MethodDescribe    = "describe"    // nothing → OpenResult
	MethodName        = "name"        // NameParams → nothing
	MethodHold        = "hold"        // nothing → nothing, when somebody has asked for release
	MethodRelease     = "release"     // nothing → nothing: who waits for hold goes on
	MethodClose       = "close"       // nothing → nothing: the environment is gone when the answer comes
)

// The methods that a keeper answers to its own user, and to nobody else, at its door. Each comes with a file: the PID namespace
// that the caller is in, which has to be the one of the program that started the keeper.
const (
	MethodList   = "list"   // nothing → ListResult
	MethodAttach = "attach" // AttachParams → OpenResult, one file: a connection of the environment, which does not end with it
)

// Share is a directory of the machine that is written through.
type Share struct {
	Path          string // on the machine, absolute, free of symbolic links
	Target        string // inside; "" means Path
	ReadOnly      bool
	AllowHostRoot bool
}

// TimeOffsets shift the clocks of an environment (time_namespaces(7)).
type TimeOffsets struct {
	Monotonic time.Duration
	Boottime  time.Duration
}

// ScratchParams asks for a directory in memory, which is there as long as anybody has it open.
type ScratchParams struct {
	Size int64 // bytes that fit at most
}

// OpenParams describe an environment. The keeper fills nothing in: defaults are the caller's.
type OpenParams struct {
	Name         string // for messages and listings
	Kind         string // what it is for, for listings
	Hostname     string
	Root         string   // "" is the machine's own tree, behind an overlay
	Layers       []string // in place of Root, the lowest first
	MachineRoot  bool     // no private root: the machine's tree as it is
	Visible      []string // paths that stay visible at their own place, behind a layer
	ReadOnly     []string // paths that stay visible at their own place, read-only
	Shared       []Share
	Devices      []string // device nodes of the machine, below /dev
	IDCount      int
	ShareKinds   []string // namespace kinds that are not unshared: "net", "ipc", "uts", "pid", "cgroup", "mnt"
	Time         *TimeOffsets
	CapAdd       []string
	CapDrop      []string
	Privileged   bool
	AllowIOUring bool
	Loopback     bool     // no network but lo
	Lend         []string // network devices of the machine that a process inside may have borrowed
	Network      NetworkParams
	Outbound     *Outbound
	Attached     bool   // a second connection is wanted, for the process that will be started inside; its end is not the environment's
	Awaited      bool   // somebody waits for that process alone: making the next environment can wait
	FailAt       string `json:",omitempty"` // tests only: the step of construction that fails
	CancelAt     string `json:",omitempty"` // tests only: the step of construction that waits to be cancelled

	// LeaveOut are guards that the environment is to lack, so that a test can see a spec notice: "namespace uts", "id shift",
	// "covers", or the name of a call that an init is told to make, such as "install seccomp filter".
	LeaveOut []string `json:",omitempty"`
}

// OpenResult is what a caller needs to know of a new environment.
type OpenResult struct {
	Name     string
	ID       string // for listings: the id of the program's process, a period, and the environment's number
	Self     HostResult
	Network  NetworkResult
	Rootless bool
	IDs      []IDRange
}

// IDRange is one line of an id map: Inside, Outside (as the keeper's caller sees it), Count.
type IDRange struct{ Inside, Outside, Count int }

// NetworkParams describe a network: a switch of its own.
type NetworkParams struct {
	Name     string
	Prefixes []netip.Prefix // at most one a family; none means automatic
	Gateway  netip.Addr     // default route of its hosts; the zero value is none
	MTU      int            // 0 = 1500
	NoIPv4   bool
	NoIPv6   bool

	PointToPoint bool     // two hosts at most
	Hub          bool     // every frame goes to every port
	Trunks       []string // networks whose switches this one's is cabled to: one segment, with their prefixes
	STP          bool     // the switch speaks the spanning tree protocol
	Medium       string   // "", "vxlan" or "macvlan"
	Over         string   // the network that carries it, if it has a medium
	VNI          int      // of VXLAN
}

// NetworkResult is a network as it was made.
type NetworkResult struct {
	Name     string
	Prefixes []netip.Prefix
	Gateway  netip.Addr
}

// FindNetworkParams name a network of which somebody wants to know what it is like now.
type FindNetworkParams struct{ Network string }

// HostParams describe a host.
type HostParams struct {
	Name     string
	Networks []Attachment // none means the environment's first network
	SharePID bool
	ShareIPC bool
	NetOnly  bool     // a network namespace and nothing else of its own
	Root     string   // of its own, in place of the environment's tree, as in OpenParams
	Layers   []string // likewise
	Inside   bool     `json:"-"` // these are paths inside the environment: the keeper knows who asks
}

// Attachment is one cable of a host.
type Attachment struct {
	Network string
	Addrs   []netip.Addr // none means the next free ones of the network
	MAC     string

	Auto      bool // the IPv6 address and default route come from router advertisements
	NoGateway bool // a host has no default route there; a router is not the network's gateway
}

// HostResult is a host as it was made.
type HostResult struct {
	Name   string
	Number uint64 // of the keeper's hosts: a later one of the same name has a greater one
	Links  []LinkResult
}

// LinkResult is one cable of a host as it was made.
type LinkResult struct {
	Network   string
	Interface string
	Addrs     []netip.Addr
	MAC       string
	MTU       int
}

// SpawnParams describe a process to start in a host.
type SpawnParams struct {
	Host       string
	Paths      Strings // candidates for execve(2), in order
	Args       Strings
	Env        Strings
	Dir        string // the working directory, which must exist
	WantDir    string // where Dir is "": the working directory if it exists, else /
	UID        int    // inside the environment
	GID        int
	Groups     []int
	Credential bool // UID, GID and Groups are meant
	Umask      int
	OwnStdout  bool // the file is a pipe or /dev/null of the library's, not one of the user's: what is written to it may be recorded
	OwnStderr  bool // likewise
	Terminal   bool // on a new pseudo-terminal: no files are passed, its controlling end comes back
	Rows, Cols uint16
}

// SpawnResult names a process that was started.
type SpawnResult struct {
	Proc int // the keeper's handle
	PID  int // inside its PID namespace
}

// NameParams say what runs in an environment that was opened for a spec, whichever that would be: it is listed from the time on
// when it has a name. They also say where that is.
type NameParams struct {
	Name string    // "" for the one that it has
	At   *Position // nil for the one that is known
}

// A Position is where a spec or test is.
type Position struct {
	Text     string // the step, or else the kind of node, or a subtest; "" for nowhere in particular
	Location string // file:line; "" if that is not known
	Since    time.Time
}

// ProcParams name a process.
type ProcParams struct{ Proc int }

// WaitResult is how a process ended.
type WaitResult struct {
	Status     uint32 // as wait4(2) encodes it
	UserTime   time.Duration
	SystemTime time.Duration
	MaxRSS     int64 // KiB
}

// SignalParams ask for a signal.
type SignalParams struct {
	Proc   int
	Signal int
	Group  bool // to the process group that the process leads
}

// SocketParams ask for a socket(2) made inside a host, optionally bound, listening or connected there.
type SocketParams struct {
	Host     string
	Family   int // AF_INET, AF_INET6, AF_UNIX
	Type     int // SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
	Protocol int
	V6Only   bool
	Reuse    bool   // the address may be one that another socket has which may be shared too (SO_REUSEADDR); TCP's always may
	Bind     []byte // raw sockaddr; nil = not bound
	Listen   int    // backlog; 0 = not listening
	Connect  []byte // raw sockaddr (AF_UNIX only); nil = not connected
}

// RecordParams have an environment recorded from now on. The files are appended to, and as those of a capture. Packets are
// written to one of two files until it is full, and then to the other one, which is emptied before: the last ones are
// always there, and at any moment both are whole.
//
// Without files what is recorded waits in memory until they come, if they ever do: of an environment that ends before, nothing is
// left.
type RecordParams struct {
	Began   time.Time // when the environment was asked for
	Limit   int64     // bytes of events; what is left out is noted
	Packets int64     // bytes of each of the two files; 0 = no packets, where there are no files to say so
	Snap    int       // bytes of each packet; 0 = all
}

// JoinParams name a host.
type JoinParams struct{ Host string }

// LinkParams pull or plug a cable.
type LinkParams struct {
	Host    string
	Network string // "" = the only one
	Up      bool
}

// PartitionParams cut the groups from each other. Hosts in no group keep all their neighbours.
type PartitionParams struct{ Groups [][]string }

// PartitionResult names the cut.
type PartitionResult struct{ Fault int }

// HealParams name a cut to undo.
type HealParams struct{ Fault int }

// AddLinkParams give a running host a further cable.
type AddLinkParams struct {
	Host string
	Attachment
}

// MoveLinkParams plug a cable into the switch of another network.
type MoveLinkParams struct{ Host, Network, To string }

// RenewLinkParams give a link the addresses of the network that it is on now, in the place of those that it has.
type RenewLinkParams struct {
	Host, Network string
	Addrs         []netip.Addr
}

// LinkMTUParams set the largest packet of a link, in bytes.
type LinkMTUParams struct {
	Host, Network string
	MTU           int
}

// FlapParams pull and plug a cable by turns.
type FlapParams struct {
	Host, Network string
	Up, Down      time.Duration
}

// BorrowParams name a network device of the machine that a host is to have, or to give back.
type BorrowParams struct{ Host, Device string }

// CaptureParams say which packets are written to the file that comes with them: those on the cables of a host, or on one of
// them, or on all of the environment.
type CaptureParams struct {
	Host, Network string // "" = all
	Filter        string
	Snap          int   // bytes of each packet
	Limit         int64 // bytes of the file
}

// CaptureResult is a capture's number.
type CaptureResult struct{ Capture int }

// CaptureStats are counted from the beginning of a capture.
type CaptureStats struct {
	Packets uint64 // written
	Lost    uint64 // by the kernel, because nobody took them in time
	Omitted uint64 // because the file is as large as it may be
	Bytes   int64  // of the file
}

// KeyLogParams are lines with secrets of connections, in the format of the files that SSLKEYLOGFILE names.
type KeyLogParams struct{ Lines string }

// TrunkParams pull or plug the cable between the switches of two networks.
type TrunkParams struct {
	Network, To string
	Up          bool
}

// BorrowResult is the name that a borrowed device has in the host.
type BorrowResult struct{ Interface string }

// ListResult has the environments of a keeper that somebody has asked for.
type ListResult struct{ Environments []Listing }

// A Listing is an environment in a list.
type Listing struct {
	Number    int
	Name      string
	Kind      string
	Began     time.Time
	Hosts     []string
	Processes int
	Memory    int64     // bytes of its processes; of what several share each has its part
	Held      time.Time // when it began to wait for MethodRelease; zero if it does not
	At        Position  // zero if nobody has said
}

// AttachParams name an environment of a keeper.
type AttachParams struct{ Number int }
