package specs

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"github.com/onsi/ginkgo/v2/reporters"
	"github.com/onsi/ginkgo/v2/types"
)

// insides are the parts of a running Ginkgo suite that its public interface does not reach: the outcome of the running
// node, which can be neither read nor set with a location of somebody else's; steps with such a location; and the
// clean-ups that were registered. They are found by name and type, and each is checked.
type insides struct {
	suite     unsafe.Pointer
	lock      *sync.Mutex
	report    *types.SpecReport
	step      *types.SpecEvent
	process1  *bool // SynchronizedBeforeSuite is at its function for process 1
	moment    *int  // the number of the last event
	reporter  *reporters.Reporter
	failer    failer
	outcome   *types.SpecState // the failer's
	failure   *types.Failure
	failLock  **sync.Mutex
	writer    writerBuffer
	node      reflect.Value // the running one
	cleanups  reflect.Value
	onFailure reflect.Value
	handler   interruptHandler
	signals   interface{ Stop() } // what makes an interrupt of a signal
	layout    *layout
	stats     *types.PreRunStats
}

// failer holds the outcome of the running node.
type failer interface {
	Fail(message string, location types.CodeLocation)
	Panic(location types.CodeLocation, value any)
	Drain() (types.SpecState, types.Failure)
}

// writerBuffer is what the GinkgoWriter has for the running attempt.
type writerBuffer interface {
	Len() int
	Bytes() []byte
}

var found struct {
	sync.Mutex
	*insides
}

// inside finds the suite that the context of a node belongs to.
func inside(ctx context.Context) (in *insides, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("%v", e)
		}
		if err != nil {
			err = fmt.Errorf("nstest does not know this version of Ginkgo: %w\n"+
				"Use a newer nstest or an older Ginkgo, or set NSTEST_INPROCESS=1 to run the suite in its own process", err)
		}
	}()
	sc := reflect.ValueOf(ctx.Value("GINKGO_SPEC_CONTEXT"))
	if sc.Kind() != reflect.Pointer {
		return nil, errors.New("the context of a node is none of Ginkgo's")
	}
	pointer := field(sc.Elem(), "suite")
	found.Lock()
	defer found.Unlock()
	if found.insides != nil && found.suite == pointer.UnsafePointer() {
		return found.insides, nil
	}
	suite := pointer.Elem()
	in = &insides{
		suite:     pointer.UnsafePointer(),
		node:      field(suite, "currentNode"),
		cleanups:  field(suite, "cleanupNodes"),
		onFailure: field(suite, "onFailureNodes"),
		layout:    layoutOf(suite),
	}
	fail := field(suite, "failer")
	in.stats = &as[*types.Report](field(suite, "report").Addr()).PreRunStats
	in.failer = as[failer](fail)
	in.writer = as[writerBuffer](field(suite, "writer"))
	in.lock = as[*sync.Mutex](field(suite, "selectiveLock"))
	in.report = as[*types.SpecReport](field(suite, "currentSpecReport").Addr())
	in.step = as[*types.SpecEvent](field(suite, "currentByStep").Addr())
	in.process1 = as[*bool](field(suite, "runningSynchronizedBeforeSuiteProc1Body").Addr())
	in.moment = as[*int](field(suite, "timelineOrder").Addr())
	in.reporter = as[*reporters.Reporter](field(suite, "reporter").Addr())
	in.signals = as[interface{ Stop() }](field(suite, "interruptHandler"))
	in.outcome = as[*types.SpecState](field(fail.Elem(), "state").Addr())
	in.failure = as[*types.Failure](field(fail.Elem(), "failure").Addr())
	in.failLock = as[**sync.Mutex](field(fail.Elem(), "lock").Addr())
	handler := field(suite, "interruptHandler").Elem().Elem()
	in.handler = interruptHandler{
		lock: as[*sync.Mutex](field(handler, "lock")), changed: as[*chan any](field(handler, "c").Addr()),
		level: field(handler, "level"), cause: field(handler, "cause"),
	}
	for _, list := range []reflect.Value{in.cleanups, in.onFailure} {
		if list.Kind() != reflect.Slice {
			return nil, fmt.Errorf("nodes are a %s", list.Type())
		}
	}
	number(in.node)
	readDeferred(reflect.New(in.cleanups.Type().Elem()).Elem(), false) // panics if a field is missing
	found.insides = in
	return in, nil
}

// field is a field, exported or not.
func field(v reflect.Value, name string) reflect.Value {
	f := v.FieldByName(name)
	if !f.IsValid() {
		panic(fmt.Sprintf("%s has no %s", v.Type(), name))
	}
	if f.CanInterface() {
		return f
	}
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}

func as[T any](v reflect.Value) T {
	t, ok := v.Interface().(T)
	if !ok {
		panic(fmt.Sprintf("a %s is not a %s", v.Type(), reflect.TypeFor[T]()))
	}
	return t
}

