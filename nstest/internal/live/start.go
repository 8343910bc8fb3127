package live

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"go/build"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// command is the program that serves the page, and its package.
const (
	command = "nstest"
	pkg     = "github.com/hermetic-go/nstest/cmd/nstest"
)

// start starts the server of the page at an address, and returns when it, or another one, listens.
func start(addr netip.AddrPort) error {
	program, err := find()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(program, "ui", "--with-runs", addr.String())
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for the run, with which it ends
	err = cmd.Start()
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // it says itself what there is to say
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	out := bufio.NewReader(r)
	line, err := out.ReadString('\n')
	if err == nil && line == "ready\n" {
		return nil
	}
	rest, _ := io.ReadAll(io.LimitReader(out, 4<<10)) // what it says before it ends
	text := strings.TrimPrefix(strings.TrimSpace(line+string(rest)), "nstest: ")
	if text == "" {
		text = fmt.Sprintf("it says nothing: %v", err)
	}
	return fmt.Errorf("%s ui %s: %s", program, addr, text)
}

// find finds the program: on PATH, where "go install" puts it, or as a tool of the module whose test this is.
func find() (string, error) {
	path, err := exec.LookPath(command)
	if err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range installed() {
		path := filepath.Join(dir, command)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience) // it may have to be built
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "tool", "-n", pkg).Output(); err == nil {
		return strings.TrimSpace(string(out)), nil
	}
	return "", fmt.Errorf("the page is served by the program %s, which is not on PATH, nor where go install puts it, nor a tool of this module\nWhat to do: go install %s@latest, or, in the module, go get -tool %s", command, pkg, pkg)
}

// installed are the directories to which "go install" may have written.
func installed() (dirs []string) {
	if bin := os.Getenv("GOBIN"); bin != "" {
		dirs = append(dirs, bin)
	}
	for _, root := range filepath.SplitList(build.Default.GOPATH) {
		dirs = append(dirs, filepath.Join(root, "bin"))
	}
	return dirs
}
