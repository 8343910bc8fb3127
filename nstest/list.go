package nstest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/census"
	"github.com/hermetic-go/nstest/nstest/internal/door"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A Listing is an environment of a running program, as List sees it.
type Listing struct {
	ID        string    `json:"id"`   // Env.ID, for Attach
	Name      string    `json:"name"` // Env.Name: of a spec or test its own
	Kind      string    `json:"kind"` // "spec", "test" (Run), "new" (New), or "open" (Open, and the command line)
	Began     time.Time `json:"began"`
	Hosts     []string  `json:"hosts"`         // "self" first, the others by name
	Processes int       `json:"processes"`     // with inits. 0 with Config.Share.PID, where nobody can tell
	Memory    int64     `json:"memory"`        // of these processes, in bytes; of what several share each has its part (PSS)
	Held      time.Time `json:"held,omitzero"` // since when it waits for Release after a failure: see NSTEST_HOLD at Run
	At        Position  `json:"at,omitzero"`   // where the spec or test is
	PID       int       `json:"pid"`           // of the program
	UID       int       `json:"uid"`           // of the program's user
	Command   []string  `json:"command"`       // the program and its arguments

	keeper string // the name of the keeper's door
	number int
}

// A Position is where a spec or test is, or was a moment ago: List hears of that some tenths of a second later, and of what runs
// for less than that not at all.
type Position struct {
	Text     string    `json:"text"`               // the step (Ginkgo's By), or the kind of node where there is none; of a test the subtest
	Location string    `json:"location,omitempty"` // file:line of that; "" of a subtest
	Since    time.Time `json:"since"`
}

// listLimit is how long a keeper has to answer.
const listLimit = 5 * time.Second

// List lists the environments of this user, and for root those of all users, that programs in this program's PID and network
// namespaces have open: the oldest program's first. An environment inside of one is for List there.
//
// It asks the programs' keepers, of which the kernel tells whose they are. The error is about those that do not answer;
// the list has the others.
func List(ctx context.Context) ([]Listing, error) {
	found, err := survey(ctx)
	return found.list, wrap("list environments", "", "", err)
}

// A found is what can be seen from here.
type found struct {
	list    []Listing
	foreign []*door.Foreigner // whose environments are not ours to see
}

// survey asks all keepers at once.
func survey(ctx context.Context) (found, error) {
	names, err := door.Find()
	if err != nil {
		return found{}, err
	}
	var f found
	var errs []error
	var mu sync.Mutex
	var work sync.WaitGroup
	for _, name := range names {
		work.Go(func() {
			list, err := listKeeper(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			var foreigner *door.Foreigner
			switch {
			case errors.As(err, &foreigner):
				f.foreign = append(f.foreign, foreigner)
			case err != nil && !errors.Is(err, door.ErrGone) && !errors.Is(err, door.ErrOutside):
				errs = append(errs, err)
			}
			f.list = append(f.list, list...)
		})
	}
	work.Wait()
	slices.SortFunc(f.list, func(a, b Listing) int { return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.number, b.number)) })
	return f, errors.Join(errs...)
}

// listKeeper asks one keeper.
func listKeeper(ctx context.Context, name string) ([]Listing, error) {
	ctx, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	g, err := door.Knock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	var r answered
	files, err := g.Call(ctx, wire.MethodList, nil, &r)
	if err = errors.Join(err, closeAll(files)); err != nil {
		return nil, unanswered(g, err)
	}
	command := arguments(g.Program)
	var list []Listing
	for _, w := range r.Environments {
		list = append(list, Listing{ID: id(g.Program, w.Number), Name: w.Name, Kind: w.Kind, Began: w.Began, Hosts: w.Hosts, Processes: w.Processes,
			Memory: w.Memory, Held: w.Held, At: Position(w.At), PID: g.Program, UID: g.UID, Command: command, keeper: name, number: w.Number})
	}
	return list, nil
}

// An answered is what a keeper has answered that may be of a later version of nstest, which another program has, and tell more.
type answered wire.ListResult

// UnmarshalJSON leaves out what is not known. The decoder of a connection, whose ends are of one program, refuses it.
func (a *answered) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, (*wire.ListResult)(a))
}

func id(program, number int) string { return fmt.Sprintf("%d.%d", program, number) }

