// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// A stolen credential that is used a second time ends what it could open, at
// once and for everybody: the token that was good, the one to refresh it with,
// and the stream that is open (RFC 9700 §4.14.2, R7.4).
func TestReplayEndsTheGrant(t *testing.T) {
	tests := []struct {
		name string
		// replay uses the credential twice, the way a thief would.
		replay func(t *testing.T, g *gateway, first tokenSet)
	}{
		{name: "of a code", replay: func(t *testing.T, g *gateway, first tokenSet) {
			mustFail(t, g, first.form)
		}},
		{name: "of a refresh token", replay: func(t *testing.T, g *gateway, first tokenSet) {
			clientID, held := first.form.Get("client_id"), first.Refresh
			for range 2 {
				next, status, err := postToken(t.Context(), g, refreshForm(clientID, held))
				if err != nil || status != http.StatusOK {
					t.Fatalf("refresh: %d, %v", status, err)
				}
				held = next.Refresh
			}
			// Within the grace it is still answered, for clients that lost one.
			eventually(t, "the end of the grace", func() bool {
				_, status, err := postToken(t.Context(), g, refreshForm(clientID, first.Refresh))
				return err == nil && status == http.StatusBadRequest
			})
			mustFail(t, g, refreshForm(clientID, held))
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			backend := &testmcp.Scripted{}
			g := startGateway(t, config{backend: serveBackend(t, backend), global: []string{"refresh_grace 1s"}})
			first := signInSet(t, g)
			stream := openStream(t, g, backend, first.Access)
			stream.passes(t, "data: before")

			tc.replay(t, g, first)
			if usable(t, g, first.Access) {
				t.Error("the access token still opens the resource")
			}
			mustFail(t, g, refreshForm(first.form.Get("client_id"), first.Refresh))
			stream.ends(t)
		})
	}
}

func mustFail(t *testing.T, g *gateway, form url.Values) {
	t.Helper()
	_, status, err := postToken(t.Context(), g, form)
	if err != nil || status != http.StatusBadRequest {
		t.Errorf("%s: %d, %v; want 400", form.Get("grant_type"), status, err)
	}
}

// A token is for one resource: the one of another on the same host does not open
// it, in either direction (R7.5, R8.3).
func TestTokenOfOneResourceDoesNotOpenAnother(t *testing.T) {
	other := &testmcp.Scripted{}
	other.Always(testmcp.JSON(http.StatusOK, "{}"))
	backend := &testmcp.Scripted{}
	backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	g := startGateway(t, config{
		path: "/weather", backend: serveBackend(t, backend),
		after: []string{"mcp_gateway /ops " + serveBackend(t, other) + " {", "\tallow user:octocat", "}"},
	})
	ops := *g
	ops.url = g.origin + "/ops"
	forWeather, forOps := signInSet(t, g), signInSet(t, &ops)
	for name, tc := range map[string]struct {
		at    *gateway
		token string
		want  bool
	}{
		"weather at weather": {g, forWeather.Access, true},
		"ops at ops":         {&ops, forOps.Access, true},
		"weather at ops":     {&ops, forWeather.Access, false},
		"ops at weather":     {g, forOps.Access, false},
	} {
		if got := usable(t, tc.at, tc.token); got != tc.want {
			t.Errorf("%s: usable %v, want %v", name, got, tc.want)
		}
	}
	// Nor can it be turned into one: the resource of a grant is fixed.
	form := refreshForm(forWeather.form.Get("client_id"), forWeather.Refresh)
	form.Set("resource", ops.url)
	mustFail(t, g, form)
	form.Set("resource", g.url)
	if _, status, err := postToken(t.Context(), g, form); err != nil || status != http.StatusOK {
		t.Errorf("refresh for its own resource: %d, %v", status, err)
	}
}
