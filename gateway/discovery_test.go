// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// The whole of what a client finds out about the server. Golden: SDKs depend on
// every member of it.
func TestServerMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	var got map[string]any
	resp := w.get(oauth.WellKnownServer, "MCP-Protocol-Version", "2026-07-28")
	if err := json.Unmarshal([]byte(body(t, resp)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
		"registration_endpoint":                          issuer + "/register",
		"revocation_endpoint":                            issuer + "/revoke",
		"revocation_endpoint_auth_methods_supported":     []any{"none", "client_secret_post", "client_secret_basic"},
		"introspection_endpoint":                         issuer + "/introspect",
		"jwks_uri":                                       issuer + "/jwks",
		"introspection_endpoint_auth_methods_supported":  []any{"client_secret_post", "client_secret_basic"},
		"scopes_supported":                               []any{"mcp", "read", "write", "offline_access"},
		"response_types_supported":                       []any{"code"},
		"response_modes_supported":                       []any{"query"},
		"grant_types_supported":                          []any{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":               []any{"S256"},
		"token_endpoint_auth_methods_supported":          []any{"none", "client_secret_post", "client_secret_basic"},
		"authorization_response_iss_parameter_supported": true,
		"protected_resources":                            []any{resource, issuer + "/ops"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	wantDocument(t, resp)
}

// wantDocument checks the headers of a discovery document (R2.8, R3.11, R12.2).
func wantDocument(t *testing.T, resp *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*",
		"Access-Control-Allow-Credentials": "", "Set-Cookie": "", "X-Content-Type-Options": "nosniff",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// Clients compare `resource` with the URL they were given, some byte for byte,
// slash included (R2.5). Every form of every path has a document of its own.
func TestResourceMetadataNamesTheURLItWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	for path, want := range map[string]map[string]any{
		"":           {"resource": issuer, "resource_name": "Weather", "scopes_supported": []any{"mcp"}},
		"/":          {"resource": issuer + "/", "resource_name": "Weather", "scopes_supported": []any{"mcp"}},
		"/mcp":       {"resource": resource, "resource_name": "Weather", "scopes_supported": []any{"mcp"}},
		"/mcp/":      {"resource": resource + "/", "resource_name": "Weather", "scopes_supported": []any{"mcp"}},
		"/ops":       {"resource": issuer + "/ops", "resource_name": "Operations", "scopes_supported": []any{"read", "write"}},
		"/sse":       {"resource": issuer + "/sse", "resource_name": "Operations", "scopes_supported": []any{"read", "write"}},
		"/messages/": {"resource": issuer + "/messages/", "resource_name": "Operations", "scopes_supported": []any{"read", "write"}},
	} {
		resp := w.get(oauth.WellKnownResource+path, "MCP-Protocol-Version", "2025-11-25")
		var got map[string]any
		if err := json.Unmarshal([]byte(body(t, resp)), &got); err != nil {
			t.Fatal(err)
		}
		want["authorization_servers"], want["bearer_methods_supported"] = []any{issuer}, []any{"header"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", path, diff)
		}
		wantDocument(t, resp)
	}
}

// What has no value is left out: a null or an empty list makes the TypeScript SDK
// refuse the document (R2.4).
func TestMetadataHasNoEmptyMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].Name = ""; c.Registration.Mode = gateway.RegistrationOff })
	for _, path := range []string{oauth.WellKnownServer, oauth.WellKnownResource, oauth.WellKnownResource + "/mcp"} {
		doc := body(t, w.get(path))
		for _, not := range []string{"null", "[]", `""`, "{}", "false", "registration_endpoint"} {
			if strings.Contains(doc, not) {
				t.Errorf("%s has %s: %s", path, not, doc)
			}
		}
	}
}

// A server at the root of its host: its identifier is the origin, and it is the
// one the root document speaks of, whichever was written first.
func TestRootResourceMetadata(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"/", "/ops"}, {"/ops", "/"}} {
		w := newWorld(t, func(c *gateway.Config) {
			c.Resources = nil
			for _, p := range order {
				c.Resources = append(c.Resources, &gateway.Resource{Path: p, Name: "at " + p, Scopes: []string{"s" + p}, Policy: rules(t, "user:octocat")})
			}
		})
		for path, want := range map[string]string{
			"": `{"resource":"https://mcp.example.com",`, "/": `{"resource":"https://mcp.example.com/",`,
		} {
			doc := body(t, w.get(oauth.WellKnownResource+path))
			if !strings.HasPrefix(doc, want) || !strings.Contains(doc, `"at /"`) {
				t.Errorf("%v: %q: %s", order, path, doc)
			}
		}
		// And the token that is then asked for is good there.
		id := w.register(loopbackURI)
		code := w.browser().code(authorizeQuery(id, loopbackURI, "resource", issuer+"/", "scope", ""))
		tok := w.redeem(with(codeForm(id, code), "resource", issuer))
		if tok.Scope != "s/" {
			t.Errorf("%v: scope %q", order, tok.Scope)
		}
		w.wantCall("/", tok.AccessToken, http.StatusOK)
	}
}

