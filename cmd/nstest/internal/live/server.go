package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	golog "log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/page"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A Server serves a page at an address.
type Server struct {
	url     string
	version string
	page    net.Listener
	door    *net.UnixListener
	http    *http.Server
	hub     hub
	reports sync.Mutex // one is made at a time

	mu    sync.Mutex
	runs  []*os.File // pidfds of the processes with which runs end
	peers int
	open  int       // connections of browsers
	idle  time.Time // since when there are none of them
}

// ErrServed means that there is a server of this user's at the address.
var ErrServed = errors.New("the page is served already")

// Listen takes an address, and the name under which programs find it. version is that of nstest. The caller calls Serve.
func Listen(addr netip.AddrPort, version string) (*Server, error) {
	name := fmt.Sprintf("@nstest-ui/%d/%s", os.Geteuid(), addr)
	door, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: name, Net: "unixpacket"})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, ErrServed
	}
	if err != nil {
		return nil, fmt.Errorf("listen for tests: %w", err)
	}
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve the page: %w", err), door.Close())
	}
	s := &Server{url: "http://" + addr.String() + "/", version: version, page: l, door: door}
	s.http = &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: golog.New(io.Discard, "", 0), ConnState: s.count,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if v, local := visitorOf(c); local {
				return context.WithValue(ctx, visitorKey{}, v)
			}
			return ctx
		},
	}
	return s, nil
}

// URL is where the page is.
func (s *Server) URL() string { return s.url }

// lingering is how long a server waits for browsers when the run is over: none at all, or until they have had the rest.
const (
	lingering = 10 * time.Second
	settle    = 2 * time.Second // after the last connection
)

// Serve serves until the context is done, or, withRuns, until every run has ended of which a program has come, and browsers have had
// what was new; if none comes for a minute it ends too.
func (s *Server) Serve(ctx context.Context, withRuns bool) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.page) }()
	go s.welcomeAll()
	defer func() {
		_ = s.http.Close() // ends the listener, and it is over anyway
		_ = s.door.Close() // last: who comes now starts another server, which finds the port free
	}()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	began, over := time.Now(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("serve the page: %w", err)
		case now := <-ticker.C:
			came, busy := s.busy()
			switch {
			case !withRuns || busy || !came && now.Sub(began) < time.Minute:
				over = time.Time{}
				s.hub.finish(false)
				continue
			case over.IsZero():
				over = now
				s.hub.finish(true)
			}
			if s.left(now) || now.Sub(over) > lingering {
				return nil
			}
		}
	}
}

// welcomeAll has programs tell of their tests.
func (s *Server) welcomeAll() {
	for {
		conn, err := s.door.AcceptUnix()
		if err != nil {
			return
		}
		go s.host(conn)
	}
}

func (s *Server) host(conn *net.UnixConn) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	p, run, err := greet(conn)
	if err != nil {
		_ = answer(conn, welcome{Error: err.Error()}) // or it has gone
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	s.mu.Lock()
	s.runs = append(s.runs, run)
	s.peers++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.peers--
		s.mu.Unlock()
	}()
	if answer(conn, welcome{URL: s.url}) == nil {
		p.listen(&s.hub)
	}
}

// busy reports whether any program has come, and whether one is there, or may come: its run has not ended.
func (s *Server) busy() (came, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	came = s.runs != nil
	alive := []*os.File{}
	for _, run := range s.runs {
		if hasEnded(run) {
			_ = run.Close() // it was only looked at
			continue
		}
		alive = append(alive, run)
	}
	if came {
		s.runs = alive
	}
	return came, s.peers > 0 || len(alive) > 0
}

// count counts the connections of browsers.
func (s *Server) count(_ net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.open++
	case http.StateClosed, http.StateHijacked:
		s.open--
		s.idle = time.Now()
	default:
		s.idle = time.Now()
	}
}

