// The floor: what an environment with hosts costs when nothing but the kernel is paid for.
//
// It makes the namespaces that an environment of nstest has, mounts what is mounted there, connects the hosts to a
// recycled switch, waits until the first packet would pass, and takes everything apart: with raw system calls and
// netlink messages, in the order in which Open, AddHost and Close do it. It has no names, no errors that explain
// themselves, no confinement, no processes to start.
//
// For each byte on standard input it makes one round and answers with eight bytes, the round's nanoseconds. Where the machine
// lacks something it ends instead, with a line on standard error. The bytes are in the table `shapes`; `d` waits until the
// kernel has taken apart all that died so far. It needs root. Nothing of it is visible to the machine: it lives in mount, network
// and PID namespaces of its own.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/mount.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "netlink.h"

enum { MAX_HOSTS = 100, SWITCHES = 4, BRIDGE = 2, ETH0 = 2, LO = 1, BASE_ID = 1 << 30 };
enum { MS_QUIET = 2 | 4 | 8, MS_PLAIN = 2 | 4 }; // nosuid, nodev, noexec

extern int mount(const char *, const char *, const char *, unsigned long, const void *);
extern int umount2(const char *, int);

struct shape {
	char byte;
	int hosts;   // on the switch, the environment's own included; 0 = loopback alone
	int full;    // the further hosts have PID, mount, IPC and UTS namespaces and an init of their own
	int root;    // an idmapped overlay, /dev and pivot_root(2)
};

static const struct shape shapes[] = {
	{ 'l', 0, 0, 0 }, { 'L', 0, 0, 1 }, // loopback alone
	{ 'a', 1, 0, 0 }, { 'A', 1, 0, 1 }, // without further hosts
	{ 'n', 2, 0, 0 }, { 'N', 2, 0, 1 }, // its own host and a net-only one
	{ 'f', 2, 1, 0 }, { 'F', 2, 1, 1 }, // its own host and a full one
	{ 'x', 10, 0, 0 }, { 'c', 100, 0, 0 }, // its own host and net-only ones, as many as make so many
};

static int rtnl_switch[SWITCHES], turn, self_pidfd, port = 100;

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// must ends the process with a line that names the call. Whoever waits for it hears that it has gone.
static long must(const char *what, long r)
{
	if (r < 0) {
		fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
		_exit(1);
	}
	return r;
}
#define MUST(call) must(#call, (long)(call))

// --- Messages between the one that makes an environment and its processes: a byte, a host's number, a descriptor.

struct word { char op, host; };

static void say(int sock, char op, int host, int fd)
{
	struct word w = { op, (char)host };
	char control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec iov = { &w, sizeof w };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof control;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	MUST(sendmsg(sock, &m, MSG_NOSIGNAL));
}

// hear returns 0 when the other end has gone.
static int hear(int sock, struct word *w, int *fd)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { w, sizeof *w };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	if (MUST(recvmsg(sock, &m, MSG_CMSG_CLOEXEC)) == 0)
		return 0;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*fd = -1;
	if (c)
		memcpy(fd, CMSG_DATA(c), sizeof *fd);
	return 1;
}

// --- Inside: the environment's init, and those of full hosts.

static int control[MAX_HOSTS][2]; // [0] is the maker's end
static int rtnl_host[MAX_HOSTS], netns_host[MAX_HOSTS];

static void open_host(int i)
{
	rtnl_host[i] = nl_open();
	netns_host[i] = (int)MUST(ioctl(rtnl_host[i], SIOCGSKNS));
}

// configure gives a host its addresses and waits until frames to them are taken in.
static void configure(int i, int networked)
{
	struct batch b;
	nl_begin(&b);
	nl_link_up(&b, LO);
	if (networked) {
		nl_address_generation_none(&b, ETH0);
		nl_address4(&b, ETH0, 0x0a010002u + (uint32_t)i, 16);
		nl_address6(&b, ETH0, (uint8_t)(i + 2));
		nl_link_up(&b, ETH0);
	}
	MUST(nl_send(rtnl_host[i], &b));
	if (!networked)
		return;
	while (MUST(nl_oper_state(rtnl_host[i], ETH0)) != 6 /* IF_OPER_UP */)
		nanosleep(&(struct timespec){ 0, 50000 }, 0);
	while (!nl_is_local(rtnl_host[i], (uint8_t)(i + 2)))
		nanosleep(&(struct timespec){ 0, 50000 }, 0);
}

static void mount_ipc(const char *shm, const char *mqueue)
{
	MUST(mount("tmpfs", shm, "tmpfs", MS_PLAIN, "mode=1777"));
	if (mount("mqueue", mqueue, "mqueue", MS_QUIET, 0) < 0 && errno != ENOENT) // some machines have no directory for it
		must("mount mqueue", -1);
}

