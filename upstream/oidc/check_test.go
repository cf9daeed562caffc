// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// renewing is a provider at which Alice signed in with a refresh token, ten minutes
// ago: her token is renewed in every check.
type renewing struct {
	*provider
	o     *OIDC
	clock *clock
	last  identity.Identity
	tok   *upstream.Token
	saved []*upstream.Token
	fails error // what saving ends with
}

func signedIn(t *testing.T, edit ...func(*provider)) *renewing {
	t.Helper()
	c := newClock()
	p := newProvider(c.now)
	p.answer = func(a claims) { a["refresh_token"], a["scope"] = theRefresh, "openid profile" }
	for _, e := range edit {
		e(p)
	}
	o := p.connect(t, func(cfg *Config) { cfg.Offline = true })
	in := mustSignIn(t, p, o)
	c.pass(10 * time.Minute)
	p.nonce = ""
	p.userinfo = claims{"sub": "alice-1", "groups": []string{"dev", "ops"}, "email": "alice@example.com", "email_verified": true}
	p.answer = func(a claims) { a["access_token"], a["refresh_token"] = "access-token-2", "refresh-token-2" }
	return &renewing{provider: p, o: o, clock: c, last: in.Identity, tok: in.Token}
}

func (r *renewing) save(t *upstream.Token) error {
	r.saved = append(r.saved, t)
	return r.fails
}

func (r *renewing) check(t *testing.T) (identity.Identity, error) {
	t.Helper()
	id, err := r.o.Check(t.Context(), r.last, r.tok, r.save)
	if err != nil {
		keepsSecret(t, err, theSecret, theAccess, theRefresh, "access-token-2", "refresh-token-2")
	}
	return id, err
}

func TestCheckRenews(t *testing.T) {
	t.Parallel()
	r := signedIn(t)
	id, err := r.check(t)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alice, id); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	form := r.provider.last(t, "token").PostForm
	if form.Get("grant_type") != "refresh_token" || form.Get("refresh_token") != theRefresh {
		t.Errorf("form %v", form)
	}
	want := []*upstream.Token{{Access: "access-token-2", Refresh: "refresh-token-2", Scope: "openid profile", Expiry: r.clock.now().Add(5 * time.Minute), ID: r.saved[0].ID}}
	if diff := cmp.Diff(want, r.saved); diff != "" || r.saved[0].ID == r.tok.ID {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	if got := r.provider.last(t, "userinfo").Header.Get("Authorization"); got != "Bearer access-token-2" {
		t.Errorf("the userinfo endpoint was shown %q", got)
	}
}

// TestCheckOfAFreshToken: it was given a moment ago, and serves as it is.
func TestCheckOfAFreshToken(t *testing.T) {
	t.Parallel()
	r := signedIn(t)
	if _, err := r.check(t); err != nil {
		t.Fatal(err)
	}
	r.tok = r.saved[0]
	r.clock.pass(tokenFresh - time.Second)
	id, err := r.check(t)
	if diff := cmp.Diff(alice, id); diff != "" || err != nil || len(r.saved) != 1 {
		t.Errorf("renewed %d times, error %v, identity (-want +got):\n%s", len(r.saved), err, diff)
	}
	r.clock.pass(time.Second)
	if _, err := r.check(t); err != nil || len(r.saved) != 2 {
		t.Errorf("renewed %d times, error %v", len(r.saved), err)
	}
	// A clock that was set back does not make it fresh for years.
	r.tok = r.saved[1]
	r.clock.pass(-time.Hour)
	if _, err := r.check(t); err != nil || len(r.saved) != 3 {
		t.Errorf("renewed %d times, error %v", len(r.saved), err)
	}
}

