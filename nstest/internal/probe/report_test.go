package probe

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

func fixedReport() Report {
	return Report{
		Kernel: "6.8.0-45-generic", Arch: "amd64", OS: "Ubuntu 24.04 LTS", Container: "docker", UID: 1000, Mode: Rootless,
		Findings: []Finding{
			{Name: "ns.user", Title: "user namespace", Status: Restricted, Required: true,
				Detail: "clone user namespace: operation not permitted: kernel.apparmor_restrict_unprivileged_userns is 1",
				Cost:   "no environment: its uids would be the machine's, and a test that is root inside would be root on the machine",
				Remedy: "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\necho 'kernel.apparmor_restrict_unprivileged_userns = 0' | sudo tee -a /etc/sysctl.d/60-nstest.conf"},
			{Name: "veth", Title: "veth", Status: OK, Required: true, Detail: "a cable for every host"},
			{Name: "overlay", Title: "overlayfs", Status: Unknown, Required: true, Detail: "not tried"},
			{Name: "netem", Title: "netem", Status: Missing, Detail: "CONFIG_NET_SCH_NETEM is not set", Cost: "more CPU time"},
			{Name: "tun", Title: "/dev/net/tun", Status: OK},
		},
	}
}

func TestReportText(t *testing.T) {
	var got bytes.Buffer
	n, err := fixedReport().WriteTo(&got)
	if err != nil || n != int64(got.Len()) {
		t.Fatalf("WriteTo = %d, %v; %d bytes written", n, err, got.Len())
	}
	want, err := os.ReadFile("testdata/report.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestReportOK(t *testing.T) {
	r := fixedReport()
	if r.OK() {
		t.Error("OK with required findings that are not")
	}
	r.Findings = r.Findings[3:]
	if !r.OK() {
		t.Error("not OK, with everything required there")
	}
	var text strings.Builder
	if _, err := r.WriteTo(&text); err != nil || !strings.HasSuffix(text.String(), "\n\nEnvironments can be made here.\n") {
		t.Errorf("verdict: %v, %q", err, text.String())
	}
}

func TestReportJSON(t *testing.T) {
	data, err := json.Marshal(fixedReport())
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, fixedReport()) {
		t.Errorf("read back: %v, %+v", err, back)
	}
	if want := `{"name":"veth","title":"veth","status":"ok","detail":"a cable for every host","required":true}`; !strings.Contains(string(data), want) {
		t.Errorf("%s does not contain %s", data, want)
	}
}
