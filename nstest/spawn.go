package nstest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

const (
	// defaultPath is where commands are looked up if the environment has no PATH.
	defaultPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultUmask = 0o022
	maxID        = 1<<32 - 2 // 2³²-1 means "no change" to the kernel
)

// params are what the keeper starts the process from, without its files.
func (c *Cmd) params() (wire.SpawnParams, error) {
	p := wire.SpawnParams{Args: c.Args, Umask: defaultUmask}
	if len(p.Args) == 0 {
		p.Args = []string{c.Path}
	}
	for _, arg := range append([]string{c.Path}, p.Args...) {
		if strings.IndexByte(arg, 0) >= 0 {
			return p, fmt.Errorf("argument %q has a NUL byte: %w", arg, syscall.EINVAL)
		}
	}
	var err error
	if p.Env, err = c.environ(); err != nil {
		return p, err
	}
	if p.Paths, err = candidates(c.Path, p.Env); err != nil {
		return p, err
	}
	if c.Dir != "" {
		if p.Dir, err = filepath.Abs(c.Dir); err != nil {
			return p, err
		}
		if !utf8.ValidString(p.Dir) {
			return p, fmt.Errorf("working directory %q is not UTF-8", p.Dir)
		}
	} else if wd, err := workingDir(); err == nil && utf8.ValidString(wd) {
		p.WantDir = wd
	}
	if c.Umask != nil {
		if p.Umask = *c.Umask; p.Umask&^0o777 != 0 {
			return p, fmt.Errorf("umask %#o is not between 0 and 0o777", p.Umask)
		}
	}
	user, err := c.user()
	if err != nil || user == nil {
		return p, err
	}
	for _, id := range append([]int{user.UID, user.GID}, user.Groups...) {
		if id < 0 || id > maxID {
			return p, fmt.Errorf("%d is not a user or group id", id)
		}
	}
	p.Credential, p.UID, p.GID, p.Groups = true, user.UID, user.GID, user.Groups
	return p, nil
}

// user is who the process is to be, nil for the default.
func (c *Cmd) user() (*User, error) {
	if c.SysProcAttr == nil {
		return c.User, nil
	}
	attr := *c.SysProcAttr
	attr.Credential = nil
	for i, v := 0, reflect.ValueOf(attr); i < v.NumField(); i++ {
		if !v.Field(i).IsZero() {
			return nil, fmt.Errorf("SysProcAttr.%s cannot be set for a command on a host: only Credential can", v.Type().Field(i).Name)
		}
	}
	cred := c.SysProcAttr.Credential
	switch {
	case cred == nil:
		return c.User, nil
	case c.User != nil:
		return nil, errors.New("both User and SysProcAttr.Credential are set")
	case cred.NoSetGroups:
		return nil, errors.New("SysProcAttr.Credential.NoSetGroups cannot be set for a command on a host")
	}
	u := &User{UID: int(cred.Uid), GID: int(cred.Gid)}
	for _, g := range cred.Groups {
		u.Groups = append(u.Groups, int(g))
	}
	return u, nil
}

// candidates are the files that a command may be, in order.
func candidates(path string, env []string) ([]string, error) {
	if strings.Contains(path, "/") {
		return []string{path}, nil
	}
	if path == "." || path == ".." {
		return nil, &exec.Error{Name: path, Err: exec.ErrNotFound}
	}
	dirs := defaultPath
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			dirs = value
		}
	}
	var list []string
	for _, dir := range filepath.SplitList(dirs) {
		if filepath.IsAbs(dir) {
			list = append(list, filepath.Join(dir, path))
		}
	}
	if len(list) == 0 {
		return nil, &exec.Error{Name: path, Err: exec.ErrNotFound}
	}
	return list, nil
}

// startError is what the keeper said, in the words of os/exec.
func (c *Cmd) startError(err error) error {
	w, ok := err.(*wire.Error)
	if !ok || w.Kind != "exec" {
		return c.wrap(err)
	}
	errno := syscall.Errno(w.Errno)
	absent := errno == syscall.ENOENT || errno == syscall.ENOTDIR
	out := &Error{Op: "start " + c.Path + " on", Env: c.host.env.name, Host: c.host.name}
	switch {
	case strings.Contains(c.Path, "/"):
		out.Err = &fs.PathError{Op: "exec", Path: c.Path, Err: errno}
	case absent:
		out.Err = &exec.Error{Name: c.Path, Err: exec.ErrNotFound}
	default:
		out.Err = &exec.Error{Name: c.Path, Err: errno}
	}
	if absent {
		out.Remedy = c.covered()
	}
	return out
}

// covered says what to do about a command that the machine has, and the host has not.
func (c *Cmd) covered() string {
	path, err := exec.LookPath(c.Path)
	if err != nil || !filepath.IsAbs(path) {
		return ""
	}
	return path + " is on the machine, in a directory that environments do not see:\nname " + filepath.Dir(path) + " in Config.Visible"
}

// Environ is the environment that the command is run in, as it is configured now.
func (c *Cmd) Environ() []string {
	env, _ := c.environ() // what is wrong is left out, and said by Start
	return env
}

func (c *Cmd) environ() ([]string, error) {
	env := c.Env
	var err error
	if env == nil {
		env = os.Environ()
		if c.Dir != "" {
			var pwd string
			if pwd, err = filepath.Abs(c.Dir); err == nil {
				env = append(env, "PWD="+pwd)
			}
		}
	}
	// From the end, so that the last of several stays.
	seen := make(map[string]bool, len(env))
	out := make([]string, len(env))
	n := len(out)
	for i := len(env) - 1; i >= 0; i-- {
		v := env[i]
		if strings.IndexByte(v, 0) >= 0 {
			err = errors.Join(err, errors.New("an environment variable contains NUL"))
			continue
		}
		key, _, ok := strings.Cut(v, "=")
		if v == "" || ok && seen[key] {
			continue
		}
		seen[key] = seen[key] || ok
		n--
		out[n] = v
	}
	return out[n:], err
}