// TestFactsOfNow: what changed shows, and what was taken away is gone.
func TestFactsOfNow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(p *provider)
		want func(id *identity.Identity)
	}{
		"left a group, says the token": {
			func(p *provider) { p.identity["groups"] = []string{"dev"} },
			func(id *identity.Identity) { id.Groups = []string{"dev"} },
		},
		"left all groups": {
			func(p *provider) { p.identity["groups"] = []string{} },
			func(id *identity.Identity) { id.Groups = nil },
		},
		"left all groups, and the claim is gone": {
			func(p *provider) { delete(p.identity, "groups"); delete(p.userinfo, "groups") },
			func(id *identity.Identity) { id.Groups = nil },
		},
		"left a group, says the userinfo": {
			func(p *provider) { delete(p.identity, "groups"); p.userinfo["groups"] = []string{"dev"} },
			func(id *identity.Identity) { id.Groups = []string{"dev"} },
		},
		"is in too many groups now": {
			func(p *provider) { p.identity["_claim_names"] = claims{"groups": "s"}; delete(p.identity, "groups") },
			func(id *identity.Identity) { id.Groups = nil },
		},
		"address is not verified any more": {
			func(p *provider) { p.identity["email_verified"] = false; delete(p.userinfo, "email_verified") },
			func(id *identity.Identity) { id.EmailVerified = false },
		},
		"married": {
			func(p *provider) { p.identity["name"], p.identity["preferred_username"] = "Alice Other", "aother" },
			func(id *identity.Identity) { id.Name, id.Login = "Alice Other", "aother" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedIn(t)
			tc.edit(r.provider)
			want := alice
			tc.want(&want)
			got, err := r.check(t)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("error %v, identity (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestCheckOfSomebodyElse: the answers are about another user. Whoever this is, Alice
// it is not, and she is not taken for them.
func TestCheckOfSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(p *provider){
		"says the token":    func(p *provider) { p.identity["sub"] = "root-1" },
		"says the userinfo": func(p *provider) { p.userinfo["sub"] = "root-1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedIn(t)
			edit(r.provider)
			id, err := r.check(t)
			wantRefusal(t, err, upstream.ReasonRevoked, "another user")
			if id.ID != "" {
				t.Errorf("identity %+v", id)
			}
			keepsSecret(t, err, "root-1")
		})
	}
}

// TestRenewalOutcomes: which answers are about the user, and which prove nothing.
func TestRenewalOutcomes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		serve  http.HandlerFunc
		reason upstream.Reason
		says   string
	}{
		"taken back":         {sendError(400, "invalid_grant"), upstream.ReasonRevoked, "invalid_grant"},
		"taken back, 401":    {sendError(401, "invalid_grant"), upstream.ReasonRevoked, "invalid_grant"},
		"a rule says no":     {sendError(403, "access_denied"), upstream.ReasonRevoked, "access_denied"},
		"a second factor":    {sendError(400, "interaction_required"), upstream.ReasonSignInNeeded, "interaction_required"},
		"new terms":          {sendError(400, "consent_required"), upstream.ReasonSignInNeeded, "consent_required"},
		"signed out":         {sendError(400, "login_required"), upstream.ReasonSignInNeeded, "login_required"},
		"bad secret":         {sendError(401, "invalid_client"), upstream.ReasonMisconfigured, "invalid_client"},
		"no refreshing":      {sendError(400, "unauthorized_client"), upstream.ReasonMisconfigured, "unauthorized_client"},
		"unknown":            {sendError(400, "something_new"), upstream.ReasonUnavailable, "something_new"},
		"busy":               {sendError(503, "temporarily_unavailable"), upstream.ReasonUnavailable, "503"},
		"crashed":            {sendError(500, "invalid_grant"), upstream.ReasonUnavailable, "500"},
		"throttled":          {sendError(429, "invalid_grant"), upstream.ReasonUnavailable, "429"},
		"page":               {send(200, "text/html", "<html>"), upstream.ReasonUnavailable, "no token"},
		"401 without a word": {send(401, "", ""), upstream.ReasonMisconfigured, "401"},
		"of another type":    {sendJSON(claims{"access_token": "a", "token_type": "mac"}), upstream.ReasonUnavailable, "mac"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedIn(t)
			r.routes[r.at("token")] = tc.serve
			_, err := r.check(t)
			wantRefusal(t, err, tc.reason, tc.says)
			if len(r.saved) != 0 || r.count("userinfo") != 0 {
				t.Errorf("saved %d tokens, asked %d times for userinfo", len(r.saved), r.count("userinfo"))
			}
			_, err = r.o.Refresh(t.Context(), r.tok)
			wantRefusal(t, err, tc.reason, tc.says)
		})
	}
}

