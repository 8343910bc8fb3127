package inspect

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// waits says in what a process waits: its system call, with the file where that is the first argument, or a function of the kernel.
// The path of a file that it opens is in its memory, and not looked for by the cautious.
func waits(pid int, state string, cautious bool) string {
	call, path := systemCall(pid)
	if call == "open" && path != 0 && !cautious {
		if name := textAt(pid, path); name != "" {
			call += "(" + clip(name) + ")"
		}
	}
	if call != "" && state != "D" {
		return call
	}
	function := ""
	if b, err := os.ReadFile(procPath(pid, "wchan")); err == nil && string(b) != "0" {
		function = strings.TrimSpace(string(b))
	}
	switch {
	case call == "":
		return function
	case function == "":
		return call
	}
	return call + " in " + function
}

// textAt is the text that ends in a zero byte at an address of a process; "" if it cannot be read, or has line breaks.
func textAt(pid int, at int64) string {
	mem, err := os.Open(procPath(pid, "mem"))
	if err != nil {
		return ""
	}
	defer mem.Close()
	b := make([]byte, 0, mostPath)
	for len(b) < mostPath { // up to the end of the page, behind which there may be nothing
		n := min(mostPath-len(b), os.Getpagesize()-int(at+int64(len(b)))%os.Getpagesize())
		part := b[len(b) : len(b)+n]
		if _, err := mem.ReadAt(part, at+int64(len(b))); err != nil {
			return ""
		}
		if end := bytes.IndexByte(part, 0); end >= 0 {
			text := string(b[:len(b)+end])
			if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
				return ""
			}
			return text
		}
		b = b[:len(b)+n]
	}
	return ""
}

// mostPath is the length of the longest path, with its zero byte.
const mostPath = unix.PathMax

// systemCall names the system call that a process is in, and where in its memory the path is that it opens.
func systemCall(pid int) (name string, path int64) {
	b, err := os.ReadFile(procPath(pid, "syscall"))
	if err != nil {
		return "", 0
	}
	f := strings.Fields(string(b))
	if len(f) < 3 || f[0] == "-1" {
		return "", 0 // it is in none
	}
	number, err := strconv.Atoi(f[0])
	if err != nil {
		return "", 0
	}
	argument := f[1]
	if number == unix.SYS_OPENAT || number == unix.SYS_OPENAT2 {
		argument = f[2]
	}
	path, _ = strconv.ParseInt(strings.TrimPrefix(argument, "0x"), 16, 64)
	return callName(number, f[1]), path
}

// callName is the name of a system call, with its first argument where that is a file.
func callName(number int, argument string) string {
	name, known := callNames[number]
	if !known {
		name, known = olderCalls[number]
	}
	switch {
	case !known:
		return "system call " + strconv.Itoa(number)
	case strings.HasSuffix(name, "()"):
		fd, err := strconv.ParseUint(strings.TrimPrefix(argument, "0x"), 16, 64)
		if err != nil {
			return strings.TrimSuffix(name, "()")
		}
		return strings.TrimSuffix(name, ")") + strconv.Itoa(int(int32(fd))) + ")"
	}
	return name
}

