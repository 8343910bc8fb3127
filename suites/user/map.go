package user

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// write writes one of the files by which a process's user namespace is set up.
func write(pid int, file, text string) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, file), []byte(text), 0)
}

// A writing is a text for uid_map, gid_map or setgroups.
type writing struct{ File, Text string }

// answers are the kernel's to one writing after the other, for a process in a new user namespace; 0 is yes.
func answers(ctx context.Context, list []writing) (errnos []syscall.Errno, err error) {
	p, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.User, Gate: true}, whoAmI, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, w := range list {
		var errno syscall.Errno
		if err := write(p.PID(), w.File, w.Text); err != nil && !errors.As(err, &errno) {
			return nil, err
		}
		errnos = append(errnos, errno)
	}
	return errnos, nil
}

// ask returns the answers that somebody gets who makes a user namespace.
var ask = nsx.Register("user/ask", func(_ *nsx.Parent, list []writing) ([]syscall.Errno, error) {
	return answers(context.Background(), list)
})

// asked is ask for a spec, with the answers among what it sees.
func asked(ctx SpecContext, c *property.Check, s nsx.Spec, list ...writing) []syscall.Errno {
	GinkgoHelper()
	errnos, err := nsx.Run(ctx, s, ask, list)
	Expect(err).NotTo(HaveOccurred())
	for i, w := range list {
		c.Saw(fmt.Sprintf("%s %q", w.File, w.Text), spoken(errnos[i]))
	}
	return errnos
}

// spoken is an answer for people.
func spoken(errno syscall.Errno) string {
	if errno == 0 {
		return "done"
	}
	return errno.Error()
}

// malformed are texts that are no map, by what is wrong with them.
var malformed = []struct{ what, text string }{
	{"two ranges that overlap inside", "0 0 1\n0 1 1\n"},
	{"two ranges that overlap inside in part", "0 0 2\n1 5 2\n"},
	{"two ranges that overlap outside", "0 0 1\n1 0 1\n"},
	{"a length of 0", "0 0 0\n"},
	{"no length", "0 0\n"},
	{"no number at all", "\n"},
	{"a word", "root 0 1\n"},
	{"a number in hexadecimal", "0x0 0 1\n"},
	{"a fourth field", "0 0 1 1\n"},
	{"an inside id with a sign", "-1 0 1\n"},
	{"the inside id -1", "4294967295 0 1\n"},
	{"the outside id -1", "0 4294967295 1\n"},
	{"ids that wrap around inside", "4294967294 0 2\n"},
	{"ids that wrap around outside", "0 4294967294 2\n"},
	{"a length that wraps around", "1 1 4294967295\n"},
	{"an empty line", "0 0 1\n\n1 1 1\n"},
	{"more than a page", "0 0 1" + strings.Repeat(" ", 64<<10) + "\n"},
}

// give makes files in a directory and gives each to one of the ids from 0 on. It returns as whose it sees them, and the
// answer of a directory of the machine's root.
var give = nsx.Register("user/give", func(_ *nsx.Parent, in gift) (got received, err error) {
	for id := range in.Files {
		path := filepath.Join(in.Dir, strconv.Itoa(id))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return got, err
		}
		if err := os.Chown(path, id, id); err != nil {
			return got, err
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return got, err
		}
		got.Owners = append(got.Owners, int(st.Uid))
	}
	_, err = os.ReadDir(rootsDirectory)
	errors.As(err, &got.RootsDirectory)
	return got, nil
})

type gift struct {
	Dir   string
	Files int
}

type received struct {
	Owners         []int
	RootsDirectory syscall.Errno
}

// rootsDirectory may be read by the machine's root alone, and stands in the /proc of every namespace.
const rootsDirectory = "/proc/tty/driver"

