package specs

import (
	"context"
	"runtime"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// activity is a node that runs.
type activity struct {
	cancel      context.CancelCauseFunc
	cancellable bool
	cancelled   *cancel
	abandoned   chan struct{}
	result      result
}

// run runs a node when the original has come to it.
func (p *performer) run(ctx context.Context, in *insides, here place, body func(context.Context)) {
	ctx, cancelCtx := context.WithCancelCause(ctx)
	defer cancelCtx(nil)
	a := &activity{cancel: cancelCtx, cancellable: in.takesContext(), abandoned: make(chan struct{}), result: result{State: types.SpecStatePassed}}
	p.mu.Lock()
	p.running, p.ending = a, a // from now on it can be cancelled
	p.written = in.writer.Len()
	left := p.left
	p.left = nil
	p.mu.Unlock()
	p.send(event{At: &here})
	ahead := <-p.goAhead
	p.signalsLeft()
	twin.This().SetBundle(ahead.Bundle)
	in.identify(p.job.Process, p.job.Total, ahead.Attempt)
	if left != nil {
		in.amend(left.State, left.Message)
	}
	if a.cancellable {
		p.runBeside(ctx, in, a, body)
	} else {
		p.runHere(ctx, in, a, body)
	}
}

// runBeside runs a node in a goroutine of its own, so that it can be left behind.
func (p *performer) runBeside(ctx context.Context, in *insides, a *activity, body func(context.Context)) {
	done := make(chan struct{})
	go func() {
		finished := false
		defer close(done)
		defer func() {
			if e := recover(); e != nil || !finished {
				in.failer.Panic(types.NewCodeLocationWithStackTrace(2), e)
			}
		}()
		body(ctx)
		finished = true
	}()
	select {
	case <-done:
	case <-a.abandoned:
	}
	p.end(in, a)
	select {
	case <-done:
	default:
		runtime.Goexit() // Ginkgo must not look at what the goroutine left behind may still change
	}
}

// runHere runs a node that takes no context where Ginkgo would: beside it is no goroutine of ours, which a test that looks
// for leaked ones would find. To leave it behind, Ginkgo is interrupted.
func (p *performer) runHere(ctx context.Context, in *insides, a *activity, body func(context.Context)) {
	finished := false
	defer func() {
		p.mu.Lock()
		left, cancelled := p.running != a, a.cancelled != nil
		p.mu.Unlock()
		if left {
			return
		}
		if cancelled {
			if e := recover(); e != nil || !finished {
				in.failer.Panic(types.NewCodeLocationWithStackTrace(2), e)
			}
		}
		p.end(in, a)
	}()
	body(ctx)
	finished = true
}

// end makes the outcome of a node what the original has said, if it has.
func (p *performer) end(in *insides, a *activity) {
	p.mu.Lock()
	p.running = nil
	c := a.cancelled
	p.mu.Unlock()
	if c != nil { // what the node said itself comes after it
		a.result.State, a.result.Failure = in.failer.Drain()
		_, _, location := in.running()
		in.set(c.State, types.Failure{Message: c.Message, Location: location})
	}
}
