// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testform"
)

// human is somebody with a GitHub account in front of a browser.
type human struct {
	// mu: one thing at a time. Two first visits of a browser at the same moment bring it
	// two cookies of which one is kept, and the consent of the other is refused.
	mu      sync.Mutex
	login   string
	browser *http.Client
	// dwells: takes a few seconds to find the password.
	dwells bool
}

// newHuman opens a browser that knows nobody yet.
func newHuman(login string, transport http.RoundTripper) *human {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &human{login: login, browser: &http.Client{
		Transport: transport, Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if strings.HasPrefix(r.URL.String(), soakRedirect) {
				return http.ErrUseLastResponse
			}
			if len(via) > 10 {
				return errors.New("more than 10 redirects")
			}
			return nil
		},
	}}
}

// signIn is the whole way from the client's link to the code that the client is sent:
// consent, GitHub where the browser is not signed in, and back. An answer without a
// code is where it ended, with status zero if that is not known.
func (h *human) signIn(ctx context.Context, p *program) (code string, last answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	address := p.origin + "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {soakRedirect}, "state": {"s"},
		"code_challenge": {soakChallenge}, "code_challenge_method": {"S256"}, "resource": {p.origin + "/mcp"},
	}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	for range 10 {
		if err != nil {
			return "", answer{err: err}
		}
		resp, err := h.browser.Do(req)
		page := readAnswer(resp, err)
		if page.status == 0 {
			return "", page
		}
		if to, err := resp.Location(); err == nil && strings.HasPrefix(to.String(), soakRedirect) {
			return to.Query().Get("code"), page
		}
		if page.status != http.StatusOK {
			page.err = fmt.Errorf("the sign-in ended at %s with %s: %s", resp.Request.URL.Path, resp.Status, titleOf(page.body))
			return "", page
		}
		if req, err = h.fill(ctx, resp.Request.URL, page.body); err != nil {
			page.err = fmt.Errorf("%s: %w", resp.Request.URL.Path, err)
			return "", page
		}
	}
	return "", answer{status: http.StatusOK, err: errors.New("ten pages and no code")}
}

// fill fills in the form of a page: whoever is asked agrees.
func (h *human) fill(ctx context.Context, at *url.URL, page []byte) (*http.Request, error) {
	action, fields, err := testform.First(bytes.NewReader(page))
	if err != nil {
		return nil, err
	}
	switch {
	case fields.Has("login"):
		if h.dwells {
			time.Sleep(rand.N(4 * time.Second))
		}
		fields.Set("login", h.login)
	case strings.HasPrefix(at.Path, "/login/"):
		fields.Set("authorize", "1")
	default:
		fields.Set("decision", "approve")
	}
	to, err := at.Parse(action)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", formType)
	req.Header.Set("Origin", at.Scheme+"://"+at.Host)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return req, nil
}

func titleOf(page []byte) string {
	_, rest, _ := strings.Cut(string(page), "<h1")
	_, rest, _ = strings.Cut(rest, ">")
	title, _, _ := strings.Cut(rest, "<")
	return strings.TrimSpace(title)
}
