// The init of an environment and of each of its hosts: PID 1, static, without libc.
//
// It owns no policy. Over one SOCK_SEQPACKET socket it receives programs, lists of system calls with their arguments
// in one memory image, and does with them one of three things: run the calls itself, run them in a child (the last one
// is execve), or fork another init, in new namespaces, that listens on a socket of its own. Between requests it reaps.
// When the socket's other end is gone it exits, and the kernel ends every other process of its PID namespace.
//
// program.go builds the images and describes the format; both change together. What is in an image (sizes, offsets,
// numbers of calls and files) is the sender's to get right: the other end of the socket is the keeper, which has every
// power over this process anyway, and nothing inside the environment has that end.
#include <asm/unistd.h>

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef int s32;
typedef long s64;

enum { CONTROL = 3, MAX_FDS = 32, MAX_OPS = 256, MAX_INLINE = 65536, MAGIC = 0x6e737431 };
enum { RUN = 1, CHILD = 2, FORK = 3, LARGE = 0x100 };
enum { IGNORE = 1, RETURN = 2, EXEC = 4 };
enum { REPLY = 1, EXIT = 2 };
enum { NO_CHILD = 256, NO_IMAGE = 257 }; // in place of the index of a call that failed
enum { ENOENT = 2, EINTR = 4, ENOEXEC = 8, EACCES = 13, ENOTDIR = 20, EINVAL = 22, EMFILE = 24, ENOSYS = 38, EBADMSG = 74 };
enum { SIGKILL = 9, SIGCHLD = 17 };
enum { CLONE_VM = 0x100, CLONE_PIDFD = 0x1000, CLONE_VFORK = 0x4000 };

struct header { u32 magic, kind, size, nops, nreloc, nfix; u64 flags; };
struct op { u64 nr, arg[6]; u8 ref[6], flags, pad; };
struct reply { u32 kind; s32 op, err, pid; s64 res[MAX_OPS]; };
struct iovec { void *base; u64 len; };
struct msghdr { void *name; u32 namelen, pad; struct iovec *iov; u64 iovlen; void *control; u64 controllen; u32 flags, pad2; };
struct cmsg { u64 len; s32 level, type; s32 fd[MAX_FDS]; };
struct pollfd { s32 fd; short events, revents; };
struct failure { volatile s32 op, err; };

static u8 inbox[MAX_INLINE] __attribute__((aligned(16)));
static struct cmsg ancillary __attribute__((aligned(8)));
static struct reply answer;
static s64 child_res[MAX_OPS];
static struct failure *child; // shared with a child until it execs
static s32 sigfd;

#if defined(__x86_64__)
static inline s64 call(u64 n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	s64 r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return r;
}
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall serve\n");
#elif defined(__aarch64__)
static inline s64 call(u64 n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register u64 x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return (s64)x0;
}
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tb serve\n");
#else
#error "no system call sequence for this architecture"
#endif

#define CALL(n, a, b, c, d, e) call(__NR_##n, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), 0)

static void quit(s32 status)
{
	for (;;)
		CALL(exit_group, status, 0, 0, 0, 0);
}

