// SPDX-License-Identifier: Apache-2.0

// Package upstream defines how a user proves who they are: by being sent to an
// identity provider and coming back (Redirector), or by a name and password on
// our own page (PasswordChecker). An upstream that can be asked about a user who
// is not there is a Checker as well, one whose tokens can be renewed a Refresher.
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
	// AuthCodeURL is where to send the browser. Every error is a *Refusal: a
	// provider may have to be asked for its endpoints first.
	AuthCodeURL(ctx context.Context, r AuthRequest) (string, error)
	// Identify completes the sign-in from the callback's query parameters. Every
	// error is a *Refusal.
	Identify(ctx context.Context, callback url.Values, verifier, redirectURI string) (*SignIn, error)
}

// AuthRequest is one sign-in that begins.
type AuthRequest struct {
	// State comes back in the callback.
	State string
	// Verifier is a fresh PKCE verifier (RFC 7636); its S256 challenge goes into
	// the URL. An OIDC nonce can be derived from it: it is as secret and as fresh.
	Verifier string
	// RedirectURI is the callback address, registered at the provider.
	RedirectURI string
	// AskAccount wants the provider to let the person choose an account, instead
	// of taking whoever happens to be signed in there.
	AskAccount bool
}

// SignIn is what a completed sign-in proved.
type SignIn struct {
	Identity identity.Identity
	// Token acts for the user at the provider. Nil where there is none. The caller
	// drops it unless something needs it.
	Token *Token
	// Hints say what the facts lack and why, for a person whom the rules do not
	// admit: an organization that wants them to sign in there first, for example.
	Hints []Hint
}

// Hint is one thing that a person or the operator can do about missing facts.
type Hint struct {
	// Text is a sentence for the page, without markup.
	Text string
	// URL is where it is done, https and at the provider. May be empty.
	URL string
}

// PasswordChecker identifies a user by name and password.
type PasswordChecker interface {
	Upstream
	// Authenticate checks a password. from is the address the attempt comes
	// from, for throttling. Every error is a *Refusal; a wrong password and an
	// unknown name are the same one and take the same time.
	Authenticate(ctx context.Context, name, password, from string) (identity.Identity, error)
}

// Checker looks at a user again who is not there, to learn whether they still are
// who the allow rules admitted.
type Checker interface {
	Upstream
	// NeedsToken says whether Check works with the token of the last sign-in, which
	// then has to be kept.
	NeedsToken() bool
	// Check returns the user's facts of now. tok is the newest token kept for the
	// user, nil if none is. Where Check had to renew it, save is called with the new
	// one at once, before anything else is done with it, because the old one may be
	// worthless already; an error of save ends the check.
	//
	// Every error is a *Refusal. Only ReasonRevoked says something about the user:
	// gone, suspended, or the token taken back. ReasonSignInNeeded means that the
	// provider can only be asked again with the user's help. Anything else proves
	// nothing, and the last facts hold for a time.
	Check(ctx context.Context, last identity.Identity, tok *Token, save func(*Token) error) (identity.Identity, error)
}

// Refresher renews tokens ahead of their end, for use at the backend.
type Refresher interface {
	Upstream
	// Refresh exchanges the refresh token. The result carries a refresh token, the
	// old one if the provider sent no new one. Every error is a *Refusal, with the
	// reasons of Check.
	Refresh(ctx context.Context, tok *Token) (*Token, error)
}
