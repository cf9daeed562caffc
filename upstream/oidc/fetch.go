// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// maxRetryAfter bounds what is believed of a Retry-After.
const maxRetryAfter = time.Hour

// document is the answer to a GET.
type document struct {
	status int
	header http.Header
	body   []byte
}

// get makes one request, with a bearer token where one is given. what names the
// document in errors. Every error is a *upstream.Refusal; an answer with any status
// is none.
func (o *OIDC) get(ctx context.Context, what, address, bearer string) (document, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return document{}, upstream.Refuse(upstream.ReasonUnavailable, "oidc: %s: not a request", what)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return document{}, upstream.Refuse(upstream.ReasonUnavailable, "oidc: %s: %w", what, transportCause(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return document{}, upstream.Refuse(upstream.ReasonUnavailable, "oidc: %s is longer than %d bytes", what, maxBody)
	}
	if err != nil {
		return document{}, upstream.Refuse(upstream.ReasonUnavailable, "oidc: %s: reading the answer: %w", what, err)
	}
	return document{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// refuse says that the answer was not the document.
func (o *OIDC) refuse(what string, d document) *upstream.Refusal {
	return o.statusRefusal(upstream.ReasonUnavailable, what, d.status, d.header)
}

func (o *OIDC) statusRefusal(reason upstream.Reason, what string, status int, header http.Header) *upstream.Refusal {
	r := upstream.Refuse(reason, "oidc: %s answered with status %d", what, status)
	r.RetryAfter = retryAfter(header, o.now())
	return r
}

// retryAfter reads RFC 9110 §10.2.3, zero if there is none to believe.
func retryAfter(header http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(header.Get("Retry-After"))
	var d time.Duration
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// transportCause is the network error below what http.Client and x/oauth2 wrap
// around it, or nil if err is none. The URL around it would repeat queries.
func transportCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return nil
}
