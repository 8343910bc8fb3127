// Package architecture holds the rules of the code as tests, each with its reason.
package architecture

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/hermetic-go/nstest"

// A file is one Go file of the module.
type file struct {
	path string // from the module's root, with slashes
	ast  *ast.File
	set  *token.FileSet
}

func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f file) imports() []string {
	var out []string
	for _, i := range f.ast.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		out = append(out, path)
	}
	return out
}

// calls are the places where functions with one of these names are called that are not of package property.
func (f file) calls(names ...string) (places []token.Position) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := ""
		switch fun := call.Fun.(type) {
		case *ast.Ident:
			name = fun.Name
		case *ast.SelectorExpr:
			if pkg, ok := fun.X.(*ast.Ident); ok && pkg.Name == "ginkgo" {
				name = fun.Sel.Name
			}
		}
		if slices.Contains(names, name) {
			places = append(places, f.set.Position(call.Pos()))
		}
		return true
	})
	return places
}

// files parses every Go file of the module.
func files(t *testing.T) []file {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var out []file
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out = append(out, file{filepath.ToSlash(rel), parsed, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("found %d Go files: the rules below would hold for lack of code", len(out))
	}
	return out
}

// within reports whether path is in one of the folders.
func within(path string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(path, f) })
}

// Namespaces are created and joined in one package, so that there is one place to read for what can go wrong with
// threads, and one to audit.
func TestNamespacesHaveOneHome(t *testing.T) {
	forbidden := []string{"Unshare", "Setns", "SYS_UNSHARE", "SYS_SETNS", "SYS_CLONE", "SYS_CLONE3", "Cloneflags", "Unshareflags"}
	seen := 0
	for _, f := range files(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			name := ""
			switch n := n.(type) {
			case *ast.SelectorExpr:
				name = n.Sel.Name
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok {
					name = id.Name
				}
			}
			if !slices.Contains(forbidden, name) {
				return true
			}
			switch {
			case within(f.path, "nstest/internal/ns/"):
				seen++
			case f.isTest() || within(f.path, "suites/"): // a test may build the leak that it looks for
			case within(f.path, "nstest/internal/pid1/fallback", "nstest/internal/pid1/clone.go") && (name == "Cloneflags" || strings.HasPrefix(name, "SYS_CLONE")): // carries out what ns asked for
			default:
				t.Errorf("%s: %s belongs into nstest/internal/ns", f.set.Position(n.Pos()), name)
			}
			return true
		})
	}
	if seen == 0 {
		t.Error("nstest/internal/ns uses none of them: the search sees nothing")
	}
}

// Some packages have one importer: what they can do to a machine is decided there.
func TestDangerousImportsHaveOneHome(t *testing.T) {
	homes := map[string][]string{
		"github.com/vishvananda/netlink": {"nstest/internal/rtnl/", "suites/network/"}, // which builds the leaks that it looks for
		"github.com/google/nftables": {"nstest/internal/lan/", "nstest/internal/firewall/", "nstest/internal/nat/", "nstest/internal/translate/", // a table each
			"nstest/internal/outbound/", "nstest/internal/probe/", "suites/network/"},
		"github.com/miekg/dns":                   {"nstest/internal/names/", "nstest/internal/dial/", "suites/"},
		"golang.org/x/crypto":                    {"fixtures/ca/"},                                               // what package nstest imports is linked into every program that imports it
		"github.com/google/go-containerregistry": {"fixtures/image/"},                                            // images; what else it can do needs a network
		"github.com/klauspost/compress":          {"fixtures/image/", "nstest/bundle/"},                          // as x/crypto
		"github.com/gopacket/gopacket":           {"cmd/nstest/internal/traffic/", "cmd/nstest/internal/plant/"}, // reads packets, for the command line
		"github.com/onsi/ginkgo/v2":              {"nstest/internal/ginkgo/", "nstest/runspecs.go", "nstest/current.go", "nstest/twin.go", "nstest/leaks/", "cmd/nstest/internal/conform/", "suites/"},
		"github.com/emersion/go-smtp":            {"fixtures/smtp/"},
		"github.com/emersion/go-sasl":            {"fixtures/smtp/"},
		"github.com/go-jose":                     {"fixtures/oidc/"}, // without modules of its own
		"github.com/johannesboyne":               {"fixtures/s3/"},   // keeps objects in the program, for those who import it alone
		"github.com/HdrHistogram":                {"fixtures/load/"},
		"github.com/twmb/franz-go":               {"fixtures/kafka/"}, // has brokers in the program, for those who import it alone
		"go.opentelemetry.io/proto":              {"fixtures/otlp/"},  // messages and services, with gRPC in tow
		"google.golang.org/grpc":                 {"fixtures/otlp/"},

		// Clients, to see the fixtures from outside.
		"github.com/aws":                 {"tests"},
		"github.com/beevik/ntp":          {"tests"},
		"github.com/chromedp":            {"tests"}, // a browser, which looks at reports
		"github.com/coreos/go-oidc":      {"tests"},
		"github.com/eclipse":             {"tests"},
		"github.com/go-ldap/ldap":        {"tests"},
		"github.com/go-sql-driver/mysql": {"tests"},
		"github.com/nats-io/nats.go":     {"suites/microservices/shop/"}, // whose services have it
		"github.com/pion/stun/v3":        {"tests"},
		"github.com/rabbitmq/amqp091-go": {"tests"},
		"github.com/redis/go-redis/v9":   {"suites/microservices/shop/"}, // as nats.go
		"go.opentelemetry.io/otel":       {"tests"},                      // as are its exporters
		"golang.org/x/oauth2":            {"tests"},
	}
	used := map[string]bool{}
	for _, f := range files(t) {
		for _, path := range f.imports() {
			for pkg, folders := range homes {
				if path != pkg && !strings.HasPrefix(path, pkg+"/") {
					continue
				}
				used[pkg] = true
				if !within(f.path, folders...) && !f.isTest() {
					t.Errorf("%s imports %s, which only %s may", f.path, path, strings.Join(folders, " and "))
				}
			}
		}
	}
	for pkg := range homes {
		if !used[pkg] {
			t.Errorf("nobody imports %s: the rule sees nothing", pkg)
		}
	}
}

