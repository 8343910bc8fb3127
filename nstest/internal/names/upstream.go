package names

import (
	"context"
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

// ask is what the first server that answers says; SERVFAIL if none does before ctx ends. transport is "udp" or "tcp".
func (u *Upstream) ask(ctx context.Context, req *dns.Msg, transport string) *dns.Msg {
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
	for _, server := range config.Servers {
		answer, err := exchange(ctx, transport, net.JoinHostPort(server, config.Port), question)
		if ctx.Err() != nil {
			return failed
		}
		if err != nil {
			continue
		}
		answer.Id = req.Id
		return answer
	}
	return failed
}

// exchange asks one server. Its client looks at a context for the deadline alone.
func exchange(ctx context.Context, transport, server string, question *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: transport, Timeout: upstreamTimeout, UDPSize: maxUDPSize}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answer, _, err := client.ExchangeWithConnContext(ctx, question, conn)
	return answer, err
}
