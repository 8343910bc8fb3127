package nstest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

func TestDiagnose(t *testing.T) {
	d := nstest.Diagnose(t.Context())
	env, ok := d.Find("environment")
	if !ok || env.Status != nstest.StatusOK || !env.Required || !d.OK() {
		t.Fatalf("this machine can make environments, and the diagnosis says %+v", env)
	}
	// Everything that an environment has shown to work has been tried, for an ordinary user too.
	for _, name := range []string{"mount.proc", "mount.sysfs", "overlay", "bridge", "veth", "nftables", "ns.time"} {
		f, ok := d.Find(name)
		if !ok || f.Status != nstest.StatusOK || strings.Contains(f.Detail, "concluded") {
			t.Errorf("finding %q: %+v", name, f)
		}
	}
	seen := map[string]bool{}
	for _, f := range d.Findings {
		if f.Name == "" || f.Title == "" || seen[f.Name] {
			t.Errorf("finding %+v has no name or title of its own", f)
		}
		seen[f.Name] = true
		if f.Status != nstest.StatusOK && (f.Cost == "" || f.Detail == "") {
			t.Errorf("finding %q does not say what was seen or what it costs: %+v", f.Name, f)
		}
	}
	if _, err := json.Marshal(d); err != nil {
		t.Error(err)
	}
}

func TestDiagnoseCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := nstest.Diagnose(ctx)
	if d.OK() {
		t.Error("nothing was asked, and everything is there")
	}
	for _, f := range d.Findings {
		if f.Status != nstest.StatusUnknown {
			t.Errorf("nothing was asked, and finding %q is %q", f.Name, f.Status)
		}
	}
}
