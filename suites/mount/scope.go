package mount

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/suites/property"
)

// A mountRequest is the argument of listmount(2) and statmount(2) in its first version, struct mnt_id_req.
type mountRequest struct {
	size, _ uint32
	id      uint64
	param   uint64
}

const (
	requestSize = uint32(unsafe.Sizeof(mountRequest{}))

	listRoot      = ^uint64(0) // LSMT_ROOT: all that is below the caller's root
	statPoint     = 0x10       // STATMOUNT_MNT_POINT
	pointAt       = 108        // the field mnt_point of struct statmount,
	stringsAt     = 512        // which counts from here
	statmountSize = 4096 + stringsAt
)

// mountID is the number of the mount that a path lies in, unique for as long as the machine runs.
func mountID(path string) (string, error) {
	const uniqueID = unix.STATX_MNT_ID_UNIQUE
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, uniqueID, &st); err != nil {
		return "", os.NewSyscallError("statx", err)
	}
	return strconv.FormatUint(st.Mnt_id, 10), nil
}

// mountPoint is where the mount with a number is.
func mountPoint(id string) (string, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return "", err
	}
	r := mountRequest{size: requestSize, id: n, param: statPoint}
	buf := make([]byte, statmountSize)
	if _, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, uintptr(unsafe.Pointer(&r)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0); errno != 0 {
		return "", os.NewSyscallError("statmount", errno)
	}
	at := stringsAt + binary.NativeEndian.Uint32(buf[pointAt:])
	return unix.ByteSliceToString(buf[at:]), nil
}

// mountIDs are the numbers of the mounts below the root.
func mountIDs() (string, error) {
	r := mountRequest{size: requestSize, id: listRoot}
	var ids [4096]uint64
	n, _, errno := unix.Syscall6(unix.SYS_LISTMOUNT, uintptr(unsafe.Pointer(&r)), uintptr(unsafe.Pointer(&ids[0])), uintptr(len(ids)), 0, 0, 0)
	if errno != 0 {
		return "", os.NewSyscallError("listmount", errno)
	}
	return strings.Trim(fmt.Sprint(ids[:n]), "[]"), nil
}

func idOf(path string) deed    { return deed{Call: "mount id", Path: path} }
func statMount(id string) deed { return deed{Call: "statmount", Data: id} }

var (
	listMounts = deed{Call: "listmount"}
	giveUp     = deed{Call: "renounce"} // CAP_SYS_ADMIN
)

func registerScope() {
	property.It("M16", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone, "root", "inner")
		do(outside, tmpfs(dir+"/root"))
		id := do(outside, idOf(dir))
		inside := enter(ctx, private)
		do(inside, tmpfs(dir+"/inner"))
		inner := do(inside, idOf(dir+"/inner"))

		// look is what listmount(2) and statmount(2) tell a process of a mount.
		look := func(what string, p process, id string) (listed bool, at string, err error) {
			GinkgoHelper()
			ids := strings.Fields(do(p, listMounts))
			at, err = p.try(statMount(id))
			listed = slices.Contains(ids, id)
			c.Saw(what, fmt.Sprintf("listed %t, among %d; statmount says %q, error %v", listed, len(ids), at, err))
			return listed, at, err
		}
		c.Positive("a mount of the namespace is listed, and its place told", func() {
			listed, at, err := look("inside, of its own", inside, inner)
			Expect(err).NotTo(HaveOccurred())
			Expect(listed).To(BeTrue())
			Expect(at).To(Equal(dir + "/inner"))
		})
		c.Negative("one of another namespace is not, although its number is known", func() {
			listed, _, err := look("outside, of the one inside", outside, inner)
			Expect(listed).To(BeFalse())
			Expect(err).To(MatchError(unix.ENOENT))
			listed, _, err = look("inside, of the one outside", inside, id)
			Expect(listed).To(BeFalse(), "the copy has a number of its own")
			Expect(err).To(MatchError(unix.ENOENT))
		})
		c.Negative("nor, without CAP_SYS_ADMIN, one that cannot be reached from the process's root", func() {
			same := do(inside, idOf(dir))
			do(inside, chroot(dir+"/root"), chdir("/"))
			_, _, err := look("in a chroot, of one around it", inside, same)
			Expect(err).NotTo(HaveOccurred(), "with it, it can")
			do(inside, giveUp)
			listed, _, err := look("the same without CAP_SYS_ADMIN", inside, same)
			Expect(listed).To(BeFalse())
			Expect(err).To(MatchError(unix.EPERM))
		})
	})
}
