// SPDX-License-Identifier: Apache-2.0

// Package storage defines what the authorization server remembers and the
// atomic steps it takes. Engines implement Store; storagetest is the contract
// as a test suite that every engine passes.
package storage

import (
	"context"
	"time"
)

// Store is the state of all issuers of one process or one cluster.
//
// The verbs are the protocol's steps, not a table API: whatever must happen at
// most once is one verb, atomic against every other caller on every machine,
// and touches one record. Only DeleteClient, DeleteSessions and DeleteConsents touch
// several.
// When a verb has returned nil its effect survives kill -9 and power loss.
//
// Every record carries its issuer and is not found under another one. A record
// past its ExpiresAt is not found, whether or not it was swept yet. The engine
// owns the clock. Returned records are the caller's to change.
//
// Errors: ErrNotFound, ErrExists, ErrChanged, ErrReplay, ErrReuse and ErrFull mean what
// they say of the record. Anything else, ErrClosed and a done context
// included, means that the outcome is unknown and the caller must fail closed
// (HTTP 503) and acknowledge nothing.
type Store interface {
	// CreateClient stores a new client; ErrExists if the id is taken. Clients
	// with an ExpiresAt have never completed a sign-in. At most MaxUnusedClients
	// of them are kept: past that the oldest one older than UnusedClientMinAge is
	// evicted to make room, and where none is that old the answer is ErrFull.
	CreateClient(ctx context.Context, c *Client) error
	// Client returns a client or ErrNotFound.
	Client(ctx context.Context, issuer, id string) (*Client, error)
	// KeepClient clears ExpiresAt: a sign-in was completed, so the client is no
	// longer collected. Idempotent. ErrNotFound if it is gone.
	KeepClient(ctx context.Context, issuer, id string) error
	// DeleteClient removes a client and every grant of it, redeemed or not, and
	// returns the ids of those grants in any order, for the caller to end what it
	// knows of them. Idempotent: no error if the client is gone or was never here,
	// as those named by a document or by the configuration are not; their grants
	// go all the same. A grant that is created meanwhile is deleted and named, or
	// stays and is not: who creates grants looks for the client when a code is
	// redeemed. Grants past their end, and what cannot be read, may go unnamed. Ids
	// beside an error are of grants that are gone all the same: calling again does not
	// name them again.
	DeleteClient(ctx context.Context, issuer, id string) (grants []string, err error)

	// RememberOnce notes an id for a time: the first caller gets nil, every other
	// one until then ErrExists, which extends nothing. It is how the jti of a
	// client assertion is used once (RFC 7523 §3). The ttl has to reach beyond the
	// last moment at which the caller would accept the id, leeway included; where
	// nothing is left of it the answer is ErrExists, so that a mistake refuses.
	RememberOnce(ctx context.Context, issuer string, id Hash, ttl time.Duration) error

	// CreatePending stores an approved authorization request; ErrExists if the
	// id is taken.
	CreatePending(ctx context.Context, p *Pending) error
	// Pending returns it without taking it, for a page that may be shown twice.
	Pending(ctx context.Context, issuer string, id Hash) (*Pending, error)
	// TakePending gets and deletes it: of any number of callers exactly one
	// receives the record, all others ErrNotFound.
	TakePending(ctx context.Context, issuer string, id Hash) (*Pending, error)

	// SaveAccount creates or replaces the account of a.Subject, for a fresh sign-in.
	// The engine counts Revision: one more than what was there, whatever a says.
	SaveAccount(ctx context.Context, a *Account) error
	// ReplaceAccount is SaveAccount if the account still has a.Revision, and
	// ErrChanged if it does not: then somebody else learnt something newer.
	// ErrNotFound if there is none.
	ReplaceAccount(ctx context.Context, a *Account) error
	// Account returns it or ErrNotFound. Accounts belong to no issuer: they are
	// facts of the upstream.
	Account(ctx context.Context, subject string) (*Account, error)
	// Accounts returns a page of at most limit accounts, in an order of the engine's
	// own, from cursor on; "" is the beginning. next is the cursor of the following
	// page and "" after the last one. What changes meanwhile may or may not be seen.
	Accounts(ctx context.Context, cursor string, limit int) (page []*Account, next string, err error)

	// CreateGrant stores a grant with its unredeemed code; ErrExists if the id
	// is taken.
	CreateGrant(ctx context.Context, g *Grant) error
	// Grant returns it or ErrNotFound. A revoked grant is not found.
	Grant(ctx context.Context, issuer, id string) (*Grant, error)
	// RedeemCode marks the code used and installs the first refresh secret. Of
	// any number of callers exactly one succeeds; all others get ErrReplay until
	// the grant ends. ErrNotFound for an unknown, revoked or expired code, and
	// for a hash that is not the code's.
	RedeemCode(ctx context.Context, issuer, grantID string, r Redemption) (*Grant, error)
	// RotateRefresh exchanges a refresh secret for its successor, see Rotation.
	RotateRefresh(ctx context.Context, issuer, grantID string, r Rotation) (*Rotated, error)
	// RevokeGrant ends a grant for good. Idempotent: no error if it is gone.
	RevokeGrant(ctx context.Context, issuer, grantID string) error
	// GrantsOf returns the grants of a subject at all issuers, redeemed or not, in
	// any order. One that cannot be read is left out.
	GrantsOf(ctx context.Context, subject string) ([]*Grant, error)

	// CreateSession stores a browser session; ErrExists if the id is taken.
	CreateSession(ctx context.Context, s *Session) error
	// Session returns it, or ErrNotFound past its absolute or its idle end.
	Session(ctx context.Context, issuer string, id Hash) (*Session, error)
	// TouchSession moves the idle end to idle from now, never past the absolute
	// end. ErrNotFound if the session is gone or over. Where the end would move by
	// less than TouchSlack it may stay: not every page view is worth a write.
	TouchSession(ctx context.Context, issuer string, id Hash, idle time.Duration) error
	// DeleteSession ends it. Idempotent.
	DeleteSession(ctx context.Context, issuer string, id Hash) error
	// DeleteSessions ends every session of a subject, at all issuers, for a user whom
	// the provider no longer knows. Idempotent.
	DeleteSessions(ctx context.Context, subject string) error

	// SaveConsent creates or replaces a remembered consent. It belongs to the
	// subject it was saved with last.
	SaveConsent(ctx context.Context, c *Consent) error
	// Consent returns it or ErrNotFound.
	Consent(ctx context.Context, issuer string, id Hash) (*Consent, error)
	// DeleteConsents forgets every remembered consent of a subject, for sign-out
	// and for revoking a user. Idempotent.
	DeleteConsents(ctx context.Context, issuer, subject string) error

	// CreateKey stores a new signing key; ErrExists if the id is taken: of several
	// gateways that make the key of one period, one wins.
	CreateKey(ctx context.Context, k *Key) error
	// Keys returns all keys of an issuer that are not past their end, oldest first.
	Keys(ctx context.Context, issuer string) ([]*Key, error)
	// ReplaceKey stores another form of a key that is there, sealed with a newer
	// master key for example; ErrNotFound if it is not.
	ReplaceKey(ctx context.Context, k *Key) error

	// Close releases the engine. Every later call answers ErrClosed.
	Close() error
}

