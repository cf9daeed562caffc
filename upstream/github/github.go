// SPDX-License-Identifier: Apache-2.0

// Package github signs users in at github.com, GitHub Enterprise Server and
// GitHub Enterprise Cloud with data residency.
//
// A sign-in is one code exchange and a bounded number of API calls, a check the
// same calls again with the token of the sign-in. Whatever GitHub's answers do
// not prove is not assumed: an answer that is missing, late or malformed ends
// either with upstream.ReasonUnavailable, never with fewer facts.
//
// Both kinds of app are supported. An OAuth app asks for scopes; its tokens do
// not end. A GitHub App has permissions instead (account permission "Email
// addresses" and organization permission "Members", both to read); its tokens
// end after eight hours and are renewed.
package github

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var (
	_ upstream.Redirector = (*GitHub)(nil)
	_ upstream.Checker    = (*GitHub)(nil)
	_ upstream.Refresher  = (*GitHub)(nil)
)

// GitHub is one OAuth app (or GitHub App) at one GitHub. It is safe for concurrent
// use. What it holds beyond its configuration only saves calls.
type GitHub struct {
	name   string
	oauth  oauth2.Config
	base   *url.URL
	api    *url.URL
	needs  policy.Needs
	client *http.Client
	logger *slog.Logger
	now    func() time.Time

	cache    *cache // of answers to checks
	spent    spenders
	renewing singleflight.Group // by hash of the refresh token
}

// New checks the configuration, reporting all mistakes together, and makes no
// network call.
func New(cfg Config) (*GitHub, error) {
	s, err := cfg.settle()
	if err != nil {
		return nil, err
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &GitHub{
		name: s.name,
		oauth: oauth2.Config{
			ClientID:     cfg.ClientID,
			ClientSecret: cfg.ClientSecret,
			Scopes:       s.scopes,
			Endpoint: oauth2.Endpoint{
				AuthURL:  s.base.JoinPath("login/oauth/authorize").String(),
				TokenURL: s.base.JoinPath("login/oauth/access_token").String(),
				// Said outright, because finding out costs a second request and
				// a code works only once.
				AuthStyle: oauth2.AuthStyleInParams,
			},
		},
		base:   s.base,
		api:    s.api,
		needs:  cfg.Needs,
		client: newHTTPClient(cfg.HTTPClient),
		logger: logger.With(slog.String("upstream", s.name)),
		now:    time.Now,
		cache:  newCache(maxCache),
	}, nil
}

// Name implements upstream.Upstream.
func (g *GitHub) Name() string { return g.name }

// Kind implements upstream.Upstream.
func (g *GitHub) Kind() string { return identity.KindGitHub }

// Label implements upstream.Upstream: "GitHub", "GitHub (ghe.example.com)", or
// "GitHub (name)" for a further app at github.com.
func (g *GitHub) Label() string {
	switch {
	case g.base.Host != defaultHost:
		return "GitHub (" + g.base.Host + ")"
	case g.name != identity.KindGitHub:
		return "GitHub (" + g.name + ")"
	}
	return "GitHub"
}

// Scopes implements upstream.Redirector.
func (g *GitHub) Scopes() []string { return slices.Clone(g.oauth.Scopes) }

// AuthCodeURL implements upstream.Redirector, with PKCE S256 (RFC 7636). It never
// fails: GitHub's endpoints are known.
func (g *GitHub) AuthCodeURL(_ context.Context, r upstream.AuthRequest) (string, error) {
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(r.Verifier),
		oauth2.SetAuthURLParam("redirect_uri", r.RedirectURI),
	}
	if r.AskAccount {
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	return g.oauth.AuthCodeURL(r.State, options...), nil
}
