// SPDX-License-Identifier: Apache-2.0

package github

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const redirectURI = "https://mcp.example.com/callback/github"

var needBoth = policy.Needs{Orgs: true, Teams: true}

// start is a fake with octocat signed in, and an upstream that points at it.
func start(t *testing.T, cfg Config, edit ...func(*testidp.Config)) (*GitHub, *testidp.Server) {
	t.Helper()
	srv := testidp.Start(t, edit...)
	srv.SetRedirectURIs(redirectURI)
	srv.AddUser(testidp.Octocat())
	srv.SignIn(testidp.Octocat().ID)
	return connect(t, cfg, srv), srv
}

func connect(t *testing.T, cfg Config, srv *testidp.Server) *GitHub {
	t.Helper()
	cfg.BaseURL = srv.URL
	if cfg.ClientID == "" {
		cfg.ClientID = srv.ClientID()
	}
	if cfg.ClientSecret == "" {
		cfg.ClientSecret = srv.ClientSecret()
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// visit is the browser: it goes to GitHub and returns what it is sent back with.
func visit(t *testing.T, authURL string) url.Values {
	t.Helper()
	// Not the default transport: servers of other tests close its connections.
	return visitWith(t, authURL, &http.Transport{DisableKeepAlives: true})
}

func visitWith(t *testing.T, authURL string, transport http.RoundTripper) url.Values {
	t.Helper()
	browser := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := browser.Get(authURL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("GitHub answered %s and sent the browser nowhere", resp.Status)
	}
	if !strings.HasPrefix(back.String(), redirectURI+"?") {
		t.Fatalf("sent back to %s", back)
	}
	return back.Query()
}

// signIn is a whole sign-in. It fails the test if an error says a secret.
func signIn(t *testing.T, g *GitHub, srv *testidp.Server) (identity.Identity, error) {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	callback := visit(t, authCodeURL(t, g, "state-1", verifier))
	in, err := g.Identify(t.Context(), callback, verifier, redirectURI)
	if err != nil {
		secrets := append(srv.Tokens(testidp.Octocat().ID), verifier, srv.ClientSecret())
		if code := callback.Get("code"); code != "" {
			secrets = append(secrets, code)
		}
		keepsSecret(t, err, secrets...)
		return identity.Identity{}, err
	}
	return in.Identity, nil
}

func keepsSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(err.Error(), s) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

// wantRefusal holds that the error is a Refusal for this reason whose cause
// says each of these.
func wantRefusal(t *testing.T, err error, reason upstream.Reason, says ...string) {
	t.Helper()
	var r *upstream.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error is %T %v, not a refusal", err, err)
	}
	if r.Reason != reason {
		t.Errorf("refused as %s, want %s: %v", r.Reason, reason, err)
	}
	if r.Err == nil {
		t.Fatal("refusal without a cause for the log")
	}
	for _, s := range says {
		if !strings.Contains(r.Err.Error(), s) {
			t.Errorf("cause %q does not say %q", r.Err, s)
		}
	}
}

// authCodeURL is where a sign-in begins.
func authCodeURL(t *testing.T, g *GitHub, state, verifier string) string {
	t.Helper()
	to, err := g.AuthCodeURL(t.Context(), upstream.AuthRequest{State: state, Verifier: verifier, RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	return to
}
