package rtnetlink

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, name string) Link {
	t.Helper()
	l, err := Find(name)
	must(t, err)
	return l
}

func TestDevicesAreMadeChangedAndFound(t *testing.T) {
	nstest.Run(t, func(t *testing.T, _ *nstest.Env) {
		must(t, AddVeth("left", "right"))
		must(t, Add("switch", "bridge"))
		must(t, AddMacvlan("above", "left"))
		for name, kind := range map[string]string{"left": "veth", "right": "veth", "switch": "bridge", "above": "macvlan", "lo": ""} {
			if l := find(t, name); l.Kind != kind || l.Up != (name == "lo") {
				t.Errorf("%s is %+v", name, l)
			}
		}
		must(t, Up("left"))
		must(t, UpIndex(find(t, "right").Index))
		if l := find(t, "right"); !l.Up || !l.Carrier {
			t.Errorf("set up, it is %+v", l)
		}
		must(t, Down("left"))
		if find(t, "left").Up {
			t.Error("set down, it is up")
		}
		must(t, SetMaster("right", "switch"))
		must(t, AddAddr("switch", netip.MustParsePrefix("198.51.100.1/24")))
		must(t, AddAddr("switch", netip.MustParsePrefix("fd00:1::1/64")))
		i, err := net.InterfaceByName("switch")
		must(t, err)
		list, err := i.Addrs()
		must(t, err)
		if !slices.ContainsFunc(list, func(a net.Addr) bool { return a.String() == "198.51.100.1/24" }) ||
			!slices.ContainsFunc(list, func(a net.Addr) bool { return a.String() == "fd00:1::1/64" }) {
			t.Errorf("addresses %v", list)
		}
		must(t, Delete("left"))
		for _, gone := range []string{"left", "right", "above"} {
			if _, err := Find(gone); !errors.Is(err, unix.ENODEV) {
				t.Errorf("%s: %v", gone, err)
			}
		}
	})
}

func TestErrorsAreErrnos(t *testing.T) {
	nstest.Run(t, func(t *testing.T, _ *nstest.Env) {
		must(t, Add("switch", "bridge"))
		for what, c := range map[string]struct{ got, want error }{
			"a name that is taken":    {Add("switch", "bridge"), unix.EEXIST},
			"no such kind":            {Add("other", "nonsense"), unix.EOPNOTSUPP},
			"no such device":          {Up("other"), unix.ENODEV},
			"no such device, address": {AddAddr("other", netip.MustParsePrefix("198.51.100.1/24")), unix.ENODEV},
			"no such device below":    {AddMacvlan("above", "other"), unix.ENODEV},
			"no such bridge":          {SetMaster("switch", "other"), unix.ENODEV},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %v, not %v", what, c.got, c.want)
			}
		}
	})
}

func TestAWatchHearsEventsInOrder(t *testing.T) {
	nstest.Run(t, func(t *testing.T, _ *nstest.Env) {
		w, err := NewWatch()
		must(t, err)
		defer func() { must(t, w.Close()) }()
		must(t, Add("first", "bridge"))
		must(t, Delete("first"))
		must(t, Add("second", "bridge"))
		events, err := w.Until(t.Context(), "second")
		must(t, err)
		var got []string
		for _, e := range events {
			if s := e.String(); len(got) == 0 || got[len(got)-1] != s {
				got = append(got, s)
			}
		}
		if want := []string{"RTM_NEWLINK first", "RTM_DELLINK first", "RTM_NEWLINK second"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
