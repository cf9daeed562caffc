// SPDX-License-Identifier: Apache-2.0

// Package oidc signs users in at any OpenID Connect provider: Google, Microsoft
// Entra, Okta, Auth0, Keycloak, Dex and whatever else publishes a discovery
// document and signs its id_tokens.
//
// Nothing is asked of the network before the first sign-in. The discovery document
// and the keys are then kept, renewed now and then, and asked for again no more
// often than a provider bears, however many sign-ins fail meanwhile.
//
// An id_token counts only if every check of OpenID Connect Core §3.1.3.7 passes,
// and the user's facts only if they are about the same subject. What a provider
// does not say is not assumed: an address is verified only if it says literally
// true, and a list of groups that is cut off or elsewhere is no list.
package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/keyset"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

var (
	_ upstream.Redirector = (*OIDC)(nil)
	_ upstream.Checker    = (*OIDC)(nil)
	_ upstream.Refresher  = (*OIDC)(nil)
)

// OIDC is one client at one OpenID Connect provider. It is safe for concurrent
// use, and keeps the provider's documents for as long as it lives.
type OIDC struct {
	settled
	client *http.Client
	logger *slog.Logger
	now    func() time.Time

	discovery *cached[metadata]
	keys      *cached[keyset.Set]
}

// New checks the configuration, reporting all mistakes together, and makes no
// network call.
func New(cfg Config) (*OIDC, error) {
	s, err := cfg.settle()
	if err != nil {
		return nil, err
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	o := &OIDC{
		settled: s,
		client:  newHTTPClient(cfg.HTTPClient),
		logger:  logger.With(slog.String("upstream", s.name)),
		now:     cfg.Now,
	}
	if o.now == nil {
		o.now = time.Now
	}
	o.discovery = newCached(o.now, o.fetchMetadata)
	o.keys = newCached(o.now, o.fetchKeys)
	return o, nil
}

// Name implements upstream.Upstream.
func (o *OIDC) Name() string { return o.name }

// Kind implements upstream.Upstream.
func (o *OIDC) Kind() string { return identity.KindOIDC }

// Label implements upstream.Upstream: "Google", "Microsoft", and else the name
// with the host, "company (login.example.com)".
func (o *OIDC) Label() string {
	switch {
	case o.isGoogle():
		return "Google"
	case o.isEntra():
		return "Microsoft"
	}
	u, err := url.Parse(o.issuer)
	if err != nil { // not of an issuer that was settled
		return o.name
	}
	return o.name + " (" + u.Host + ")"
}

// AuthCodeURL implements upstream.Redirector, with PKCE S256 (RFC 7636) and a
// nonce (OpenID Connect Core §3.1.2.1).
func (o *OIDC) AuthCodeURL(ctx context.Context, r upstream.AuthRequest) (string, error) {
	m, err := o.discovery.get(ctx, discoveryFresh)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(r.Verifier),
		oauth2.SetAuthURLParam("redirect_uri", r.RedirectURI),
		oauth2.SetAuthURLParam("nonce", nonceOf(r.Verifier)),
	}
	options = append(options, o.prompts(r.AskAccount)...)
	return o.oauth(m).AuthCodeURL(r.State, options...), nil
}

// oauth is the configuration of x/oauth2 for the provider as it is now.
func (o *OIDC) oauth(m *metadata) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     o.clientID,
		ClientSecret: o.clientSecret,
		Scopes:       o.scopesFor(m),
		Endpoint: oauth2.Endpoint{
			AuthURL:   m.authURL,
			TokenURL:  m.tokenURL,
			AuthStyle: m.authStyle,
		},
	}
}

// nonceOf binds the id_token to the sign-in. It is derived from the verifier, which
// is as fresh and as secret, so that nothing else has to be kept; and it does not
// give the verifier away, though it travels through the browser.
func nonceOf(verifier string) string {
	sum := sha256.Sum256([]byte("nonce" + verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
