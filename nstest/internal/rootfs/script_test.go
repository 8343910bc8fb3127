package rootfs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
)

// A tree goes into the one program that the init runs anyway if it can, and into further ones otherwise.
func TestEnterSplitsWhatIsTooMuch(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	deep := strings.Repeat("/d", 40)
	for _, c := range []struct {
		layers, ready, made, devices, first int
		target                              string
	}{
		{layers: 10, ready: 17, target: "/m"},
		{layers: 10, ready: 18, target: "/m", first: 2},
		{layers: 10, ready: 10, devices: 8, target: "/m", first: 1},
		{layers: 30, ready: 60, target: "/m", first: 4},
		{made: 2, target: deep},
		{made: 3, target: deep, first: 2},
	} {
		r := Root{built: built{stack: &stack{tmpfs: null}}}
		for range c.layers - 1 {
			r.stack.lowers = append(r.stack.lowers, null)
		}
		r.add(mounted{file: null, target: "/", ready: true})
		for i := range c.ready + c.made {
			r.add(mounted{file: null, target: fmt.Sprint(c.target, i), ready: i < c.ready})
		}
		for range c.devices {
			r.devices = append(r.devices, mounted{file: null, target: "/dev/x", isFile: true})
		}
		var p pid1.Program
		if first := r.Enter(&p, Own{}, nil); len(first) != c.first {
			t.Errorf("%+v: %d programs before the last", c, len(first))
		}
	}
}