// mount_private mounts afresh what every host has of its own, over a tree that is there already.
static void mount_private(void)
{
	MUST(mount("proc", "/proc", "proc", MS_QUIET, 0));
	MUST(mount("sysfs", "/sys", "sysfs", MS_QUIET, 0));
	MUST(mount("tmpfs", "/tmp", "tmpfs", MS_PLAIN, "mode=1777"));
	MUST(mount("tmpfs", "/run", "tmpfs", MS_PLAIN, "mode=755"));
	mount_ipc("/dev/shm", "/dev/mqueue");
}

// take_root puts the root together around the overlay and pivots into it.
static void take_root(int overlay)
{
	static const char *nodes[] = { "null", "zero", "full", "random", "urandom", "tty" };
	MUST(syscall(SYS_move_mount, overlay, "", AT_FDCWD, "/run/new", MOVE_MOUNT_F_EMPTY_PATH));
	MUST(close(overlay));
	MUST(chdir("/run/new"));
	MUST(mount("proc", "proc", "proc", MS_QUIET, 0));
	MUST(mount("sysfs", "sys", "sysfs", MS_QUIET, 0));
	MUST(mount("tmpfs", "tmp", "tmpfs", MS_PLAIN, "mode=1777"));
	MUST(mount("tmpfs", "run", "tmpfs", MS_PLAIN, "mode=755"));
	MUST(mount("tmpfs", "dev", "tmpfs", 2 | 8, "mode=755"));
	for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
		char from[32], to[32];
		snprintf(from, sizeof from, "/dev/%s", nodes[i]);
		snprintf(to, sizeof to, "dev/%s", nodes[i]);
		MUST(mknod(to, S_IFREG | 0666, 0));
		MUST(mount(from, to, 0, 4096 /* MS_BIND */, 0));
	}
	MUST(mkdir("dev/pts", 0755));
	MUST(mkdir("dev/shm", 01777));
	MUST(mkdir("dev/mqueue", 01777));
	MUST(mount("devpts", "dev/pts", "devpts", 2 | 8, "newinstance,ptmxmode=0666,mode=0620"));
	MUST(symlink("pts/ptmx", "dev/ptmx"));
	MUST(symlink("/proc/self/fd", "dev/fd"));
	mount_ipc("dev/shm", "dev/mqueue");
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", 2 /* MNT_DETACH */));
	MUST(chdir("/"));
}

// serve is the life of an init: it does what it is told until it is killed.
static void serve(int me)
{
	struct word w;
	int fd, sock = control[me][1];
	while (hear(sock, &w, &fd)) {
		switch (w.op) {
		case 'e': // become the environment; fd is its root, or none
			MUST(setresgid(0, 0, 0));
			MUST(setresuid(0, 0, 0));
			if (fd >= 0)
				take_root(fd);
			else
				mount_private();
			MUST(sethostname("self", 4));
			open_host(0);
			say(sock, 'r', 0, netns_host[0]);
			break;
		case 'n': // make a net-only host: a network namespace that lives for as long as its socket
			MUST(unshare(CLONE_NEWNET));
			open_host(w.host);
			say(sock, 'r', w.host, netns_host[(int)w.host]);
			break;
		case 'f': // make a full host, which answers itself
			if (MUST(syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0)) == 0) {
				me = w.host, sock = control[me][1];
				mount_private();
				MUST(sethostname("host", 4));
				open_host(me);
				say(sock, 'r', me, netns_host[me]);
			}
			break;
		case 'c': // configure a host that is attached
		case 'l': // or one that is not
			configure(w.host, w.op == 'c');
			say(sock, 'r', w.host, -1);
			break;
		}
	}
	_exit(0);
}

// --- Outside.

static void write_map(int pid, const char *name)
{
	char path[64], map[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int n = snprintf(map, sizeof map, "0 %d 65536\n", BASE_ID);
	int fd = (int)MUST(open(path, O_WRONLY | O_CLOEXEC));
	MUST(write(fd, map, (size_t)n));
	MUST(close(fd));
}

// make_root is an overlay over the machine's root file system, which is idmapped for the user namespace of pid.
static int make_root(int pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	int user = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));
	int lower = (int)MUST(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user };
	MUST(syscall(SYS_mount_setattr, lower, "", AT_EMPTY_PATH, &attr, sizeof attr));

	int fs = (int)MUST(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0));
	int layer = (int)MUST(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
	MUST(close(fs));
	MUST(mkdirat(layer, "upper", 0755));
	MUST(mkdirat(layer, "work", 0700));
	MUST(fchownat(layer, "upper", BASE_ID, BASE_ID, 0));
	int upper = (int)MUST(openat(layer, "upper", O_DIRECTORY | O_CLOEXEC));
	int work = (int)MUST(openat(layer, "work", O_DIRECTORY | O_CLOEXEC));

	fs = (int)MUST(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "lowerdir+", 0, lower)); // Linux 6.15
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "upperdir", 0, upper));
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "workdir", 0, work));
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0));
	int overlay = (int)MUST(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
	int done[] = { fs, upper, work, layer, lower, user };
	for (unsigned i = 0; i < sizeof done / sizeof *done; i++)
		MUST(close(done[i]));
	return overlay;
}

