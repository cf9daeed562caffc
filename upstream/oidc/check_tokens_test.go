// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

func TestRefresh(t *testing.T) {
	t.Parallel()
	r := signedIn(t)
	newest, err := r.o.Refresh(t.Context(), r.tok)
	if err != nil {
		t.Fatal(err)
	}
	want := &upstream.Token{Access: "access-token-2", Refresh: "refresh-token-2", Scope: "openid profile", Expiry: r.clock.now().Add(5 * time.Minute), ID: newest.ID}
	if diff := cmp.Diff(want, newest); diff != "" || newest.ID == r.tok.ID || newest.ID == "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	for _, tok := range []*upstream.Token{nil, {}, {Access: theAccess}} {
		_, err := r.o.Refresh(t.Context(), tok)
		wantRefusal(t, err, upstream.ReasonSignInNeeded)
	}
}

// TestRefreshOfSomebodyElse: the token of another user must not go to the backend as
// Alice's. Any other trouble with the id_token keeps nothing from the caller, because
// the old refresh token may be spent.
func TestRefreshOfSomebodyElse(t *testing.T) {
	t.Parallel()
	r := signedIn(t)
	r.identity["sub"] = "root-1"
	_, err := r.o.Refresh(t.Context(), r.tok)
	wantRefusal(t, err, upstream.ReasonRevoked, "another user")

	r = signedIn(t)
	r.edit = func(c claims) { c["aud"] = "other" }
	newest, err := r.o.Refresh(t.Context(), r.tok)
	if err != nil || newest.Refresh != "refresh-token-2" || newest.ID != r.tok.ID {
		t.Errorf("token %#v, error %v", newest, err)
	}
}

// TestClaimsWithin: what is kept may be anything, after years and migrations.
func TestClaimsWithin(t *testing.T) {
	t.Parallel()
	for _, jwt := range []string{"", ".", "..", "a.b.c", "a.!!!.c", "a." + strings.Repeat("A", 100) + ".c"} {
		if c := claimsWithin(jwt); len(c) != 0 || nonceWithin(jwt) != "" {
			t.Errorf("%q has claims %v", jwt, c)
		}
	}
	if sub, _ := claimsWithin(keyA().sign(claims{"sub": "a"})).text("sub"); sub != "a" {
		t.Errorf("sub %q", sub)
	}
}

// TestTokenOfAnotherClient: the operator gave this name another client, or another
// provider. Tokens of before are not shown to it, and that nobody can ask with them is
// no fault of the users: taken for revoked, all would lose their grants at once.
func TestTokenOfAnotherClient(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"another client":   func(c *Config) { c.ClientID = "successor" },
		"another provider": func(c *Config) { c.Issuer = "https://login.example.org" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedIn(t)
			var next *provider
			r.o = r.connect(t, func(c *Config) {
				c.Offline = true
				change(c)
				next = providerOf(c.Issuer, r.clock.now)
				next.routes[next.at("token")] = sendError(http.StatusBadRequest, "invalid_grant")
				next.routes[next.at("userinfo")] = send(http.StatusUnauthorized, "", "")
				c.HTTPClient = &http.Client{Transport: next}
			})
			_, err := r.check(t)
			wantRefusal(t, err, upstream.ReasonSignInNeeded, "another")
			_, err = r.o.Refresh(t.Context(), r.tok)
			wantRefusal(t, err, upstream.ReasonSignInNeeded, "another")
			if next.count("token")+next.count("userinfo") != 0 || len(r.saved) != 0 {
				t.Error("it was shown tokens that are not its own")
			}
		})
	}
}

// TestOneBadIDTokenIsNotKept: an id_token that names another client by mistake does not
// make the token that came with it another's.
func TestOneBadIDTokenIsNotKept(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(claims){
		"client": func(c claims) { c["aud"] = "other" },
		"issuer": func(c claims) { c["iss"] = "https://evil.example" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedIn(t)
			r.edit = edit
			_, err := r.check(t)
			wantRefusal(t, err, upstream.ReasonUnavailable)
			r.edit, r.tok = nil, r.saved[0]
			if _, err := r.check(t); err != nil {
				t.Errorf("at the next check: %v", err)
			}
		})
	}
}
