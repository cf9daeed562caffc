// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Provider is a server whose answers the suite can spoil, in front of the handler
// that plays the identity provider. It is safe for concurrent use.
type Provider struct {
	// URL is its root, http on a loopback address, without a slash at the end.
	URL string

	server *httptest.Server

	mu       sync.Mutex
	handler  http.Handler
	faults   map[string]Fault
	requests []Request
}

// Request is what the suite remembers of a request.
type Request struct {
	Path string
	// URI is path and query.
	URI string
	// Bearer is the token in Authorization, if there was one.
	Bearer string
}

// Fault stands in the way of a request. It answers itself, or lets next answer.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// NewProvider listens until the test ends. Until Serve everything is a 404.
func NewProvider(t *testing.T) *Provider {
	t.Helper()
	p := &Provider{handler: http.NotFoundHandler(), faults: make(map[string]Fault)}
	p.server = httptest.NewServer(p)
	p.URL = p.server.URL
	t.Cleanup(p.Stop)
	return p
}

// Serve says who answers. The handler may need to know the URL first, which is why
// NewProvider does not take it.
func (p *Provider) Serve(h http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
}

// Stop ends the server: nobody listens any more.
func (p *Provider) Stop() {
	p.server.CloseClientConnections() // of requests that hang
	p.server.Close()
}

// Break makes requests of a path meet a fault, until Heal. An empty path stands for
// all that have no fault of their own.
func (p *Provider) Break(path string, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[path] = f
}

// Heal removes all faults.
func (p *Provider) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.faults)
}

// Requests are all so far, in the order in which they came.
func (p *Provider) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A server notices that the client went away only once it has read the body.
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	p.requests = append(p.requests, Request{Path: r.URL.Path, URI: r.URL.RequestURI(), Bearer: bearer(r)})
	handler, fault := p.handler, p.faults[r.URL.Path]
	if fault == nil {
		fault = p.faults[""]
	}
	p.mu.Unlock()
	if fault != nil {
		fault(w, r, handler)
		return
	}
	handler.ServeHTTP(w, r)
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token") {
		return token
	}
	return ""
}
