package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// The exit statuses of nstest besides those of commands. They are env(1)'s and timeout(1)'s.
const (
	statusTimeout       = 124 // --timeout ran out
	statusFailed        = 125 // nstest itself failed, or was called wrongly
	statusNotExecutable = 126 // the command was found and cannot be executed
	statusNotFound      = 127 // the command was not found
	statusSignal        = 128 // and the number of the signal that ended the command
)

// statusUsage is the exit status of nstest conform where it was called wrongly: there 125 is for what has gone wrong.
const statusUsage = 2

// A system is what nstest needs of the process that it is.
type system struct {
	Stdin, Stdout, Stderr *os.File
	Getenv                func(name string) string
	Environ               func() []string
	Notify                func() (signals <-chan os.Signal, stop func())
	Suspend               func() error // returns when the process was continued
}

func (s *system) warnf(format string, args ...any) {
	fmt.Fprintf(s.Stderr, "nstest: "+format+"\n", args...)
}

// exitStatus is an error that has been reported, or needs no words: it only says what to exit with.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

const description = `Hermetic Linux environments: namespaces, a file tree and a network of their own, which vanish without a trace.

Root is not needed where the machine lets users make user namespaces; "nstest doctor" tells.`

type commandLine struct {
	Run     runCommand     `cmd:"" help:"Run a command in a fresh environment."`
	Shell   shellCommand   `cmd:"" help:"Start an interactive shell, or another command, on a terminal in a fresh environment."`
	LS      lsCommand      `cmd:"" name:"ls" help:"List the environments of running programs."`
	Enter   enterCommand   `cmd:"" help:"Start a shell, or another command, in the environment of a running program."`
	Capture captureCommand `cmd:"" help:"Write the packets of a running program's environment to a file, or to standard output as they pass."`
	Release releaseCommand `cmd:"" help:"Let a test go on that has failed with NSTEST_HOLD=1 and waits."`
	Doctor  doctorCommand  `cmd:"" help:"Find out what this machine can do, what is missing, and what to do about it."`
	GC      gcCommand      `cmd:"" name:"gc" help:"Restore network devices of the machine that killed programs had borrowed."`
	Conform conformCommand `cmd:"" help:"Find out which properties of isolation hold on this kernel, or what isolates this process."`
	Report  reportCommand  `cmd:"" help:"Write a page that explains why a test has failed, from the bundle that NSTEST_KEEP has kept of it."`
	UI      uiCommand      `cmd:"" name:"ui" help:"Serve a page of the tests that run, as NSTEST_UI asks for it."`
	Pack    packCommand    `cmd:"" help:"Make one file of a bundle, to be sent or stored."`
	Version versionCommand `cmd:"" help:"Print the version."`
	Measure measureCommand `cmd:"" hidden:"" help:"Print, as JSON, what the process sees of its isolation. The audit runs it inside."`
}

// run is the whole program: it carries out args and returns the exit status. ctx ends it early.
func run(ctx context.Context, args []string, sys system) int {
	var line commandLine
	answered := false // by the help text
	parser, err := kong.New(&line,
		kong.Name("nstest"),
		kong.Description(description),
		kong.Writers(sys.Stdout, sys.Stderr),
		kong.Exit(func(int) { answered = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppSummary: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Help(help),
		kong.KindMapper(reflect.String, kong.MapperFunc(verbatim)),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&sys),
	)
	if err != nil {
		sys.warnf("%v", err)
		return statusFailed
	}
	selected, err := parser.Parse(args)
	if answered {
		return 0
	}
	if err != nil {
		sys.warnf("%v", err)
		command := about(err)
		fmt.Fprintf(sys.Stderr, "Run \"nstest%s --help\" for what is possible.\n", command)
		if strings.HasPrefix(command, " conform") {
			return statusUsage
		}
		return statusFailed
	}
	return status(sys, selected.Run())
}

// verbatim takes a string from the command line as it is. Kong's own mapper goes through JSON, which puts U+FFFD in the
// place of bytes that are not UTF-8: names of files and arguments of commands need not be.
func verbatim(ctx *kong.DecodeContext, target reflect.Value) error {
	token, err := ctx.Scan.PopValue("string")
	if err != nil {
		return err
	}
	target.SetString(fmt.Sprint(token.Value))
	return nil
}

// usage is how the commands are called.
var usage = map[string]string{
	"run":     "nstest run [flags] -- COMMAND [ARGUMENT...]",
	"shell":   "nstest shell [flags] [-- COMMAND [ARGUMENT...]]",
	"ls":      "nstest ls [--json]",
	"enter":   "nstest enter [flags] ENV[/HOST] [-- COMMAND [ARGUMENT...]]",
	"capture": "nstest capture [flags] ENV[/HOST[/NETWORK]] [EXPRESSION...]",
	"release": "nstest release ENV",
	"doctor":  "nstest doctor [--json]",
	"gc":      "nstest gc [--dry-run]",
	"conform": "nstest conform [--json FILE] [--label EXPRESSION]... [-v]\n       nstest conform --target [--json FILE] [-v]\n       nstest conform diff BEFORE AFTER",
	"diff":    "nstest conform diff BEFORE AFTER",
	"report":  "nstest report BUNDLE... [-o FILE]",
	"ui":      "nstest ui ADDRESS",
	"pack":    "nstest pack BUNDLE... [-o FILE]",
	"version": "nstest version",
}

// help prints the help text of the selected command, or of nstest.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	line := "nstest COMMAND [flags]"
	if node := ctx.Selected(); node != nil && usage[node.Name] != "" {
		line = usage[node.Name]
		if node.DefaultCmd != nil { // which is the command itself
			node.Flags = append(node.Flags, node.DefaultCmd.Flags...)
		}
	}
	if _, err := fmt.Fprintf(ctx.Stdout, "Usage: %s\n\n", line); err != nil {
		return err
	}
	return kong.DefaultHelpPrinter(options, ctx)
}

// about is the command that an error of the parser is about, with a blank before it.
func about(err error) string {
	var parse *kong.ParseError
	if !errors.As(err, &parse) || parse.Context == nil {
		return ""
	}
	path := ""
	for node := parse.Context.Selected(); node != nil && node.Parent != nil; node = node.Parent {
		if !node.Hidden {
			path = " " + node.Name + path
		}
	}
	return path
}

// status reports err and is what to exit with.
func status(sys system, err error) int {
	var s exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return int(s)
	}
	sys.warnf("%s", strings.TrimPrefix(err.Error(), "nstest: "))
	return statusFailed
}
