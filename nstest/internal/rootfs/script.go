package rootfs

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

const (
	quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	plain = unix.MS_NOSUID | unix.MS_NODEV
)

// Own says which namespaces an init has of its own, and so which file systems it mounts afresh.
type Own struct{ PID, Net, IPC, UTS bool }

// Enter appends to p what the first init of an environment, or that of a host with a root of its own, does to take it on: put the mounts together, make
// the private directories, pivot_root(2), and let go of everything else, the layers among it. Mounts made here belong to
// the environment's user namespace. addrs are what the hostname stands for.
//
// A tree of many mounts is more than one program can hold: then Enter also returns programs to run before p.
func (r *Root) Enter(p *pid1.Program, own Own, addrs []netip.Addr) (first []*pid1.Program) {
	r.spec.addrs, r.sharedNet = addrs, !own.Net
	if r.spec.MachineRoot {
		r.private(p, own)
		for _, mt := range r.mounts {
			makeWay(p, mt.target, mt.isFile)
			p.Attach(mt.file, mt.target)
		}
		resolver(p, r.nameservers(own))
		r.identity(p, own, true)
		return nil
	}
	layers := r.stack.unattached()
	all := load{files: len(layers), calls: len(layers)}
	for _, mt := range slices.Concat(r.mounts, r.devices) {
		all.add(mt)
	}
	tree, held := p, load{}
	next := func(mt mounted) *pid1.Program { // the program that attaches mt
		if held.add(mt); !all.fits() && (tree == p || !held.fits()) {
			tree, held = &pid1.Program{}, load{}
			first = append(first, tree)
			held.add(mt)
		}
		return tree
	}
	if r.spec.Further {
		workplace(next(mounted{ready: true}))
	}
	for _, l := range layers {
		next(mounted{ready: true}).Attach(l, layersDir) // on top of each other: nobody looks for them there
	}
	next(mounted{ready: true}).Attach(r.mounts[0].file, newRoot)
	tree.Chdir(newRoot)
	for _, mt := range r.mounts[1:] {
		if !isPrivate(mt.target) {
			attach(next(mt), mt)
		}
	}
	var shown []kept
	for _, path := range r.cover.paths() {
		if isPrivate(path) {
			shown = append(shown, take(p, strings.TrimPrefix(path, "/"), false))
		}
	}
	for _, dir := range []string{"proc", "sys", "tmp", "run", "dev"} {
		r.mkdir(p, dir)
	}
	r.proc(p, "/proc", "proc", own)
	p.Mount("tmpfs", "tmp", "tmpfs", plain, "mode=1777")
	p.Mount("tmpfs", "run", "tmpfs", plain, "mode=755")
	if fi, err := os.Lstat("/var/tmp"); err == nil && fi.IsDir() && !r.spec.alternative() {
		r.mkdir(p, "var/tmp")
		p.Mount("tmpfs", "var/tmp", "tmpfs", plain, "mode=1777")
	}
	r.dev(p, own)
	for _, k := range shown {
		k.put(p)
	}
	for _, mt := range r.mounts[1:] {
		if isPrivate(mt.target) {
			attach(p, mt)
		}
	}
	if r.spec.alternative() {
		p.Mkdir("etc", 0o755)
		for _, name := range []string{"hostname", "hosts", "resolv.conf"} {
			p.Try("unlink etc/"+name, unix.SYS_UNLINKAT, pid1.Int(unix.AT_FDCWD), p.String("etc/"+name), pid1.Int(0))
		}
		p.WriteFile("etc/resolv.conf", resolvConf, unix.O_CREAT, 0o644)
		p.Touch("etc/hostname", 0o644)
		p.Touch("etc/hosts", 0o644)
	}
	p.PivotRoot(".", ".")
	p.Detach(".")
	p.Chdir("/")
	r.identity(p, own, r.spec.MachineRoot)
	if r.sharedNet {
		overlayFile(p, "resolv.conf", r.nameservers(own), "/etc/resolv.conf")
	}
	return first
}

// secede appends to p what keeps the mounts of a further host its own, if root of the environment has made those that they
// are copies of shared ones (mount --make-rshared): the host's /proc would else be mounted in the environment too.
func secede(p *pid1.Program) { p.Propagate("/", unix.MS_REC|unix.MS_PRIVATE) }

// workplace appends to p what gives the init of a further host, for as long as it puts its root together, the directories
// that an environment's first one finds in the keeper's workshop. They lie over its copy of the environment's /run.
func workplace(p *pid1.Program) {
	secede(p)
	p.Mount("workshop", workshop, "tmpfs", plain, "mode=755")
	p.Mkdir(newRoot, 0o755)
	p.Mkdir(layersDir, 0o755)
}

