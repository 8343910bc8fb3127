package target

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
)

var processes = []check{
	{"processes", "P2", "processes outside cannot be seen", othersHidden},
	{"init", "S6", "process 1 is the sandbox's own", func(s *sight, f *finding) {
		f.saw("process 1", s.comm1)
		switch {
		case s.comm1 == "":
			f.unknown("/proc/1 cannot be read")
		case s.initial("pid") == yes:
			f.leaks("it is the machine's: %s", s.comm1)
		case !s.ownProc():
			f.leaks("it is %s, of the PID namespace that /proc shows", s.comm1)
		case s.initial("pid") == no:
			f.isolated()
		}
	}},
	{"session", "H7", "no session, no terminal from outside", session},
	{"files", "H1", "no open files besides 0, 1 and 2", openFiles},
	{"directory", "H10", "the current directory is in the tree", func(_ *sight, f *finding) {
		dir, err := os.Readlink("/proc/self/cwd")
		if err != nil {
			f.unknown("%v", err)
			return
		}
		f.saw("current directory", dir)
		if strings.HasPrefix(dir, "(unreachable)") {
			f.leaks("it is outside: %s", dir)
			return
		}
		f.isolated()
	}},
}

func othersHidden(s *sight, f *finding) {
	f.saw("visible processes", len(s.pids))
	f.saw("process 2", s.comm2)
	switch {
	case len(s.pids) == 0:
		f.unknown("/proc shows no processes")
	case !s.ownProc():
		f.leaks("/proc shows %d processes of another PID namespace", len(s.pids))
	case s.initial("pid") == yes && slices.Contains(s.pids, 1):
		f.leaks("%d of the machine's are visible", len(s.pids))
	case s.initial("pid") == unclear:
		f.unknown("%d are visible", len(s.pids))
	default: // in the machine's PID namespace /proc may be mounted so that it hides them
		f.isolated()
	}
}

func session(s *sight, f *finding) {
	_, fields, _ := strings.Cut(text("/proc/self/stat"), ") ")
	list := strings.Fields(fields)
	const terminal = 7 - 3 // proc_pid_stat(5), after the first two
	leader, err := unix.Getsid(0)
	if err != nil || len(list) <= terminal {
		f.unknown("/proc/self/stat cannot be read")
		return
	}
	f.saw("session", leader)
	f.saw("terminal", list[terminal])
	if typing := text("/proc/sys/dev/tty/legacy_tiocsti"); typing != "" {
		f.saw("dev.tty.legacy_tiocsti", typing)
	}
	switch {
	case list[terminal] == "0":
		f.isolated()
	case leader == 0:
		f.leaks("there is a terminal, and the session's leader is outside")
	case s.initial("pid") == yes:
		f.leaks("there is a terminal, and the session is of the machine's PID namespace")
	case s.initial("pid") == no:
		f.isolated()
	}
}

func openFiles(_ *sight, f *finding) {
	list, err := look.Inherited()
	if err != nil {
		f.unknown("%v", err)
		return
	}
	var others []string
	for _, fd := range list {
		to, _ := os.Readlink("/proc/self/fd/" + fd)
		f.saw("file "+fd, to)
		if n, err := strconv.Atoi(fd); err == nil && n > 2 {
			others = append(others, fd+" is "+to)
		}
	}
	if len(others) > 0 {
		f.leaks("%s", some(others))
		return
	}
	f.isolated()
}