// TestAttackRenewedToken: with the refresh token a hostile answer tries what it could
// not at the sign-in. The token is kept all the same, for the old one may be spent.
func TestAttackRenewedToken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(claims)
		says string
	}{
		"another issuer":       {func(c claims) { c["iss"] = "https://evil.example" }, "issuer"},
		"another client":       {func(c claims) { c["aud"] = "other" }, "another client"},
		"another party":        {func(c claims) { c["azp"] = "other" }, "azp"},
		"expired":              {func(c claims) { c["exp"] = 1 }, "expired"},
		"another access token": {func(c claims) { c["at_hash"] = hashOf(keyA(), theAccess) }, "at_hash"},
		"another sign-in":      {func(c claims) { c["nonce"] = nonceOf("another") }, "nonce"},
		"no subject":           {func(c claims) { delete(c, "sub") }, "sub"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedIn(t)
			r.edit = tc.edit
			_, err := r.check(t)
			wantRefusal(t, err, upstream.ReasonUnavailable, tc.says)
			if len(r.saved) != 1 || r.saved[0].Refresh != "refresh-token-2" {
				t.Errorf("saved %d tokens", len(r.saved))
			}
		})
	}
}

// TestRenewedNonce: it may be left out, or be that of the sign-in.
func TestRenewedNonce(t *testing.T) {
	t.Parallel()
	r := signedIn(t)
	r.edit = func(c claims) { c["nonce"] = nonceWithin(r.tok.ID) }
	if _, err := r.check(t); err != nil {
		t.Error(err)
	}
	if nonceWithin(r.tok.ID) == "" {
		t.Error("the test proves nothing")
	}
}

// TestRenewalWithoutIDToken: the userinfo endpoint knows everything that the last
// sign-in told, or it cannot be told from a person who lost it.
func TestRenewalWithoutIDToken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit   func(p *provider)
		reason upstream.Reason
		says   string
	}{
		"all in the userinfo":     {func(*provider) {}, "", ""},
		"groups in the id_token":  {func(p *provider) { delete(p.userinfo, "groups") }, upstream.ReasonSignInNeeded, "nowhere else"},
		"email in the id_token":   {func(p *provider) { delete(p.userinfo, "email") }, upstream.ReasonSignInNeeded, "nowhere else"},
		"vouched in the id_token": {func(p *provider) { delete(p.userinfo, "email_verified") }, upstream.ReasonSignInNeeded, "nowhere else"},
		"no userinfo":             {func(p *provider) { delete(p.document, "userinfo_endpoint") }, upstream.ReasonSignInNeeded, "nowhere else"},
		"token refused":           {func(p *provider) { p.routes[p.at("userinfo")] = send(401, "", "") }, upstream.ReasonRevoked, "refuses the access token"},
		"forbidden":               {func(p *provider) { p.routes[p.at("userinfo")] = send(403, "", "") }, upstream.ReasonInsufficientScope, "another scope"},
		"busy":                    {func(p *provider) { p.routes[p.at("userinfo")] = send(503, "", "") }, upstream.ReasonUnavailable, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedIn(t)
			r.answer = func(a claims) { a["access_token"] = "access-token-2"; delete(a, "id_token") }
			r.clock.pass(discoveryFresh)
			tc.edit(r.provider)
			id, err := r.check(t)
			if len(r.saved) != 1 || r.saved[0].Refresh != theRefresh || r.saved[0].ID != r.tok.ID || r.saved[0].Scope != r.tok.Scope {
				t.Fatalf("the refresh token or the id_token is lost: %d saved", len(r.saved))
			}
			if tc.reason != "" {
				wantRefusal(t, err, tc.reason, tc.says)
				return
			}
			// Names are for show: the last ones do.
			if diff := cmp.Diff(alice, id); diff != "" || err != nil {
				t.Errorf("error %v, identity (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestVouchedForAndRefused: the provider renewed the token and signed an id_token, and
// its userinfo endpoint does not like the token. Entra's is like that.
func TestVouchedForAndRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		r := signedIn(t)
		r.routes[r.at("userinfo")] = send(status, "", "")
		id, err := r.check(t)
		if diff := cmp.Diff(alice, id); diff != "" || err != nil {
			t.Errorf("%d: error %v, identity (-want +got):\n%s", status, err, diff)
		}
		// If it used to tell what the id_token does not, nothing is proven.
		r.tok = r.saved[0]
		r.clock.pass(10 * time.Minute)
		delete(r.identity, "groups")
		_, err = r.check(t)
		wantRefusal(t, err, upstream.ReasonUnavailable, "userinfo endpoint")
	}
}

// TestFreshTokenThatIsRefused: it was taken back in the meantime, or it ended early. A
// renewal tells which.
func TestFreshTokenThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		r := signedIn(t)
		if _, err := r.check(t); err != nil {
			t.Fatal(err)
		}
		r.tok = r.saved[0]
		next := sendJSON(r.userinfo)
		r.answer = func(a claims) { a["access_token"] = "access-token-3" }
		r.routes[r.at("userinfo")] = func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") != "Bearer access-token-3" {
				w.WriteHeader(status)
				return
			}
			next(w, req)
		}
		if id, err := r.check(t); err != nil || !cmp.Equal(alice, id) || len(r.saved) != 2 {
			t.Errorf("%d: identity %+v, error %v, %d saved", status, id, err, len(r.saved))
		}
		r.routes[r.at("token")] = sendError(400, "invalid_grant")
		r.routes[r.at("userinfo")] = send(status, "", "")
		_, err := r.check(t)
		wantRefusal(t, err, upstream.ReasonRevoked, "invalid_grant")
	}
}

