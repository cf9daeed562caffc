// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var alice = identity.Identity{
	Upstream: "company", Kind: "oidc", ID: "alice-1", Login: "alice", Name: "Alice Example",
	Email: "alice@example.com", EmailVerified: true, Groups: []string{"dev", "ops"},
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newProvider(c.now)
	p.answer = func(a claims) { a["refresh_token"] = theRefresh; a["scope"] = "openid profile" }
	in, err := p.signIn(t, p.connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alice, in.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	want := &upstream.Token{Access: theAccess, Refresh: theRefresh, Expiry: c.now().Add(5 * time.Minute), Scope: "openid profile", ID: in.Token.ID}
	if diff := cmp.Diff(want, in.Token); diff != "" || in.Token.ID == "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if len(in.Hints) != 0 {
		t.Errorf("hints %v", in.Hints)
	}
	if got := in.Identity.Subject(); got != "oidc:company:alice-1" {
		t.Errorf("subject %s", got)
	}
	// Everything was in the id_token, so nobody was asked further.
	if p.count("discovery") != 1 || p.count("keys") != 1 || p.count("userinfo") != 0 {
		t.Errorf("%d discovery, %d keys, %d userinfo", p.count("discovery"), p.count("keys"), p.count("userinfo"))
	}
}

// TestNewAsksNobody: configurations are checked without the network.
func TestNewAsksNobody(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	o := p.connect(t)
	if o.Name() != "company" || o.Kind() != identity.KindOIDC || !o.NeedsToken() || len(o.Scopes()) != 3 {
		t.Errorf("%s %s %v", o.Name(), o.Kind(), o.Scopes())
	}
	if len(p.requests) != 0 {
		t.Errorf("%d requests", len(p.requests))
	}
}

func TestAuthCodeURL(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	p.document["authorization_endpoint"] = theIssuer + "/authorize?policy=b2c"
	o := p.connect(t)
	to, err := o.AuthCodeURL(t.Context(), upstream.AuthRequest{State: "s", Verifier: "the-verifier", RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"policy": {"b2c"}, "response_type": {"code"}, "client_id": {theClient}, "redirect_uri": {redirectURI},
		"scope": {"openid profile email"}, "state": {"s"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier("the-verifier")}, "code_challenge_method": {"S256"},
		"nonce": {"WOhv3d46XvP0jakgusr6nKiKJ3wBeeob342Y_iakuCg"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if u.Scheme+"://"+u.Host+u.Path != theIssuer+"/authorize" {
		t.Errorf("the browser goes to %s", u)
	}
}

// TestNonce: it is fixed for a verifier, differs from its challenge, and differs for
// others.
func TestNonce(t *testing.T) {
	t.Parallel()
	a, b := nonceOf("a"), nonceOf("b")
	if a == b || a != nonceOf("a") || len(a) != 43 || a == oauth2.S256ChallengeFromVerifier("a") {
		t.Errorf("nonces %s and %s", a, b)
	}
}

// TestPrompts: what the provider's pages ask. Google gives refresh tokens in a way of
// its own.
func TestPrompts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		issuer          string
		offline, ask    bool
		prompt, access  string
		scopes          string
		scopesSupported []string
	}{
		"plain":                    {theIssuer, false, false, "", "", "openid profile email", nil},
		"account":                  {theIssuer, false, true, "select_account", "", "openid profile email", nil},
		"offline":                  {theIssuer, true, false, "", "", "openid profile email offline_access", nil},
		"offline, listed":          {theIssuer, true, false, "", "", "openid profile email offline_access", []string{"openid", "offline_access"}},
		"offline, not listed":      {theIssuer, true, false, "", "", "openid profile email", []string{"openid"}},
		"groups, listed":           {theIssuer, false, false, "", "", "openid profile email groups", []string{"groups"}},
		"Google":                   {googleIssuer, false, false, "", "", "openid profile email", nil},
		"Google, account":          {googleIssuer, false, true, "select_account", "", "openid profile email", nil},
		"Google, offline":          {googleIssuer, true, false, "consent", "offline", "openid profile email", nil},
		"Google, offline, account": {googleIssuer, true, true, "select_account consent", "offline", "openid profile email", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := providerOf(tc.issuer, time.Now)
			delete(p.document, "scopes_supported")
			if tc.scopesSupported != nil {
				p.document["scopes_supported"] = tc.scopesSupported
			}
			o := p.connect(t, func(c *Config) { c.Offline = tc.offline })
			to, err := o.AuthCodeURL(t.Context(), upstream.AuthRequest{State: "s", Verifier: "v", RedirectURI: redirectURI, AskAccount: tc.ask})
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			if q.Get("prompt") != tc.prompt || q.Get("access_type") != tc.access || q.Get("scope") != tc.scopes {
				t.Errorf("prompt %q, access_type %q, scope %q", q.Get("prompt"), q.Get("access_type"), q.Get("scope"))
			}
			if has := q.Has("prompt"); has != (tc.prompt != "") {
				t.Errorf("an empty prompt is sent: %t", has)
			}
		})
	}
}

