// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"slices"
	"strings"
	"time"
)

// Config is how the provider is set up. Start begins with defaults.
type Config struct {
	// ClientID and ClientSecret are the client's. Without a secret it is public.
	ClientID, ClientSecret string
	// RedirectURIs are the client's. See SetRedirectURIs.
	RedirectURIs []string
	// IssuerPath is appended to the origin to make the issuer. A slash is possible.
	IssuerPath string
	// Scopes are those that exist.
	Scopes []string
	// GroupsClaim is where groups are listed. Default "groups".
	GroupsClaim string
	// InIDToken has the user's claims in the id_token and not only at the userinfo
	// endpoint.
	InIDToken bool
	// Reusable refresh tokens are not replaced when they are used.
	Reusable bool
	// AccessTTL is the life of an access token. Default five minutes.
	AccessTTL time.Duration
	// Algorithm signs id_tokens: RS256 by default, or ES256.
	Algorithm string
	// Users exist from the start. Default Alice and Bob; Alice is signed in.
	Users []User
}

func defaults() Config {
	return Config{
		ClientID:     "gateway",
		ClientSecret: "correct-horse-battery-staple",
		RedirectURIs: []string{"https://mcp.example.com/callback/company"},
		Scopes:       []string{"openid", "profile", "email", "groups", "offline_access"},
		GroupsClaim:  "groups",
		AccessTTL:    5 * time.Minute,
		Algorithm:    "RS256",
		Users:        []User{Alice(), Bob()},
	}
}

// SetRedirectURIs replaces the client's redirect URIs, for gateways whose port is
// known later.
func (p *Provider) SetRedirectURIs(uris ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.RedirectURIs = slices.Clone(uris)
}

// SetClientSecret replaces the client's secret, as an operator who rotates it.
func (p *Provider) SetClientSecret(secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.ClientSecret = secret
}

// prefix is what every path of the provider begins with.
func (c Config) prefix() string { return strings.TrimSuffix(c.IssuerPath, "/") }

func (p *Provider) config() Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg
}
