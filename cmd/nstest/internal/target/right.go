package target

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
)

// far are the capabilities that reach, in the first user namespace, beyond the processes, files and namespaces of a
// sandbox.
var far = look.ParseCaps(strings.Fields(`SYS_ADMIN SYS_MODULE SYS_RAWIO SYS_PTRACE SYS_BOOT SYS_TIME SYS_RESOURCE SYS_NICE SYSLOG BPF PERFMON
	DAC_READ_SEARCH NET_ADMIN MAC_ADMIN MAC_OVERRIDE AUDIT_CONTROL AUDIT_READ LINUX_IMMUTABLE WAKE_ALARM BLOCK_SUSPEND CHECKPOINT_RESTORE`))

var rights = []check{
	{"capabilities", "H9", "no capability that reaches outside", func(s *sight, f *finding) {
		f.saw("effective", s.effective)
		s.reaches(f, s.effective)
	}},
	{"no_new_privs", "H9", "programs give no capability that reaches outside", func(s *sight, f *finding) {
		f.saw("no_new_privs", s.status["NoNewPrivs"])
		f.saw("bounding", s.bounding)
		if s.status["NoNewPrivs"] == "1" {
			f.isolated()
			return
		}
		s.reaches(f, s.bounding)
	}},
	{"seccomp", "", "system calls are filtered", func(s *sight, f *finding) {
		mode, ok := s.status["Seccomp"]
		if filters := s.status["Seccomp_filters"]; filters != "" {
			f.saw("filters", filters)
		}
		switch {
		case len(s.status) == 0:
			f.unknown("/proc/self/status cannot be read")
		case !ok:
			f.absent("this kernel has no seccomp")
		case mode == "0":
			f.leaks("no filter")
		default:
			f.isolated()
		}
	}},
	{"lsm", "", "a security module confines the process", confinement},
	{"keyring", "H8", "the session keyring is the sandbox's own", keyring},
	{"groups", "H12", "no supplementary groups from outside", groups},
	{"oom", "S5", "the OOM killer cannot be told to spare us", func(s *sight, f *finding) {
		f.saw("oom_score_adj", text("/proc/self/oom_score_adj"))
		s.mayNot(f, "SYS_RESOURCE")
	}},
	{"clock", "T9", "the wall clock cannot be set", func(s *sight, f *finding) { s.mayNot(f, "SYS_TIME") }},
}

// reaches says whether a set has a capability that reaches outside.
func (s *sight) reaches(f *finding, set look.CapSet) {
	switch {
	case len(s.status) == 0:
		f.unknown("/proc/self/status cannot be read")
	case s.initial("user") == no || set&far == 0:
		f.isolated()
	case s.initial("user") == yes:
		f.leaks("in the machine's user namespace: %v", set&far)
	}
}

// mayNot says whether the machine's user namespace grants a capability that the kernel asks for there.
func (s *sight) mayNot(f *finding, name string) {
	f.saw("CAP_"+name, s.effective&look.ParseCaps([]string{name}) != 0)
	s.reaches(f, s.effective&look.ParseCaps([]string{name}))
}

func confinement(s *sight, f *finding) {
	if len(s.status) == 0 {
		f.unknown("/proc/self/attr cannot be read")
		return
	}
	label := text("/proc/self/attr/apparmor/current")
	if label == "" {
		label = strings.TrimRight(text("/proc/self/attr/current"), "\x00")
	}
	if label == "" {
		f.absent("none here gives a process a label")
		return
	}
	f.saw("label", label)
	if label == "unconfined" || label == "kernel" || strings.Contains(label, ":unconfined_t:") {
		f.leaks("%s", label)
		return
	}
	if !strings.Contains(label, " (") && strings.Count(label, ":") < 3 { // neither AppArmor's nor SELinux's
		f.unknown("the label is %q", label)
		return
	}
	f.isolated()
}

// keyring looks at the session keyring, and makes none.
func keyring(s *sight, f *finding) {
	id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	if err != nil {
		f.saw("session keyring", err)
		if err == unix.ENOSYS && s.status["Seccomp"] == "0" {
			f.absent("this kernel has no keys")
			return
		}
		f.isolated() // there is none, or it cannot be reached
		return
	}
	description, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
	if err != nil {
		f.unknown("describe session keyring: %v", err)
		return
	}
	f.saw("session keyring", description)
	switch {
	case s.initial("user") == yes && s.initial("pid") == yes:
		f.leaks("it is of the machine's user namespace: %s", description)
	case s.initial("user") == no && strings.Contains(description, ";_uid_ses."): // user namespaces have their own
		f.isolated()
	default:
		f.unknown("whose it is cannot be told from inside: %s", description)
	}
}

func groups(s *sight, f *finding) {
	list, err := os.Getgroups()
	if err != nil {
		f.unknown("%v", err)
		return
	}
	list = slices.DeleteFunc(list, func(g int) bool { return g == os.Getegid() })
	f.saw("groups", list)
	overflow, err := strconv.Atoi(text("/proc/sys/kernel/overflowgid"))
	switch {
	case len(list) == 0:
		f.isolated()
	case err == nil && slices.Contains(list, overflow) && s.initial("user") == no:
		f.leaks("one has no number here (%d): it is from outside", overflow)
	case s.initial("user") == yes && s.initial("mnt") == yes:
		f.leaks("%v are the machine's", list)
	default:
		f.unknown("%v may be meant", list)
	}
}
