package nstest

import (
	"os"
	"strconv"
	"sync"

	"github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest/internal/ginkgo/specs"
)

// Current is the environment of the spec that runs, of which the spec's process is the host Self: a connection that the
// spec makes, from any goroutine, is one from there. It ends with the spec.
//
// It can be called from any node that runs in a spec's environment. Elsewhere it panics: in bodies of containers, which
// run when there is no spec yet; in nodes that are InProcess, which have none; and in suites under ginkgo.RunSpecs.
//
// With NSTEST_INPROCESS=1 it is an environment beside the spec, made at the spec's first call as the zero Config says: the
// spec is outside of it, With is ignored, and specs of an Ordered container have one each.
func Current() *Env {
	if inProcess() {
		return beside()
	}
	if !specs.Performing() {
		panic("nstest: Current is called where no hermetic spec runs.\n" +
			"Call it in It, BeforeEach and the like, not in the body of a container; run the suite by nstest.RunSpecs;\n" +
			"and in a node that is InProcess, or in a plain test, use nstest.New")
	}
	env, err := inherited()
	if err != nil {
		panic(err)
	}
	return env
}

// inProcess reports whether specs and tests run in the suite's process, for a debugger.
func inProcess() bool {
	on, _ := strconv.ParseBool(os.Getenv("NSTEST_INPROCESS"))
	return on
}

// besides are the environments of specs that run in the suite's process, by the specs' texts.
var besides = struct {
	sync.Mutex // held while one is made, so that goroutines of a spec get the same
	envs       map[string]*Env
}{envs: map[string]*Env{}}

// beside is an environment for a spec that runs in the suite's process, which is outside of it.
func beside() *Env {
	besides.Lock()
	defer besides.Unlock()
	key := ginkgo.CurrentSpecReport().FullText()
	if env := besides.envs[key]; env != nil {
		return env
	}
	env := New(ginkgo.GinkgoTB(), Config{Name: key})
	besides.envs[key] = env
	ginkgo.DeferCleanup(func() {
		besides.Lock()
		defer besides.Unlock()
		delete(besides.envs, key)
	})
	return env
}