// execute runs the calls one by one. It returns the index of the one that failed, with its errno, or -1. Of several
// calls marked EXEC the first that can be executed is, and the errno that says most is reported, as execvp(3) does.
static s32 execute(struct op *ops, u32 n, s64 *res, s32 *err)
{
	s32 kept = -1;
	for (u32 i = 0; i < n; i++) {
		struct op *o = &ops[i];
		u64 a[6];
		for (u32 k = 0; k < 6; k++)
			a[k] = o->ref[k] ? (u64)res[o->ref[k] - 1] : o->arg[k];
		s64 r;
		do
			r = call(o->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		while (r == -EINTR);
		res[i] = r;
		if (r >= 0 || r < -4095 || (o->flags & IGNORE))
			continue;
		if ((o->flags & EXEC) && (r == -ENOENT || r == -ENOTDIR || r == -EACCES)) {
			if (r == -EACCES && kept < 0)
				kept = (s32)i;
			if (i + 1 < n)
				continue;
			if (kept >= 0)
				i = (u32)kept;
		}
		*err = (s32)-res[i];
		return (s32)i;
	}
	return -1;
}

// abandon closes what a program that failed at index end has opened: the files that it would have returned, and those
// that it would have closed later.
static void abandon(struct op *ops, u32 n, u32 end, s64 *res)
{
	for (u32 i = 0; i < n; i++) {
		u32 opened = i;
		if (i < end && !(ops[i].flags & RETURN))
			continue;
		if (i >= end) {
			if (ops[i].nr != __NR_close || !ops[i].ref[0] || ops[i].ref[0] > end)
				continue;
			opened = ops[i].ref[0] - 1u;
		}
		if (res[opened] >= 0)
			CALL(close, res[opened], 0, 0, 0, 0);
	}
}

// post sends an answer of n results, with the file descriptors that the calls marked RETURN produced.
static void post(u32 n, u32 nfds)
{
	struct iovec iov = { &answer, 16 + 8ul * n };
	struct msghdr m;
	m.name = 0; m.namelen = 0; m.iov = &iov; m.iovlen = 1; m.flags = 0;
	m.control = nfds ? &ancillary : 0;
	m.controllen = nfds ? 16 + 4 * (u64)nfds : 0;
	ancillary.len = 16 + 4 * (u64)nfds; ancillary.level = 1; ancillary.type = 1;
	s64 r;
	do
		r = CALL(sendmsg, CONTROL, &m, 0x4000 /* MSG_NOSIGNAL */, 0, 0);
	while (r == -EINTR);
	if (r < 0)
		quit(1);
}

// become runs the calls of a new process, which borrows the memory of the init until it execs. The frame is one of its
// own: in the caller's, the compiler would be free to give its variables the place of those that the init still needs.
__attribute__((noinline, noreturn)) static void become(struct op *ops, u32 n)
{
	s32 err = 0, failed = execute(ops, n, child_res, &err);
	child->err = failed < 0 ? ENOEXEC : err; // a program that does not end in execve
	child->op = failed < 0 ? NO_CHILD : failed;
	for (;;)
		quit(127);
}

// begin makes what no two inits may share: the signal descriptor, and the page where a child says why it failed.
static void begin(void)
{
	u64 mask = 1ul << (SIGCHLD - 1);
	CALL(rt_sigprocmask, 2 /* SIG_SETMASK */, &mask, 0, 8, 0);
	sigfd = (s32)CALL(signalfd4, -1, &mask, 8, 02004000 /* SFD_CLOEXEC|SFD_NONBLOCK */, 0);
	s64 page = call(__NR_mmap, 0, 4096, 3, 0x21 /* MAP_SHARED|MAP_ANONYMOUS */, (u64)-1, 0);
	if (sigfd < 0 || (page < 0 && page > -4096))
		quit(2);
	child = (struct failure *)page;
}

// start clones a child and returns its pid, or an errno. A child that is to execute a program borrows our memory until
// it does (vfork), because copying takes longer. Linux before 6.3 refuses that when the child enters another time
// namespace: then it gets a copy. We wait either way.
static inline __attribute__((always_inline)) s64 start(struct op *ops, struct header *h, u32 kind, s32 *pidfd)
{
	u64 flags = h->flags | CLONE_PIDFD | SIGCHLD | (kind == CHILD ? CLONE_VM | CLONE_VFORK : 0);
	child->op = -1;
	s64 pid = call(__NR_clone, flags, 0, (u64)pidfd, 0, 0, 0);
	if (pid == -EINVAL && kind == CHILD)
		pid = call(__NR_clone, flags & ~(u64)CLONE_VM, 0, (u64)pidfd, 0, 0, 0);
	if (pid == 0 && kind == CHILD)
		become(ops, h->nops);
	if (pid > 0 && *pidfd < 0) { // before Linux 5.2
		CALL(kill, pid, SIGKILL, 0, 0, 0);
		CALL(wait4, pid, 0, 0, 0, 0);
		return -ENOSYS;
	}
	return pid;
}

// handle takes one request and answers it.
static void handle(void)
{
	s32 fds[MAX_FDS];
	struct iovec iov = { inbox, sizeof inbox };
	struct msghdr m;
	m.name = 0; m.namelen = 0; m.iov = &iov; m.iovlen = 1; m.control = &ancillary; m.controllen = sizeof ancillary; m.flags = 0;
	s64 got = CALL(recvmsg, CONTROL, &m, 0x40000000 /* MSG_CMSG_CLOEXEC */, 0, 0);
	if (got == -EINTR)
		return;
	if (got <= 0)
		quit(0);
	u32 nfds = m.controllen >= 16 ? (u32)((ancillary.len - 16) / 4) : 0;
	for (u32 i = 0; i < nfds; i++)
		fds[i] = ancillary.fd[i];

	u8 *image = inbox;
	struct header *h = (struct header *)image;
	u32 kind = h->kind & 0xff, size = h->size, sent = 0, first = 0;
	u32 nres = 0;
	s64 mapped = 0;
	answer.kind = REPLY; answer.op = -1; answer.err = 0; answer.pid = 0;
	if (m.flags & 8 /* MSG_CTRUNC */) { // RLIMIT_NOFILE is too low for the files that came
		answer.op = NO_IMAGE; answer.err = EMFILE;
		goto out;
	}
	if (got < (s64)sizeof *h || h->magic != MAGIC || h->nops > MAX_OPS || (!(h->kind & LARGE) && got != (s64)size) ||
	    nfds < (h->kind & LARGE ? 1u : 0u) + (kind == FORK ? 1u : 0u)) {
		answer.op = NO_IMAGE; answer.err = EBADMSG;
		goto out;
	}
	if (h->kind & LARGE) { // the image is in a memfd, the first descriptor
		mapped = call(__NR_mmap, 0, size, 3, 2 /* MAP_PRIVATE */, (u64)fds[0], 0);
		if (mapped < 0 && mapped > -4096) {
			answer.op = NO_IMAGE; answer.err = (s32)-mapped; mapped = 0;
			goto out;
		}
		image = (u8 *)mapped;
		h = (struct header *)image;
		first = 1;
	}
	struct op *ops = (struct op *)(image + sizeof *h);
	u32 *reloc = (u32 *)(ops + h->nops), *fix = reloc + h->nreloc;
	for (u32 i = 0; i < h->nreloc; i++)
		*(u64 *)(image + reloc[i]) += (u64)image;
	for (u32 i = 0; i < h->nfix; i++)
		*(u64 *)(image + fix[2 * i]) = (u64)fds[first + fix[2 * i + 1]];

	if (kind == RUN) {
		nres = h->nops;
		answer.op = execute(ops, h->nops, answer.res, &answer.err);
		if (answer.op >= 0)
			abandon(ops, h->nops, (u32)answer.op, answer.res);
		for (u32 i = 0; answer.op < 0 && i < h->nops && sent < MAX_FDS; i++)
			if ((ops[i].flags & RETURN) && answer.res[i] >= 0)
				ancillary.fd[sent++] = (s32)answer.res[i];
	} else {
		s32 pidfd = -1;
		s64 pid = start(ops, h, kind, &pidfd);
		if (pid == 0) { // the init of a host: its control socket is the first descriptor
			CALL(close, sigfd, 0, 0, 0, 0);
			CALL(munmap, child, 4096, 0, 0, 0);
			CALL(dup3, fds[first], CONTROL, 02000000 /* O_CLOEXEC */, 0, 0);
			for (u32 i = 0; i < nfds; i++)
				CALL(close, fds[i], 0, 0, 0, 0);
			begin();
			return;
		}
		if (pid < 0) {
			answer.op = NO_CHILD; answer.err = (s32)-pid;
		} else if (kind == CHILD && child->op >= 0) {
			answer.op = child->op; answer.err = child->err;
			CALL(wait4, pid, 0, 0, 0, 0);
			CALL(close, pidfd, 0, 0, 0, 0);
		} else {
			answer.pid = (s32)pid;
			ancillary.fd[sent++] = pidfd;
		}
	}
out:
	if (mapped)
		CALL(munmap, mapped, size, 0, 0, 0);
	for (u32 i = 0; i < nfds; i++)
		CALL(close, fds[i], 0, 0, 0, 0);
	post(nres, sent);
	for (u32 i = 0; i < sent; i++)
		CALL(close, ancillary.fd[i], 0, 0, 0, 0);
}

// reap collects every child that ended, its own and the orphans, and reports it.
static void reap(void)
{
	for (;;) {
		s32 status = 0;
		static s64 usage[18]; // struct rusage: user and system time as {s, µs}, then maxrss in KiB
		s64 pid = CALL(wait4, -1, &status, 0x40000001 /* __WALL|WNOHANG */, usage, 0);
		if (pid <= 0)
			return;
		answer.kind = EXIT; answer.op = -1; answer.err = status; answer.pid = (s32)pid;
		answer.res[0] = usage[0] * 1000000 + usage[1];
		answer.res[1] = usage[2] * 1000000 + usage[3];
		answer.res[2] = usage[4];
		post(3, 0);
	}
}

// heed ends that signals are ignored because whoever started us ignores them, as nohup(1) and a shell's background jobs
// do: execve(2) hands that on to every process that we start.
static void heed(void)
{
	static u64 action[4]; // struct sigaction: the default
	for (u32 n = 1; n <= 64; n++)
		CALL(rt_sigaction, n, action, 0, 8, 0);
}

__attribute__((used)) void serve(void)
{
	CALL(prctl, 15 /* PR_SET_NAME */, "nstest-init", 0, 0, 0);
	heed();
	// What the program that started us has open and did not mean to pass is not for the environment (Linux 5.9).
	CALL(close_range, CONTROL + 1, ~0u, 0, 0, 0);
	CALL(fcntl, CONTROL, 2 /* F_SETFD */, 1 /* FD_CLOEXEC */, 0, 0);
	begin();
	for (;;) {
		static u8 info[128 * 8];
		struct pollfd p[2] = { { CONTROL, 1, 0 }, { 0, 1, 0 } };
		p[1].fd = sigfd;
		reap();
		CALL(ppoll, p, 2, 0, 0, 8);
		if (p[1].revents)
			CALL(read, sigfd, info, sizeof info, 0, 0);
		if (p[0].revents)
			handle();
	}
}
