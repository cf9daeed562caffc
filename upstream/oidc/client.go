// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"net/http"
	"time"
)

const (
	// requestTimeout bounds one request including its body, however slowly that
	// comes.
	requestTimeout = 10 * time.Second
	// signInTimeout bounds all requests of one sign-in: a person is waiting.
	signInTimeout = 30 * time.Second
	// maxBody bounds an answer after decompression, in bytes. The longest documents
	// of providers have about a tenth of it.
	maxBody = 256 << 10

	userAgent = "caddy-mcp-oauth"
)

// newHTTPClient returns a client of our own, also where one is given: an answer
// that redirects would take a secret or a token to wherever it says, and make us
// knock at addresses that only we can reach.
func newHTTPClient(given *http.Client) *http.Client {
	var c http.Client
	if given != nil {
		c = *given
	}
	if c.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = 64 << 10
		t.ResponseHeaderTimeout = requestTimeout
		c.Transport = t
	}
	c.Transport = bounded{c.Transport}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar = nil
	if c.Timeout <= 0 || c.Timeout > requestTimeout {
		c.Timeout = requestTimeout
	}
	return &c
}

// bounded limits what comes back, also to the requests x/oauth2 makes for us. A
// longer answer is an error: half an answer must not pass for a whole one.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", userAgent)
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	return resp, nil
}
