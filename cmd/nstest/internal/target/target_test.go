package target

import (
	"os"
	"reflect"
	"testing"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/report"
	"github.com/hermetic-go/nstest/suites/property"
)

func TestNamespacesOfTheMachine(t *testing.T) {
	for _, test := range []struct {
		kind        string
		inode       uint64
		netSettings answer
		want        answer
	}{
		{"user", 4026531837, unclear, yes},
		{"user", 4026532600, unclear, no},
		{"time", 4026531834, unclear, yes},
		{"net", 4026531833, unclear, yes},
		{"net", 4026531840, yes, yes}, // before Linux 6.18
		{"net", 4026532600, no, no},
		{"net", 4026532600, unclear, unclear},
		{"mnt", 4026531832, unclear, yes},
		{"mnt", 4026531841, unclear, yes}, // before Linux 6.18
		{"mnt", 4026532600, unclear, no},
		{"ipc", 0, unclear, unclear}, // a kernel without
	} {
		s := &sight{namespaces: map[string]uint64{}, netSettings: test.netSettings}
		if test.inode != 0 {
			s.namespaces[test.kind] = test.inode
		}
		if got := s.initial(test.kind); got != test.want {
			t.Errorf("%s:[%d] is the first one: %d, want %d", test.kind, test.inode, got, test.want)
		}
	}
}

func TestMounts(t *testing.T) {
	got := mountsOf([]string{
		`36 35 98:0 /mnt1 /mnt\0402 rw,noatime shared:7 master:1 - ext3 /dev/root ro,errors=continue`,
		`37 35 0:3 / /proc rw - proc proc rw`,
		`junk`,
	})
	want := []mount{
		{root: "/mnt1", point: "/mnt 2", readOnly: true, propagation: []string{"shared:7", "master:1"}, kind: "ext3", options: "ro,errors=continue"},
		{root: "/", point: "/proc", propagation: []string{}, kind: "proc", options: "rw"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("mounts %+v\nwant %+v", got, want)
	}
}

func TestCapabilitiesReachAsFarAsTheUserNamespace(t *testing.T) {
	machine, own := uint64(4026531837), uint64(4026532600)
	for _, test := range []struct {
		user uint64
		set  []string
		want report.State
	}{
		{machine, []string{"ALL"}, report.Fail},
		{machine, []string{"CHOWN", "NET_BIND_SERVICE", "SETUID"}, report.Pass},
		{machine, nil, report.Pass},
		{own, []string{"ALL"}, report.Pass},
	} {
		s := &sight{namespaces: map[string]uint64{"user": test.user}, status: map[string]string{"Name": "test"}}
		var f finding
		if s.reaches(&f, look.ParseCaps(test.set)); f.state != test.want {
			t.Errorf("%v in user:[%d]: %s (%s), want %s", test.set, test.user, f.state, f.reason, test.want)
		}
	}
}

// Every check has a name of its own, and an answer with evidence or a reason. Nothing is written.
func TestLook(t *testing.T) {
	ids := map[string]bool{"": true}
	for _, p := range property.All() {
		ids[p.ID] = true
	}
	seen := map[string]bool{}
	for _, p := range Look("").Properties {
		if seen[p.Check] || p.Check == "" || p.Text == "" || !ids[p.ID] {
			t.Errorf("%+v: the name or the text is missing, the name is another one's, or the id is not in properties.tsv", p)
		}
		seen[p.Check] = true
		if p.State != report.Pass && p.Reason == "" || p.State == report.Pass && len(p.Evidence.Seen) == 0 {
			t.Errorf("%s is %s for no reason", p.Check, p.State)
		}
	}
}

func TestWhereThereIsNoProcNothingIsClaimed(t *testing.T) {
	s := &sight{namespaces: map[string]uint64{}, status: map[string]string{}, pid: os.Getpid()}
	for _, list := range [][]check{namespaces, limits[:1]} {
		for _, c := range list {
			if c.name == "ids" { // looks itself
				continue
			}
			if p := c.ask(s); p.State != report.Skipped {
				t.Errorf("%s is %s (%s)", c.name, p.State, p.Reason)
			}
		}
	}
	for _, c := range rights[:2] {
		if p := c.ask(s); p.State != report.Skipped {
			t.Errorf("%s is %s (%s)", c.name, p.State, p.Reason)
		}
	}
}
