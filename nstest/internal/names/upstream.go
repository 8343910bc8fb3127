package names

import (
	"net"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvConf      = "/etc/resolv.conf"
	upstreamTimeout = 2 * time.Second // for each server that is asked
	maxUpstream     = 64              // questions at the same time
)

// An Upstream asks the machine's resolvers for what no zone knows, over sockets of this process.
type Upstream struct {
	config string        // resolv.conf(5), read for each question: the machine may have moved to another network
	slots  chan struct{} // one element for each question that is being asked
}

// NewUpstream asks the servers of /etc/resolv.conf.
func NewUpstream() *Upstream {
	return &Upstream{config: resolvConf, slots: make(chan struct{}, maxUpstream)}
}

// ask is what the first server that answers says; SERVFAIL if none does. transport is "udp" or "tcp".
func (u *Upstream) ask(req *dns.Msg, transport string) *dns.Msg {
	failed := new(dns.Msg)
	failed.SetRcode(req, dns.RcodeServerFailure)
	failed.RecursionAvailable = true
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	default:
		return failed
	}
	config, err := dns.ClientConfigFromFile(u.config)
	if err != nil {
		return failed
	}
	question := req.Copy()
	question.Id = dns.Id()
	client := dns.Client{Net: transport, Timeout: upstreamTimeout, UDPSize: maxUDPSize}
	for _, server := range config.Servers {
		answer, _, err := client.Exchange(question, net.JoinHostPort(server, config.Port))
		if err != nil {
			continue
		}
		answer.Id = req.Id
		return answer
	}
	return failed
}
