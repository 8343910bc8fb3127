// Package probe finds out what the machine can do: for the command `nstest doctor`, and after a failure for the error that
// says why. A probe tries the thing itself where it can do so without leaving anything behind, and reads what the kernel
// tells elsewhere. Nothing outlives a probe: whatever is made is made in namespaces of a thread or a child that ends.
// Modules that the kernel loads on first use stay loaded, as they would after the first environment.
package probe

import (
	"context"
	"errors"
	"sync"
)

// probe is one question to the machine.
type probe struct {
	name, title string
	required    bool
	cost        string // what a user loses without it

	// look answers nil with what was seen, an *Absent, or another error when it could not tell.
	look func(m *machine, t Trials) (detail string, err error)

	mu    sync.Mutex
	known bool // err is a fact: nil or an *Absent
	err   error
}

// have looks at the machine itself, once unless the answer was that it could not tell.
func (p *probe) have() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		return p.err
	}
	m := live()
	_, err := p.look(m, m.trials())
	var absent *Absent
	if err == nil || errors.As(err, &absent) {
		p.known, p.err = true, err
	}
	return err
}

func (p *probe) finding(m *machine, t Trials) Finding {
	f := Finding{Name: p.name, Title: p.title, Required: p.required, Status: OK}
	detail, err := p.look(m, t)
	var absent *Absent
	switch {
	case err == nil:
		f.Detail = detail
	case errors.As(err, &absent):
		f.Status, f.Detail, f.Cost, f.Remedy = absent.status(), absent.Cause.Error(), p.cost, absent.Remedy
	default:
		f.Status, f.Detail, f.Cost = Unknown, err.Error(), p.cost
	}
	return f
}

// probes are all of them, in the order of the report.
func probes() []*probe {
	var all []*probe
	for _, group := range [][]*probe{namespaceProbes, obstacleProbes, idProbes, mountProbes, networkProbes, kernelProbes, limitProbes} {
		all = append(all, group...)
	}
	return all
}

// Run asks everything. trials makes what has to be made inside an environment; nil means with capabilities on threads in
// private namespaces, and for an ordinary user what the kernel's configuration tells. Once ctx is done the remaining
// findings are unknown.
func Run(ctx context.Context, trials Trials) Report {
	m := live()
	if trials == nil {
		trials = m.trials()
	}
	return m.run(ctx, trials)
}

func (m *machine) run(ctx context.Context, trials Trials) Report {
	r := report(m)
	for _, p := range probes() {
		if err := ctx.Err(); err != nil {
			r.Findings = append(r.Findings, Finding{
				Name: p.name, Title: p.title, Required: p.required, Status: Unknown, Detail: "not asked: " + err.Error(), Cost: p.cost,
			})
			continue
		}
		r.Findings = append(r.Findings, p.finding(m, trials))
	}
	return r
}
