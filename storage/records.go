// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// Hash is the SHA-256 of a secret. Records hold hashes only: whoever reads the
// store learns no token, code or client secret.
type Hash [32]byte

// Client is a registered OAuth client (RFC 7591).
type Client struct {
	Issuer string `json:"issuer"`
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	URI    string `json:"uri,omitempty"`
	// RedirectURIs are kept exactly as registered.
	RedirectURIs []string `json:"redirect_uris"`
	// AuthMethod is "none", "client_secret_basic" or "client_secret_post".
	AuthMethod string `json:"auth_method"`
	// SecretHash is the zero Hash for a public client.
	SecretHash      Hash     `json:"secret_hash,omitzero"`
	GrantTypes      []string `json:"grant_types,omitempty"`
	Scope           string   `json:"scope,omitempty"`
	ApplicationType string   `json:"application_type,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	SoftwareVersion string   `json:"software_version,omitempty"`
	// RegistrationHash is the hash of the registration access token with which
	// the client reads and deletes its registration (RFC 7592).
	RegistrationHash Hash `json:"registration_hash,omitzero"`

	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is when a client that never completed a sign-in is collected.
	// KeepClient makes it zero: from then on the client stays.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Pending is an authorization request the user has approved on the consent
// page and that now waits for the upstream to send the browser back. Its ID is
// the hash of the upstream state parameter, so the state itself is not at rest.
type Pending struct {
	Issuer string `json:"issuer"`
	ID     Hash   `json:"id"`
	// Browser is the hash of the state cookie set at approval. A callback from
	// another browser does not have it.
	Browser  Hash   `json:"browser"`
	Upstream string `json:"upstream"`
	// Verifier is the sealed PKCE verifier (RFC 7636) of the upstream leg.
	Verifier string        `json:"verifier,omitempty"`
	Request  Authorization `json:"request"`
	// Remember is the fingerprint of the client as the user saw it, if they asked
	// not to be asked again, and zero if not.
	Remember Hash `json:"remember,omitzero"`
	// Flow ties the log lines of this sign-in together.
	Flow string `json:"flow,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Authorization is what one approved authorization request asked for, after
// validation. It is fixed at approval; later steps only check against it.
type Authorization struct {
	ClientID string `json:"client_id"`
	// RedirectURI is where the response goes, exactly as requested.
	RedirectURI string `json:"redirect_uri"`
	// RedirectURIGiven is false where the request left redirect_uri out.
	RedirectURIGiven bool   `json:"redirect_uri_given,omitempty"`
	State            string `json:"state,omitempty"`
	// Challenge is the S256 code_challenge.
	Challenge string `json:"challenge"`
	// Resource is the canonical identifier of the protected resource.
	Resource string   `json:"resource"`
	Scopes   []string `json:"scopes,omitempty"`
	// ForwardsToken: the person was told that the backend gets their upstream token.
	ForwardsToken bool `json:"forwards_token,omitempty"`
}

// Account is one user at one upstream, with the facts of the last check.
type Account struct {
	Subject  string            `json:"subject"`
	Identity identity.Identity `json:"identity"`
	// CheckedAt is when the provider was last asked and gave these facts.
	CheckedAt time.Time `json:"checked_at"`
	// Token is the sealed upstream token of the newest sign-in, renewed since, empty
	// where nothing needs one.
	Token string `json:"token,omitempty"`
	// Revision counts how often the account was stored, see ReplaceAccount.
	Revision uint64 `json:"revision,omitempty"`
}

// Key is a key pair that signs identity assertions for backends. Its ID says which
// period it is for, so that it is made once.
type Key struct {
	Issuer string `json:"issuer"`
	ID     string `json:"id"`
	// KeyID is the kid (RFC 7515 §4.1.4) of the public half.
	KeyID string `json:"kid"`
	// Public is the public half as a JWK (RFC 7517), Private the sealed private one.
	Public  []byte `json:"public"`
	Private string `json:"private"`

	CreatedAt time.Time `json:"created_at"`
	// SignsFrom is when it may begin to sign: who verifies has to have seen it first.
	SignsFrom time.Time `json:"signs_from"`
	// ExpiresAt is when nothing it signed is valid any more.
	ExpiresAt time.Time `json:"expires_at"`
}

// Grant is one account × one client × one resource that the user consented to.
// It begins as an authorization code, then owns the refresh-token family, and
// it is the unit of revocation. The code lives inside the grant so that
// "redeemed once" and "rotated once" are each a compare-and-swap of one record.
type Grant struct {
	Issuer   string   `json:"issuer"`
	ID       string   `json:"id"`
	Subject  string   `json:"subject"`
	ClientID string   `json:"client_id"`
	Resource string   `json:"resource"`
	Scopes   []string `json:"scopes,omitempty"`
	// ForwardsToken: the person agreed to the backend getting their upstream token.
	ForwardsToken bool `json:"forwards_token,omitempty"`
	// Identity is the account as it was when the grant was made.
	Identity identity.Identity `json:"identity"`

	Code    Code    `json:"code"`
	Refresh Refresh `json:"refresh"`

	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is the code's end until it is redeemed, then the refresh
	// token's, which slides with every rotation.
	ExpiresAt time.Time `json:"expires_at"`
}

// Live reports whether the code was redeemed, that is, whether tokens of this
// grant were ever handed out.
func (g *Grant) Live() bool { return !g.Code.RedeemedAt.IsZero() }

// Code is the authorization code of a grant (RFC 6749 §4.1.2).
type Code struct {
	Hash             Hash      `json:"hash"`
	Challenge        string    `json:"challenge"`
	RedirectURI      string    `json:"redirect_uri"`
	RedirectURIGiven bool      `json:"redirect_uri_given,omitempty"`
	ExpiresAt        time.Time `json:"expires_at"`
	RedeemedAt       time.Time `json:"redeemed_at,omitzero"`
}

// Refresh is the refresh-token family of a grant.
type Refresh struct {
	// Current is the hash of the newest secret.
	Current Hash `json:"current,omitzero"`
	// Retired are the secrets before it that may still be answered, oldest
	// first; the successor of the last one is Current.
	Retired []Retired `json:"retired,omitempty"`
}

// Retired is a refresh secret that was exchanged for its successor. With Nonce
// and the presented secret the successor can be derived again, so a client
// that lost the answer gets the same one; from the record alone it cannot.
type Retired struct {
	Hash      Hash      `json:"hash"`
	Nonce     []byte    `json:"nonce"`
	RetiredAt time.Time `json:"retired_at"`
}

// Session is a browser that signed in. Its ID is the hash of the cookie, so the
// cookie is not at rest.
type Session struct {
	Issuer   string            `json:"issuer"`
	ID       Hash              `json:"id"`
	Subject  string            `json:"subject"`
	Identity identity.Identity `json:"identity"`

	CreatedAt time.Time `json:"created_at"`
	// IdleAt is the end unless the session is used before, ExpiresAt the end in
	// any case.
	IdleAt    time.Time `json:"idle_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Consent is a decision a user need not take again. Its ID is a hash over all
// that was decided on: account, client and what the client was then, redirect
// URI, resource and scopes. If any of it changes, there is no such consent.
type Consent struct {
	Issuer  string `json:"issuer"`
	ID      Hash   `json:"id"`
	Subject string `json:"subject"`

	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Once is an id that was used and may not be used again before its end.
type Once struct {
	Issuer    string    `json:"issuer"`
	ID        Hash      `json:"id"`
	ExpiresAt time.Time `json:"expires_at"`
}
