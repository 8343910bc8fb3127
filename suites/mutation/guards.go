package mutation

// A mutation leaves out one guard, and with it what cannot be done without.
type mutation struct {
	guard string
	also  string // what is left out too, separated by semicolons
	spec  string // the id or the text of the spec that has to fail

	// outside: in an environment the guard cannot be left out, because the one around it has it too. The machine's root does
	// without it outside.
	outside bool

	// vital: without the guard an environment may not even come about, which is how the spec fails then.
	vital bool
}

const (
	hosts   = "a further host of an environment has a /proc, /sys, /tmp, /run and /dev/shm of its own"
	seccomp = "refuse VSOCK, by socket and by socketpair"
)

// mutations are what is left out, one after the other, and who notices. Guards are named after the namespace that they
// make, or the call that the init of an environment makes for them.
var mutations = []mutation{
	{guard: "namespace user", spec: "R1", vital: true},
	{guard: "namespace pid", spec: "P2", vital: true},
	{guard: "namespace net", spec: "N16", vital: true},
	{guard: "namespace mnt", spec: "M1", vital: true},
	{guard: "namespace ipc", also: "mount mqueue dev/mqueue", spec: "D9"},
	{guard: "namespace uts", also: "set host name spec;set host name self;set host name elsewhere", spec: "U1"},
	{guard: "namespace cgroup", spec: "M1"}, // who enters an environment enters this one too
	{guard: "id shift", spec: "S2", outside: true},

	{guard: "mount proc proc", spec: "P2"},
	{guard: "mount sysfs sys", spec: "N2"},
	{guard: "bind sys", spec: "M15"},
	{guard: "mount tmpfs tmp", spec: "D1"},
	{guard: "mount tmpfs run", spec: "M15", vital: true},
	{guard: "mount tmpfs var/tmp", spec: "D9"},
	{guard: "mount tmpfs dev", spec: "M15"},
	{guard: "bind /dev/null", spec: "D4"},
	{guard: "mount devpts dev/pts", spec: "D3"},
	{guard: "mount tmpfs dev/shm", spec: "M15"},
	{guard: "mount mqueue dev/mqueue", spec: "M15"},
	{guard: "bind /run/nstest/hosts", spec: "M15"},
	{guard: "bind /run/nstest/hostname", spec: "M15"},
	{guard: "pivot_root .", spec: "M20"},
	{guard: "detach .", spec: "M20"},
	{guard: "covers", spec: "D7", outside: true},

	{guard: "mount proc /proc", spec: hosts},
	{guard: "mount sysfs /sys", spec: hosts},
	{guard: "mount tmpfs /tmp", spec: hosts},
	{guard: "mount tmpfs /run", spec: hosts},
	{guard: "mount tmpfs /dev/shm", spec: hosts},

	{guard: "set host name elsewhere", spec: "U1"},
	{guard: "set lo up", spec: "N27"},
	{guard: "install seccomp filter", spec: seccomp, outside: true},
	{guard: "join session keyring", spec: "H8"},
	{guard: "clear inheritable capabilities", spec: "H9"},
	{guard: "setsid", spec: "H7"},
	{guard: "umask", spec: "H4"},
	{guard: "unblock signals", spec: "H6"},
}

// unseen are guards that no spec misses, each because another one does the same.
var unseen = map[string]string{
	"close files":                "every file of an init is closed when it executes a program",
	"clear ambient capabilities": "the kernel takes from the ambient set what is taken from the inheritable one",
	"chdir /":                    "an init is there, and so is what it starts",
}