// mkdir appends to p what makes a private directory, relative to the working directory, where the tree may lack it.
func (r *Root) mkdir(p *pid1.Program, dir string) {
	if r.cover.dir != "" {
		if _, err := os.Lstat("/" + dir); err == nil {
			return // the cover has it too
		}
	}
	p.Mkdir(dir, 0o755)
}

// A load is what attaching mounts takes of a program.
type load struct{ files, calls int }

func (l *load) add(mt mounted) {
	l.files++
	l.calls++
	if !mt.ready {
		l.calls += strings.Count(mt.target, "/") // what makeWay makes
	}
}

// fits reports whether there is room for l in a program that does all else too.
func (l load) fits() bool { return l.files <= filesAProgram && l.calls <= callsAProgram }

const (
	filesAProgram = 28
	callsAProgram = 120
)

// attach puts a mount at its target, relative to the working directory, and makes what leads there.
func attach(p *pid1.Program, mt mounted) {
	rel := strings.TrimPrefix(mt.target, "/")
	if !mt.ready {
		makeWay(p, rel, mt.isFile)
	}
	p.Attach(mt.file, rel)
}

// makeWay makes the directories that lead to path, and path itself.
func makeWay(p *pid1.Program, path string, isFile bool) {
	for i, c := range path {
		if c == '/' && i > 0 {
			p.Mkdir(path[:i], 0o755)
		}
	}
	if isFile {
		p.Try("make "+path, unix.SYS_MKNODAT, pid1.Int(unix.AT_FDCWD), p.String(path), pid1.Int(unix.S_IFREG|0o755), pid1.Int(0))
		return
	}
	p.Mkdir(path, 0o755)
}

// proc mounts /proc and /sys. In a namespace that is shared with the machine the kernel refuses a fresh one: the
// environment sees the machine's, /sys read-only.
func (r *Root) proc(p *pid1.Program, source, target string, own Own) {
	sys := filepath.Join(filepath.Dir(target), "sys")
	if own.PID {
		p.Mount("proc", target, "proc", quiet, "")
	} else if source != target {
		p.Bind(source, target, true)
	}
	if own.Net {
		p.Mount("sysfs", sys, "sysfs", quiet, "")
		// `ip netns exec` takes /sys away before it mounts another, and the kernel allows that only where one is left to
		// be seen. So there is a second one beneath.
		p.Bind(sys, sys, false)
	} else {
		if source != target {
			p.Bind("/sys", sys, true)
		}
		p.Remount(sys, quiet|unix.MS_RDONLY)
	}
}

// nodes are the devices that every environment has; their permissions on the machine let everybody use them.
var nodes = []string{"null", "zero", "full", "random", "urandom", "tty"}

func (r *Root) dev(p *pid1.Program, own Own) {
	p.Mount("tmpfs", "dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755")
	for _, n := range nodes {
		p.Try("make dev/"+n, unix.SYS_MKNODAT, pid1.Int(unix.AT_FDCWD), p.String("dev/"+n), pid1.Int(unix.S_IFREG|0o666), pid1.Int(0))
		p.Bind("/dev/"+n, "dev/"+n, false)
	}
	for _, d := range r.devices {
		attach(p, d)
	}
	p.Mkdir("dev/pts", 0o755)
	p.Mount("devpts", "dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
	p.Symlink("pts/ptmx", "dev/ptmx")
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		p.Symlink("/proc/self/fd/"+strconv.Itoa(i), "dev/"+name)
	}
	p.Symlink("/proc/self/fd", "dev/fd")
	p.Mkdir("dev/shm", 0o1777)
	p.Mkdir("dev/mqueue", 0o1777)
	if own.IPC {
		r.ipc(p, "dev/")
		return
	}
	// The queues of the machine's IPC namespace cannot be mounted from another user namespace, only bound.
	p.Mount("tmpfs", "dev/shm", "tmpfs", plain, "mode=1777")
	if _, err := os.Stat("/dev/mqueue"); err == nil {
		p.Bind("/dev/mqueue", "dev/mqueue", false)
	}
}

// ipc mounts what POSIX message queues and shared memory live in, where there is a directory for it: the machine's own
// /dev may lack one, and an environment cannot make it there.
func (r *Root) ipc(p *pid1.Program, dev string) {
	for _, m := range []struct {
		name, fstype, data string
		flags              uintptr
	}{{"shm", "tmpfs", "mode=1777", plain}, {"mqueue", "mqueue", "", quiet}} {
		if _, err := os.Stat("/dev/" + m.name); err == nil || !r.spec.MachineRoot {
			p.Mount(m.fstype, dev+m.name, m.fstype, m.flags, m.data)
		}
	}
}

