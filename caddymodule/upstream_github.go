// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"errors"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mcp/caddy-mcp-oauth/caddymodule/internal/options"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/github"
)

func init() { caddy.RegisterModule(GitHub{}) }

// GitHub lets users sign in at github.com, GitHub Enterprise Server or GitHub
// Enterprise Cloud with data residency. It needs an OAuth App, or a GitHub App with
// the account permission "Email addresses: read" and, for rules about organizations,
// the organization permission "Members: read". The callback URL is
// `https://<site>/callback/github`, with the name of this upstream in place of
// `github` if it has one.
//
// The user's GitHub token is used to find out who they are and which organizations
// and teams they belong to, where allow rules need that. It is kept, encrypted, only
// if it is needed later: to look at the user again (`recheck_upstream`) or for the
// backend (`forward_upstream_token`).
type GitHub struct {
	// Name of this upstream, needed only where there are several. It becomes the
	// last segment of the callback URL, and qualifies allow rules as in
	// `ghe/org:acme`. Default: `github`.
	Name string `json:"name,omitempty"`
	// ClientID is the client id of the OAuth app. Placeholders are possible.
	ClientID string `json:"client_id,omitempty"`
	// ClientSecret is the client secret of the OAuth app. Write a placeholder,
	// `{env.NAME}` or `{file./path}`: a literal value is shown by the admin API.
	ClientSecret string `json:"client_secret,omitempty"`
	// Scopes to ask for besides those that the allow rules need. Rarely useful.
	Scopes []string `json:"scopes,omitempty"`
	// BaseURL is where people sign in. Default: `https://github.com`. For GitHub
	// Enterprise Server `https://ghe.example.com`. Plain http on loopback only.
	BaseURL string `json:"base_url,omitempty"`
	// APIURL is the root of the REST API. Default: `https://api.github.com`, and
	// `<base_url>/api/v3` for GitHub Enterprise Server.
	APIURL string `json:"api_url,omitempty"`

	config github.Config // placeholders resolved
}

// CaddyModule returns the Caddy module information.
func (GitHub) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  upstreamNamespace + ".github",
		New: func() caddy.Module { return new(GitHub) },
	}
}

// Provision resolves placeholders and checks everything that can be known
// without the network.
func (g *GitHub) Provision(ctx caddy.Context) error {
	logger := ctx.Slogger()
	var errs [4]error
	g.config = github.Config{Name: g.Name, Scopes: g.Scopes}
	g.config.ClientID, errs[0] = options.Expand("client_id", g.ClientID)
	g.config.ClientSecret, errs[1] = options.ExpandSecret(logger, "client_secret", g.ClientSecret)
	g.config.BaseURL, errs[2] = options.Expand("base_url", g.BaseURL)
	g.config.APIURL, errs[3] = options.Expand("api_url", g.APIURL)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := github.New(g.config)
	return err
}

// Ref names the upstream for allow rules.
func (g *GitHub) Ref() policy.Ref {
	return policy.Ref{Name: orDefault(g.Name, identity.KindGitHub), Kind: identity.KindGitHub}
}

// Build makes the upstream.
func (g *GitHub) Build(needs policy.Needs, logger *slog.Logger) (upstream.Upstream, error) {
	cfg := g.config
	cfg.Needs, cfg.Logger = needs, logger
	return github.New(cfg)
}

// UnmarshalCaddyfile sets up the upstream. Syntax:
//
//	github [<name>] {
//		client_id     <id>
//		client_secret <placeholder>
//		scopes        <scope...>
//		base_url      <url>
//		api_url       <url>
//	}
func (g *GitHub) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if d.NextArg() {
		g.Name = d.Val()
	}
	if d.NextArg() {
		return d.Errf("github takes at most one name, unexpected %q", d.Val())
	}
	return options.Read(d, "github", options.Set{
		"client_id":     options.Single(&g.ClientID),
		"client_secret": options.Single(&g.ClientSecret),
		"scopes":        options.Distinct(&g.Scopes, nil),
		"base_url":      options.Single(&g.BaseURL),
		"api_url":       options.Single(&g.APIURL),
	})
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

var (
	_ caddy.Provisioner     = (*GitHub)(nil)
	_ caddyfile.Unmarshaler = (*GitHub)(nil)
	_ UpstreamProvider      = (*GitHub)(nil)
)