// TestCheckWithoutRefreshToken: the access token serves as long as it lasts.
func TestCheckWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) func(*renewing) {
		return func(r *renewing) { r.tok.Expiry = r.clock.now().Add(d) }
	}
	refuses := func(r *renewing) { r.routes[r.at("userinfo")] = send(401, "", "") }
	for name, tc := range map[string]struct {
		edit   []func(*renewing)
		reason upstream.Reason
	}{
		"good":                       {[]func(*renewing){in(time.Hour)}, ""},
		"says nothing of an end":     {[]func(*renewing){func(r *renewing) { r.tok.Expiry = time.Time{} }}, ""},
		"at its end":                 {[]func(*renewing){in(expirySlack)}, upstream.ReasonSignInNeeded},
		"ended":                      {[]func(*renewing){in(-time.Hour)}, upstream.ReasonSignInNeeded},
		"no token":                   {[]func(*renewing){func(r *renewing) { r.tok = nil }}, upstream.ReasonSignInNeeded},
		"empty token":                {[]func(*renewing){func(r *renewing) { r.tok = &upstream.Token{} }}, upstream.ReasonSignInNeeded},
		"token with a line break":    {[]func(*renewing){func(r *renewing) { r.tok = &upstream.Token{Access: "a\r\nb"} }}, upstream.ReasonSignInNeeded},
		"taken back":                 {[]func(*renewing){in(time.Hour), refuses}, upstream.ReasonRevoked},
		"taken back, or at some end": {[]func(*renewing){func(r *renewing) { r.tok.Expiry = time.Time{} }, refuses}, upstream.ReasonSignInNeeded},
		"groups in the id_token":     {[]func(*renewing){in(time.Hour), func(r *renewing) { delete(r.userinfo, "groups") }}, upstream.ReasonSignInNeeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedIn(t)
			r.tok.Refresh = ""
			before := r.count("token")
			for _, e := range tc.edit {
				e(r)
			}
			id, err := r.check(t)
			if len(r.saved) != 0 || r.count("token") != before {
				t.Error("something was renewed")
			}
			if tc.reason != "" {
				wantRefusal(t, err, tc.reason)
				return
			}
			if diff := cmp.Diff(alice, id); diff != "" || err != nil {
				t.Errorf("error %v, identity (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestTokenThatCannotBeSaved: the old one may be spent, and the new one must not be
// lost for the sake of a check.
func TestTokenThatCannotBeSaved(t *testing.T) {
	t.Parallel()
	r := signedIn(t)
	r.fails = errors.New("the store is down")
	_, err := r.check(t)
	wantRefusal(t, err, upstream.ReasonUnavailable, "the store is down")
	if !errors.Is(err, r.fails) || r.count("userinfo") != 0 {
		t.Errorf("error %v, %d userinfo", err, r.count("userinfo"))
	}
}

// TestRenewalOutlivesTheCaller: the request that caused the check ends while the
// provider has already replaced the refresh token. The new one is saved, or the user
// would be locked out by the provider's detection of reuse.
func TestRenewalOutlivesTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := signedIn(t)
		r.routes[r.at("token")] = func(w http.ResponseWriter, req *http.Request) {
			time.Sleep(2 * time.Second)
			r.token(w, req)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.o.Check(ctx, r.last, r.tok, r.save)
		wantRefusal(t, err, upstream.ReasonUnavailable)
		if len(r.saved) != 1 || r.saved[0].Refresh != "refresh-token-2" {
			t.Errorf("saved %d tokens", len(r.saved))
		}
		// Who is gone before it begins causes nothing.
		before := r.count("token")
		_, err = r.o.Check(ctx, r.last, r.tok, r.save)
		wantRefusal(t, err, upstream.ReasonUnavailable)
		if !errors.Is(err, context.DeadlineExceeded) || r.count("token") != before {
			t.Errorf("error %v, %d more requests", err, r.count("token")-before)
		}
	})
}
