package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hermetic-go/nstest/nstest"
)

type doctorCommand struct {
	JSON bool `name:"json" help:"Print JSON, for programs."`
}

func (doctorCommand) Help() string {
	return `Everything is tried rather than looked up where that is possible without leaving a trace; at last an environment is opened and closed.

The exit status is 0 if environments can be made here, and 1 otherwise.`
}

// Run prints the diagnosis.
func (c doctorCommand) Run(ctx context.Context, sys *system) error {
	d := nstest.Diagnose(ctx)
	if c.JSON {
		out := json.NewEncoder(sys.Stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		if err := out.Encode(d); err != nil {
			return fmt.Errorf("print diagnosis: %w", err)
		}
	} else if _, err := d.WriteTo(sys.Stdout); err != nil {
		return fmt.Errorf("print diagnosis: %w", err)
	}
	if !d.OK() {
		return exitStatus(1)
	}
	return nil
}
