package pid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// household is the init of processes that try to outlive it, each by another way, and of a nested PID namespace. It
// reports when all are there.
var household = nsx.Register("pid/household", func(parent *nsx.Parent, _ any) (_ any, err error) {
	if err := mountProc(); err != nil {
		return nil, err
	}
	for _, command := range []string{"sleep infinity", "setsid sleep infinity", "nohup sleep infinity", "setsid nohup sleep infinity"} {
		if _, err := start(strings.Fields(command)...); err != nil {
			return nil, err
		}
	}
	nested, err := nsx.Spawn(context.Background(), nsx.Spec{Kinds: nsx.PID}, annexe, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, nested.Close()) }()
	if err := nested.Await(nil); err != nil {
		return nil, err
	}
	return nil, parent.Report(nil, nil)
})

// annexe is the init of the nested PID namespace.
var annexe = nsx.Register("pid/annexe", func(parent *nsx.Parent, _ any) (any, error) {
	if _, err := start("setsid", "sleep", "infinity"); err != nil {
		return nil, err
	}
	return nil, parent.Report(nil, nil)
})

// start starts a program as a child of the calling thread, in whatever PID namespace that has for its children. Package
// os would make another child first, to learn what the kernel can do.
func start(command ...string) (pid int, err error) {
	var path string
	for _, dir := range []string{"/usr/bin", "/bin"} {
		path = filepath.Join(dir, command[0])
		if _, err = os.Stat(path); err == nil {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	return syscall.ForkExec(path, command, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
}

// asleep are the processes named sleep that are in PID namespaces inside of ours.
func asleep() (commands []string, err error) {
	list, err := inside()
	for _, p := range list {
		if p.Name == "sleep" {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.number())) // none if it has just ended
			commands = append(commands, strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")))
		}
	}
	return commands, err
}

// forkAfterInit has the calling thread's children in a new PID namespace, of which the first is the init. It returns
// what the second fork says while that lives, and what the third does when it has ended.
var forkAfterInit = nsx.Register("pid/forkAfterInit", func(*nsx.Parent, any) (verdicts [2]verdict, err error) {
	if err := nsx.UnshareThread(nsx.PID); err != nil {
		return verdicts, err
	}
	init, err := start("sleep", "infinity")
	if err != nil {
		return verdicts, err
	}
	second, err := start("sleep", "infinity")
	verdicts[0] = on(err)
	if err := unix.Kill(init, unix.SIGKILL); err != nil {
		return verdicts, err
	}
	for _, pid := range []int{second, init} { // an init has ended only when all others have been waited for
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
			return verdicts, err
		}
	}
	_, err = start("true")
	verdicts[1] = on(err)
	return verdicts, nil
})

// reboot is the init of a PID namespace that calls reboot(2), when it may go on.
var reboot = nsx.Register("pid/reboot", func(parent *nsx.Parent, r rebooting) (any, error) {
	if pid := unix.Getpid(); pid != 1 {
		return nil, unix.EINVAL // not from outside of it, by mistake
	}
	if r.Powerless {
		if err := nsx.DropCapability(unix.CAP_SYS_BOOT); err != nil {
			return nil, err
		}
	}
	if err := parent.Report(nil, nil); err != nil {
		return nil, err
	}
	return nil, unix.Reboot(r.Command)
})

type rebooting struct {
	Command   int
	Powerless bool // without CAP_SYS_BOOT
}

func registerEnd() {
	property.It("P5", func(ctx SpecContext, c *property.Check) {
		bystander := staying(ctx, nsx.Spec{})
		init := spawn(ctx, nsx.Spec{Kinds: nsx.PID | nsx.Mount}, household, nil)
		Expect(init.Await(nil)).To(Succeed())
		c.Positive("while the init lives, so do those that ignore SIGHUP, lead sessions or are in a nested PID namespace", func() {
			// nohup and setsid become sleep when they execute it.
			Eventually(asleep).WithContext(ctx).Should(HaveLen(5))
			commands, err := asleep()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("they are", commands)
			all, err := inside()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("with the inits and what is between", len(all))
		})
		c.Negative("when it has been killed, all have ended, and nobody else", func() {
			Expect(init.Signal(unix.SIGKILL)).To(Succeed())
			status, err := init.Wait()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("the init", status.Signal())
			all, err := inside()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("who is inside", all)
			Expect(all).To(BeEmpty())
			Expect(bystander.Continue(nil)).To(Succeed())
			_, err = bystander.Result()
			Expect(err).NotTo(HaveOccurred())
		})
	}, Label("seed"))

	property.It("P6", func(ctx SpecContext, c *property.Check) {
		verdicts, err := nsx.Run(ctx, nsx.Spec{}, forkAfterInit, nil)
		Expect(err).NotTo(HaveOccurred())
		c.Positive("while the init lives, who has unshared forks into the namespace", func() {
			c.Saw("fork", verdicts[0])
			Expect(verdicts[0]).To(Equal(works))
		})
		c.Negative("when it has ended, that is ENOMEM", func() {
			c.Saw("fork", verdicts[1])
			Expect(verdicts[1]).To(Equal(verdict(unix.ENOMEM)))
		})
		pin := filepath.Join(GinkgoTB().TempDir(), "pid")
		init := staying(ctx, nsx.Spec{Kinds: nsx.PID})
		Expect(init.Pin(nsx.PID, pin)).To(Succeed())
		DeferCleanup(unix.Unmount, pin, 0)
		joined := func() error {
			GinkgoHelper()
			f, err := os.Open(pin)
			Expect(err).NotTo(HaveOccurred())
			defer f.Close()
			_, err = nsx.Run(ctx, nsx.Spec{How: nsx.Setns, Kinds: nsx.PID, Into: []*os.File{f}}, pair, nil)
			return err
		}
		c.Positive("while it lives, who joins the pinned namespace forks into it", func() {
			err := joined()
			c.Saw("error", err)
			Expect(err).NotTo(HaveOccurred())
		})
		c.Negative("when it has ended, joining works and the fork is ENOMEM", func() {
			Expect(init.Close()).To(Succeed())
			err := joined()
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.ENOMEM))
			Expect(err).To(MatchError(ContainSubstring("fork after setns")))
		})
	})

	property.It("P23", func(ctx SpecContext, c *property.Check) {
		boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		Expect(err).NotTo(HaveOccurred())
		bystander := staying(ctx, nsx.Spec{})
		for _, command := range []struct {
			name   string
			number int
			signal syscall.Signal
		}{
			{"RESTART", unix.LINUX_REBOOT_CMD_RESTART, unix.SIGHUP},
			{"POWER_OFF", unix.LINUX_REBOOT_CMD_POWER_OFF, unix.SIGINT},
			{"HALT", unix.LINUX_REBOOT_CMD_HALT, unix.SIGINT},
		} {
			c.Positive("reboot(2) inside, LINUX_REBOOT_CMD_"+command.name+", ends the init by a signal that says which it was, and all others", func() {
				init := spawn(ctx, nsx.Spec{Kinds: nsx.PID}, reboot, rebooting{Command: command.number})
				Expect(init.Await(nil)).To(Succeed())
				other := staying(ctx, joining(init))
				Expect(init.Continue(nil)).To(Succeed())
				status, err := other.Wait()
				Expect(err).NotTo(HaveOccurred())
				c.Saw("another process inside ended by", status.Signal())
				Expect(status.Signal()).To(Equal(unix.SIGKILL))
				status, err = init.Wait()
				Expect(err).NotTo(HaveOccurred())
				c.Saw("the init ended by", status.Signal())
				Expect(status.Signal()).To(Equal(command.signal))
			})
		}
		c.Negative("a process outside has seen nothing of it, and it is the same boot", func() {
			Expect(bystander.Continue(nil)).To(Succeed())
			_, err := bystander.Result()
			c.Saw("it ended with", err)
			Expect(err).NotTo(HaveOccurred())
			now, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			Expect(err).NotTo(HaveOccurred())
			c.Saw("boot_id", strings.TrimSpace(string(now)))
			Expect(now).To(Equal(boot))
		})
		c.Negative("without CAP_SYS_BOOT nothing ends", func() {
			init := spawn(ctx, nsx.Spec{Kinds: nsx.PID}, reboot, rebooting{unix.LINUX_REBOOT_CMD_RESTART, true})
			Expect(init.Await(nil)).To(Succeed())
			Expect(init.Continue(nil)).To(Succeed())
			_, err := init.Result()
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EPERM))
		})
	})
}