// unanswered says what came of a question to a keeper, unless it has ended.
func unanswered(g *door.Guest, err error) error {
	var crossed *wire.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &crossed):
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("it has not answered in %v: %w", listLimit, err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, wire.ErrClosed):
		return door.ErrGone
	}
	return fmt.Errorf("ask the keeper of process %d: %w", g.Program, err)
}

// arguments are the command line of a process, nil if it has ended.
func arguments(pid int) []string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
}

// Attach is the environment of another program that id names: by its ID or the beginning of that, as long as it is the only one,
// by its program's process id alone, or by its Name or a part of that. Names are looked for among the environments of this user
// only. Which there are, List tells. ctx bounds the search alone.
//
// The environment goes on when the program closes the Env, and when the program ends; what then ends are the commands that
// were started by way of this Env and are not waited for, with their process groups, and its captures. Hosts, networks and
// faults stay. When the environment ends, what is asked of it is ErrClosed.
//
// Host and Network look up what others have made, and panic where there is nothing of that name: FindHost does not.
//
// The error is fs.ErrNotExist where nothing of that name is open, and fs.ErrPermission where it is another user's.
func Attach(ctx context.Context, id string) (*Env, error) {
	env, err := attach(ctx, id)
	if err != nil {
		return nil, wrap("attach to environment", id, "", err)
	}
	return env, nil
}

func attach(ctx context.Context, id string) (*Env, error) {
	found, silent := survey(ctx)
	l, err := found.pick(id)
	if err != nil {
		return nil, errors.Join(err, silent)
	}
	ctx, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	g, err := door.Knock(ctx, l.keeper)
	if errors.Is(err, door.ErrGone) {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, err
	}
	defer g.Close()
	var info wire.OpenResult
	files, err := g.Call(ctx, wire.MethodAttach, wire.AttachParams{Number: l.number}, &info)
	if err = unanswered(g, err); errors.Is(err, door.ErrGone) {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, errors.Join(errors.New("the keeper answered without a connection"), closeAll(files))
	}
	conn, err := wire.NewClient(files[0])
	if err != nil {
		return nil, err
	}
	e := newEnv(conn, info, nil)
	e.guest = true
	e.leave = census.Enter(info.Name, 2)
	return e, nil
}

// pick is the environment that id names.
func (f found) pick(id string) (Listing, error) {
	me := os.Geteuid()
	tests := []func(l Listing) bool{
		func(l Listing) bool { return l.ID == id },
		func(l Listing) bool { return strconv.Itoa(l.PID) == id },
		func(l Listing) bool { return strings.HasPrefix(l.ID, id) },
		func(l Listing) bool { return l.UID == me && l.Name == id },
		func(l Listing) bool { return l.UID == me && strings.Contains(l.Name, id) },
	}
	for _, fits := range tests {
		var fitting []Listing
		for _, l := range f.list {
			if id != "" && fits(l) {
				fitting = append(fitting, l)
			}
		}
		switch {
		case len(fitting) == 1:
			return fitting[0], nil
		case len(fitting) > 1:
			return Listing{}, ambiguous(fitting)
		}
	}
	program, _, _ := strings.Cut(id, ".")
	for _, other := range f.foreign {
		if strconv.Itoa(other.Program) == program {
			return Listing{}, &wire.Error{Errno: uint32(unix.EACCES), Message: fmt.Sprintf("process %d is user %d's, and only that user and root may see its environments", other.Program, other.UID)}
		}
	}
	return Listing{}, &wire.Error{Errno: uint32(unix.ENOENT), Message: "there is no such environment", Remedy: "see which there are: nstest ls"}
}

func ambiguous(list []Listing) error {
	const most = 10
	var names []string
	for _, l := range list[:min(len(list), most)] {
		names = append(names, fmt.Sprintf("%s %s", l.ID, l.Name))
	}
	if len(list) > most {
		names = append(names, "…")
	}
	return &wire.Error{Errno: uint32(unix.EEXIST), Message: fmt.Sprintf("%d environments are called like that", len(list)), Remedy: "name one of them by its id:\n" + strings.Join(names, "\n")}
}

// Release ends the wait of a test that has failed with NSTEST_HOLD. The error is fs.ErrNotExist if none waits.
func (e *Env) Release() error {
	return wrap("release environment", e.name, "", e.call(context.Background(), wire.MethodRelease, nil, nil))
}