// Package testing keeps its state in variables and flags of the whole program. Those who deal with that are few.
func TestPackageTestingHasOneHome(t *testing.T) {
	seen := false
	for _, f := range files(t) {
		if f.isTest() || !slices.Contains(f.imports(), "testing") {
			continue
		}
		if within(f.path, "nstest/internal/gotest/") {
			seen = true
		}
		if !within(f.path, "nstest/internal/gotest/", "nstest/internal/ginkgo/", "nstest/internal/twin/", "nstest/run.go", "suites/") {
			t.Errorf("%s imports testing, which only nstest/internal/gotest and its like may", f.path)
		}
	}
	if !seen {
		t.Error("nstest/internal/gotest does not import it: the rule sees nothing")
	}
}

// Layers: suites and commands are built on the public API, the public packages on the engine, and never the other way.
func TestDependenciesPointDown(t *testing.T) {
	for _, f := range files(t) {
		for _, path := range f.imports() {
			rel, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			var bad bool
			switch {
			case within(f.path, "nstest/internal/"):
				bad = !within(rel, "nstest/internal/")
			case within(f.path, "nstest/"):
				bad = !within(rel, "nstest/") && rel != "nstest"
			case within(f.path, "fixtures/"):
				bad = within(rel, "suites", "cmd", "nstest/internal")
			case within(f.path, "cmd/nstest/internal/conform/"):
				bad = within(rel, "nstest/internal", "fixtures", "suites") && rel != "suites/all" && rel != "suites/property" // which it runs
			case within(f.path, "cmd/"):
				bad = within(rel, "nstest/internal", "fixtures", "suites") && (rel != "suites/property" || !f.isTest()) // the table
			case within(f.path, "suites/"):
				bad = within(rel, "nstest/internal", "cmd")
			}
			if bad {
				t.Errorf("%s must not import %s", f.path, path)
			}
		}
	}
}

// Specs of properties are for "nstest conform" as well, which is no test: they are registered by a call, from files that are
// no tests either. Only suites/all knows all of them.
func TestPropertiesAreRegisteredByACall(t *testing.T) {
	const table = module + "/suites/property"
	registered, listed := map[string]bool{}, map[string]bool{}
	for _, f := range files(t) {
		dir := filepath.Dir(f.path)
		switch {
		case f.path == "suites/all/all.go":
			for _, path := range f.imports() {
				listed[strings.TrimPrefix(path, module+"/")] = true
			}
		case slices.Contains(f.imports(), table) && within(f.path, "suites/") && dir != "suites/property" && dir != "suites/all":
			if f.isTest() {
				t.Errorf("%s has specs of properties: put them into a file that is no test, for Register", f.path)
			}
			registered[dir] = true
			for _, call := range f.calls("It", "Specify") {
				t.Errorf("%s: make the spec by property.It or property.Seed: they keep it from running where it would change the machine", call)
			}
		}
	}
	for dir := range registered {
		if !listed[dir] {
			t.Errorf("%s has specs of properties, and suites/all does not register them", dir)
		}
	}
	if len(registered) == 0 {
		t.Error("no suite has any: the search sees nothing")
	}
}

// An init function makes every program that imports a package do something. One file has one, for the processes that
// nstest itself starts.
func TestInitHasNoEffects(t *testing.T) {
	found := false
	for _, f := range files(t) {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Name.Name != "init" || fn.Recv != nil || f.isTest() {
				continue
			}
			if f.path == "nstest/role.go" {
				found = true
				continue
			}
			t.Errorf("%s has an init function", f.path)
		}
	}
	if !found {
		t.Error("nstest/role.go has none: the search sees nothing")
	}
}

// A file that is named after nothing collects everything.
func TestFilesAreNamedAfterTheirType(t *testing.T) {
	for _, f := range files(t) {
		base := strings.TrimSuffix(filepath.Base(f.path), ".go")
		for _, word := range []string{"util", "utils", "helper", "helpers", "common", "misc"} {
			if base == word || strings.HasPrefix(base, word+"_") || f.ast.Name.Name == word {
				t.Errorf("%s: name it after what is in it", f.path)
			}
		}
	}
}

// A file that cannot be read at one sitting is two.
func TestFilesAreShort(t *testing.T) {
	const most = 500
	for _, f := range files(t) {
		r, err := os.Open(filepath.Join("../..", f.path))
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for s := bufio.NewScanner(r); s.Scan(); {
			lines++
		}
		r.Close()
		if lines > most {
			t.Errorf("%s has %d lines, more than %d", f.path, lines, most)
		}
	}
}

// A test that sleeps is slow when it works and fails when the machine is busy.
func TestTestsDoNotSleep(t *testing.T) {
	for _, f := range files(t) {
		if !f.isTest() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: wait for the event instead", f.set.Position(n.Pos()))
				}
			}
			return true
		})
	}
}
