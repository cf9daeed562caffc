// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// TestHints of a sign-in at a GitHub with https, as they all are.
func TestHints(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		needs policy.Needs
		set   func(*testidp.GitHub)
		app   bool
		says  []string // in this order
		page  string
	}{
		"no rule about organizations": {policy.Needs{}, func(g *testidp.GitHub) { g.RequireSAML("github") }, false, nil, ""},
		"OAuth app":                   {needBoth, func(*testidp.GitHub) {}, false, []string{"approval"}, "/settings/connections/applications/Ov23liTestClient"},
		"OAuth app, SAML":             {needTeams, func(g *testidp.GitHub) { g.RequireSAML("github") }, false, []string{"single sign-on", "approval"}, "/settings/connections/applications/Ov23liTestClient"},
		"OAuth app, restricted":       {policy.Needs{Orgs: true}, func(g *testidp.GitHub) { g.RestrictOrg("github") }, false, []string{"approval"}, "/settings/connections/applications/Ov23liTestClient"},
		"GitHub App":                  {needBoth, func(*testidp.GitHub) {}, true, []string{"installed"}, "/settings/apps/authorizations"},
		"GitHub App, SAML":            {needBoth, func(g *testidp.GitHub) { g.RequireSAML("github") }, true, []string{"single sign-on", "installed"}, "/settings/apps/authorizations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := testidp.New(testidp.Config{App: tc.app})
			fake.AddUser(testidp.Octocat())
			fake.SignIn(testidp.Octocat().ID)
			tc.set(fake)
			srv := httptest.NewTLSServer(fake)
			defer srv.Close()
			g := connect(t, Config{Needs: tc.needs, HTTPClient: srv.Client()}, &testidp.Server{GitHub: fake, URL: srv.URL})
			verifier := oauth2.GenerateVerifier()
			to := authCodeURL(t, g, "s", verifier)
			in, err := g.Identify(t.Context(), visitWith(t, to, srv.Client().Transport), verifier, redirectURI)
			if err != nil {
				t.Fatal(err)
			}
			if len(in.Hints) != len(tc.says) {
				t.Fatalf("hints %+v", in.Hints)
			}
			for i, h := range in.Hints {
				if !strings.Contains(h.Text, tc.says[i]) || strings.ContainsAny(h.Text, "<>&") || !strings.HasSuffix(h.Text, ".") {
					t.Errorf("hint %q does not speak of %s", h.Text, tc.says[i])
				}
				if h.URL != srv.URL+tc.page {
					t.Errorf("hint leads to %q", h.URL)
				}
			}
		})
	}
}

// TestAttackHintLeadsAway: only a GitHub under attack would send people to
// mallory, and the page must not help.
func TestAttackHintLeadsAway(t *testing.T) {
	t.Parallel()
	g, err := New(Config{ClientID: "Iv1.a/../b?c", ClientSecret: "secret", Needs: needBoth})
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"https://github.com/orgs/acme/sso?authorization_request=A": "https://github.com/orgs/acme/sso?authorization_request=A",
		"https://GitHub.com/orgs/acme/sso":                         "https://GitHub.com/orgs/acme/sso",
		"http://github.com/orgs/acme/sso":                          "",
		"https://github.com.evil.example/":                         "",
		"https://github.com@evil.example/":                         "",
		"https://evil.example#github.com":                          "",
		"https://user:pass@github.com/":                            "",
		"https://github.com:8443/":                                 "",
		"//github.com/":                                            "",
		"/orgs/acme/sso":                                           "",
		"javascript:alert(1)//https://github.com/":                 "",
		"https:github.com/":                                        "",
		"https://github.com\\@evil.example/":                       "",
		"https://git\x00hub.com/":                                  "",
		"":                                                         "",
	} {
		if got := g.link(raw); got != want {
			t.Errorf("%q leads to %q", raw, got)
		}
	}
	f := findings{sso: ssoHeader{required: true, url: "https://evil.example/"}}
	want := "https://github.com/settings/connections/applications/Iv1.a%2F..%2Fb%3Fc"
	if got := g.hints(scopes{}, f)[0].URL; got != want {
		t.Errorf("leads to %q, want %q", got, want)
	}
	f.sso.url = "https://github.com/orgs/acme/sso?authorization_request=A"
	if got := g.hints(scopes{}, f)[0].URL; got != f.sso.url {
		t.Errorf("leads to %q", got)
	}
	loopback, err := New(Config{ClientID: "id", ClientSecret: "secret", BaseURL: "http://localhost:8080", Needs: needBoth})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{""}, urlsOf(loopback.hints(scopes{}, findings{}))); diff != "" {
		t.Error(diff)
	}
}

func urlsOf(hints []upstream.Hint) []string {
	var urls []string
	for _, h := range hints {
		urls = append(urls, h.URL)
	}
	return urls
}
