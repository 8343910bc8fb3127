package pid1

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// The verbs of a program. Each appends one system call (or, where said, a few); names in errors are the call and its
// object. Paths are resolved by the init, in its own root.

// Mount is mount(2).
func (p *Program) Mount(source, target, fstype string, flags uintptr, data string) Result {
	d := Int(0)
	if data != "" {
		d = p.String(data)
	}
	return p.Call("mount "+fstype+" "+target, unix.SYS_MOUNT, p.String(source), p.String(target), p.String(fstype), Int(flags), d)
}

// Bind is a bind mount, with everything below source when recursive.
func (p *Program) Bind(source, target string, recursive bool) Result {
	flags := uintptr(unix.MS_BIND)
	if recursive {
		flags |= unix.MS_REC
	}
	return p.Call("bind "+source, unix.SYS_MOUNT, p.String(source), p.String(target), Int(0), Int(flags), Int(0))
}

// Propagate changes the propagation type of target (mount_namespaces(7)).
func (p *Program) Propagate(target string, flags uintptr) Result {
	return p.Call("change propagation of "+target, unix.SYS_MOUNT, Int(0), p.String(target), Int(0), Int(flags), Int(0))
}

// Remount changes the flags of the bind mount at target.
func (p *Program) Remount(target string, flags uintptr) Result {
	return p.Call("remount "+target, unix.SYS_MOUNT, Int(0), p.String(target), Int(0), Int(flags|unix.MS_REMOUNT|unix.MS_BIND), Int(0))
}

// Attach puts the detached mount tree f at target (move_mount(2), Linux 5.2).
func (p *Program) Attach(f *os.File, target string) Result {
	return p.Call("attach "+target, unix.SYS_MOVE_MOUNT, p.File(f), p.String(""), Int(unix.AT_FDCWD), p.String(target), Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// Detach is umount2(2) with MNT_DETACH.
func (p *Program) Detach(target string) Result {
	return p.Call("detach "+target, unix.SYS_UMOUNT2, p.String(target), Int(unix.MNT_DETACH))
}

// PivotRoot is pivot_root(2).
func (p *Program) PivotRoot(root, old string) Result {
	return p.Call("pivot_root "+root, unix.SYS_PIVOT_ROOT, p.String(root), p.String(old))
}

// Mkdir makes a directory; one that exists is accepted.
func (p *Program) Mkdir(path string, mode uint32) Result {
	return p.Try("mkdir "+path, unix.SYS_MKDIRAT, Int(unix.AT_FDCWD), p.String(path), Int(mode))
}

// Symlink makes a symbolic link; one that exists is accepted.
func (p *Program) Symlink(to, path string) Result {
	return p.Try("symlink "+path, unix.SYS_SYMLINKAT, p.String(to), Int(unix.AT_FDCWD), p.String(path))
}

// Chdir is chdir(2).
func (p *Program) Chdir(path string) Result {
	return p.Call("chdir "+path, unix.SYS_CHDIR, p.String(path))
}

// Open is openat(2) with O_CLOEXEC; the descriptor stays open in the init until Close.
func (p *Program) Open(path string, flags int, mode uint32) Result {
	return p.Call("open "+path, unix.SYS_OPENAT, Int(unix.AT_FDCWD), p.String(path), Int(flags|unix.O_CLOEXEC), Int(mode))
}

// Close closes the descriptor that r stands for.
func (p *Program) Close(r Result) { p.Call("close", unix.SYS_CLOSE, r.Arg()) }

// WriteFile opens, writes and closes path: three calls.
func (p *Program) WriteFile(path, content string, flags int, mode uint32) {
	f := p.Open(path, flags|unix.O_WRONLY, mode)
	p.Call("write "+path, unix.SYS_WRITE, f.Arg(), p.Bytes([]byte(content)), Int(len(content)))
	p.Close(f)
}

// Touch makes an empty file, for something to be mounted on: two calls.
func (p *Program) Touch(path string, mode uint32) {
	p.Close(p.Open(path, unix.O_WRONLY|unix.O_CREAT, mode))
}

// Sethostname is sethostname(2).
func (p *Program) Sethostname(name string) {
	p.Call("set host name "+name, unix.SYS_SETHOSTNAME, p.Bytes([]byte(name)), Int(len(name)))
}

// SetCredentials takes on groups, gid and uid, real, effective and saved: three calls.
func (p *Program) SetCredentials(uid, gid int, groups []int) {
	list := make([]byte, 0, 4*len(groups))
	for _, g := range groups {
		list = binary.NativeEndian.AppendUint32(list, uint32(g))
	}
	p.Try("setgroups", unix.SYS_SETGROUPS, Int(len(groups)), p.Bytes(list))
	p.Call("setresgid", unix.SYS_SETRESGID, Int(gid), Int(gid), Int(gid))
	p.Call("setresuid", unix.SYS_SETRESUID, Int(uid), Int(uid), Int(uid))
}

// Dup3 makes target a copy of f, kept across execve(2). An init has 0, 1, 2 and 3 open, so that no file that it was sent
// has such a number already.
func (p *Program) Dup3(f Arg, target int) {
	p.Call("dup3", unix.SYS_DUP3, f, Int(target), Int(0))
}

// Socket is socket(2) with SOCK_CLOEXEC.
func (p *Program) Socket(family, typ, proto int) Result {
	return p.Call("make socket", unix.SYS_SOCKET, Int(family), Int(typ|unix.SOCK_CLOEXEC), Int(proto))
}

// BindSocket binds the socket to a raw address.
func (p *Program) BindSocket(s Result, addr []byte) {
	p.Call("bind", unix.SYS_BIND, s.Arg(), p.Bytes(addr), Int(len(addr)))
}

// Exec is execve(2) for each of paths in turn, until one can be executed; it belongs at the end of a child's program.
func (p *Program) Exec(paths, args, env []string) {
	argv, envp := p.Strings(args), p.Strings(env)
	for _, path := range paths {
		p.mark(p.Call("execute "+path, unix.SYS_EXECVE, p.String(path), argv, envp), flagExec)
	}
}

// ExecFile is execveat(2) of the file itself, which is no script; it belongs at the end of a program.
func (p *Program) ExecFile(f Arg, args, env []string) {
	argv, envp := p.Strings(args), p.Strings(env)
	p.mark(p.Call("execute program", unix.SYS_EXECVEAT, f, p.String(""), argv, envp, Int(unix.AT_EMPTY_PATH)), flagExec)
}
