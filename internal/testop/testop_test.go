// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

// relyingParty is another implementation than the one under test elsewhere, and than the
// provider's own: what it accepts is OpenID Connect.
type relyingParty struct {
	t        *testing.T
	ctx      context.Context
	provider *oidc.Provider
	oauth    oauth2.Config
}

func connect(t *testing.T, p *Provider, scopes ...string) *relyingParty {
	t.Helper()
	ctx := oidc.ClientContext(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	provider, err := oidc.NewProvider(ctx, p.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // finding out would use the code up
	if p.ClientSecret() == "" {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &relyingParty{t: t, ctx: ctx, provider: provider, oauth: oauth2.Config{
		ClientID: p.ClientID(), ClientSecret: p.ClientSecret(), Endpoint: endpoint,
		RedirectURL: "https://mcp.example.com/callback/company", Scopes: append([]string{"openid"}, scopes...),
	}}
}

func (rp *relyingParty) signIn(p *Provider, subject string, options ...oauth2.AuthCodeOption) (*oauth2.Token, *oidc.IDToken, error) {
	rp.t.Helper()
	verifier := oauth2.GenerateVerifier()
	options = append(options, oauth2.S256ChallengeOption(verifier), oidc.Nonce("n-1"))
	back, err := p.Click(rp.t.Context(), rp.oauth.AuthCodeURL("s-1", options...), subject)
	if err != nil {
		rp.t.Fatal(err)
	}
	if got := back.Query().Get("state"); got != "s-1" {
		rp.t.Fatalf("state %q came back in %s", got, back)
	}
	if failure := back.Query().Get("error"); failure != "" {
		return nil, nil, errors.New(failure)
	}
	token, err := rp.oauth.Exchange(rp.ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, nil, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := rp.provider.Verifier(&oidc.Config{ClientID: p.ClientID()}).Verify(rp.ctx, raw)
	if err != nil {
		return nil, nil, err
	}
	return token, id, nil
}

type claims struct {
	Sub      string   `json:"sub"`
	Username string   `json:"preferred_username"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	Verified bool     `json:"email_verified"`
	Groups   []string `json:"groups"`
}

var alice = claims{"user-4711", "alice", "Alice Example", "alice@example.com", true, []string{"dev", "ops"}}

func (rp *relyingParty) userinfo(token *oauth2.Token) (claims, error) {
	var c claims
	info, err := rp.provider.UserInfo(rp.ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return c, err
	}
	return c, info.Claims(&c)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Config){
		"default":             func(*Config) {},
		"public":              func(c *Config) { c.ClientSecret = "" },
		"claims in the token": func(c *Config) { c.InIDToken = true },
		"ES256":               func(c *Config) { c.Algorithm = "ES256" },
		"issuer with a path":  func(c *Config) { c.IssuerPath = "/realms/company" },
		"issuer with a slash": func(c *Config) { c.IssuerPath = "/" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Start(t, edit)
			rp := connect(t, p, "profile", "email", "groups")
			token, id, err := rp.signIn(p, "user-4711")
			if err != nil {
				t.Fatal(err)
			}
			if id.Subject != "user-4711" || id.Nonce != "n-1" || token.RefreshToken != "" {
				t.Errorf("subject %q, nonce %q, refresh token %t", id.Subject, id.Nonce, token.RefreshToken != "")
			}
			if err := id.VerifyAccessToken(token.AccessToken); err != nil {
				t.Error(err)
			}
			var within claims
			if err := id.Claims(&within); err != nil {
				t.Fatal(err)
			}
			if inside := within.Email != ""; inside != (name == "claims in the token") {
				t.Errorf("the id_token has %+v", within)
			}
			got, err := rp.userinfo(token)
			if diff := cmp.Diff(alice, got); err != nil || diff != "" {
				t.Errorf("userinfo (-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	p := Start(t)
	rp := connect(t, p, "offline_access")
	first, _, err := rp.signIn(p, "user-4711")
	if err != nil || first.RefreshToken == "" {
		t.Fatalf("refresh token %t, error %v", first.RefreshToken != "", err)
	}
	renew := func(refresh string) (*oauth2.Token, error) {
		return rp.oauth.TokenSource(rp.ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	}
	second, err := renew(first.RefreshToken)
	if err != nil || second.RefreshToken == first.RefreshToken || second.Extra("id_token") == nil {
		t.Fatalf("renewed with error %v, new refresh token %t", err, second.RefreshToken != first.RefreshToken)
	}
	wantCode(t, failure(renew(first.RefreshToken)), "invalid_grant")
	wantCode(t, failure(renew(second.RefreshToken)), "invalid_grant") // the family died of the reuse
	if _, err := rp.userinfo(second); err == nil {
		t.Error("the access token outlived its family")
	}
}

func failure(_ *oauth2.Token, err error) error { return err }

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.ErrorCode != code {
		t.Errorf("error %v, want %s", err, code)
	}
}

func TestReusableRefreshTokens(t *testing.T) {
	t.Parallel()
	p := Start(t, func(c *Config) { c.Reusable = true })
	rp := connect(t, p, "offline_access")
	first, _, err := rp.signIn(p, "user-4711")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		again, err := rp.oauth.TokenSource(rp.ctx, &oauth2.Token{RefreshToken: first.RefreshToken}).Token()
		if err != nil || again.RefreshToken != first.RefreshToken {
			t.Fatalf("error %v", err)
		}
	}
}

func TestUsersChangeAndGo(t *testing.T) {
	t.Parallel()
	p := Start(t)
	rp := connect(t, p, "profile", "groups", "offline_access")
	token, _, err := rp.signIn(p, "user-0815")
	if err != nil {
		t.Fatal(err)
	}
	p.UpdateUser("user-0815", func(u *User) { u.Groups = []string{"ops"}; u.Name = "Robert" })
	if c, err := rp.userinfo(token); err != nil || c.Name != "Robert" || !cmp.Equal(c.Groups, []string{"ops"}) {
		t.Errorf("userinfo %+v, error %v", c, err)
	}
	p.RemoveUser("user-0815")
	if _, err := rp.userinfo(token); err == nil {
		t.Error("a removed user's token works")
	}
	_, err = rp.oauth.TokenSource(rp.ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	wantCode(t, err, "invalid_grant")
}

func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	p := Start(t)
	rp := connect(t, p)
	logins := func() int { return len(p.Requests("/login")) }
	if _, id, err := rp.signIn(p, "user-0815"); err != nil || id.Subject != "user-0815" {
		t.Fatalf("error %v", err)
	}
	// The browser is signed in as Bob now, and nobody presses a button.
	if _, id, err := rp.signIn(p, "user-4711"); err != nil || id.Subject != "user-0815" || logins() != 3 {
		t.Errorf("%d login pages, error %v", logins(), err)
	}
	if _, id, err := rp.signIn(p, "user-4711", oauth2.SetAuthURLParam("prompt", "select_account")); err != nil || id.Subject != "user-4711" {
		t.Errorf("with select_account: error %v", err)
	}
	p.SignIn("")
	if _, _, err := rp.signIn(p, ""); err == nil || err.Error() != "access_denied" {
		t.Errorf("cancelled with %v", err)
	}
}

// TestPagesAreForBrowsers: what a real browser would show.
func TestPagesAreForBrowsers(t *testing.T) {
	t.Parallel()
	p := Start(t)
	rp := connect(t, p)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(
		rp.oauth.AuthCodeURL("s", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(ct, "text/html") {
		t.Errorf("%s %s", resp.Status, ct)
	}
}

func TestWhatTheProviderRefuses(t *testing.T) {
	t.Parallel()
	p := Start(t)
	p.SignIn("user-4711")
	rp := connect(t, p)
	verifier := oauth2.GenerateVerifier()
	back, err := p.Click(t.Context(), rp.oauth.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), "user-4711")
	if err != nil {
		t.Fatal(err)
	}
	_, err = rp.oauth.Exchange(rp.ctx, back.Query().Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier()))
	wantCode(t, err, "invalid_grant")
	_, err = rp.oauth.Exchange(rp.ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	wantCode(t, err, "invalid_grant") // used up by the first try
	p.SetClientSecret("rotated")
	_, _, err = rp.signIn(p, "user-4711")
	wantCode(t, err, "invalid_client")
	p.SetRedirectURIs("https://elsewhere.example/callback")
	if _, err := p.Click(t.Context(), rp.oauth.AuthCodeURL("s"), "user-4711"); err == nil {
		t.Error("a redirect URI that is not registered is used")
	}
}

func TestTampering(t *testing.T) {
	t.Parallel()
	p := Start(t)
	rp := connect(t, p, "profile")
	p.TamperIDToken(func(c map[string]any) { c["iss"] = "https://evil.example" })
	if _, _, err := rp.signIn(p, "user-4711"); err == nil || !strings.Contains(err.Error(), "different provider") {
		t.Errorf("another issuer: %v", err)
	}
	p.Tamper(PathToken, nil)
	p.TamperJSON(PathUserinfo, func(c map[string]any) { c["name"] = "Mallory" })
	token, _, err := rp.signIn(p, "user-4711")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := rp.userinfo(token); err != nil || c.Name != "Mallory" {
		t.Errorf("userinfo %+v, error %v", c, err)
	}
	p.Tamper(PathUserinfo, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusTeapot) })
	if _, err := rp.userinfo(token); err == nil {
		t.Error("a fault changed nothing")
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]bool{"the old key stays": true, "the old key goes": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Start(t)
			rp := connect(t, p)
			if _, _, err := rp.signIn(p, "user-4711"); err != nil {
				t.Fatal(err)
			}
			p.RotateKey(keep)
			if _, _, err := rp.signIn(p, "user-4711"); err != nil {
				t.Errorf("after the rotation: %v", err)
			}
		})
	}
}

func TestClickGivesUp(t *testing.T) {
	t.Parallel()
	p := Start(t)
	p.Tamper(PathAuthorize, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
	})
	address := p.Issuer() + PathAuthorize + "?" + url.Values{"client_id": {p.ClientID()}}.Encode()
	begin := time.Now()
	if _, err := p.Click(t.Context(), address, ""); err == nil || time.Since(begin) > 30*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}
