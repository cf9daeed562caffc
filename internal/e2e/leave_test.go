// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// postForm sends a form to an endpoint of the issuer.
func postForm(t *testing.T, g *gateway, path string, form url.Values) (int, string) {
	t.Helper()
	resp, err := bearer(t.Context(), http.MethodPost, g.origin+path, "", []byte(form.Encode()),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, readAll(t, resp)
}

// A client says goodbye (RFC 7009), at the address the metadata name: the next
// request is refused, the stream that is open ends, there is nothing to refresh,
// and a restart changes none of it. Somebody else goes on.
func TestRevokedIsRefusedAtOnceAndItsStreamEnds(t *testing.T) {
	for name, which := range map[string]func(tokenSet) string{
		"access token":  func(s tokenSet) string { return s.Access },
		"refresh token": func(s tokenSet) string { return s.Refresh },
	} {
		t.Run(name, func(t *testing.T) {
			backend := &testmcp.Scripted{}
			g := startGateway(t, config{backend: serveBackend(t, backend)})
			mine, other := signInSet(t, g), signInSet(t, g)
			stream := openStream(t, g, backend, mine.Access)
			stream.passes(t, "data: before")
			others := openStream(t, g, backend, other.Access)

			id := mine.form.Get("client_id")
			endpoint := metadata(t, g)["revocation_endpoint"]
			if endpoint != g.origin+"/revoke" {
				t.Fatalf("revocation_endpoint %v", endpoint)
			}
			status, text := postForm(t, g, "/revoke", url.Values{"token": {which(mine)}, "client_id": {id}})
			if status != http.StatusOK || text != "" {
				t.Fatalf("revoke: %d %q", status, text)
			}
			if usable(t, g, mine.Access) {
				t.Error("the access token still opens the resource")
			}
			stream.ends(t)
			mustFail(t, g, refreshForm(id, mine.Refresh))
			others.passes(t, "data: still there")

			g.kill()
			g.start()
			if usable(t, g, mine.Access) || !usable(t, g, other.Access) {
				t.Error("the restart undid the revocation, or did it to somebody else")
			}
		})
	}
}

func metadata(t *testing.T, g *gateway) map[string]any {
	t.Helper()
	resp, err := bearer(t.Context(), http.MethodGet, g.origin+"/.well-known/oauth-authorization-server", "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(readAll(t, resp)), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// A client reads its registration and deletes it (RFC 7592), with what it was told
// when it registered.
func TestClientReadsAndDeletesItsRegistration(t *testing.T) {
	g := startGateway(t, config{backend: serveBackend(t, &testmcp.Scripted{})})
	resp, err := bearer(t.Context(), http.MethodPost, g.origin+"/register", "",
		[]byte(`{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"none","client_name":"Weather bot"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	var client struct {
		Token string `json:"registration_access_token"`
		URI   string `json:"registration_client_uri"`
	}
	if err := json.Unmarshal([]byte(readAll(t, resp)), &client); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		method, token string
		status        int
		text          string
	}{
		{http.MethodGet, client.Token, http.StatusOK, "Weather bot"},
		{http.MethodDelete, client.Token + "x", http.StatusUnauthorized, "invalid_token"},
		{http.MethodPut, client.Token, http.StatusMethodNotAllowed, "register anew"},
		{http.MethodDelete, client.Token, http.StatusNoContent, ""},
		{http.MethodGet, client.Token, http.StatusUnauthorized, "invalid_token"},
	} {
		resp, err := bearer(t.Context(), step.method, client.URI, step.token, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text := readAll(t, resp); resp.StatusCode != step.status || !strings.Contains(text, step.text) {
			t.Errorf("%s: %d %s", step.method, resp.StatusCode, text)
		}
	}
}

// A legacy session is worth nothing in other hands, with or without what the
// stream said, and its owner notices nothing of it (R10.23).
func TestLegacySessionOfSomebodyElseIsNotFound(t *testing.T) {
	g := startGateway(t, config{
		path: "/sse", backend: serveBackend(t, testmcp.Legacy()), gateway: []string{"also /messages", "allow any"},
	})
	alice := signIn(t, g)
	g.github.SignIn(666)
	mallory := signIn(t, g)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := bearer(ctx, http.MethodGet, g.url, alice, nil, http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 4096)
	n, err := resp.Body.Read(first) // the event comes in one piece, at once
	if err != nil {
		t.Fatal(err)
	}
	uri, ok := strings.CutPrefix(string(first[:n]), "event: endpoint\ndata: ")
	if !ok || !strings.HasSuffix(uri, "\n\n") || !strings.Contains(uri, "mcp_bind=") {
		t.Fatalf("first event %q", first[:n])
	}
	uri = strings.TrimSpace(uri)
	bare, _, _ := strings.Cut(uri, "&mcp_bind=")
	for name, tc := range map[string]struct {
		uri, token string
		want       int
	}{
		"somebody else":             {uri, mallory, http.StatusNotFound},
		"somebody else, bare":       {bare, mallory, http.StatusNotFound},
		"the owner, bare":           {bare, alice, http.StatusNotFound},
		"the owner":                 {uri, alice, http.StatusAccepted},
		"somebody else, in arrays":  {strings.Replace(bare, "sessionId", "sessionId[]", 1), mallory, http.StatusNotFound},
		"somebody else, semicolons": {"/messages?a;" + strings.TrimPrefix(bare, "/messages?"), mallory, http.StatusNotFound},
	} {
		resp, err := bearer(t.Context(), http.MethodPost, g.origin+tc.uri, tc.token, []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text := readAll(t, resp); resp.StatusCode != tc.want {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
	}
}

// The operator requires a scope that connected clients do not have: they are told
// what to ask for, and a client of the SDK goes and gets it by itself.
func TestRequiredScopeIsAskedFor(t *testing.T) {
	c := config{backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer())), gateway: []string{"scopes read"}}
	g := startGateway(t, c)
	alice := newPerson()
	client := newClient(t, alice)
	session := client.mustConnect(t, g.url, nil)
	if scope := whoAmI(t, session).Scope; scope != "read offline_access" {
		t.Errorf("scope %q", scope)
	}
	g.stop()
	c.gateway = []string{"scopes read write", "require_scopes write", "scope_includes admin write"}
	g.configure(c)
	g.start()
	if scope := whoAmI(t, session).Scope; !strings.Contains(scope, "read write") {
		t.Errorf("scope after the step-up %q", scope)
	}
	if n := alice.signIns.Load(); n != 2 {
		t.Errorf("the person was asked %d times, want twice", n)
	}
}
