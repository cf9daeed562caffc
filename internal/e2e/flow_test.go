// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// octocat is what the backend must be told about the fake GitHub's octocat, when
// a client asks for refresh tokens by name, as the newer SDKs do.
var octocat = testmcp.WhoAmI{
	User: "github:583231", PreferredUsername: "octocat", Email: "octocat@github.example",
	Scope: "mcp offline_access",
}

// Client ids are random; a cookie of the backend's own is none of ours.
var (
	ignoreClientID = cmpopts.IgnoreFields(testmcp.WhoAmI{}, "ClientID")
	ignoreCookie   = cmpopts.IgnoreFields(testmcp.WhoAmI{}, "Cookie")
)

// The whole story of the README with the Go SDK's own OAuth code: refused,
// discovered, registered, approved, signed in, served; then the access token
// expires, and nobody notices.
func TestGoClientSignsInAndStaysSignedIn(t *testing.T) {
	backend := serveBackend(t, testmcp.Stateful(testmcp.NewServer()))
	g := startGateway(t, config{backend: backend, global: []string{"access_token_ttl 2s"}, gateway: []string{`name "Weather"`}})
	alice := newPerson()
	c := newClient(t, alice)
	session := c.mustConnect(t, g.url, nil)

	tools, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatalf("list tools: %v", err)
	}
	if len(tools.Tools) == 0 {
		t.Error("no tools")
	}
	who := whoAmI(t, session)
	if diff := cmp.Diff(octocat, who, ignoreClientID); diff != "" {
		t.Errorf("identity at the backend (-want +got):\n%s", diff)
	}
	if who.ClientID == "" {
		t.Error("the backend is not told which client calls")
	}
	checkOrder(t, c.wire.trace(), []step{
		{method: http.MethodPost, path: "/mcp", status: http.StatusUnauthorized},
		{method: http.MethodGet, path: "/.well-known/oauth-protected-resource/mcp", status: http.StatusOK},
		{method: http.MethodGet, path: "/.well-known/oauth-authorization-server", status: http.StatusOK},
		{method: http.MethodPost, path: "/register", status: http.StatusCreated},
		{method: http.MethodPost, path: "/token", status: http.StatusOK},
		{method: http.MethodPost, path: "/mcp", status: http.StatusOK},
	})

	first := c.wire.tokens()[0]
	untilExpired(t, g.url, first.Access)
	if diff := cmp.Diff(who, whoAmI(t, session)); diff != "" {
		t.Errorf("identity after expiry (-want +got):\n%s", diff)
	}
	last := c.wire.last(t)
	if last.form.Get("grant_type") != "refresh_token" || last.Access == first.Access || last.Refresh == first.Refresh {
		t.Errorf("after expiry: grant %q, access token new: %v, refresh token new: %v; want a rotation",
			last.form.Get("grant_type"), last.Access != first.Access, last.Refresh != first.Refresh)
	}
	if n := alice.signIns.Load(); n != 1 {
		t.Errorf("the person was asked %d times, want once", n)
	}
}

// The six lines of the README as they are meant: a public name with https, and
// behind it an MCP server as it comes, which listens on loopback and, against
// DNS rebinding, refuses every other name. The gateway has to speak to it under
// the address it has.
func TestPublicNameInFrontOfAnUnchangedServer(t *testing.T) {
	for name, backend := range map[string]http.Handler{
		"2025-11-25": testmcp.Stateful(testmcp.NewServer()),
		"2026-07-28": testmcp.Stateless(testmcp.NewServer()),
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, config{host: "mcp" + publicDomain, backend: serveBackend(t, backend)})
			session := newClient(t, newPerson()).mustConnect(t, g.url, nil)
			if v := session.InitializeResult().ProtocolVersion; v != name {
				t.Errorf("protocol version %q", v)
			}
			if diff := cmp.Diff(octocat, whoAmI(t, session), ignoreClientID); diff != "" {
				t.Errorf("identity at the backend (-want +got):\n%s", diff)
			}
		})
	}
}

// checkOrder finds the wanted steps in the trace, in this order.
func checkOrder(t *testing.T, trace, want []step) {
	t.Helper()
	i := 0
	for _, s := range trace {
		if i < len(want) && s == want[i] {
			i++
		}
	}
	if i < len(want) {
		t.Errorf("%v is missing after the first %d steps of %v", want[i], i, trace)
	}
}

