package specs

import (
	"bufio"
	"bytes"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A cue is a signal for the suite's process once the text has a line that contains something.
type cue struct {
	line   string
	signal syscall.Signal
}

// Signals are for the suite's process, and reach the specs as Ginkgo hands them on.
func TestSignals(t *testing.T) {
	const report, interrupt = syscall.SIGUSR1, syscall.SIGINT
	for name, test := range map[string]struct {
		scene string
		cues  []cue
		says  []string
	}{
		"interrupt":        {"waiting", []cue{{"now waiting", interrupt}}, []string{"Interrupted by User", "cleaned up", "First interrupt received"}},
		"interrupt twice":  {"stuck", []cue{{"now waiting", interrupt}, {"now cleaning up", interrupt}}, []string{"Interrupted by User", "Second interrupt received"}},
		"progress report":  {"waiting", []cue{{"now waiting", report}, {"requested a progress report", interrupt}}, []string{"requested a progress report"}},
		"progress of twin": {"waiting", []cue{{"now waiting", report}, {"timeout_test.go:", interrupt}}, []string{"At [By Step] waiting"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := signalled(t, []string{native, "GOLDEN_SCENE=" + test.scene}, test.cues)
			got := signalled(t, []string{"GOLDEN_SCENE=" + test.scene}, test.cues)
			for _, text := range test.says {
				if !strings.Contains(want.text, text) {
					t.Errorf("the native run does not say %q:\n%s", text, want.text)
				}
				if !strings.Contains(got.text, text) {
					t.Errorf("it does not say %q:\n%s", text, got.text)
				}
			}
			for _, text := range []string{"In the spec's process:", "In the spec's environment:", "1 host, "} {
				if !strings.Contains(got.text, text) {
					t.Errorf("it does not say %q of where the spec is:\n%s", text, got.text)
				}
			}
			compare(t, got, want, true)
		})
	}
}

// signalled runs the suite and sends it signals on cue.
func signalled(t *testing.T, env []string, cues []cue) outcome {
	t.Helper()
	json := filepath.Join(t.TempDir(), "report.json")
	cmd := golden.Command(t, env, "-test.timeout=1m", "-ginkgo.no-color", "-ginkgo.seed=7", "-ginkgo.v", "-ginkgo.label-filter=waiting", "-ginkgo.grace-period=3s", "-ginkgo.json-report="+json)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if len(cues) > 0 && strings.Contains(lines.Text(), cues[0].line) {
			if err := cmd.Process.Signal(cues[0].signal); err != nil {
				t.Error(err)
			}
			cues = cues[1:]
		}
	}
	_ = cmd.Wait() // its exit status is part of the outcome
	if len(cues) > 0 {
		t.Errorf("%q was never said:\n%s", cues[0].line, text.String())
	}
	return outcome{text: text.String(), code: cmd.ProcessState.ExitCode(), report: readReport(t, json)}
}