// running is the number of the running node, its type and its location.
func (in *insides) running() (uint64, types.NodeType, types.CodeLocation) {
	in.lock.Lock()
	defer in.lock.Unlock()
	return number(in.node), as[types.NodeType](field(in.node, "NodeType")), as[types.CodeLocation](field(in.node, "CodeLocation"))
}

// takesContext reports whether the running node does, and so can be cancelled.
func (in *insides) takesContext() bool {
	in.lock.Lock()
	defer in.lock.Unlock()
	return field(in.node, "HasContext").Bool()
}

func number(n reflect.Value) uint64 { return field(n, "ID").Uint() }

// set makes the outcome of the running node what it was in another process.
func (in *insides) set(state types.SpecState, f types.Failure) {
	(*in.failLock).Lock()
	defer (*in.failLock).Unlock()
	if *in.outcome == types.SpecStatePassed {
		*in.outcome, *in.failure = state, types.Failure{Message: f.Message, Location: f.Location, ForwardedPanic: f.ForwardedPanic}
	}
}

// emit is what By does, for a step that was taken in another process.
func (in *insides) emit(e types.SpecEvent) {
	in.lock.Lock()
	*in.moment++
	e.TimelineLocation = types.TimelineLocation{
		Offset: len(in.report.CapturedGinkgoWriterOutput) + in.writer.Len(), Order: *in.moment, Time: time.Now(),
	}
	in.report.SpecEvents = append(in.report.SpecEvents, e)
	switch e.SpecEventType {
	case types.SpecEventByStart:
		*in.step = e
	case types.SpecEventByEnd:
		*in.step = types.SpecEvent{}
	}
	in.lock.Unlock()
	(*in.reporter).EmitSpecEvent(e)
}

// capture adds to what the spec has printed, which becomes system-out in a report for JUnit, and is on no console but that of
// parallel processes.
func (in *insides) capture(text string) {
	in.lock.Lock()
	defer in.lock.Unlock()
	in.report.CapturedStdOutErr += text
}

// identify makes the report of the current spec say what the original's does.
func (in *insides) identify(process, total, attempt int) {
	in.lock.Lock()
	defer in.lock.Unlock()
	in.report.ParallelProcess, in.report.RunningInParallel = process, total > 1
	if attempt > 0 {
		in.report.NumAttempts = attempt
	}
}

// registered are the clean-ups and the callbacks for failures with a number above last. From now on they have no
// timeouts: those are for the original to keep.
func (in *insides) registered(last uint64) (list []deferred, newest uint64) {
	in.lock.Lock()
	defer in.lock.Unlock()
	newest = last
	for i, nodes := range []reflect.Value{in.cleanups, in.onFailure} {
		for j := range nodes.Len() {
			n := nodes.Index(j)
			if number(n) <= last {
				continue
			}
			newest = max(newest, number(n))
			list = append(list, readDeferred(n, i == 1))
			field(n, "NodeTimeout").SetInt(0)
			field(n, "PollProgressAfter").SetInt(0)
		}
	}
	return list, newest
}

func readDeferred(n reflect.Value, onFailure bool) deferred {
	duration := func(name string) time.Duration { return as[time.Duration](field(n, name)) }
	return deferred{
		Node: deferredID(number(n)), OnFailure: onFailure, Location: as[types.CodeLocation](field(n, "CodeLocation")), HasContext: field(n, "HasContext").Bool(),
		Timeout: duration("NodeTimeout"), GracePeriod: duration("GracePeriod"),
		ProgressAfter: duration("PollProgressAfter"), ProgressInterval: duration("PollProgressInterval"),
	}
}

func deferredID(number uint64) string { return "+" + strconv.FormatUint(number, 10) }

// interruptHandler is where Ginkgo learns of signals.
type interruptHandler struct {
	lock         *sync.Mutex
	changed      *chan any
	level, cause reflect.Value
}

// interrupt has Ginkgo go on without the running node, as the first signal does.
func (in *insides) interrupt() {
	h := in.handler
	h.lock.Lock()
	defer h.lock.Unlock()
	h.level.SetUint(firstInterrupt)
	h.cause.SetUint(bySignal)
	close(*h.changed)
	*h.changed = make(chan any)
}

// Ginkgo's InterruptLevelCleanupAndReport and InterruptCauseSignal.
const firstInterrupt, bySignal = 1, 1

// amend makes the outcome of the node before, for which Ginkgo was interrupted, the original's, and calls off the
// interrupt: what else runs is the original's to decide.
func (in *insides) amend(state types.SpecState, message string) {
	in.handler.lock.Lock()
	in.handler.level.SetUint(0)
	in.handler.lock.Unlock()
	in.lock.Lock()
	defer in.lock.Unlock()
	in.report.State, in.report.Failure.Message = state, message
}
