// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const entraIssuer = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"

// vendor is one provider as its documentation and public metadata describe it: the
// part of the discovery document that counts, the answers of a sign-in and of a
// renewal, and who the user is.
type vendor struct {
	Issuer      string            `json:"issuer"`
	GroupsClaim string            `json:"groups_claim"`
	Discovery   claims            `json:"discovery"`
	Callback    map[string]string `json:"callback"` // besides code and state
	Token       claims            `json:"token"`
	IDToken     claims            `json:"id_token"` // nonce and times are added
	Userinfo    claims            `json:"userinfo"`
	Renewed     claims            `json:"renewed"`
	// Request are the parameters that the vendor has to be asked with.
	Request  map[string]string `json:"request"`
	Identity identity.Identity `json:"identity"`
	// Hint is for a person whom the rules do not admit.
	Hint string `json:"hint"`
}

func loadVendor(t *testing.T, file string) vendor {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v vendor
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// world is the vendor's servers.
func (v vendor) world(c *clock) *provider {
	p := providerOf(v.Issuer, c.now)
	p.document, p.userinfo = v.Discovery, v.Userinfo
	p.identity = v.IDToken
	p.signer, p.published = keyRSA(), []any{keyRSA().jwk()}
	if !slices.Contains(algorithmsOf(v), "RS256") {
		p.signer, p.published = keyA(), []any{keyA().jwk()}
	}
	p.answerAs(v.Token)
	return p
}

func algorithmsOf(v vendor) []string {
	var list []string
	for _, a := range v.Discovery["id_token_signing_alg_values_supported"].([]any) {
		list = append(list, a.(string))
	}
	return list
}

// answerAs makes the token endpoint answer with these members and an id_token.
func (p *provider) answerAs(answer claims) {
	p.edit = func(c claims) {
		if c["at_hash"] != nil {
			c["at_hash"] = hashOf(p.signer, answer["access_token"].(string))
		}
	}
	p.answer = func(a claims) {
		for _, name := range []string{"access_token", "token_type", "expires_in"} {
			delete(a, name)
		}
		for name, value := range answer {
			a[name] = value
		}
	}
}

// TestVendors signs in at each, looks again after ten minutes, and once more when the
// user was thrown out.
func TestVendors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/vendors/*.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d vendors, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			v := loadVendor(t, file)
			p := v.world(c)
			o := p.connect(t, func(cfg *Config) { cfg.GroupsClaim, cfg.Offline = v.GroupsClaim, true })
			in := v.signIn(t, p, o)
			v.checkAgain(t, c, p, o, in)
		})
	}
}

func (v vendor) signIn(t *testing.T, p *provider, o *OIDC) *upstream.SignIn {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	to, err := o.AuthCodeURL(t.Context(), upstream.AuthRequest{State: "s", Verifier: verifier, RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(to, v.Discovery["authorization_endpoint"].(string)+"?") {
		t.Errorf("the browser goes to %s", to)
	}
	for _, name := range []string{"scope", "prompt", "access_type"} {
		if got := u.Query().Get(name); got != v.Request[name] {
			t.Errorf("%s %q, want %q", name, got, v.Request[name])
		}
	}
	p.nonce, p.challenge = u.Query().Get("nonce"), u.Query().Get("code_challenge")
	callback := url.Values{"code": {"c"}, "state": {"s"}}
	for name, value := range v.Callback {
		callback.Set(name, value)
	}
	in, err := o.Identify(t.Context(), callback, verifier, redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v.Identity, in.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if in.Token.Refresh != v.Token["refresh_token"] {
		t.Error("the refresh token is lost")
	}
	if (len(in.Hints) == 1) != (v.Hint != "") || v.Hint != "" && !strings.Contains(in.Hints[0].Text, v.Hint) {
		t.Errorf("hints %v, want %q", in.Hints, v.Hint)
	}
	return in
}

func (v vendor) checkAgain(t *testing.T, c *clock, p *provider, o *OIDC, in *upstream.SignIn) {
	t.Helper()
	c.pass(10 * time.Minute)
	p.nonce = ""
	p.answerAs(v.Renewed)
	var saved []*upstream.Token
	save := func(t *upstream.Token) error {
		saved = append(saved, t)
		return nil
	}
	id, err := o.Check(t.Context(), in.Identity, in.Token, save)
	if diff := cmp.Diff(v.Identity, id); diff != "" || err != nil {
		t.Errorf("error %v, identity (-want +got):\n%s", err, diff)
	}
	wantRefresh := v.Renewed["refresh_token"]
	if wantRefresh == nil { // Google's stays
		wantRefresh = v.Token["refresh_token"]
	}
	if len(saved) != 1 || saved[0].Access != v.Renewed["access_token"] || saved[0].Refresh != wantRefresh {
		t.Fatalf("saved %d tokens, and not those of the renewal", len(saved))
	}
	c.pass(10 * time.Minute)
	p.routes[v.Discovery["token_endpoint"].(string)] = sendError(http.StatusBadRequest, "invalid_grant")
	_, err = o.Check(t.Context(), in.Identity, saved[0], save)
	wantRefusal(t, err, upstream.ReasonRevoked, "invalid_grant")
}

// TestGoogleWithoutScheme: Google may leave the scheme of its issuer out of id_tokens,
// and nobody else may.
func TestGoogleWithoutScheme(t *testing.T) {
	t.Parallel()
	c := newClock()
	v := loadVendor(t, "testdata/vendors/google.json")
	p := v.world(c)
	p.identity["iss"] = "accounts.google.com"
	mustSignIn(t, p, p.connect(t))
	for _, iss := range []string{"http://accounts.google.com", "accounts.google.com/", "https://accounts.google.com/"} {
		p.identity["iss"] = iss
		_, err := p.signIn(t, p.connect(t))
		wantRefusal(t, err, upstream.ReasonInvalid, "issuer")
	}
	c2 := providerOf("https://login.example.com", c.now)
	c2.identity["iss"] = "login.example.com"
	_, err := c2.signIn(t, c2.connect(t))
	wantRefusal(t, err, upstream.ReasonInvalid, "issuer")
}

// TestWrongIssuersAreExplained: the mistakes that everybody makes with the issuer
// come with what to write instead.
func TestWrongIssuersAreExplained(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, issuer, says string }{
		"Auth0 without slash":             {"auth0", "https://acme.eu.auth0.com", "the slash at the end matters"},
		"Okta with slash":                 {"okta", "https://acme.okta.com/", "the slash at the end matters"},
		"Entra by the name of the tenant": {"entra", "https://login.microsoftonline.com/example.onmicrosoft.com/v2.0", "11111111-2222-3333-4444-555555555555"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := loadVendor(t, "testdata/vendors/"+tc.file+".json")
			p := providerOf(tc.issuer, time.Now)
			p.document = v.Discovery
			_, err := discover(t, p)
			wantRefusal(t, err, upstream.ReasonMisconfigured, tc.says)
		})
	}
}
