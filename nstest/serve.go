package nstest

import (
	"net"
	"net/http"
)

// A Server serves the connections of a listener: an *http.Server, a *grpc.Server.
type Server interface{ Serve(net.Listener) error }

// Serve has code of this program answer on a host: s.Serve runs with a listener inside it until the environment ends.
func (h *Host) Serve(address string, s Server) (net.Addr, error) { panic("still to be built") }

// Handle serves HTTP on a host.
func (h *Host) Handle(address string, handler http.Handler) (net.Addr, error) {
	panic("still to be built")
}

// HandleConn calls f for each connection to a host.
func (h *Host) HandleConn(network, address string, f func(net.Conn)) (net.Addr, error) {
	panic("still to be built")
}

// HandlePackets calls f for each packet to a host; what f returns is the answer, unless it is nil.
func (h *Host) HandlePackets(network, address string, f func(from net.Addr, packet []byte) []byte) (net.Addr, error) {
	panic("still to be built")
}
