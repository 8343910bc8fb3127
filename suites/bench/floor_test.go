package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A floor is the C program, compiled.
type floor struct {
	path    string
	missing error // why there is none
}

// compile builds floor/floor.c with the machine's C compiler, or says why that is impossible.
func compile(b *testing.B) floor {
	if os.Geteuid() != 0 {
		return floor{missing: errors.New("the floor needs root")}
	}
	path := filepath.Join(b.TempDir(), "floor")
	for _, static := range []string{"-static", "-O2"} { // a static program has less memory to copy when it forks
		out, err := exec.Command("cc", "-O2", static, "-o", path, "floor/floor.c").CombinedOutput()
		if err == nil {
			return floor{path: path}
		}
		if errors.Is(err, exec.ErrNotFound) {
			return floor{missing: errors.New("no C compiler: install cc")}
		}
		if static == "-O2" {
			return floor{missing: fmt.Errorf("compile the floor: %w: %s", err, out)}
		}
	}
	return floor{}
}

// A floorProcess is a running floor.
type floorProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Reader
	errors strings.Builder
}

func (f floor) start() (*floorProcess, error) {
	if f.missing != nil {
		return nil, f.missing
	}
	p := &floorProcess{cmd: exec.Command(f.path)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = &p.errors
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

// do makes one round of the shape that the byte names.
func (p *floorProcess) do(what byte) (time.Duration, error) {
	var answer [8]byte
	_, err := p.in.Write([]byte{what})
	if err == nil {
		_, err = io.ReadFull(p.out, answer[:])
	}
	if err != nil {
		return 0, errors.Join(err, p.stop(), errors.New(p.errors.String()))
	}
	return time.Duration(binary.NativeEndian.Uint64(answer[:])), nil
}

func (p *floorProcess) stop() error {
	return errors.Join(p.in.Close(), p.cmd.Wait())
}

// enter makes rounds of one shape; they are timed by the floor itself.
func (f floor) enter(what byte) func(int) (round, error) {
	return func(int) (round, error) {
		p, err := f.start()
		if err != nil {
			return round{}, err
		}
		if _, err := p.do(what); err != nil { // a kernel that lacks something
			return round{}, err
		}
		return round{func() (time.Duration, error) { return p.do(what) }, p.stop}, nil
	}
}
