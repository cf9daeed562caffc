// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxBytes is the hard limit of a body, whatever the caller allows.
	MaxBytes = 64 << 10
	// timeout bounds a request as a whole: name, connection, header and body.
	timeout = 5 * time.Second

	maxHeaderBytes = 16 << 10
	userAgent      = "caddy-mcp-oauth"
)

// Options of a Client. The zero value is right for production.
type Options struct {
	// RootCAs are trusted instead of those of the system.
	RootCAs *x509.CertPool
	// Resolver finds addresses. Nil means that of the system.
	Resolver *net.Resolver
	// Timeout bounds a request as a whole. 0 means 5 seconds.
	Timeout time.Duration
	// InsecureAllowLoopback lets requests go to this very machine. It is for
	// tests, which serve documents themselves, and must not be an option of any
	// configuration.
	InsecureAllowLoopback bool
}

// Client gets documents. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	timeout time.Duration
}

// New makes a client. It uses no proxy, not even one that the environment names:
// a proxy would connect to where the dialer refuses to.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = timeout
	}
	dialer := &net.Dialer{Control: guard(o.InsecureAllowLoopback), Resolver: o.Resolver}
	return &Client{
		timeout: o.Timeout,
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:     dialer.DialContext,
				TLSClientConfig: &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
				// One request, one connection: nothing stays open to a stranger.
				DisableKeepAlives:      true,
				DisableCompression:     true,
				MaxResponseHeaderBytes: maxHeaderBytes,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Response is a document and what its server said of it.
type Response struct {
	Header http.Header
	Body   []byte
}

// Get gets the JSON document at an https URL, at most limit bytes of it, and
// never more than MaxBytes. Only status 200 is a success. The error is a
// *Failure.
func (c *Client) Get(ctx context.Context, rawURL string, limit int64) (*Response, error) {
	if err := checkURL(rawURL); err != nil {
		return nil, definite(ReasonRefused, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, definite(ReasonRefused, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transient(reasonOf(err), err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is written
	if err := checkStatus(resp.StatusCode); err != nil {
		return nil, err
	}
	if err := checkType(resp.Header); err != nil {
		return nil, definite(ReasonType, err)
	}
	body, err := readAll(resp.Body, min(limit, MaxBytes))
	if err != nil {
		return nil, err
	}
	return &Response{Header: resp.Header, Body: body}, nil
}

// checkURL wants https, a host, and no user. Ports below 1024 other than 443
// belong to protocols that a TLS handshake could be smuggled into.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("the URL does not parse") // url.Error would repeat it
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return errors.New("want an https URL with a host, without user and fragment")
	}
	port := u.Port()
	if port == "" || port == "443" {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < 1024 {
		return fmt.Errorf("port %s is not for https", port)
	}
	return nil
}

// checkStatus: a redirect is no success, and not followed. What a server answers
// in distress says nothing about the document; what it answers otherwise does.
func checkStatus(status int) error {
	err := fmt.Errorf("status %d", status)
	switch {
	case status == http.StatusOK:
		return nil
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return transient(ReasonStatus, err)
	}
	return definite(ReasonStatus, err)
}

// checkType accepts application/json and application/<something>+json.
func checkType(h http.Header) error {
	values := h.Values("Content-Type")
	if len(values) != 1 {
		return errors.New("want exactly one Content-Type")
	}
	got, _, err := mime.ParseMediaType(values[0])
	if err != nil {
		return errors.New("malformed Content-Type")
	}
	if sub, ok := strings.CutPrefix(got, "application/"); ok && (sub == "json" || strings.HasSuffix(sub, "+json")) {
		return nil
	}
	return errors.New("the content is not JSON")
}

// readAll fails where the document is longer: half of it must not pass for all.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, transient(reasonOf(err), err)
	}
	if int64(len(body)) > limit {
		return nil, definite(ReasonSize, fmt.Errorf("longer than %d bytes", limit))
	}
	return body, nil
}
