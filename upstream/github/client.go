// SPDX-License-Identifier: Apache-2.0

package github

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// requestTimeout bounds one request including its body.
	requestTimeout = 10 * time.Second
	// lookTimeout bounds all requests of one sign-in, for which a person waits, and
	// of one check.
	lookTimeout = 30 * time.Second
	// maxBody bounds an answer after decompression, in bytes. A full page of
	// a hundred teams has about a third of it.
	maxBody = 1 << 20

	userAgent  = "caddy-mcp-oauth"
	apiVersion = "2022-11-28"
)

var errBodyTooLong = errors.New("answer is longer than 1 MiB")

// newHTTPClient returns a client of our own, also where one is given: an answer
// that redirects would take the token to wherever it says.
func newHTTPClient(given *http.Client) *http.Client {
	var c http.Client
	if given != nil {
		c = *given
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	c.Transport = polite{c.Transport}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar = nil
	if c.Timeout <= 0 || c.Timeout > requestTimeout {
		c.Timeout = requestTimeout
	}
	return &c
}

func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = 64 << 10
	t.ResponseHeaderTimeout = requestTimeout
	return t
}

// polite adds what GitHub asks of every client to the requests x/oauth2 makes
// for us as well, and bounds what comes back.
type polite struct{ next http.RoundTripper }

func (p polite) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", userAgent)
	if req.Header.Get("Accept") == "" {
		// Without it GitHub's token endpoint answers form-encoded.
		req.Header.Set("Accept", "application/json")
	}
	resp, err := p.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxBody}
	return resp, nil
}

// boundedBody fails where io.LimitReader would end silently: half an answer
// must not pass for a whole one.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errBodyTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, errBodyTooLong
	}
	return n, err
}
