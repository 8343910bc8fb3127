package microservices_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/microservices/internal/resp"
	. "github.com/onsi/ginkgo/v2"
)

// A shop is three services, each on a host of its own, and a customer on a fourth.
type shop struct {
	env               *nstest.Env
	kv, api, frontend *service
	customer          *nstest.Host
}

// openShop starts a shop in the spec's environment, and ends with it.
func openShop(kvFlags ...string) *shop {
	GinkgoHelper()
	return openShopIn(nstest.Current(), kvFlags...)
}

// The services' own limits are such that nobody reaches them who has only to wait for the processor: a front end that asks twice
// has seen a product twice.
var (
	patientAPI      = []string{"--store=kv:6379", "--store-timeout=10s"}
	patientFrontend = []string{"--attempts=3", "--timeout=15s"}
)

func openShopIn(env *nstest.Env, kvFlags ...string) *shop {
	GinkgoHelper()
	return startShop(env, kvFlags, patientAPI, patientFrontend)
}

func startShop(env *nstest.Env, kvFlags, apiFlags, frontendFlags []string) *shop {
	GinkgoHelper()
	s := &shop{
		env:      env,
		kv:       newService(env.Host("kv"), 6379, "kv", kvFlags...),
		api:      newService(env.Host("api"), 80, "api", apiFlags...),
		frontend: newService(env.Host("web"), 80, "frontend", append([]string{"--api=http://api"}, frontendFlags...)...),
		customer: env.Host("customer"),
	}
	s.kv.start()
	s.api.start()
	s.frontend.start()
	return s
}

// An answer is what a customer gets.
type answer struct {
	Status int
	Name   string
	Views  int
	Stale  bool // an old answer: the front end could not get a new one
}

// view looks at a product, as a customer, at the front end.
func (s *shop) view(id string) (answer, error) {
	response, body, err := s.request(http.MethodGet, "http://web/products/"+id, "")
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: response.StatusCode, Stale: response.Header.Get("Warning") != ""}
	return a, json.Unmarshal(body, &a)
}

// stock puts a product on the shelf, at the API.
func (s *shop) stock(id, name string) (status int, err error) {
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return 0, err
	}
	response, _, err := s.request(http.MethodPut, "http://api/products/"+id, string(body))
	if err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}

// apiStatus is how the API answers when it is asked for a product.
func (s *shop) apiStatus(id string) (int, error) {
	response, _, err := s.request(http.MethodGet, "http://api/products/"+id, "")
	if err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}

// request sends a request from the customer's host.
func (s *shop) request(method, url, body string) (*http.Response, []byte, error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.customer.HTTPClient().Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response, bytes.TrimSpace(content), err
}

// store sends a command to the key-value store, from the customer's host.
func (s *shop) store(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := s.customer.DialContext(ctx, "tcp", "kv:6379")
	if err != nil {
		return "", err
	}
	client := resp.NewConn(ctx, conn)
	defer client.Close()
	return client.Do(args...)
}
