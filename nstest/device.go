package nstest

// A Device is a network device of the machine that a host has borrowed.
type Device struct {
	host *Host
	name string
}

// Borrow moves a real network device of the machine into the host.
func (h *Host) Borrow(device string) (*Device, error) { panic("still to be built") }

// Close gives the device back, with the addresses and routes that it had.
func (d *Device) Close() error { panic("still to be built") }
