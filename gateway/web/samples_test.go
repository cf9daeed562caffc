// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
)

// sample is one page as the gateway would show it.
type sample struct {
	name  string
	write func(http.ResponseWriter) error
}

// Ways to sign in.
var (
	github       = web.Upstream{Name: "github", Label: "GitHub", Scopes: []string{"read:user", "user:email", "read:org"}}
	company      = web.Upstream{Name: "corp", Label: "Example Corp", Scopes: []string{"openid", "email", "groups", "corp:badge"}}
	localAccount = web.Upstream{Name: "local", Label: "a password"}
)

// claude is a client with a metadata document, the best case.
func claude() *web.Consent {
	return &web.Consent{
		Action: "/authorize/consent", Request: "mcpcr_c2VhbGVk", CSRF: "dG9rZW4",
		ClientName: "Claude", ClientVerified: true, ClientHost: "claude.ai",
		RedirectScheme: "https", RedirectHost: "claude.ai",
		RedirectURI: "https://claude.ai/api/mcp/auth_callback", RedirectKind: "https",
		ResourceName: "Weather", ResourceURL: "https://mcp.example.com/mcp",
		Scopes: []string{"mcp"}, Upstreams: []web.Upstream{github},
	}
}

// inspector is dynamically registered, on the user's own computer.
func inspector() *web.Consent {
	c := claude()
	c.ClientName, c.ClientVerified, c.ClientHost = "MCP Inspector", false, ""
	c.RedirectScheme, c.RedirectHost, c.RedirectKind = "http", "localhost:6274", "loopback"
	c.RedirectURI = "http://localhost:6274/oauth/callback"
	return c
}

// cursor answers to a private-use scheme, at a server with several upstreams.
func cursor() *web.Consent {
	c := claude()
	c.ClientName, c.ClientVerified, c.ClientHost = "Cursor", false, ""
	c.RedirectScheme, c.RedirectHost, c.RedirectKind = "cursor", "anysphere.cursor-mcp", "private-use"
	c.RedirectURI = "cursor://anysphere.cursor-mcp/oauth/callback"
	c.Scopes = []string{"mcp", "weather:read", "weather:write"}
	c.Upstreams = []web.Upstream{github, company, localAccount}
	return c
}

// returning is a person who is signed in, at a website that may be remembered.
func returning() *web.Consent {
	c := claude()
	c.SignedIn = &web.Account{Name: "octocat", Upstream: "GitHub"}
	c.MayRemember, c.SignOutURL = true, "https://mcp.example.com/signout"
	return c
}

// returningAtSeveral is the same at a server with several upstreams, for an app.
func returningAtSeveral() *web.Consent {
	c := cursor()
	c.SignedIn = &web.Account{Name: "ada@example.com", Upstream: "Example Corp"}
	return c
}

// forwarding is a server that gets the user's token.
func forwarding() *web.Consent {
	c := claude()
	c.ResourceName = "Repository tools"
	c.Upstreams = []web.Upstream{{Name: "github", Label: "GitHub", Scopes: []string{"read:org", "repo"}}}
	c.ForwardsToken = []web.ForwardedToken{{Upstream: "GitHub", Scopes: []string{"read:org", "repo"}}}
	return c
}

// forwardingSeveral is one that gets it from wherever the user signs in.
func forwardingSeveral() *web.Consent {
	c := cursor()
	c.ForwardsToken = []web.ForwardedToken{{Upstream: "GitHub", Scopes: []string{"read:org", "repo"}}, {Upstream: "Example Corp"}}
	return c
}

// bare has every optional field empty.
func bare() *web.Consent {
	return &web.Consent{
		Action: "/authorize/consent", Request: "r", CSRF: "c",
		RedirectScheme: "com.example.app", RedirectURI: "com.example.app:/cb", RedirectKind: "private-use",
		ResourceURL: "https://mcp.example.com", Upstreams: []web.Upstream{{Name: "local", Label: "a password"}},
	}
}

// hostile is a client that says what no client should.
func hostile() *web.Consent {
	c := claude()
	c.ClientName = `"><img src=x onerror=alert(1)><script>alert(2)</script>{{.CSRF}}` + "\u202eedualC\u2069\u2069 \u200b" +
		strings.Repeat("Z\u0335\u0321\u0327\u0316\u0317\u0318\u0319\u031a", 20) + strings.Repeat("A", 10_000)
	c.ClientVerified, c.ClientHost = false, "claude.ai"
	c.RedirectHost = "claude.ai." + strings.Repeat("account-verification-", 12) + "xn--pypal-4ve.example"
	c.RedirectURI = "https://" + c.RedirectHost + "/cb?next=" + strings.Repeat("A", 1500)
	c.ResourceName = "Wetter für Straßenbahnhaltestellenüberdachungsbeauftragtenvertretung </title><script>alert(3)</script>"
	c.Scopes = []string{"mcp", `"onfocus=alert(4)`, strings.Repeat("scope", 60)}
	c.SignedIn = &web.Account{Name: c.ClientName, Upstream: strings.Repeat("Upstream", 30) + "\u202e"}
	c.ForwardsToken = []web.ForwardedToken{{Upstream: c.SignedIn.Upstream, Scopes: c.Scopes}}
	c.MayRemember, c.SignOutURL = true, "https://"+strings.Repeat("mcp.", 40)+"example.com/signout"
	return c
}

