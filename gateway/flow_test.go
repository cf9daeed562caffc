// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// The main job, in one test: a client that knows nothing but the URL ends up
// calling the backend in the name of a person.
func TestFromChallengeToCallAndRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var seen http.Header
	w.backend = func(rw http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		rw.WriteHeader(http.StatusAccepted)
	}

	if resp := w.get("/mcp"); resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("without a token: %d", resp.StatusCode)
	}
	clientID, tok := w.tokens()
	if tok.TokenType != "Bearer" || tok.ExpiresIn != 3600 || tok.Scope != "mcp" || tok.RefreshToken == "" {
		t.Errorf("token answer %+v", tok)
	}
	if resp := w.call(tok.AccessToken); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("call: %d %s", resp.StatusCode, body(t, resp))
	}
	for name, want := range map[string]string{
		"X-Forwarded-User": "github:583231", "X-Forwarded-Preferred-Username": "octocat",
		"X-Forwarded-Email": "octocat@github.example", "X-Forwarded-Groups": "acme,acme/eng",
		"X-Mcp-Client-Id": clientID, "X-Mcp-Scope": "mcp", "Authorization": "",
	} {
		if got := seen.Get(name); got != want {
			t.Errorf("backend saw %s: %q, want %q", name, got, want)
		}
	}

	w.clock.Advance(61 * time.Minute)
	if resp := w.call(tok.AccessToken); resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("expired token: %d", resp.StatusCode)
	}
	resp := w.postForm(oauth.PathToken, refreshForm(clientID, tok.RefreshToken))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("refresh: %d %s", resp.StatusCode, body(t, resp))
	}
	next := decode[tokens](t, resp)
	if next.RefreshToken == tok.RefreshToken || next.AccessToken == tok.AccessToken {
		t.Error("the refresh token did not rotate")
	}
	if resp := w.call(next.AccessToken); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("call after refresh: %d", resp.StatusCode)
	}
}
