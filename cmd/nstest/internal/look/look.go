// Package look is how a process sees what it is isolated from: what the kernel tells it about itself, and which files
// would let it change what is not its own.
package look

// Kinds are those of namespaces, by their names below /proc/PID/ns.
var Kinds = []string{"user", "pid", "net", "mnt", "ipc", "uts", "cgroup", "time"}