// TestChosenScopes: the operator's list counts as it is, but for openid, and for
// offline_access, which is the wish for a refresh token.
func TestChosenScopes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		issuer string
		scopes []string
		want   []string
	}{
		"one":                  {theIssuer, []string{"email"}, []string{"openid", "email"}},
		"openid":               {theIssuer, []string{"email", "openid"}, []string{"openid", "email"}},
		"groups is not added":  {theIssuer, []string{"profile"}, []string{"openid", "profile"}},
		"offline":              {theIssuer, []string{"offline_access", "email"}, []string{"openid", "email", "offline_access"}},
		"offline at Google":    {googleIssuer, []string{"offline_access", "email"}, []string{"openid", "email"}},
		"of another namespace": {theIssuer, []string{"api://x/y", "urn:zitadel:iam"}, []string{"openid", "api://x/y", "urn:zitadel:iam"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := providerOf(tc.issuer, time.Now)
			p.document["scopes_supported"] = []string{"openid", "groups", "offline_access"}
			o := p.connect(t, func(c *Config) { c.Scopes = tc.scopes })
			p.begin(t, o)
			if diff := cmp.Diff(tc.want, o.Scopes()); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
			if wanted := slices.Contains(tc.scopes, "offline_access"); o.offline != wanted {
				t.Errorf("a refresh token is asked for: %t", o.offline)
			}
		})
	}
}

// TestClientAuthentication: how the client proves itself is the provider's choice.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		methods any
		secret  string
		basic   bool
		form    string
	}{
		"by default":     {nil, theSecret, true, ""},
		"basic":          {[]string{"client_secret_basic"}, theSecret, true, ""},
		"both":           {[]string{"client_secret_post", "client_secret_basic"}, theSecret, true, ""},
		"post":           {[]string{"private_key_jwt", "client_secret_post"}, theSecret, false, theSecret},
		"public":         {[]string{"client_secret_basic"}, "", false, ""},
		"public, listed": {[]string{"none"}, "", false, ""},
		"odd characters": {nil, "p+w:%&=?", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			if tc.methods != nil {
				p.document["token_endpoint_auth_methods_supported"] = tc.methods
			}
			o := p.connect(t, func(c *Config) { c.ClientSecret = tc.secret })
			if _, err := p.signIn(t, o); err != nil {
				t.Fatal(err)
			}
			r := p.last(t, "token")
			id, secret, basic := r.BasicAuth()
			if basic != tc.basic || r.PostForm.Get("client_secret") != tc.form {
				t.Errorf("basic %t, secret in the form %q", basic, r.PostForm.Get("client_secret"))
			}
			// RFC 6749 §2.3.1: both are form-encoded first.
			if basic && (id != theClient || secret != url.QueryEscape(tc.secret)) {
				t.Errorf("basic has %q %q", id, secret)
			}
			if !basic && r.PostForm.Get("client_id") != theClient {
				t.Error("the client does not say who it is")
			}
			if r.PostForm.Get("code_verifier") == "" || r.PostForm.Get("redirect_uri") != redirectURI || r.PostForm.Get("code") != "code-1" {
				t.Errorf("form %v", r.PostForm)
			}
		})
	}
}

// TestAlgorithms: each that is accepted is verified, with its own at_hash.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	ps := keyRSA()
	ps.algorithm = "PS256"
	for _, k := range []testKey{keyA(), keyRSA(), ps, keyEd()} {
		t.Run(string(k.algorithm), func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			p.signer, p.published = k, []any{keyB().jwk(), k.jwk()}
			p.edit = func(c claims) { c["at_hash"] = hashOf(k, theAccess) }
			if _, err := p.signIn(t, p.connect(t)); err != nil {
				t.Error(err)
			}
			p.edit = func(c claims) { c["at_hash"] = hashOf(k, "another") }
			_, err := p.signIn(t, p.connect(t))
			wantRefusal(t, err, upstream.ReasonInvalid, "at_hash")
		})
	}
}

// TestLongIDTokensAreNotKept: everything else is.
func TestLongIDTokensAreNotKept(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	p.edit = func(c claims) { c["picture"] = strings.Repeat("x", maxKeptID) }
	in, err := p.signIn(t, p.connect(t))
	if err != nil || in.Token.ID != "" || in.Token.Access != theAccess {
		t.Errorf("token %#v, error %v", in, err)
	}
}
