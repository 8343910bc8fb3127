package rootfs

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// scratch is a directory of every environment over which the init of a further host mounts what it needs for a while. What
// is to be a layer is below another.
const scratch = "/dev/shm"

// maxOptions is what mount(2) takes.
const maxOptions = 4095

// Stack appends to p what makes an overlay over directories of the environment's own tree, the uppermost first, and returns
// it: in the init of a further host, before that has a root. The layers keep the ids that they have, and in a user namespace
// the overlay its marks in user.* attributes.
func Stack(p *pid1.Program, roots []string, userNS bool) error {
	dirs, err := apart(roots, func(dir string) (string, error) {
		if !filepath.IsAbs(dir) {
			return "", fmt.Errorf("%s is not absolute: %w", dir, unix.EINVAL)
		}
		return filepath.Clean(dir), nil
	})
	if err != nil {
		return err
	}
	lower := strings.Join(dirs, "\x00")
	lower = strings.NewReplacer("\\", "\\\\", ":", "\\:", ",", "\\,", "\x00", ":").Replace(lower)
	options := "lowerdir=" + lower + ",upperdir=" + scratch + "/upper,workdir=" + scratch + "/work"
	if userNS {
		options += ",userxattr"
	}
	if len(options) > maxOptions {
		return &Unfit{fmt.Errorf("the names of %d layers of this environment are longer than mount(2) takes: unpack them into one directory: %w", len(dirs), unix.E2BIG)}
	}
	secede(p)
	for _, dir := range dirs {
		p.Call(directory(roots)+" "+dir, unix.SYS_FACCESSAT, pid1.Int(unix.AT_FDCWD), p.String(dir+"/."), pid1.Int(0))
	}
	p.Mount("layers", scratch, "tmpfs", plain, "mode=755")
	for _, dir := range []string{"upper", "work", "root"} {
		p.Mkdir(scratch+"/"+dir, 0o755)
	}
	p.Mount("overlay", scratch+"/root", "overlay", 0, options)
	p.Return(p.Call("open tree "+scratch+"/root", unix.SYS_OPEN_TREE, pid1.Int(unix.AT_FDCWD), p.String(scratch+"/root"),
		pid1.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)))
	return nil
}