// left reports whether no browser was ever there, or all have gone some time ago.
func (s *Server) left(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle.IsZero() && s.open == 0 || s.watching() == 0 && now.Sub(s.idle) > settle
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		send(w, func(w io.Writer) error { return page.WriteOverview(w, "/tests", s.version) })
	})
	mux.HandleFunc("GET /tests", s.list)
	mux.HandleFunc("GET /test/{id}", s.test)
	mux.HandleFunc("GET /test/{id}/events", s.events)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		if why := refusal(r); why != "" {
			http.Error(w, "nstest: "+why, http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func send(w http.ResponseWriter, write func(io.Writer) error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		http.Error(w, "nstest: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
	_, _ = w.Write(b.Bytes()) // or the browser has gone
}

func (s *Server) find(w http.ResponseWriter, r *http.Request) (test, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	t, known := s.hub.find(id)
	if err != nil || !known {
		http.Error(w, "nstest: there is no such test, or nothing is known of it any more", http.StatusNotFound)
		return t, false
	}
	return t, true
}

// test is the page of a test: a live one, or its report.
func (s *Server) test(w http.ResponseWriter, r *http.Request) {
	t, known := s.find(w, r)
	if !known {
		return
	}
	switch t.State {
	case "running":
		live := page.Live{Source: fmt.Sprintf("/test/%d/events", t.id), Text: "What happens is shown as it does. If the test fails, this page becomes its report."}
		if t.Redacted {
			live.Text = "What happens is to be redacted, which is done when the test is over: if it fails, this page becomes its report."
		}
		m := bundle.Manifest{Test: t.Test, Suite: t.Suite, Package: t.Package, Attempt: t.Attempt, Began: t.Began}
		send(w, func(w io.Writer) error { return page.WriteLive(w, m, live, s.version) })
	case "passed", "skipped":
		http.Error(w, fmt.Sprintf("The test %q has %s. Nothing is kept of tests that do not fail.", t.Test, t.State), http.StatusGone)
	default:
		s.reports.Lock()
		defer s.reports.Unlock()
		send(w, func(w io.Writer) error { return report(w, t.dir, s.version) })
	}
}

func report(w io.Writer, dir, version string) error {
	b, err := bundle.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(page.Write(w, b, analysis.Read(b), version), b.Close())
}

// watching is how many pages follow something.
func (s *Server) watching() int { return int(s.hub.watching.Load()) }

// list sends the list of tests, and what changes in it.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	out := s.stream(w, r)
	defer out.close()
	version := -1
	for told := false; ; {
		l, now, wait, over := s.hub.since(version)
		if now != version {
			version = now
			data, err := json.Marshal(l)
			if err != nil || !out.send("message", data) {
				return
			}
		}
		if over && !told {
			told = true
			if !out.send("over", []byte("{}")) {
				return
			}
		}
		if !out.wait(wait) {
			return
		}
	}
}

// events sends what happens in a test.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	t, known := s.find(w, r)
	if !known {
		return
	}
	out := s.stream(w, r)
	defer out.close()
	if tail := s.hub.follow(t.id); tail != nil {
		defer tail.leave()
		stream := page.NewStream(t.Began)
		for over := ""; over == ""; {
			data, more, wait, state, err := tail.next(stream)
			if err != nil || data != nil && !out.send("message", data) {
				return
			}
			switch {
			case more:
			case state != "" && data == nil:
				over = state
			case data == nil && !out.wait(wait):
				return
			}
		}
	}
	for { // of one that is to be redacted nothing comes until it is over
		_, _, wait, _ := s.hub.since(0)
		if t, known = s.hub.find(t.id); t.State != "running" {
			break
		}
		if !out.wait(wait) {
			return
		}
	}
	end := page.Over{Report: known && t.State != "passed" && t.State != "skipped"}
	if known && !end.Report {
		end.Text = "It has " + t.State + ". This is what there was: nothing of it is kept, but by this page."
		if t.State == "skipped" {
			end.Text = "It was skipped. This is what there was: nothing of it is kept, but by this page."
		}
	}
	if data, err := json.Marshal(end); err == nil {
		out.send("over", data)
	}
}
