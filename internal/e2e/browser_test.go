// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// browser is a headless browser without a screen: it follows redirects, keeps
// cookies, submits forms, and tells the server where a navigation comes from,
// all as a browser does.
type browser struct {
	cookies cookieStore
	// stopAt ends a chain of redirects before this prefix is requested.
	stopAt string
}

// page is where a navigation ended.
type page struct {
	url    *url.URL
	status int
	header http.Header
	body   string
	// trail are the URLs on the way, the last one included.
	trail []string
}

// navigation is one request of a chain.
type navigation struct {
	method string
	url    *url.URL
	form   url.Values
	// initiator is the origin of the page that caused it, "" for a person's own
	// doing. site is Sec-Fetch-Site, which a chain can only make worse.
	initiator, site string
	// hidden says that the page's Referrer-Policy keeps its origin secret, which
	// turns the Origin header of a form into "null".
	hidden bool
}

const maxRedirects = 20

// open goes to an address as if somebody typed it, or a program opened it.
func (b *browser) open(ctx context.Context, address string) (*page, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return b.follow(ctx, navigation{method: http.MethodGet, url: u, site: "none"})
}

// submit presses a button of a form on p, with fields filled in.
func (b *browser) submit(ctx context.Context, p *page, label string, fields url.Values) (*page, error) {
	forms, err := parseForms(p.body)
	if err != nil {
		return nil, err
	}
	for _, f := range forms {
		if pressed, ok := f.press(label); ok {
			return b.send(ctx, p, f, pressed, fields)
		}
	}
	return nil, fmt.Errorf("no button %q on the page %s (%d):\n%s", label, p.url, p.status, p.body)
}

func (b *browser) send(ctx context.Context, p *page, f *form, pressed button, fields url.Values) (*page, error) {
	target, err := p.url.Parse(f.action)
	if err != nil {
		return nil, fmt.Errorf("form action: %w", err)
	}
	if f.action == "" {
		target = p.url
	}
	values := url.Values{}
	for _, set := range []url.Values{f.fields, fields} {
		for name := range set {
			values[name] = set[name]
		}
	}
	if pressed.name != "" {
		values.Set(pressed.name, pressed.value)
	}
	nav := navigation{method: f.method, url: target, initiator: originOf(p.url), form: values}
	nav.site, nav.hidden = siteOf(nav.initiator, target), p.header.Get("Referrer-Policy") == "no-referrer"
	if nav.method != http.MethodPost {
		nav.method, nav.form = http.MethodGet, nil
		query := *target
		query.RawQuery = values.Encode()
		nav.url = &query
	}
	return b.follow(ctx, nav)
}

// follow sends a request and goes where it is sent on to.
func (b *browser) follow(ctx context.Context, nav navigation) (*page, error) {
	var trail []string
	for range maxRedirects {
		trail = append(trail, nav.url.String())
		if b.stopAt != "" && strings.HasPrefix(nav.url.String(), b.stopAt) {
			return &page{url: nav.url, trail: trail}, nil
		}
		resp, body, err := b.roundTrip(ctx, nav)
		if err != nil {
			return nil, err
		}
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode > 399 || location == "" {
			return &page{url: nav.url, status: resp.StatusCode, header: resp.Header, body: body, trail: trail}, nil
		}
		if nav, err = redirected(nav, resp.StatusCode, location); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("more than %d redirects: %s", maxRedirects, strings.Join(trail, " -> "))
}

// redirected is the next request of a chain (Fetch, "HTTP-redirect fetch").
func redirected(nav navigation, status int, location string) (navigation, error) {
	target, err := nav.url.Parse(location)
	if err != nil {
		return nav, fmt.Errorf("redirect to %q: %w", location, err)
	}
	next := nav
	next.url = target
	if status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect {
		next.method, next.form = http.MethodGet, nil
	}
	// Every URL of the chain is compared with the initiator, and the worst
	// counts (Fetch Metadata, "Set the Sec-Fetch-Site header").
	if site := siteOf(nav.initiator, target); siteRank[site] > siteRank[nav.site] && nav.site != "none" {
		next.site = site
	}
	return next, nil
}

// siteRank orders the values of Sec-Fetch-Site from good to bad.
var siteRank = map[string]int{"none": 0, "same-origin": 1, "same-site": 2, "cross-site": 3}

func (b *browser) roundTrip(ctx context.Context, nav navigation) (*http.Response, string, error) {
	var body io.Reader
	if nav.form != nil {
		body = strings.NewReader(nav.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, nav.method, nav.url.String(), body)
	if err != nil {
		return nil, "", fmt.Errorf("navigate: %w", err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Site", nav.site)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	if nav.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", nav.initiator)
		if nav.hidden {
			req.Header.Set("Origin", "null")
		}
	}
	for _, c := range b.cookies.matching(nav.url, nav.method, nav.site == "cross-site") {
		req.AddCookie(c)
	}
	resp, err := network.RoundTrip(req)
	if err != nil {
		return nil, "", fmt.Errorf("navigate: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", fmt.Errorf("read page: %w", err)
	}
	b.cookies.set(nav.url, resp.Cookies())
	return resp, string(text), nil
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// siteOf is Sec-Fetch-Site. Ports do not separate sites; hosts here never share
// a registrable domain, so a site is a host.
func siteOf(initiator string, target *url.URL) string {
	from, err := url.Parse(initiator)
	switch {
	case initiator == "":
		return "none"
	case err == nil && initiator == originOf(target):
		return "same-origin"
	case err == nil && from.Scheme == target.Scheme && from.Hostname() == target.Hostname():
		return "same-site"
	}
	return "cross-site"
}
