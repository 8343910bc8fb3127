package public

// catalogue are the modules. A suite that the kernel or the machine lets down, for lack of a driver or a program, fails
// in both runs alike; so it is in here too.
var catalogue = []module{
	{
		path: "github.com/containernetworking/plugins", version: "v1.9.1",
		programs: "./plugins/...",
		suites: []suite{
			{pkg: "pkg/ns", root: true},
			{pkg: "pkg/ip", root: true},
			{pkg: "pkg/ipam", root: true},
			{pkg: "pkg/link", root: true},
			{pkg: "pkg/testutils/echo"},
			{pkg: "pkg/utils", root: true},
			{pkg: "pkg/utils/sysctl", root: true},
			{pkg: "plugins/ipam/host-local", root: true},
			{pkg: "plugins/ipam/host-local/backend/allocator"},
			{pkg: "plugins/ipam/host-local/backend/disk"},
			{pkg: "plugins/ipam/static"},
			{pkg: "plugins/main/bridge", root: true},
			{pkg: "plugins/main/host-device", root: true},
			{pkg: "plugins/main/ipvlan", root: true},
			{pkg: "plugins/main/loopback", root: true},
			{pkg: "plugins/main/macvlan", root: true},
			{pkg: "plugins/main/ptp", root: true},
			{pkg: "plugins/main/tap", root: true, with: `nstest.With(nstest.Config{Devices: []string{"/dev/net/tun"}})`},
			{pkg: "plugins/main/vlan", root: true},
			{pkg: "plugins/meta/bandwidth", root: true},
			{pkg: "plugins/meta/firewall", root: true},
			{pkg: "plugins/meta/portmap", root: true},
			{pkg: "plugins/meta/sbr", root: true},
			{pkg: "plugins/meta/tuning", root: true},
			{pkg: "plugins/meta/vrf", root: true},
			{pkg: "plugins/sample", root: true},
			{pkg: "integration", root: true},
		},
	},
	{
		path: "github.com/containernetworking/cni", version: "v1.3.1",
		suites: []suite{
			{pkg: "libcni"},
			{pkg: "pkg/invoke"},
			{pkg: "pkg/skel"},
			{pkg: "pkg/types"},
			{pkg: "pkg/types/020"},
			{pkg: "pkg/types/040"},
			{pkg: "pkg/types/100"},
			{pkg: "pkg/version"},
			{pkg: "plugins/test/noop"},
		},
	},
	{
		// The last release that has its tests in it.
		path: "github.com/onsi/gomega", version: "v1.38.3",
		suites: []suite{
			{pkg: "format"},
			{pkg: "gbytes"},
			{pkg: "gcustom"},
			{pkg: "gexec"},
			{pkg: "ghttp"},
			{pkg: "gleak", differs: goroutines},
			{pkg: "gleak/goroutine"},
			{pkg: "gmeasure", unsteady: durations},
			{pkg: "gstruct"},
			{pkg: "internal"},
			{pkg: "matchers"},
			{pkg: "matchers/internal/miter"},
			{pkg: "matchers/support/goraph/bipartitegraph"},
		},
	},
	{
		path: "github.com/onsi/ginkgo/v2", version: "v2.34.0",
		suites: []suite{
			{pkg: "dsl"},
			{pkg: "formatter"},
			{pkg: "ginkgo/command"},
			{pkg: "ginkgo/internal"},
			{pkg: "ginkgo/outline"},
			{pkg: "internal"},
			{pkg: "internal/internal_integration"},
			{pkg: "internal/interrupt_handler"},
			{pkg: "internal/parallel_support"},
			{pkg: "internal/testingtproxy"},
			{pkg: "reporters"},
			{pkg: "scripts/release"},
			{pkg: "types"},
		},
	},
	{
		path: "sigs.k8s.io/controller-runtime", version: "v0.25.2",
		suites: []suite{ // those that need no API server
			{pkg: "pkg/certwatcher"},
			{pkg: "pkg/client/config"},
			{pkg: "pkg/client/interceptor"},
			{pkg: "pkg/controller/priorityqueue"},
			{pkg: "pkg/finalizer"},
			{pkg: "pkg/healthz"},
			{pkg: "pkg/internal/source"},
			{pkg: "pkg/internal/testing/addr"},
			{pkg: "pkg/internal/testing/certs"},
			{pkg: "pkg/internal/testing/process"},
			{pkg: "pkg/log"},
			{pkg: "pkg/log/zap"},
			{pkg: "pkg/manager/signals"},
			{pkg: "pkg/metrics/server"},
			{pkg: "pkg/webhook/admission"},
		},
	},
}

// goroutines are gleak's own specs that take all goroutines for leaks but those of Ginkgo itself. In a spec's process one
// of nstest's waits for the suite's process.
var goroutines = reasons("it counts nstest's goroutine",
	"HaveLeaked considers testing and runtime goroutines not to be leaks",
	"HaveLeaked when using signals doesn't find leaks",
)

// durations are specs that measure some milliseconds, which take longer on a busy machine.
var durations = reasons("it measures milliseconds",
	"Experiment Recording Durations MeasureDuration measure the duration of the passed-in function",
	"Experiment Recording Durations SampleAnnotatedDuration samples the passed-in function according to SampleConfig and records the measured durations and returned annotations",
	"Experiment Recording Durations SampleDuration samples the passed-in function according to SampleConfig and records the measured durations",
	"Experiment Sampling can cap the maximum sample time",
	"Experiment Sampling can ensure a minimum interval between samples",
	"Experiment Sampling can run samples in parallel",
	"Experiment Stopwatch Support can generate a new stopwatch tied to the experiment",
	"Stopwatch records durations",
)

// reasons is one reason for many specs.
func reasons(reason string, specs ...string) map[string]string {
	differs := map[string]string{}
	for _, s := range specs {
		differs[s] = reason
	}
	return differs
}
