// SPDX-License-Identifier: Apache-2.0

// Package upstream defines how a user proves who they are: by being sent to an
// identity provider and coming back (Redirector), or by a name and password on
// our own page (PasswordChecker).
package upstream

import (
	"context"
	"net/url"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// Upstream is one configured identity provider. It also implements Redirector
// or PasswordChecker.
type Upstream interface {
	// Name is the configured name, unique, and the last segment of its callback
	// path.
	Name() string
	// Kind is one of the identity.Kind constants.
	Kind() string
	// Label is what a person calls it: "GitHub", "GitHub (ghe.example.com)".
	Label() string
}

// Redirector sends the browser away and identifies the user from what the
// provider sends it back with.
type Redirector interface {
	Upstream
	// Scopes are what the provider's own page will ask the user for.
	Scopes() []string
	// AuthCodeURL is where to send the browser. Verifier is a fresh PKCE
	// verifier (RFC 7636); its S256 challenge goes into the URL.
	AuthCodeURL(state, verifier, redirectURI string) string
	// Identify completes the sign-in from the callback's query parameters. Every
	// error is a *Refusal.
	Identify(ctx context.Context, callback url.Values, verifier, redirectURI string) (identity.Identity, error)
}

// PasswordChecker identifies a user by name and password.
type PasswordChecker interface {
	Upstream
	// Authenticate checks a password. from is the address the attempt comes
	// from, for throttling. Every error is a *Refusal; a wrong password and an
	// unknown name are the same one and take the same time.
	Authenticate(ctx context.Context, name, password, from string) (identity.Identity, error)
}