func registerMaps() {
	property.It("R5", func(ctx SpecContext, c *property.Check) {
		for _, file := range []string{"uid_map", "gid_map"} {
			var errnos []syscall.Errno
			c.Positive("the first "+file+" is taken", func() {
				errnos = asked(ctx, c, nsx.Spec{}, writing{file, "0 0 1"}, writing{file, "0 0 1"})
				Expect(errnos[0]).To(BeZero())
			})
			c.Negative("a second one is not, not even the same", func() {
				c.Saw("the second", spoken(errnos[1]))
				Expect(errnos[1]).To(Equal(unix.EPERM))
			})
		}
	})

	property.It("R6", func(ctx SpecContext, c *property.Check) {
		for _, file := range []string{"uid_map", "gid_map"} {
			var list []writing
			for _, m := range malformed {
				list = append(list, writing{file, m.text})
			}
			errnos, err := answers(ctx, append(list, writing{file, " 0\t0  1"}))
			Expect(err).NotTo(HaveOccurred())
			for i, m := range malformed {
				c.Negative(file+" with "+m.what, func() {
					c.Saw(fmt.Sprintf("%.40q", m.text), spoken(errnos[i]))
					Expect(errnos[i]).To(Equal(unix.EINVAL))
				})
			}
			c.Positive("after all of these a good "+file+" is still taken", func() {
				c.Saw("a good one", spoken(errnos[len(malformed)]))
				Expect(errnos[len(malformed)]).To(BeZero())
			})
		}
	})

	property.It("R7", func(ctx SpecContext, c *property.Check) {
		const most = 340
		ranges := func(n int) writing {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, "%d %d 1\n", i, i)
			}
			Expect(b.Len()).To(BeNumerically("<", os.Getpagesize()), "the length of the text is not what is refused")
			return writing{"uid_map", b.String()}
		}
		errnos, err := answers(ctx, []writing{ranges(most + 1), ranges(most)})
		Expect(err).NotTo(HaveOccurred())
		c.Positive("340 ranges are a map", func() {
			c.Saw("340", spoken(errnos[1]))
			if ids() < most { // the map is good, and the ids are somebody else's
				c.Saw("ids in the environment", ids())
				Expect(errnos[1]).To(Equal(unix.EPERM))
			} else {
				Expect(errnos[1]).To(BeZero())
			}
		})
		c.Negative("341 are none", func() {
			c.Saw("341", spoken(errnos[0]))
			Expect(errnos[0]).To(Equal(unix.EINVAL))
		})
	})

	property.It("R10", func(ctx SpecContext, c *property.Check) {
		user, own := ordinary()
		var errnos []syscall.Errno
		c.Positive(fmt.Sprintf("user %d makes itself root", own), func() {
			me, err := nsx.Run(ctx, user, whoAmI, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("who asks", me)
			Expect(me).To(Equal(identity{own, own, none}))
			errnos = asked(ctx, c, user, writing{"uid_map", "0 0 1"}, writing{"uid_map", fmt.Sprintf("0 %d 2", own)},
				writing{"uid_map", fmt.Sprintf("0 %d 1\n1 0 1", own)}, writing{"uid_map", fmt.Sprintf("0 %d 1", own)})
			Expect(errnos[3]).To(BeZero())
		})
		c.Negative("it does not map another id, nor one beside its own", func() {
			c.Saw("the other answers", errnos[:3])
			Expect(errnos[:3]).To(HaveEach(unix.EPERM))
		})
	})

	property.It("R11", func(ctx SpecContext, c *property.Check) {
		const few, many = 5, 7 // up to 5 ranges the kernel keeps in place, more in a table that is sorted
		needIDs(c, other+many)
		given := func(n int) (inside received, owners []int) {
			GinkgoHelper()
			var ids []nsx.IDMap
			for i := range n { // those that come first inside come last outside
				ids = append(ids, nsx.IDMap{Inside: i, Outside: other + n - i, Count: 1})
			}
			dir, root := GinkgoTB().TempDir(), 0
			Expect(os.Chmod(filepath.Dir(dir), 0o755)).To(Succeed())
			Expect(os.Chmod(dir, 0o777)).To(Succeed())
			inside, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.User, UIDMaps: ids, GIDMaps: ids, UID: &root, GID: &root}, give, gift{dir, n})
			Expect(err).NotTo(HaveOccurred())
			for i := range n {
				var st unix.Stat_t
				Expect(unix.Stat(filepath.Join(dir, strconv.Itoa(i)), &st)).To(Succeed())
				owners = append(owners, int(st.Uid))
			}
			c.Saw("map", ids)
			c.Saw("owners inside", inside.Owners)
			c.Saw("the same files outside", owners)
			return inside, owners
		}
		c.Positive("with 5 ranges, files are given to each id and are another's outside", func() {
			inside, owners := given(few)
			Expect(inside.Owners).To(Equal([]int{0, 1, 2, 3, 4}))
			Expect(owners).To(Equal([]int{1005, 1004, 1003, 1002, 1001}))
		})
		c.Negative("with 7 ranges likewise, and the machine's root is nobody there", func() {
			inside, owners := given(many)
			Expect(inside.Owners).To(Equal([]int{0, 1, 2, 3, 4, 5, 6}))
			Expect(owners).To(Equal([]int{1007, 1006, 1005, 1004, 1003, 1002, 1001}))
			c.Saw("reading "+rootsDirectory, spoken(inside.RootsDirectory))
			Expect(inside.RootsDirectory).To(Equal(unix.EACCES))
		})
	})

	property.Seed("take a map of a single id, of all, and of several ranges", func(ctx SpecContext) {
		all := ids()
		taken := func(text string) []string {
			GinkgoHelper()
			p, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.User, Gate: true}, whoAmI, nil)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			Expect(write(p.PID(), "uid_map", text)).To(Succeed())
			lines, err := nsx.Run(ctx, nsx.Spec{}, read, fmt.Sprintf("/proc/%d/uid_map", p.PID()))
			Expect(err).NotTo(HaveOccurred())
			return lines
		}
		Expect(taken("0 0 1")).To(Equal([]string{"0 0 1"}))
		full := fmt.Sprintf("0 0 %d", all)
		Expect(taken(full)).To(Equal([]string{full}))
		Expect(answers(ctx, []writing{{"uid_map", fmt.Sprintf("0 0 %d", all+1)}})).To(Equal([]syscall.Errno{unix.EPERM}), "one more than there are")
		if all > other {
			several := []string{"0 1000 10", "100 0 1", "200 2000 50"}
			Expect(taken(strings.Join(several, "\n"))).To(Equal(several))
		}
	})
}