// The same story with the TypeScript SDK, in both majors and both eras. The
// script is the client; only the browser is ours.
func TestTypeScriptClientsSignInAndStaySignedIn(t *testing.T) {
	stateful := func() http.Handler { return testmcp.Stateful(testmcp.NewServer()) }
	stateless := func() http.Handler { return testmcp.Stateless(testmcp.NewServer()) }
	tests := []struct {
		name, script, mode string
		backend            func() http.Handler
		path               string
		gateway            []string
		scope              string
	}{
		{name: "1.x", script: "v1.mjs", backend: stateful, scope: "mcp"},
		{
			name: "1.x over HTTP+SSE", script: "v1.mjs", mode: "sse", backend: testmcp.Legacy,
			path: "/sse", gateway: []string{"also /messages"}, scope: "mcp",
		},
		{name: "2.x", script: "v2.mjs", backend: stateful, scope: "mcp offline_access"},
		{name: "2.x of 2026-07-28", script: "v2.mjs", mode: "modern", backend: stateless, scope: "mcp offline_access"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			g := startGateway(t, config{
				path: tc.path, backend: serveBackend(t, tc.backend()),
				global: []string{"access_token_ttl 2s"}, gateway: tc.gateway,
			})
			n := startNode(t, tc.script, g.url, tc.mode)
			alice := newPerson()
			alice.browser.stopAt = "" // the script listens for its callback
			end, err := alice.authorize(t.Context(), n.expect("authorize").URL)
			if err != nil {
				t.Fatal(err)
			}
			if end.status != http.StatusOK || end.url.Path != "/callback" {
				t.Fatalf("the browser ended at %s with %d:\n%s", end.url, end.status, end.body)
			}
			if names := n.expect("tools").Names; len(names) == 0 {
				t.Error("no tools")
			}
			checkIdentity(t, n.expect("whoami"), "first", tc.scope)
			n.command("expire")
			checkIdentity(t, n.expect("whoami"), "expire", tc.scope)
			done := n.end()
			if done.Authorizations != 1 {
				t.Errorf("the person was asked %d times, want once", done.Authorizations)
			}
			if done.TokenSets < 2 || done.AccessTokens != done.TokenSets || done.RefreshTokens != done.TokenSets {
				t.Errorf("token sets %d, access tokens %d, refresh tokens %d; want a new one of each, every time",
					done.TokenSets, done.AccessTokens, done.RefreshTokens)
			}
		})
	}
}

func checkIdentity(t *testing.T, e nodeEvent, step, scope string) {
	t.Helper()
	want := octocat
	want.Scope = scope
	if e.Step != step {
		t.Errorf("step %q, want %q", e.Step, step)
	}
	if diff := cmp.Diff(want, e.Identity, ignoreClientID); diff != "" {
		t.Errorf("identity at step %q (-want +got):\n%s", step, diff)
	}
}

// What travels in a sign-in is nobody's business who reads the log, not even
// with every request logged.
func TestNoSecretOfASignInIsLogged(t *testing.T) {
	backend := serveBackend(t, testmcp.Stateless(testmcp.NewServer()))
	g := startGateway(t, config{
		backend: backend, options: []string{"debug"}, before: []string{"log"}, global: []string{"access_token_ttl 2s"},
	})
	alice := newPerson()
	c := newClient(t, alice)
	session := c.mustConnect(t, g.url, nil)
	whoAmI(t, session)
	untilExpired(t, g.url, c.wire.tokens()[0].Access)
	whoAmI(t, session)
	g.stop()

	var secrets []string
	for _, set := range c.wire.tokens() {
		secrets = append(secrets, set.Access, set.Refresh, set.form.Get("code"), set.form.Get("code_verifier"))
	}
	for _, r := range g.github.Requests() {
		for _, name := range []string{"code", "code_verifier", "client_secret", "state"} {
			secrets = append(secrets, r.Query.Get(name), r.Form.Get(name))
		}
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			secrets = append(secrets, token)
		}
	}
	for _, cookie := range alice.browser.cookies.cookies {
		secrets = append(secrets, cookie.Value)
	}
	log, checked := g.log.String(), 0
	for _, secret := range secrets {
		if len(secret) < 8 {
			continue
		}
		checked++
		if strings.Contains(log, secret) || strings.Contains(log, url.QueryEscape(secret)) {
			t.Errorf("a secret is in the log: %s…", secret[:6])
		}
	}
	if checked < 10 {
		t.Errorf("only %d secrets seen: the test looks at the wrong things", checked)
	}
}
