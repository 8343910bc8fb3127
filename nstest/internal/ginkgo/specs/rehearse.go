package specs

import (
	"encoding/json"
	"os"
	"os/signal"
	"sync"

	"github.com/onsi/ginkgo/v2/types"
	"golang.org/x/sys/unix"
)

// rehearse is for a twin that waits for its job: what is slow for the first time in a process is done for the first time
// now. Nothing comes of it that the program could see.
var rehearse = sync.OnceFunc(func() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1) // Ginkgo's signal, for which there is a thread from now on
	signal.Stop(signals)
	for _, e := range []event{
		{At: &place{Node: "0.0", Spec: "0.0"}},
		{Result: &result{State: types.SpecStatePassed}},
		{Over: true},
	} {
		_, _ = json.Marshal(e)
	}
	for _, o := range []order{
		{Job: &job{Unit: "0.0", Enter: map[string]uint64{"": 0}, Layout: &layout{}}},
		{Go: &goOn{Node: "0.0"}},
	} {
		data, _ := json.Marshal(o)
		_ = json.Unmarshal(data, &o)
	}
})
