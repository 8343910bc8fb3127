package capture_test

import (
	"io"
	"net/http"
	"strconv"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// serve has a host answer with a body.
func serve(h *nstest.Host, body []byte) {
	GinkgoHelper()
	_, err := h.Handle(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	Expect(err).NotTo(HaveOccurred())
}

func get(from *nstest.Host, url string) []byte {
	GinkgoHelper()
	r, err := from.HTTPClient().Get(url)
	Expect(err).NotTo(HaveOccurred())
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	Expect(err).NotTo(HaveOccurred())
	return body
}
