package bench

import (
	"strconv"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// many are environments with 10 and 100 hosts on one network, their own included.
func many() []shape {
	list := []shape{{name: "10-net-only-hosts", byte: 'x', hosts: make([]nstest.HostConfig, 9)}, {name: "100-net-only-hosts", byte: 'c', hosts: make([]nstest.HostConfig, 99)}}
	for i := range list {
		list[i].config.MachineRoot = true
		for k := range list[i].hosts {
			list[i].hosts[k] = nstest.HostConfig{Name: "h" + strconv.Itoa(k), NetOnly: true}
		}
	}
	return list
}

// BenchmarkScale makes environments with many hosts, one host after the other, each of which can be reached when it is
// there, and takes them apart.
func BenchmarkScale(b *testing.B) {
	f := compile(b)
	r := &race{turn: 5}
	if clock, err := f.start(); err == nil {
		r.drain = func() error { _, err := clock.do('d'); return err }
		defer func() {
			if err := clock.stop(); err != nil {
				b.Error(err)
			}
		}()
	}
	for _, s := range many() {
		r.rows = append(r.rows, &row{name: "nstest/" + s.name, enter: s.enter}, &row{name: "floor/" + s.name, enter: f.enter(s.byte)})
	}
	if err := r.run(b, 1, max(*rounds/20, 5), pattern(b)); err != nil {
		b.Fatal(err)
	}
	for _, row := range r.rows {
		row.report(b, "envs/s")
	}
	b.Run("ratio", func(b *testing.B) {
		for _, t := range []target{
			{"10-hosts-by-floor", 1, ratio("nstest/10-net-only-hosts", "floor/10-net-only-hosts"), "x", 0, 0},
			{"100-hosts-by-floor", 1, ratio("nstest/100-net-only-hosts", "floor/100-net-only-hosts"), "x", 0, 0},
			{"100-hosts-by-10-hosts", 1, ratio("nstest/100-net-only-hosts", "nstest/10-net-only-hosts"), "x", 0, 0},
			{"floor-100-hosts-by-10-hosts", 1, ratio("floor/100-net-only-hosts", "floor/10-net-only-hosts"), "x", 0, 0},
		} {
			t.report(b, r, *gate)
		}
	})
}
