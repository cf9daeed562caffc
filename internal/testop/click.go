// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

const maxHops = 10

// Click is a person in front of a browser without a screen: it opens the address of
// a sign-in, chooses a user where the login page asks, and returns the address the
// provider sends the browser back to, which is not opened. An empty subject is who
// cancels. Whoever is signed in already is asked only if the client wants that.
func (p *Provider) Click(ctx context.Context, address, subject string) (*url.URL, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{
		Jar:           jar,
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	here, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	method := http.MethodGet
	for range maxHops {
		next, err := p.step(ctx, browser, method, here, subject)
		if err != nil {
			return nil, err
		}
		method = http.MethodGet
		if next == nil { // the login page: press a button
			method = http.MethodPost
			continue
		}
		if !strings.HasPrefix(next.String(), p.origin()+"/") {
			return next, nil
		}
		here = next
	}
	return nil, errors.New("the provider redirects in circles")
}

// step opens one page and returns where it leads, nil for the login page.
func (p *Provider) step(ctx context.Context, browser *http.Client, method string, here *url.URL, subject string) (*url.URL, error) {
	var body *strings.Reader
	if method == http.MethodPost {
		body = strings.NewReader(url.Values{"id": {here.Query().Get("id")}, "subject": {subject}}.Encode())
	} else {
		body = strings.NewReader("")
	}
	req, err := http.NewRequestWithContext(ctx, method, here.String(), body)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if to, err := resp.Location(); err == nil {
		return to, nil
	}
	if resp.StatusCode == http.StatusOK && strings.HasSuffix(here.Path, pathLogin) && method == http.MethodGet {
		return nil, nil
	}
	return nil, fmt.Errorf("%s %s answered %s and led nowhere", method, here.Path, resp.Status)
}

func (p *Provider) origin() string {
	return strings.TrimSuffix(p.issuer, p.cfg.IssuerPath)
}
