// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// liveToken is an access token we have opened before, keyed by its hash. It
// holds no verdict but what follows from the token alone; everything that can
// change is behind grant.
type liveToken struct {
	issuer, resource, scope string
	expiresAt               time.Time
	grant                   *liveGrant
	// ring opened the token. After a change of keys it is opened again.
	ring *token.Ring
	// view is what the last request with this token made of it.
	view atomic.Pointer[view]
	// sufficesFor is the guard that found the token's scopes to be enough.
	sufficesFor atomic.Pointer[Guard]
}

// verify returns the live token, a refusedToken, or the store's error. A forged
// token ends before the store is asked (R8.3).
func (st *State) verify(ctx context.Context, raw, issuer, resource string, now time.Time) (*liveToken, error) {
	if err := st.follower.check(now); err != nil {
		return nil, err
	}
	key, ring := hashToken(raw), st.ring.Load()
	t, ok := st.live.tokens.Get(key)
	if !ok || t.ring != ring || t.grant.state.Load() == grantEvicted {
		var err error
		if t, err = st.open(ctx, raw, ring, issuer, resource, now); err != nil {
			return nil, err
		}
		st.live.tokens.Set(key, t)
	}
	if err := t.check(issuer, resource, now); err != nil {
		return nil, err
	}
	if t.grant.state.Load() == grantRevoked {
		return nil, errTokenRevoked
	}
	return t, nil
}

// hashToken is token.Hash without an allocation for tokens of the usual length.
func hashToken(raw string) [sha256.Size]byte {
	var buf [512]byte
	return sha256.Sum256(append(buf[:0], raw...))
}

// open is the first sight of a token on this machine.
func (st *State) open(
	ctx context.Context, raw string, ring *token.Ring, issuer, resource string, now time.Time,
) (*liveToken, error) {
	a, err := ring.OpenAccess(raw)
	if err != nil {
		return nil, errTokenForged
	}
	t := &liveToken{
		issuer: a.Issuer, resource: a.Resource, scope: oauth.FormatScope(a.Scopes),
		expiresAt: a.ExpiresAt, ring: ring,
	}
	if err := t.check(issuer, resource, now); err != nil {
		return nil, err
	}
	t.grant, err = st.live.grant(ctx, a.Issuer, a.GrantID)
	if errors.Is(err, errGrantGone) {
		return nil, errTokenRevoked
	}
	return t, err
}

func (t *liveToken) check(issuer, resource string, now time.Time) error {
	switch {
	case t.issuer != issuer || t.resource != resource:
		return errTokenAudience
	case !now.Before(t.expiresAt):
		return errTokenExpired
	}
	return nil
}