// Host appends to p what the init of a further host does: it has a copy of the environment's mount namespace and makes
// afresh what is a host's own.
func (r *Root) Host(p *pid1.Program, hostname string, own Own, addrs []netip.Addr) {
	spec := r.spec
	spec.Hostname, spec.addrs = hostname, addrs
	host := *r
	host.spec = spec
	secede(p)
	host.refresh(p, own)
}

// refresh makes the private directories in place, in a mount namespace whose root is the right one already. What has
// to stay visible in them is taken up first and put back after.
func (r *Root) refresh(p *pid1.Program, own Own) {
	var keep []kept
	renewed := func(path string) bool { return within(path, "/tmp") || within(path, "/run") }
	for _, path := range r.cover.paths() {
		if renewed(path) {
			keep = append(keep, take(p, path, false))
		}
	}
	for _, mt := range r.mounts {
		if renewed(mt.target) {
			keep = append(keep, take(p, mt.target, mt.isFile))
		}
	}
	r.private(p, own)
	for _, k := range keep {
		k.put(p)
	}
	r.identity(p, own, r.spec.MachineRoot)
	if r.spec.MachineRoot {
		resolver(p, r.nameservers(own))
	} else { // a host that writes to it changes nobody else's
		overlayFile(p, "resolv.conf", r.nameservers(own), "/etc/resolv.conf")
	}
}

// kept is a part of the tree that is taken up before something is mounted where it lies, and put back after.
type kept struct {
	tree   pid1.Result
	path   string
	isFile bool
}

// take appends to p what takes up the tree at path.
func take(p *pid1.Program, path string, isFile bool) kept {
	return kept{p.Call("open tree "+path, unix.SYS_OPEN_TREE, pid1.Int(unix.AT_FDCWD), p.String(path),
		pid1.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)), path, isFile}
}

// put appends to p what puts it back.
func (k kept) put(p *pid1.Program) {
	makeWay(p, k.path, k.isFile)
	p.Call("attach "+k.path, unix.SYS_MOVE_MOUNT, k.tree.Arg(), p.String(""), pid1.Int(unix.AT_FDCWD), p.String(k.path),
		pid1.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
	p.Close(k.tree)
}

// nameservers is the resolv.conf of a host: the environment's DNS server answers in every network but the machine's.
func (r *Root) nameservers(own Own) string {
	if own.Net {
		return resolvConf
	}
	return r.machineResolv
}

// private mounts afresh what every host has of its own.
func (r *Root) private(p *pid1.Program, own Own) {
	p.Mkdir("/proc", 0o555)
	p.Mkdir("/sys", 0o555)
	r.proc(p, "/proc", "/proc", own)
	p.Mount("tmpfs", "/tmp", "tmpfs", plain, "mode=1777")
	p.Mount("tmpfs", "/run", "tmpfs", plain, "mode=755")
	if own.IPC {
		r.ipc(p, "/dev/")
	}
}

// identity makes the host's name its own, also in /etc.
func (r *Root) identity(p *pid1.Program, own Own, machine bool) {
	hostname := r.spec.Hostname
	if own.UTS {
		p.Sethostname(hostname)
	}
	for _, f := range [][2]string{{"hostname", hostname + "\n"}, {"hosts", Hosts(hostname, r.spec.addrs)}} {
		if _, err := os.Stat("/etc/" + f[0]); err == nil || !machine {
			overlayFile(p, f[0], f[1], "/etc/"+f[0])
		}
	}
}

// overlayFile binds a file of the host's own over target. It stays in the private /run: nothing can be mounted on a file
// that was removed, and further hosts mount theirs on top of this one.
func overlayFile(p *pid1.Program, name, content, target string) {
	p.Mkdir(filesDir, 0o755)
	p.WriteFile(filesDir+"/"+name, content, unix.O_CREAT, 0o644)
	p.Bind(filesDir+"/"+name, target, false)
}

// filesDir holds the files of a host that are bound over those in /etc.
const filesDir = "/run/nstest"

// resolver replaces the machine's /etc/resolv.conf in place.
func resolver(p *pid1.Program, content string) {
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		target, err = os.Readlink("/etc/resolv.conf")
		if err != nil {
			return // no such file on the machine: libc's default is a server on localhost
		}
		target = filepath.Join("/etc", target)
	}
	if within(target, "/run") || within(target, "/tmp") {
		makeWay(p, filepath.Dir(target), false)
		p.WriteFile(target, content, unix.O_CREAT, 0o644)
		return
	}
	overlayFile(p, "resolv.conf", content, target)
}
