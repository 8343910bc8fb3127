package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

type lsCommand struct {
	JSON bool `name:"json" help:"Print JSON, for programs."`
}

func (lsCommand) Help() string {
	return `Listed are the environments of this user's programs, and for root those of all users: of suites and tests, of other programs, and of "nstest run" and "nstest shell". The commands enter, capture and release take an environment by its ID, by the beginning of that, by the number of its program, or by its name or a part of that.

AT is the step (Ginkgo's By), node or subtest that a spec or test is at, and for how long. HELD is since when an environment waits for "nstest release", as it does after a failure with NSTEST_HOLD=1. MEMORY is that of the processes inside; of what several share each counts its part.

The exit status is 0, and 1 if a program has not answered.`
}

// Run prints the list.
func (c lsCommand) Run(ctx context.Context, sys *system) error {
	list, silent := nstest.List(ctx)
	show := printListings
	if c.JSON {
		show = printListingsJSON
	}
	if err := show(sys.Stdout, list); err != nil {
		return fmt.Errorf("print list: %w", err)
	}
	if silent != nil {
		sys.warnf("%s", strings.TrimPrefix(silent.Error(), "nstest: "))
		return exitStatus(1)
	}
	return nil
}

func printListingsJSON(w io.Writer, list []nstest.Listing) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(append([]nstest.Listing{}, list...)) // [] rather than null
}

// printListings prints a table, with columns for what is not the same everywhere.
func printListings(w io.Writer, list []nstest.Listing) error {
	if len(list) == 0 {
		return nil
	}
	users, held, positions := false, false, false
	for _, l := range list {
		users = users || l.UID != os.Geteuid()
		held = held || !l.Held.IsZero()
		positions = positions || l.At.Text != ""
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(id, user, age, heldFor, processes, memory, hosts, program, at, name string) {
		cells := []string{id}
		if users {
			cells = append(cells, user)
		}
		cells = append(cells, age)
		if held {
			cells = append(cells, heldFor)
		}
		cells = append(cells, processes, memory, hosts, program)
		if positions {
			cells = append(cells, at)
		}
		fmt.Fprintln(table, strings.Join(append(cells, name), "\t"))
	}
	row("ID", "USER", "AGE", "HELD", "PROCS", "MEMORY", "HOSTS", "PROGRAM", "AT", "NAME")
	for _, l := range list {
		heldFor := ""
		if !l.Held.IsZero() {
			heldFor = since(l.Held)
		}
		row(l.ID, userName(l.UID), since(l.Began), heldFor, strconv.Itoa(l.Processes), size1024(l.Memory), hostNames(l.Hosts), program(l.Command), where(l.At), title(l))
	}
	return table.Flush()
}

// since is how long ago something was, in so many digits as people read.
func since(at time.Time) string {
	d := max(time.Since(at), 0)
	if d < time.Minute {
		return d.Truncate(time.Second).String()
	}
	return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
}

// size1024 is a number of bytes with a unit.
func size1024(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if value < 10 && unit > 0 {
		return fmt.Sprintf("%.1f %s", value, units[unit])
	}
	return fmt.Sprintf("%.0f %s", value, units[unit])
}

// hostNames are some of them, and how many more there are.
func hostNames(hosts []string) string {
	const most = 4
	text := strings.Join(hosts[:min(len(hosts), most)], ",")
	if more := len(hosts) - most; more > 0 {
		text += fmt.Sprintf(",+%d", more)
	}
	return printable(text)
}

// where says where a spec or test is, and for how long it has been there. Most nodes have no text of their own, but a line.
func where(at nstest.Position) string {
	if at.Text == "" {
		return ""
	}
	text := abridged(at.Text, 40)
	if at.Location != "" {
		text += " " + filepath.Base(at.Location)
	}
	return printable(text + " (" + since(at.Since) + ")")
}

// abridged is text, or its beginning where that is too long.
func abridged(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// program is what people call it.
func program(command []string) string {
	if len(command) == 0 {
		return "?"
	}
	return printable(filepath.Base(command[0]))
}

// title says what an environment is for.
func title(l nstest.Listing) string {
	text := l.Kind + " " + l.Name
	if l.Kind == "open" && l.Name == "env" && len(l.Command) > 1 { // a program that gives it no name, such as this one
		text = strings.Join(l.Command[1:], " ")
	}
	return printable(abridged(text, 80))
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// printable is text from other programs without what a terminal would obey, on one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}
