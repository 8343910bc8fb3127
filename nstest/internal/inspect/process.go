package inspect

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// Processes reads what never waits for anything: all but the details of each process. level is where the number inside is in
// NSpid. Those that have ended are left out; numbers are the numbers in /proc of the others.
func (t *Table) Processes(pids []int, level int) (list []record.Process, numbers []int, notes []string) {
	if len(pids) > MostProcesses {
		notes = append(notes, fmt.Sprintf("there are %d processes: %d were looked at", len(pids), MostProcesses))
		pids = pids[:MostProcesses]
	}
	type seen struct {
		process     record.Process
		pid, parent int
	}
	var all []seen
	inside := map[int]int{}
	for _, pid := range pids {
		s, err := readStatus(pid)
		if err == nil && level < len(s.pids) {
			var k record.Process
			if k, err = readStat(pid); err == nil {
				k.PID, k.Threads, k.UID, k.Args = s.pids[level], max(s.threads, 1), t.ids(pid).uid(s.uid), []string{"[" + clip(s.name) + "]"}
				all = append(all, seen{k, pid, s.parent})
				inside[pid] = k.PID
			}
		}
		if err != nil && !gone(err) {
			notes = append(notes, fmt.Sprintf("a process: %v", record.Pathless(err)))
		}
	}
	slices.SortFunc(all, func(a, b seen) int { return a.process.PID - b.process.PID })
	for _, s := range all {
		s.process.Parent = inside[s.parent]
		list, numbers = append(list, s.process), append(numbers, s.pid)
	}
	return list, numbers, notes
}

// Level is how deep the PID namespace of a process is below that of /proc: the place in a list such as NSpid.
func Level(pid int) (int, error) {
	s, err := readStatus(pid)
	return len(s.pids) - 1, err
}

// Details are what a process was started with, what it has open, and what it waits in.
type Details struct {
	Args  []string // nil if there are none
	Waits string
	Files []record.OpenFile
	Notes []string
}

// A Reader reads the details of a host's processes.
type Reader struct {
	files int

	// Cautious leaves the arguments and paths unread, which are in the memory of the processes: where a file system that is served from
	// inside may be mapped there, reading them can take for ever.
	Cautious bool
}

// Details reads those of a process in this state.
func (r *Reader) Details(pid int, state string) Details {
	var d Details
	if !r.Cautious {
		d.Args = arguments(pid)
	}
	if state == "S" || state == "D" {
		d.Waits = waits(pid, state, r.Cautious)
	}
	if state != "Z" {
		r.openFiles(pid, &d)
	}
	return d
}

// Own tells the sockets of a host which of its processes have them open.
func Own(s *record.HostState) {
	holders := map[uint64][]int{}
	for _, p := range s.Processes {
		for _, f := range p.Files {
			if inode, ok := socketInode(f.Target); ok && !slices.Contains(holders[inode], p.PID) {
				holders[inode] = append(holders[inode], p.PID)
			}
		}
	}
	for i, k := range s.Sockets {
		if k.Inode != 0 {
			s.Sockets[i].PIDs = holders[k.Inode]
		}
	}
}

// arguments is the command line, or what was read of it.
func arguments(pid int) []string {
	b, err := readSome(procPath(pid, "cmdline"), mostArguments)
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// readSome reads so much of a file, and an ellipsis in place of the rest.
func readSome(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, most+1)
	n, err := io.ReadFull(f, b)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return b[:n], nil
	case err != nil:
		return nil, err
	}
	return append(b[:most], "…"...), nil
}

type status struct {
	name                 string
	parent, threads, uid int
	pids                 []int
}

// readStatus reads /proc/PID/status.
func readStatus(pid int) (s status, err error) {
	b, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":\t")
		f := strings.Fields(value)
		if len(f) == 0 {
			continue
		}
		switch key {
		case "Name":
			s.name = value // its line breaks and backslashes are escaped
		case "PPid":
			s.parent, _ = strconv.Atoi(f[0])
		case "Threads":
			s.threads, _ = strconv.Atoi(f[0])
		case "Uid":
			s.uid, _ = strconv.Atoi(f[min(1, len(f)-1)]) // the effective one
		case "NSpid":
			for _, n := range f {
				number, _ := strconv.Atoi(n)
				s.pids = append(s.pids, number)
			}
		}
	}
	return s, nil
}

// tick is that of USER_HZ, which is the same on all architectures.
const tick = time.Second / 100

// readStat reads /proc/PID/stat, as far as status does not have it.
func readStat(pid int) (record.Process, error) {
	f, err := statFields(pid)
	if err != nil {
		return record.Process{}, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return record.Process{}, err
	}
	return record.Process{
		State: strings.ToUpper(f[0]), CPU: time.Duration(f.number(14)+f.number(15)) * tick, RSS: f.number(24) * int64(os.Getpagesize()),
		Age: max(time.Duration(now.Nano())-time.Duration(f.number(22))*tick, 0),
	}, nil
}

// stat are the fields of /proc/PID/stat from the third one, the state, on.
type stat []string

func statFields(pid int) (stat, error) {
	b, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // before which the name is, that can have anything in it
	if len(f) < 22 {
		return nil, fmt.Errorf("%d fields in stat", len(f))
	}
	return f, nil
}

// number is a field by its number in proc_pid_stat(5).
func (f stat) number(field int) int64 {
	v, _ := strconv.ParseInt(f[field-3], 10, 64)
	return v
}

// isEnding reports whether a process has begun to end. It has nothing to be seen then, and an ordinary user's keeper not the
// right to look for it.
func isEnding(pid int) bool {
	const exiting = 4 // PF_EXITING
	f, err := statFields(pid)
	return err != nil || f.number(9)&exiting != 0
}

// openFiles lists what the process has open.
func (r *Reader) openFiles(pid int, d *Details) {
	dir, err := os.Open(procPath(pid, "fd"))
	if err == nil {
		defer dir.Close()
		var names []string
		names, err = dir.Readdirnames(MostFiles + 1)
		if len(names) > MostFiles {
			names = names[:MostFiles]
			d.Notes = append(d.Notes, fmt.Sprintf("it has more than %d files open", MostFiles))
		}
		for _, name := range names {
			r.openFile(pid, name, d)
		}
	}
	if err != nil && err != io.EOF && !gone(err) && !isEnding(pid) {
		d.Notes = append(d.Notes, fmt.Sprintf("open files: %v", record.Pathless(err)))
	}
	slices.SortFunc(d.Files, func(a, b record.OpenFile) int { return a.FD - b.FD })
}

func (r *Reader) openFile(pid int, name string, d *Details) {
	fd, err := strconv.Atoi(name)
	if err != nil || r.files > mostFilesInAll {
		return
	}
	target, err := os.Readlink(procPath(pid, "fd/"+name))
	if err != nil {
		return // it was closed meanwhile
	}
	if r.files++; r.files > mostFilesInAll {
		d.Notes = append(d.Notes, fmt.Sprintf("its further files, and those of processes with higher numbers, were not looked at: %d were", mostFilesInAll))
		return
	}
	d.Files = append(d.Files, record.OpenFile{FD: fd, Target: clip(target)})
}

func socketInode(target string) (uint64, bool) {
	number, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	return inode, err == nil
}
