// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is a person's browser, as far as the gateway's pages need one. It does
// not follow redirects away from the gateway.
type browser struct {
	t      *testing.T
	client *http.Client
}

func (w *world) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, client: &http.Client{
		Transport: w, Jar: jar,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if r.URL.Scheme+"://"+r.URL.Host != issuer {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

// page is where a navigation ended: a page of the gateway, or where it sent the
// browser to.
type page struct {
	status   int
	text     string
	location *url.URL
}

func (b *browser) open(address string) *page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	return b.do(req)
}

func (b *browser) do(req *http.Request) *page {
	b.t.Helper()
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &page{status: resp.StatusCode, text: string(text)}
	p.location, _ = resp.Location() // none on a page
	return p
}

// visible is the text of the page, without the places where it may be broken.
func (p *page) visible() string {
	doc, err := html.Parse(strings.NewReader(p.text))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}

// decide answers a consent page and returns where that leads.
func (b *browser) decide(p *page, decision string) *page {
	b.t.Helper()
	action, fields := b.form(p)
	fields.Set("decision", decision)
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, issuer+action, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", issuer)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(req)
}

// form reads the fields of the page's form that a browser would send.
func (b *browser) form(p *page) (action string, fields url.Values) {
	b.t.Helper()
	doc, err := html.Parse(strings.NewReader(p.text))
	if err != nil || p.status != http.StatusOK {
		b.t.Fatalf("no consent page: %d, %v\n%s", p.status, err, p.text)
	}
	fields = url.Values{}
	for n := range doc.Descendants() {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		_, checked := attr["checked"]
		choice := attr["type"] == "radio" || attr["type"] == "checkbox"
		switch {
		case n.Type == html.ElementNode && n.Data == "form" && action == "":
			action = attr["action"]
		case n.Type == html.ElementNode && n.Data == "input" && attr["name"] != "" && (checked || !choice):
			fields.Set(attr["name"], attr["value"])
		}
	}
	return action, fields
}
