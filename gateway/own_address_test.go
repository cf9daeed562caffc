// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

func registration(uris ...string) string {
	return `{"token_endpoint_auth_method":"none","redirect_uris":["` + strings.Join(uris, `","`) + `"]}`
}

// The attack: register a redirect URI on the gateway's own host. The consent page
// then shows a name that people trust, and whatever behind it redirects or echoes,
// our own callback among it, is handed the code.
func TestRedirectsToOurselvesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, uri := range []string{
		issuer + "/callback/github", issuer + "/mcp", issuer + "/", issuer + "/anything/else?x=y", issuer + ":8443/x", issuer + ":443/x",
		"https://MCP.example.COM/x", "https://mcp.example.com./x",
	} {
		for _, doc := range []string{registration(uri), registration("https://client.example/cb", uri)} {
			if e := wantError(t, w.postJSON(oauth.PathRegister, doc), http.StatusBadRequest, "invalid_redirect_uri"); t.Failed() {
				t.Fatal(uri, e)
			}
		}
	}
	for _, uri := range []string{
		"https://example.com/x", "https://notmcp.example.com/x", "https://mcp.example.com.evil.example/x", "https://x.mcp.example.com/",
		"http://localhost/callback", "http://127.0.0.1:443/", "mcp.example.com://x/y",
	} {
		if resp := w.postJSON(oauth.PathRegister, registration(uri)); resp.StatusCode != http.StatusCreated {
			t.Errorf("%s: %d %s", uri, resp.StatusCode, body(t, resp))
		}
	}
}

// Who was registered before the rule has no use of it.
func TestRedirectsToOurselvesFromBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := &storage.Client{Issuer: issuer, ID: "mcpc_old", RedirectURIs: []string{issuer + "/x"}, AuthMethod: "none", CreatedAt: w.clock.Now()}
	if err := w.store.CreateClient(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(old.ID, issuer+"/x").Encode()), http.StatusBadRequest, "redirect_uri_mismatch")
}

// On loopback the host says nothing, all programs share it: the demo and its
// clients must work. But the port of a registered URI is anybody's, so a client
// could ask for the answer at the gateway's own.
func TestRedirectsToOurselvesOnLoopback(t *testing.T) {
	t.Parallel()
	const local = "http://localhost:8080"
	w := newWorld(t, func(c *gateway.Config) { c.Issuer = local })
	id := w.register("http://localhost/callback", "http://127.0.0.1:6274/oauth/callback")
	for uri, ok := range map[string]bool{
		"http://localhost/callback":             true,
		"http://localhost:33418/callback":       true,
		"http://localhost:8080/callback":        false,
		"http://127.0.0.1:6274/oauth/callback":  true,
		"http://127.0.0.1:8080/oauth/callback":  false,
		"http://localhost:08080/callback":       false,
		"http://localhost:8080/callback?code=x": false,
		"http://LOCALHOST:8080/callback":        false,
		"http://localhost:8081/callback":        true,
	} {
		resp := w.get(oauth.PathAuthorize + "?" + authorizeQuery(id, uri, "resource", local+"/mcp").Encode())
		if got := resp.StatusCode == http.StatusOK; got != ok {
			t.Errorf("%s: %d", uri, resp.StatusCode)
		}
	}
}

// Refused registrations count for their sender: nobody tries bodies, or initial
// access tokens, for free. They do not count for the hosts they name.
func TestRefusedRegistrationsAreLimited(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode gateway.Registration
		send func(w *world, from string) *http.Response
	}{
		"bodies": {gateway.Registration{Mode: gateway.RegistrationOpen}, func(w *world, from string) *http.Response {
			r := request(http.MethodPost, oauth.PathRegister, `{}`, "Content-Type", "application/json")
			r.RemoteAddr = from
			return w.do(r)
		}},
		"our own host": {gateway.Registration{Mode: gateway.RegistrationOpen}, func(w *world, from string) *http.Response {
			r := request(http.MethodPost, oauth.PathRegister, registration(issuer+"/x"), "Content-Type", "application/json")
			r.RemoteAddr = from
			return w.do(r)
		}},
		"initial access tokens": {gateway.Registration{Mode: gateway.RegistrationToken, Token: "an-initial-access-token"}, func(w *world, from string) *http.Response {
			r := request(http.MethodPost, oauth.PathRegister, registration(webURI), "Content-Type", "application/json", "Authorization", "Bearer guess")
			r.RemoteAddr = from
			return w.do(r)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, limits("registrations", 3), func(c *gateway.Config) { c.Registration = tt.mode })
			for range 3 {
				if resp := tt.send(w, "192.0.2.1:1"); resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusUnauthorized {
					t.Errorf("status %d", resp.StatusCode)
				}
			}
			resp := tt.send(w, "192.0.2.1:2")
			if resp.Header.Get("Retry-After") == "" || resp.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("headers %v", resp.Header)
			}
			wantError(t, resp, http.StatusTooManyRequests, "temporarily_unavailable")
			if resp := tt.send(w, "192.0.2.2:1"); resp.StatusCode == http.StatusTooManyRequests {
				t.Error("somebody else is refused")
			}
		})
	}
	// Good ones of a host whose users are behind the same address go on.
	w := newWorld(t, limits("registrations", 3))
	for range 5 {
		w.postJSON(oauth.PathRegister, `{}`)
	}
	for i := range 3 {
		if resp := w.postJSON(oauth.PathRegister, registration(fmt.Sprintf("https://claude.ai/%d", i))); resp.StatusCode != http.StatusCreated {
			t.Errorf("registration %d: %d", i, resp.StatusCode)
		}
	}
}
