package nstest

import (
	"context"
	"io"
	"slices"

	"github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest/internal/ginkgo/specs"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// RunSpecs is ginkgo.RunSpecs with every spec in an environment of its own: same arguments, flags, reports and exit
// status. A suite needs no other change:
//
//	func TestShop(t *testing.T) {
//		RegisterFailHandler(Fail)
//		nstest.RunSpecs(t, "Shop")
//	}
//
// Each spec, with its BeforeEach, AfterEach and DeferCleanup nodes and all its goroutines and child processes, runs in a
// process of its own that is inside the environment: Current. The specs of an Ordered container share one. A repeated
// attempt at a spec (FlakeAttempts, MustPassRepeatedly) gets a new one.
//
// The process is the test binary again, so that package variables, init functions, TestMain and the bodies of containers
// run there too, and what they print there is left out. The tree of specs must be built the same way each time. Nothing
// that a spec does to package variables is seen by another one. What has to be done once for all belongs into the first
// function of SynchronizedBeforeSuite, which runs in the suite's own process and whose bytes every spec gets, or into a
// BeforeSuite decorated with InProcess. Temporary files that these make in os.TempDir, such as programs that
// gexec.Build has built, can be seen by each spec, as they were when its environment was made. A plain BeforeSuite runs
// in each spec's process, and AfterSuite with it. ReportBeforeEach, ReportAfterEach, ReportBeforeSuite and
// ReportAfterSuite run in the suite's own process.
//
// What differs from ginkgo.RunSpecs:
//   - In a progress report the goroutines are those of the suite's process. The spec's own follow as an additional report,
//     together with what the spec's reporters say, because Ginkgo takes no others, and with a summary of its environment: State.
//   - GetRawValue of a report entry is not the value that AddReportEntry was given, which is in another process. Its JSON
//     and its representation are the same.
//   - CurrentSpecReport, as a spec sees it, has what the spec's own process has: this attempt, and not those before it, nor
//     what reporting nodes have added.
//   - A spec whose process dies fails, with the exit status and the last output, and the suite goes on. That is so too
//     where Ginkgo ends the program, as for DeferCleanup in a clean-up.
//   - SIGINT and SIGTERM interrupt a suite if they are for the suite's process. For the spec's they are as for any program.
//   - What a spec prints while none of its nodes runs is left out.
//   - Where a plain BeforeSuite has taken more than a second in all specs' processes together, a note at the end says so.
//   - In a suite without BeforeSuite, the start of the first spec's process counts for that spec's timeouts.
//   - In a spec's process a goroutine of ours waits for the suite's, and another one beside a node that takes a context. Who
//     looks for leaked goroutines (gleak, goleak) needs a snapshot from before, taken in a node without a context.
//
// With NSTEST_KEEP=DIR in the environment a report entry "nstest bundle" of each spec that fails names a directory that
// tells what happened: see the package's documentation. In system-out of a report for JUnit its files are named as Jenkins and
// GitLab want attachments to be: "[[ATTACHMENT|/path/topology.svg]]".
//
// With NSTEST_HOLD=1 a spec that fails waits, before anything is cleaned up and after what DeferOnFailure has registered, and
// says on the terminal how to look at its environment: by the command nstest. It goes on after Enter there, SIGINT, which
// interrupts the suite too, or Release. So does a suite node that fails in an environment, such as BeforeSuite. With
// --sleep-on-failure Ginkgo waits, and the same is said. What is waited is none of a node's time, except for AfterSuite's, but
// counts for SpecTimeout, for the suite's --timeout and for -timeout.
//
// NSTEST_INPROCESS=1 runs all specs in the suite's process, for a debugger: see Current. NSTEST_SPARES=0 does without the
// spare process that is otherwise prepared while a spec runs, so that the next one starts sooner. Where it is known which container
// that spec will be in, the spare has run the bodies of this one and those around it before it starts.
//
// It needs what Open needs; a suite under ginkgo.RunSpecs is not changed by importing nstest.
func RunSpecs(t ginkgo.GinkgoTestingT, description string, args ...any) bool {
	if inProcess() {
		return ginkgo.RunSpecs(t, description, specs.ForAll(args)...)
	}
	return specs.Run(t, launchSpec, description, args...)
}

// A Decorator is for nodes of a suite that is run by RunSpecs; as an argument of RunSpecs it is for all specs. In a suite
// under ginkgo.RunSpecs it means nothing. An Entry of a table takes it for a parameter: decorate the table.
type Decorator = specs.Decorator

// InProcess keeps a container, a spec or a suite node in the suite's own process. A suite that has such specs runs
// BeforeSuite there too.
var InProcess = specs.InProcess

// With says what the environment of a container or spec is like; the innermost one counts. In an Ordered container,
// whose specs share one, it decorates the outermost. With NSTEST_INPROCESS=1 it is ignored.
func With(cfg Config) Decorator { return specs.With(&cfg) }

// launchSpec is a specs.Launcher.
func launchSpec(config any, name string, awaited bool, visible []string, stdout, stderr io.Writer, args ...string) (*twin.Twin, error) {
	var cfg Config
	if c, ok := config.(*Config); ok {
		cfg = *c
	}
	if cfg.Name == "" {
		cfg.Name = name
	}
	cfg.Visible = append(slices.Clip(cfg.Visible), visible...)
	return startTwin(context.Background(), "spec", awaited, cfg, func(env *Env, rec *recording) twin.Plan {
		return twin.Plan{Work: specs.Work, Args: args, Stdout: stdout, Stderr: stderr, Collect: rec.collect, Describe: env.describe}
	})
}