// Everything else that clients try is a plain 404 that a web page may read: with a
// 401, a redirect or an opaque failure they give up (R2.9, clients.md).
func TestOtherWellKnownForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	for _, path := range []string{
		oauth.WellKnownOpenID, oauth.WellKnownOpenID + "/", oauth.WellKnownOpenID + "/mcp", "/mcp" + oauth.WellKnownOpenID,
		"/mcp" + oauth.WellKnownServer, "/sse" + oauth.WellKnownOpenID, "/ops" + oauth.WellKnownServer,
		oauth.WellKnownServer + "/", oauth.WellKnownServer + "/mcp", oauth.WellKnownServer + "/mcp/",
		oauth.WellKnownResource + "/unknown", oauth.WellKnownResource + "/mcp/deeper", oauth.WellKnownResource + "/mcpx",
		oauth.WellKnownResource + "//mcp", oauth.WellKnownResource + "/mcp//", oauth.WellKnownResource + "/MCP",
		"/account", "/JWKS",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			resp := w.do(request(method, path, "", "MCP-Protocol-Version", "2025-11-25", "Origin", "http://localhost:6274"))
			if method == http.MethodPost && resp.StatusCode == http.StatusMethodNotAllowed {
				continue
			}
			wantError(t, resp, http.StatusNotFound, "not_found")
		}
		resp := w.do(request(http.MethodOptions, path, "", "Origin", "http://localhost:6274", "Access-Control-Request-Method", "GET"))
		if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("preflight of %s: %d %v", path, resp.StatusCode, resp.Header)
		}
	}
	// What is not ours is left to others.
	for _, path := range []string{"/.well-known/acme-challenge/x", "/.well-known/security.txt", "/realms/a" + oauth.WellKnownOpenID, "/", "/index.html", "/tokens", "/registered", "/authorized"} {
		if w.server.ServeEndpoint(httptest.NewRecorder(), request(http.MethodGet, path, "")) {
			t.Errorf("%s was answered", path)
		}
	}
}

// Endpoints, their methods, and who may call them from a web page (R12).
func TestMethodsAndCORS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, tt := range map[string]struct {
		allow string
		open  bool
	}{
		oauth.WellKnownServer:            {"GET, HEAD, OPTIONS", true},
		oauth.WellKnownResource:          {"GET, HEAD, OPTIONS", true},
		oauth.WellKnownResource + "/mcp": {"GET, HEAD, OPTIONS", true},
		oauth.PathJWKS:                   {"GET, HEAD, OPTIONS", true},
		oauth.PathToken:                  {"POST, OPTIONS", true},
		oauth.PathRegister:               {"POST, OPTIONS", true},
		oauth.PathRegister + "/mcpc_x":   {"GET, DELETE, OPTIONS", true},
		oauth.PathRevoke:                 {"POST, OPTIONS", true},
		oauth.PathIntrospect:             {"POST", false},
		oauth.PathAuthorize:              {"GET, HEAD, POST", false},
		oauth.PathAuthorize + "/consent": {"POST", false},
		oauth.PathCallback + "github":    {"GET", false},
	} {
		allowed := strings.Split(tt.allow, ", ")
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "PROPFIND"} {
			r := request(method, path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", method,
				"Access-Control-Request-Headers", "authorization,content-type,mcp-protocol-version")
			resp := w.do(r)
			var listed bool
			for _, m := range allowed {
				listed = listed || m == method
			}
			if refused := resp.StatusCode == http.StatusMethodNotAllowed; refused == listed {
				t.Errorf("%s %s: %d", method, path, resp.StatusCode)
			}
			if resp.StatusCode == http.StatusMethodNotAllowed && resp.Header.Get("Allow") != tt.allow {
				t.Errorf("%s %s: Allow %q", method, path, resp.Header.Get("Allow"))
			}
			origin, credentials := resp.Header.Get("Access-Control-Allow-Origin"), resp.Header.Get("Access-Control-Allow-Credentials")
			if tt.open != (origin == "*") || !tt.open && origin != "" || credentials != "" {
				t.Errorf("%s %s: CORS %q, credentials %q", method, path, origin, credentials)
			}
			if method == http.MethodOptions && tt.open {
				headers := strings.ToLower(resp.Header.Get("Access-Control-Allow-Headers"))
				for _, want := range []string{"authorization", "content-type", "accept", "mcp-protocol-version"} {
					if !strings.Contains(headers, want) {
						t.Errorf("preflight of %s does not allow %s", path, want)
					}
				}
				if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Methods") != tt.allow || resp.Header.Get("Access-Control-Max-Age") == "" {
					t.Errorf("preflight of %s: %d %v", path, resp.StatusCode, resp.Header)
				}
			}
		}
	}
}

// Below the pages no web page may read anything, not even that there is nothing.
func TestNoCORSBelowThePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/authorize/", "/authorize/other", "/callback/", "/callback", "/callback/gitlab", "/callback/github/", "/Authorize", "/CALLBACK/github", "/authorize/consent/"} {
		for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodPost} {
			resp := w.do(request(method, path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "GET"))
			wantPage(t, resp, http.StatusNotFound, "not_found")
		}
	}
}

// HEAD is GET without the body, over a real connection, with its length.
func TestHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	srv := httptest.NewServer(w)
	defer srv.Close()
	for _, path := range []string{oauth.WellKnownServer, oauth.WellKnownResource, oauth.WellKnownResource + "/mcp", oauth.PathJWKS} {
		get, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		length := len(body(t, get))
		head, err := srv.Client().Head(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if head.StatusCode != http.StatusOK || body(t, head) != "" || head.ContentLength != int64(length) || head.Header.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD %s: %d, length %d of %d", path, head.StatusCode, head.ContentLength, length)
		}
	}
}

// Absolute URLs come from the configuration, whatever the request claims (R1.2).
func TestMetadataIgnoresHostAndForwardingHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := request(http.MethodGet, oauth.WellKnownServer, "", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "Forwarded", "host=evil.example")
	r.Host = "evil.example"
	if doc := body(t, w.do(r)); strings.Contains(doc, "evil") || strings.Contains(doc, "http://") {
		t.Errorf("metadata: %s", doc)
	}
}