static int netns[MAX_HOSTS];

// begin makes host i's namespaces.
static void begin(const struct shape *s, int i, int pid)
{
	struct word w;
	int root = -1;
	if (i == 0 && s->root)
		root = make_root(pid);
	say(control[0][0], i == 0 ? 'e' : s->full ? 'f' : 'n', i, root);
	if (root >= 0)
		MUST(close(root));
	if (!hear(control[s->full ? i : 0][0], &w, &netns[i]))
		must("start host", -1);
}

// finish configures host i and waits until it is ready.
static void finish(const struct shape *s, int i)
{
	struct word w;
	int fd, sock = control[s->full ? i : 0][0];
	say(sock, s->hosts ? 'c' : 'l', i, -1);
	if (!hear(sock, &w, &fd))
		must("configure host", -1);
}

// attach connects host i with the switch.
static void attach(int sw, int i)
{
	struct batch b;
	nl_begin(&b);
	nl_veth(&b, ++port, BRIDGE, netns[i]);
	MUST(nl_send(sw, &b));
}

static void round_trip(const struct shape *s)
{
	int hosts = s->hosts ? s->hosts : 1, sw = rtnl_switch[turn++ % SWITCHES];
	for (int i = 0; i < hosts; i++)
		MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control[i]));
	int pidfd, kinds = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	int pid = (int)MUST(syscall(SYS_clone, kinds | CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < hosts; i++)
			close(control[i][0]); // so that an init whose maker has gone ends too
		serve(0);
	}
	for (int i = 0; i < hosts; i++)
		MUST(close(control[i][1])); // so that we hear of an init that has ended
	write_map(pid, "uid_map");
	write_map(pid, "gid_map");
	for (int i = 0; i < hosts; i++) {
		begin(s, i, pid);
		if (s->hosts)
			attach(sw, i);
		finish(s, i);
	}
	MUST(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, 0, 0));
	MUST(waitpid(pid, 0, 0));
	MUST(close(pidfd));
	for (int i = 0; i < hosts; i++) {
		close(netns[i]);
		close(control[i][0]);
	}
}

// new_net moves the process into a new network namespace and returns a netlink socket there.
static int new_net(void)
{
	MUST(unshare(CLONE_NEWNET));
	return nl_open();
}

static void home(void) { MUST(setns(self_pidfd, CLONE_NEWNET)); }

// drain returns when the kernel has taken apart every network namespace that died before: it does so in order.
static void drain(int rtnl_home)
{
	int dying = new_net();
	int target = (int)MUST(ioctl(dying, SIOCGSKNS));
	home();
	struct batch b;
	nl_begin(&b);
	nl_veth(&b, ++port, 0, target);
	MUST(nl_send(rtnl_home, &b));
	close(target);
	close(dying);
	while (nl_oper_state(rtnl_home, port) >= 0)
		nanosleep(&(struct timespec){ 0, 500000 }, 0);
}

static void set_up(void)
{
	MUST(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_FS));
	MUST(mount("", "/", 0, 16384 | 262144 /* MS_REC|MS_PRIVATE */, 0));
	MUST(mount("tmpfs", "/run", "tmpfs", MS_PLAIN, "mode=755"));
	MUST(mkdir("/run/new", 0755));
	prctl(PR_SET_TIMERSLACK, 1);
	// setns(2) back into the own network namespace wants a process that is still in it.
	int hold[2], anchor;
	MUST(pipe2(hold, O_CLOEXEC));
	if ((anchor = (int)MUST(fork())) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		char c;
		close(hold[1]);
		_exit((int)read(hold[0], &c, 1));
	}
	self_pidfd = (int)MUST(syscall(SYS_pidfd_open, anchor, 0));
}

int main(void)
{
	set_up();
	int rtnl_home = nl_open();
	for (int i = 0; i < SWITCHES; i++) {
		rtnl_switch[i] = new_net();
		struct batch b;
		nl_begin(&b);
		nl_bridge(&b, BRIDGE);
		nl_address_generation_none(&b, BRIDGE);
		nl_link_up(&b, BRIDGE);
		MUST(nl_send(rtnl_switch[i], &b));
	}
	home();
	char c;
	while (read(0, &c, 1) == 1) {
		uint64_t begin = now(), took = 0;
		if (c == 'd') {
			drain(rtnl_home);
			took = now() - begin;
		}
		for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++)
			if (shapes[i].byte == c) {
				round_trip(&shapes[i]);
				took = now() - begin;
			}
		if (write(1, &took, sizeof took) != sizeof took)
			return 1;
	}
	return 0;
}
