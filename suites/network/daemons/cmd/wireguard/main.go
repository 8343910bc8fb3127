// Command wireguard is WireGuard without the kernel's part in it, as wireguard-go is: it makes a network device, and is
// configured by the cross-platform interface at /run/wireguard/NAME.sock (wireguard.com/xplatform).
//
//	wireguard -device tun|cable NAME
//
// The device is of /dev/net/tun, or where nobody may open that a cable, at one end of which sits the program.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "wireguard:", err)
		os.Exit(1)
	}
}

// run serves until the device has gone.
func run(args []string) error {
	flags := flag.NewFlagSet("wireguard", flag.ContinueOnError)
	kind := flags.String("device", "tun", "what the device is: `tun|cable`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one device")
	}
	name := flags.Arg(0)
	create, ok := map[string]func(name string, mtu int) (tun.Device, error){"tun": tun.CreateTUN, "cable": newCable}[*kind]
	if !ok {
		return fmt.Errorf("there is no device of kind %q", *kind)
	}
	nic, err := create(name, device.DefaultMTU)
	if err != nil {
		return fmt.Errorf("make device: %w", err)
	}
	wg := device.NewDevice(nic, conn.NewDefaultBind(), device.NewLogger(device.LogLevelVerbose, ""))
	socket, err := ipc.UAPIOpen(name)
	if err != nil {
		return fmt.Errorf("open configuration socket: %w", err)
	}
	listener, err := ipc.UAPIListen(name, socket)
	if err != nil {
		return fmt.Errorf("listen for configuration: %w", err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go wg.IpcHandle(conn)
		}
	}()
	fmt.Println("ready")
	<-wg.Wait()
	return nil
}
