// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testform"
)

// stop is where a sign-in ended before there was a code.
type stop struct {
	path   string
	status int
}

// String names the step and the status.
func (s stop) String() string { return fmt.Sprintf("%s %d", s.path, s.status) }

// authorizeURL is where the browser is sent.
func (c client) authorizeURL() string {
	return c.origin + "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {redirectURI}, "state": {"s"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "resource": {c.origin + "/mcp"},
	}.Encode()
}

// signIn is the person's part: open the page, agree, come back from GitHub. It
// returns the code, or where it ended without one.
func (c client) signIn(ctx context.Context) (code string, end stop, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.authorizeURL(), nil)
	if err != nil {
		return "", stop{}, err
	}
	resp, err := c.browser().Do(req)
	if err != nil {
		return "", stop{}, noAnswer(ctx, err)
	}
	page, err := read(resp, nil)
	if err != nil || page.status != http.StatusOK {
		return "", stop{"/authorize", page.status}, err
	}
	action, fields, err := testform.First(bytes.NewReader(page.body))
	if err != nil {
		return "", stop{"/authorize", page.status}, err
	}
	return c.approve(ctx, action, fields)
}

func (c client) approve(ctx context.Context, action string, fields url.Values) (code string, end stop, err error) {
	fields.Set("decision", "approve")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.origin+action, strings.NewReader(fields.Encode()))
	if err != nil {
		return "", stop{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", c.origin)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := c.browser().Do(req)
	if err != nil {
		return "", stop{}, noAnswer(ctx, err)
	}
	defer resp.Body.Close()
	if to, err := resp.Location(); err == nil && strings.HasPrefix(to.String(), redirectURI) {
		return to.Query().Get("code"), stop{}, nil
	}
	return "", stop{resp.Request.URL.Path, resp.StatusCode}, nil
}

// noAnswer turns a connection that broke into a sign-in that ended: people reload.
// Only the end of the test is an error.
func noAnswer(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return nil
}

func (c client) browser() *http.Client {
	return &http.Client{Transport: c, Jar: c.jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			return http.ErrUseLastResponse
		}
		if len(via) > 10 {
			return errors.New("more than 10 redirects")
		}
		return nil
	}}
}

// submit sends a form of our own pages.
func (c client) submit(ctx context.Context, path string, fields url.Values) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.origin+path, strings.NewReader(fields.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", c.origin)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return read(c.browser().Do(req))
}

// signOutForm opens the page with which one signs out.
func signOutForm(t *testing.T, c client) url.Values {
	t.Helper()
	resp, err := c.browser().Get(c.origin + "/signout")
	page, err := read(resp, err)
	if err != nil || page.status != http.StatusOK {
		t.Fatalf("the sign-out page: %d, %v", page.status, err)
	}
	_, fields, err := testform.First(bytes.NewReader(page.body))
	if err != nil {
		t.Fatal(err)
	}
	return fields
}