func consent(c *web.Consent) func(http.ResponseWriter) error {
	return func(w http.ResponseWriter) error { return web.WriteConsent(w, c) }
}

func signOut(s *web.SignOut) func(http.ResponseWriter) error {
	return func(w http.ResponseWriter) error { return web.WriteSignOut(w, s) }
}

func octocatSigningOut() *web.SignOut {
	return &web.SignOut{
		Action: "/signout", CSRF: "dG9rZW4", Site: "https://mcp.example.com", SignedInAs: "octocat", SignedInWith: "GitHub",
	}
}

func signIn(status int, s *web.SignIn) func(http.ResponseWriter) error {
	return func(w http.ResponseWriter) error { return web.WriteSignIn(w, status, s) }
}

func problem(p *web.Problem) func(http.ResponseWriter) error {
	return func(w http.ResponseWriter) error { return web.WriteProblem(w, p) }
}

func firstSignIn() *web.SignIn {
	return &web.SignIn{
		Action: "/callback/local", State: "c3RhdGU", CSRF: "dG9rZW4", Label: "a password",
		ResourceName: "Weather", ClientName: "MCP Inspector",
	}
}

func failedSignIn() *web.SignIn {
	s := firstSignIn()
	s.Username, s.Error = "ada", "The name or the password is not right."
	return s
}

func unknownClient() *web.Problem {
	return &web.Problem{
		Status: http.StatusBadRequest, Title: "This program is not registered here",
		Text:   "The gateway does not know the program that sent you here. Its registration may have been removed.",
		Hint:   "Remove this MCP server from your client and add it again, so that it registers anew.",
		Reason: "unknown_client", Flow: "9f2c61d07ab3",
	}
}

func declined() *web.Problem {
	return &web.Problem{
		Status: http.StatusOK, Title: "You declined",
		Text:   "The program was not given access. You can close this page.",
		Reason: "access_denied", Flow: "9f2c61d07ab3",
		Back: &web.Link{
			Href: "cursor://anysphere.cursor-mcp/oauth/callback?error=access_denied&state=a%2Fb&iss=https%3A%2F%2Fmcp.example.com",
			Text: "Return to anysphere.cursor-mcp",
		},
	}
}

// notAllowed is somebody who could be, if they did something elsewhere first.
func notAllowed() *web.Problem {
	return &web.Problem{
		Status: http.StatusForbidden, Title: "You do not have access",
		Text: "You are signed in as octocat, and this account is not on the list of those who may use this MCP server.",
		Hint: "Ask whoever runs the server to add you, or sign in with another account.",
		Hints: []web.Hint{
			{"The organization acme wants you to sign in there first.", "https://github.com/orgs/acme/sso?return_to=%2Fa&x=1"},
			{"The organization initech has not approved this application. Ask one of its owners.", ""},
		},
		Reason: "not_allowed", Flow: "9f2c61d07ab3",
		Back: &web.Link{Href: "https://claude.ai/api/mcp/auth_callback?error=access_denied", Text: "Return to claude.ai"},
	}
}

// samples are all pages in all their shapes.
func samples() []sample {
	return []sample{
		{"consent-claude", consent(claude())},
		{"consent-inspector", consent(inspector())},
		{"consent-cursor", consent(cursor())},
		{"consent-returning", consent(returning())},
		{"consent-returning-at-several", consent(returningAtSeveral())},
		{"consent-forwarding", consent(forwarding())},
		{"consent-forwarding-several", consent(forwardingSeveral())},
		{"consent-bare", consent(bare())},
		{"consent-hostile", consent(hostile())},
		{"signin", signIn(http.StatusOK, firstSignIn())},
		{"signin-failed", signIn(http.StatusUnauthorized, failedSignIn())},
		{"signin-bare", signIn(http.StatusOK, &web.SignIn{Action: "/callback/local", State: "s", CSRF: "c"})},
		{"signout", signOut(octocatSigningOut())},
		{"signout-hostile", signOut(&web.SignOut{
			Action: "/signout", CSRF: "c", Site: "http://" + strings.Repeat("very-long-", 20) + "xn--pypal-4ve.example:8080",
			SignedInAs: `"><script>alert(1)</script>` + "\u202e" + strings.Repeat("a", 500), SignedInWith: strings.Repeat("Label", 60),
		})},
		{"signout-nobody", signOut(&web.SignOut{Site: "https://mcp.example.com"})},
		{"problem-unknown-client", problem(unknownClient())},
		{"problem-declined", problem(declined())},
		{"problem-not-allowed", problem(notAllowed())},
		{"problem-bare", problem(&web.Problem{Status: http.StatusNotFound, Title: "Not found"})},
	}
}

// write renders a page and returns the response. Any error fails the test.
func write(t *testing.T, f func(http.ResponseWriter) error) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := f(w); err != nil {
		t.Fatalf("page not written: %v", err)
	}
	return w
}
