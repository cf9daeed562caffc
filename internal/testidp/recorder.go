// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net/http"
	"net/url"
	"slices"
)

const (
	// maxRecorded is how many requests are kept; older ones go first.
	maxRecorded = 10_000
	maxForm     = 64 << 10 // bytes
)

// Request is what the fake was asked, secrets included.
type Request struct {
	Method string
	// Path is without /api/v3.
	Path   string
	Host   string
	Query  url.Values
	Form   url.Values // of the body
	Header http.Header
}

// record keeps the request and parses its body.
func (g *GitHub) record(r *http.Request) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.requests) >= maxRecorded {
		g.requests = slices.Delete(g.requests, 0, maxRecorded/10)
	}
	g.requests = append(g.requests, Request{
		Method: r.Method, Path: pathOf(r), Host: r.Host,
		Query: r.URL.Query(), Form: r.PostForm, Header: r.Header.Clone(),
	})
	return nil
}

// Requests are the requests so far, to these paths or to all of them.
func (g *GitHub) Requests(paths ...string) []Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []Request
	for _, r := range g.requests {
		if len(paths) == 0 || slices.Contains(paths, r.Path) {
			found = append(found, r)
		}
	}
	return found
}

// Forget empties the record.
func (g *GitHub) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = nil
}
