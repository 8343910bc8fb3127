package specs

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/suites/internal/testprogram"
)

var refused = testprogram.New("testdata/refused")

// A suite that cannot be run inside is refused by an error that says where, and what to do. No spec runs as another one.
func TestRefusals(t *testing.T) {
	const unlike = `the tree of specs is not built the same way each time: `
	for name, test := range map[string]struct {
		says   string // a pattern
		passed string
	}{
		"order in a container":            {unlike + `in Container "container" at \S+:\d+, node 1 is It "number \d+" .* in the suite's process and It "number \d+"`, "2 Passed | 20 Failed"},
		"order of containers":             {unlike + `in Container "container" at \S+:\d+, node 1 is Container "number \d+"`, "2 Passed | 20 Failed"},
		"order at the top":                {unlike + `at the top level, node 3 is It "number \d+"`, "0 Passed | 22 Failed"},
		"order in an Ordered container":   {unlike + `in Container "container"`, "2 Passed | 1 Failed"},
		"number of nodes":                 {unlike + `in Container "container" .*, node 1 is It "is there" .* and It "is there always"`, "2 Passed | 2 Failed"},
		"InProcess on BeforeEach":         {`BeforeEach at \S+:\d+: nstest.InProcess is for .* decorate the spec or its container`, ""},
		"With on AfterEach":               {`AfterEach at \S+:\d+: nstest.With is for .* decorate the spec or its container`, ""},
		"With in an Ordered container":    {`It at \S+:\d+: nstest.With is inside an Ordered container.* decorate the outermost`, ""},
		"With twice":                      {`It at \S+:\d+: nstest.With is there twice`, ""},
		"With in process":                 {`It at \S+:\d+: nstest.With is for what runs in an environment`, ""},
		"InProcess on a report":           {`ReportAfterEach at \S+:\d+: nstest.InProcess means nothing for reports.* leave it out`, ""},
		"With on BeforeSuite in process":  {`BeforeSuite at \S+:\d+: nstest.With is for what runs in an environment`, ""},
		"nothing, so that it can succeed": {`Ran 2 of 2 Specs`, "2 Passed | 0 Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, code := refused.Run(t, []string{"REFUSED=" + name}, "-ginkgo.no-color", "-test.timeout=1m")
			if !regexp.MustCompile(test.says).MatchString(text) || !strings.Contains(text, test.passed) || (code == 0) != (name == "nothing, so that it can succeed") {
				t.Errorf("exit status %d, want %q and %q:\n%s", code, test.says, test.passed, text)
			}
			for _, ran := range regexp.MustCompile(`(?m)^RAN (.*)$`).FindAllStringSubmatch(text, -1) {
				if own, full, _ := strings.Cut(ran[1], " as "); !strings.Contains(full+" ", own+" ") {
					t.Errorf("one spec ran as another: %s", ran[1])
				}
			}
		})
	}
}

// A suite need not be a test: it may be in a program that has flags of its own.
func TestProgram(t *testing.T) {
	path := scratch() + "/program"
	testprogram.Go(t, "testdata/program", nil, "build", "-buildvcs=false", "-o", path, ".")
	cmd := exec.Command(path, "-ginkgo.v", "-ginkgo.no-color", "-name=you", "extra")
	cmd.Dir = "testdata/program"
	out, _ := cmd.CombinedOutput() // its exit status is part of the outcome
	text, code := string(out), cmd.ProcessState.ExitCode()
	for _, want := range []string{"  hello you\n", "2 Passed | 1 Failed", `["extra"]`, "passed: false failed: true arguments: [extra]"} {
		if !strings.Contains(text, want) || code != 17 {
			t.Errorf("exit status %d, want 17 and %q:\n%s", code, want, text)
		}
	}
}