// callNames are the system calls in which a process can wait. Those that end in () have a file as their first argument.
var callNames = map[int]string{
	unix.SYS_READ: "read()", unix.SYS_WRITE: "write()", unix.SYS_READV: "readv()", unix.SYS_WRITEV: "writev()", unix.SYS_PREAD64: "pread()",
	unix.SYS_PWRITE64: "pwrite()", unix.SYS_PREADV: "preadv()", unix.SYS_PWRITEV: "pwritev()", unix.SYS_PREADV2: "preadv()", unix.SYS_PWRITEV2: "pwritev()",
	unix.SYS_ACCEPT: "accept()", unix.SYS_ACCEPT4: "accept()", unix.SYS_CONNECT: "connect()", unix.SYS_RECVFROM: "recvfrom()", unix.SYS_RECVMSG: "recvmsg()",
	unix.SYS_RECVMMSG: "recvmmsg()", unix.SYS_SENDTO: "sendto()", unix.SYS_SENDMSG: "sendmsg()", unix.SYS_SENDMMSG: "sendmmsg()", unix.SYS_SENDFILE: "sendfile()",
	unix.SYS_SPLICE: "splice()", unix.SYS_TEE: "tee()", unix.SYS_VMSPLICE: "vmsplice()", unix.SYS_COPY_FILE_RANGE: "copy_file_range()",
	unix.SYS_FSYNC: "fsync()", unix.SYS_FDATASYNC: "fdatasync()", unix.SYS_SYNCFS: "syncfs()", unix.SYS_SYNC_FILE_RANGE: "sync_file_range()", unix.SYS_SYNC: "sync",
	unix.SYS_FLOCK: "flock()", unix.SYS_FCNTL: "fcntl()", unix.SYS_IOCTL: "ioctl()", unix.SYS_CLOSE: "close()", unix.SYS_FALLOCATE: "fallocate()",
	unix.SYS_FTRUNCATE: "ftruncate()", unix.SYS_GETDENTS64: "getdents()", unix.SYS_FSTAT: "fstat()", unix.SYS_LSEEK: "lseek()", unix.SYS_SHUTDOWN: "shutdown()",
	unix.SYS_EPOLL_PWAIT: "epoll_wait()", unix.SYS_EPOLL_PWAIT2: "epoll_wait()", unix.SYS_PPOLL: "poll", unix.SYS_PSELECT6: "select",
	unix.SYS_FUTEX: "futex", unix.SYS_FUTEX_WAITV: "futex", unix.SYS_NANOSLEEP: "nanosleep", unix.SYS_CLOCK_NANOSLEEP: "nanosleep",
	unix.SYS_RT_SIGSUSPEND: "sigsuspend", unix.SYS_RT_SIGTIMEDWAIT: "sigtimedwait", unix.SYS_RESTART_SYSCALL: "restart_syscall",
	unix.SYS_WAIT4: "wait", unix.SYS_WAITID: "wait", unix.SYS_EXECVE: "execve", unix.SYS_EXECVEAT: "execve",
	unix.SYS_EXIT: "exit", unix.SYS_EXIT_GROUP: "exit", unix.SYS_PTRACE: "ptrace",
	unix.SYS_MSGRCV: "msgrcv", unix.SYS_MSGSND: "msgsnd", unix.SYS_SEMOP: "semop", unix.SYS_SEMTIMEDOP: "semop",
	unix.SYS_MQ_TIMEDRECEIVE: "mq_receive()", unix.SYS_MQ_TIMEDSEND: "mq_send()", unix.SYS_IO_GETEVENTS: "io_getevents", unix.SYS_IO_URING_ENTER: "io_uring_enter()",
	unix.SYS_OPENAT: "open", unix.SYS_OPENAT2: "open", unix.SYS_NEWFSTATAT: "stat", unix.SYS_STATX: "stat", unix.SYS_STATFS: "statfs", unix.SYS_READLINKAT: "readlink",
	unix.SYS_MKDIRAT: "mkdir", unix.SYS_UNLINKAT: "unlink", unix.SYS_RENAMEAT2: "rename", unix.SYS_LINKAT: "link", unix.SYS_SYMLINKAT: "symlink",
	unix.SYS_MOUNT: "mount", unix.SYS_UMOUNT2: "umount", unix.SYS_FSMOUNT: "fsmount", unix.SYS_MOVE_MOUNT: "move_mount", unix.SYS_CHDIR: "chdir", unix.SYS_FACCESSAT: "access",
	unix.SYS_MMAP: "mmap", unix.SYS_MUNMAP: "munmap", unix.SYS_MSYNC: "msync", unix.SYS_MADVISE: "madvise", unix.SYS_MREMAP: "mremap", unix.SYS_MPROTECT: "mprotect",
	unix.SYS_KEYCTL: "keyctl", unix.SYS_SOCKET: "socket", unix.SYS_BPF: "bpf",
}
