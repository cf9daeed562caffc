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
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/oidc"
)

func init() { caddy.RegisterModule(OIDC{}) }

// OIDC lets users sign in at an OpenID Connect provider: Google, Microsoft Entra,
// Okta, Auth0, Keycloak, Dex or any other with a discovery document. It needs a
// client of the type "web application" there, whose redirect URI is
// `https://<site>/callback/<name>`.
//
// Users are known by the provider's `sub`, never by an address. An address counts
// for allow rules only if the provider says that it is verified; Entra does not.
type OIDC struct {
	// Name of this upstream. It becomes the last segment of the callback URL and a
	// part of every user's identity, and qualifies allow rules where there are
	// several upstreams, as in `company/group:ops`.
	Name string `json:"name,omitempty"`
	// Issuer is the provider's issuer identifier, exactly as its discovery document
	// says it, for example `https://accounts.google.com`. Placeholders are possible.
	// Plain http on loopback only.
	Issuer string `json:"issuer,omitempty"`
	// ClientID is the client id. Placeholders are possible.
	ClientID string `json:"client_id,omitempty"`
	// ClientSecret is the client secret. Write a placeholder, `{env.NAME}` or
	// `{file./path}`: a literal value is shown by the admin API. Leave it out for a
	// public client, which proves itself with PKCE alone.
	ClientSecret string `json:"client_secret,omitempty"`
	// Scopes to ask for. Default: `openid profile email`, and `groups` where the
	// provider lists it.
	Scopes []string `json:"scopes,omitempty"`
	// GroupsClaim is where the user's groups are: the name of a claim, or names
	// joined with dots as in `realm_access.roles`. Default: `groups`.
	GroupsClaim string `json:"groups_claim,omitempty"`

	config oidc.Config // placeholders resolved
}

// CaddyModule returns the Caddy module information.
func (OIDC) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  upstreamNamespace + ".oidc",
		New: func() caddy.Module { return new(OIDC) },
	}
}

// Provision resolves placeholders and checks everything that can be known
// without the network.
func (o *OIDC) Provision(ctx caddy.Context) error {
	logger := ctx.Slogger()
	var errs [4]error
	o.config = oidc.Config{Name: o.Name, Scopes: o.Scopes, Offline: true}
	o.config.Issuer, errs[0] = options.Expand("issuer", o.Issuer)
	o.config.ClientID, errs[1] = options.Expand("client_id", o.ClientID)
	o.config.ClientSecret, errs[2] = options.ExpandSecret(logger, "client_secret", o.ClientSecret)
	o.config.GroupsClaim, errs[3] = options.Expand("groups_claim", o.GroupsClaim)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := oidc.New(o.config)
	return err
}

// AskOffline says whether users have to agree to being looked at again when they
// are not there. They do unless told otherwise, because that is how they lose access
// they should not have any more. It counts for what is built afterwards.
func (o *OIDC) AskOffline(on bool) { o.config.Offline = on }

// Ref names the upstream for allow rules.
func (o *OIDC) Ref() policy.Ref {
	return policy.Ref{Name: o.Name, Kind: identity.KindOIDC}
}

// Build makes the upstream. What a provider tells comes with the sign-in, so there
// is nothing to look up on account of needs.
func (o *OIDC) Build(_ policy.Needs, logger *slog.Logger) (upstream.Upstream, error) {
	cfg := o.config
	cfg.Logger = logger
	return oidc.New(cfg)
}

// UnmarshalCaddyfile sets up the upstream. Syntax:
//
//	oidc <name> {
//		issuer        <url>
//		client_id     <id>
//		client_secret <placeholder>
//		scopes        <scope...>
//		groups_claim  <claim>
//	}
func (o *OIDC) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if !d.NextArg() {
		return d.Err("oidc: the name is missing; write oidc <name>, which becomes the callback URL https://<site>/callback/<name>")
	}
	o.Name = d.Val()
	if d.NextArg() {
		return d.Errf("oidc takes one name, unexpected %q", d.Val())
	}
	return options.Read(d, "oidc", options.Set{
		"issuer":        checked(&o.Issuer, checkOIDCIssuer),
		"client_id":     options.Single(&o.ClientID),
		"client_secret": options.Single(&o.ClientSecret),
		"scopes":        options.Distinct(&o.Scopes, nil),
		"groups_claim":  options.Single(&o.GroupsClaim),
	})
}

// checkOIDCIssuer finds mistakes early; an issuer with a placeholder is checked when
// it is resolved.
func checkOIDCIssuer(s string) error {
	if options.SecretPlaceholder.MatchString(s) {
		return nil
	}
	return oidc.CheckIssuer(s)
}

var (
	_ caddy.Provisioner     = (*OIDC)(nil)
	_ caddyfile.Unmarshaler = (*OIDC)(nil)
	_ UpstreamProvider      = (*OIDC)(nil)
	_ OfflineAsker          = (*OIDC)(nil)
)
