package microservices_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// many is how many environments exist at once.
const many = 20

// These specs stay outside, and make their environments themselves.
var _ = Describe("Environments beside each other", nstest.InProcess, func() {
	It(fmt.Sprintf("have :80 and :5432 each to itself, %d at once", many), func() {
		By("opening them, with the hosts web, db and client in each")
		var opened, asked sync.WaitGroup
		errs := make([]error, many)
		opened.Add(many)
		for i := range many {
			asked.Go(func() {
				env, err := openDatabase(&opened)
				if err == nil {
					opened.Wait() // all of them exist now
					err = errors.Join(listenAndAsk(env, fmt.Sprint("environment ", i)), env.Close())
				}
				errs[i] = err
			})
		}
		By("asking web:80 and db:5432, from every client, whose they are")
		asked.Wait()
		Expect(errors.Join(errs...)).To(Succeed())
	})

	It("have the same host names and know nothing of each other", func() {
		cfg := nstest.Config{Visible: []string{binaries}}
		here, there := openShopIn(nstest.New(GinkgoTB(), cfg)), openShopIn(nstest.New(GinkgoTB(), cfg))

		By("putting tea on the shelf of one shop")
		Expect(here.stock("tea", "Green tea")).To(Equal(http.StatusNoContent))
		Expect(here.view("tea")).To(HaveField("Name", "Green tea"))
		Expect(there.view("tea")).To(HaveField("Status", http.StatusNotFound))

		By("closing that shop and going on in the other")
		Expect(here.env.Close()).To(Succeed())
		Expect(there.stock("tea", "Black tea")).To(Equal(http.StatusNoContent))
		Expect(there.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Black tea", Views: 1}))
	})
})

// openDatabase opens an environment with the hosts web, db and client.
func openDatabase(opened *sync.WaitGroup) (*nstest.Env, error) {
	defer opened.Done()
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"web", "db", "client"} {
		if _, err := env.AddHost(nstest.HostConfig{Name: name}); err != nil {
			return nil, errors.Join(err, env.Close())
		}
	}
	return env, nil
}

// listenAndAsk listens on web:80 and db:5432 and asks both, from client, who they are.
func listenAndAsk(env *nstest.Env, name string) error {
	web, err := env.Host("web").Listen("tcp", ":80")
	if err != nil {
		return err
	}
	defer web.Close()
	db, err := env.Host("db").Listen("tcp", ":5432")
	if err != nil {
		return err
	}
	defer db.Close()
	go http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "web of ", name) }))
	go greet(db, "db of "+name)

	response, err := env.Host("client").HTTPClient().Get("http://web/")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := read(response.Body, "web of "+name); err != nil {
		return err
	}
	conn, err := env.Host("client").DialContext(context.Background(), "tcp", "db:5432")
	if err != nil {
		return err
	}
	defer conn.Close()
	return read(conn, "db of "+name)
}

// greet sends a greeting to whoever connects, and hangs up.
func greet(listener net.Listener, greeting string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, greeting)
		_ = conn.Close()
	}
}

// read reads to the end and wants to have read this.
func read(r io.Reader, want string) error {
	got, err := io.ReadAll(r)
	if err == nil && string(got) != want {
		err = fmt.Errorf("got %q, want %q", got, want)
	}
	return err
}