// Limits of CreateClient. They are generous: hosted connectors register anew on
// every connect, from a few shared addresses.
const (
	MaxUnusedClients   = 100_000
	UnusedClientMinAge = 10 * time.Minute
)

// Redemption is the input of RedeemCode.
type Redemption struct {
	// Code is the hash of the presented code.
	Code Hash
	// Refresh is the hash of the first refresh secret.
	Refresh Hash
	// TTL is the life of the grant from now, extended by every rotation.
	TTL time.Duration
}

// Rotation is the input of RotateRefresh.
//
// If Presented is the current secret, Successor becomes current and Presented is
// retired with Nonce. If Presented is a retired secret that may still be
// answered, nothing changes and Rotated.Nonce is the nonce stored with it, from
// which the caller derives the same successor again. A retired secret is
// answered within Grace of its retirement; the newest one, whose successor was
// never used, also within UnusedGrace: a client that lost the answer must not
// be logged out. Anything else is reuse: the grant is revoked in the same step
// and the answer is ErrReuse. A retirement in the future (the clock was set
// back) counts as just now. At most MaxRetired secrets are kept.
//
// The caller has proved that Presented is genuine, a secret once issued for this
// grant; see package token.
type Rotation struct {
	Presented   Hash
	Successor   Hash
	Nonce       []byte
	TTL         time.Duration
	Grace       time.Duration
	UnusedGrace time.Duration
}

// Rotated is the outcome of RotateRefresh.
type Rotated struct {
	Grant *Grant
	// Nonce derives the successor of the presented secret: the one just passed
	// in, or the stored one for a repeat.
	Nonce []byte
	// Repeat is true where Presented had been exchanged before.
	Repeat bool
}
