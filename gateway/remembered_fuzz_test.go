// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// Whatever a browser was made to send as the page it comes from: only the site of
// the redirect URI is that site.
func FuzzFromClient(f *testing.F) {
	const uri = "https://client.example/callback"
	for _, referer := range []string{
		"https://client.example/", "https://client.example", "https://CLIENT.example:443/x?y#z", "https://client.example:8443/",
		"https://client.example@evil.example/", "https://client.example.evil.example/", `https://evil.example\@client.example/`,
		"https://client.example\x00.evil.example", "http://client.example/", "https:client.example", "//client.example/",
		"https://[client.example]/", "https://client.example./", "https://client%2eexample/", "about:blank", "", " ",
		"https://evil.example/#https://client.example/", "https://client.example\n.evil.example/", "https://ｃlient.example/",
	} {
		f.Add(referer, uri)
		f.Add(uri, referer)
	}
	f.Fuzz(func(t *testing.T, referer, redirect string) {
		r := httptest.NewRequest(http.MethodGet, "/authorize", nil)
		r.Header = http.Header{
			"Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Referer": {referer},
		}
		if !fromClient(r, redirect) {
			return
		}
		from, err1 := url.Parse(referer)
		to, err2 := url.Parse(redirect)
		if err1 != nil || err2 != nil {
			t.Fatalf("%q is taken for the site of %q, and one is no URL", referer, redirect)
		}
		if from.Scheme != "https" || to.Scheme != "https" || !strings.EqualFold(from.Hostname(), to.Hostname()) ||
			strings.TrimPrefix(from.Port(), "443") != strings.TrimPrefix(to.Port(), "443") || from.Hostname() == "" {
			t.Errorf("%q is taken for the site of %q", referer, redirect)
		}
		// What registration accepts reads the same to the page that shows it.
		if kind, perr := oauth.ParseRedirectURI(redirect); perr == nil {
			host, _, _ := strings.Cut(oauth.RedirectHost(redirect), ":")
			if kind != oauth.RedirectHTTPS || !strings.EqualFold(host, to.Hostname()) && !strings.HasPrefix(host, "[") {
				t.Errorf("%q is shown as %q, and sent to %q", redirect, host, to.Hostname())
			}
		}
	})
}
