package ns

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// An image is executed whatever numbers the files have: also where the fork puts its own pipe to the image's.
func TestAnImageIsExecutedWhateverItsNumber(t *testing.T) {
	open := func(path string) *os.File {
		t.Helper()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	low := []*os.File{open(os.DevNull), open(os.DevNull)} // two free numbers, for the pipe
	null := open(os.DevNull)
	image := open("/bin/true")
	if image.Fd() != null.Fd()+1 {
		t.Logf("the numbers are %d and %d: another goroutine opens files", null.Fd(), image.Fd())
	}
	for _, f := range low {
		f.Close()
	}
	p, err := Start(Spec{Image: image, Args: []string{"true"}, Files: []*os.File{null, null, null, null}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.PIDFD.Close()
	if status, err := p.Wait(); err != nil || status != unix.WaitStatus(0) {
		t.Errorf("status %v, %v", status, err)
	}
}
