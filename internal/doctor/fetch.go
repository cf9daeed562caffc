// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxBody bounds an answer. Metadata documents are a few KiB.
	maxBody = 256 << 10
	// maxHops bounds same-origin redirects of metadata.
	maxHops        = 3
	defaultTimeout = 10 * time.Second
)

// NewHTTPClient is the client [Run] uses by default: the system's trust store and
// the environment's proxy, as local clients have them, and no cookies.
func NewHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:            (&net.Dialer{Timeout: defaultTimeout}).DialContext,
		Proxy:                  http.ProxyFromEnvironment,
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    defaultTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second,
	}}
}

// fetcher sends single requests.
type fetcher struct {
	client  *http.Client
	timeout time.Duration
}

// newFetcher takes only the transport of a client, so that neither its cookies
// nor its redirect policy become part of what is examined.
func newFetcher(c *http.Client, timeout time.Duration) *fetcher {
	if c == nil {
		c = NewHTTPClient()
	}
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &fetcher{timeout: timeout, client: &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do sends one request and follows nothing. header is name, value, name, value …
func (f *fetcher) do(ctx context.Context, method, address, body string, header ...string) *Exchange {
	e := &Exchange{Method: method, URL: address}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		e.Err = fmt.Errorf("%w: the address is malformed", errNotFetched)
		return e
	}
	req.Header.Set("User-Agent", "caddy-mcp-oauth-doctor")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := f.client.Do(req)
	if err != nil {
		e.Err = err
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			e.Err = wrapped.Err // method and address are here already
		}
		return e
	}
	defer resp.Body.Close()
	e.Status, e.Header, e.Proto = resp.StatusCode, resp.Header, resp.Proto
	if resp.TLS != nil {
		e.TLSVersion = tls.VersionName(resp.TLS.Version)
		if certs := resp.TLS.PeerCertificates; len(certs) > 0 {
			e.CertificateEnds = certs[0].NotAfter
		}
	}
	e.read(resp.Body)
	return e
}

// read takes the body. That it breaks off is left to whoever needs it: most
// answers are judged by status and header alone. A stream never ends, so it is
// not begun.
func (e *Exchange) read(body io.Reader) {
	if e.mediaType() == "text/event-stream" {
		return
	}
	b, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	e.Truncated = err != nil || len(b) > maxBody
	e.Body = b[:min(len(b), maxBody)]
}

// get fetches a document as clients do: redirects are followed while they stay at
// the origin, which is as far as the SDKs go.
func (f *fetcher) get(ctx context.Context, address string, header ...string) *Exchange {
	var hops []string
	for at := address; ; {
		e := f.do(ctx, http.MethodGet, at, "", header...)
		e.URL, e.Hops = address, hops
		if !e.redirect() || len(hops) == maxHops {
			return e
		}
		next, err := resolve(at, e.Header.Get("Location"))
		if err != nil || !sameOrigin(next, at) {
			return e
		}
		at = next
		hops = append(hops, at)
	}
}

// resolve reads a Location, which may be relative. Credentials in it are refused:
// they would be sent.
func resolve(base, location string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(location)
	if err != nil {
		return "", err
	}
	if location == "" || u.User != nil || u.Host == "" {
		return "", fmt.Errorf("%w: not a place to go", errNotFetched)
	}
	u.Fragment = ""
	return u.String(), nil
}

// timedOut reports whether a request ran into a time limit.
func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
