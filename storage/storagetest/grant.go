// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var grantTests = map[string]func(*env){
	"comes back as it was created": func(e *env) {
		g := NewGrant(issuerA, "grant", e.clock.Now())
		e.ok(e.store.CreateGrant(e.ctx, g))
		e.wantGrant(g)
	},
	"unknown is not found": func(e *env) {
		e.wantNoGrant(issuerA, "nothing")
	},
	"a taken id is refused and keeps its record": func(e *env) {
		g := NewGrant(issuerA, "grant", e.clock.Now())
		e.ok(e.store.CreateGrant(e.ctx, g))
		other := NewGrant(issuerA, "grant", e.clock.Now())
		other.Subject = "github:666"
		e.wantErr(e.store.CreateGrant(e.ctx, other), storage.ErrExists)
		e.wantGrant(g)
	},
	"of many creators of one id one succeeds": func(e *env) {
		g := NewGrant(issuerA, "grant", e.clock.Now())
		e.wantOneWinner(race(func(int) error { return e.store.CreateGrant(e.ctx, g) }), storage.ErrExists)
	},
	// Two sites share the store. A grant of one opens nothing at the other and
	// cannot be ended from there.
	"another issuer can do nothing with it": func(e *env) {
		e.createGrant("grant")
		e.wantNoGrant(issuerB, "grant")
		_, err := e.store.RedeemCode(e.ctx, issuerB, "grant", NewRedemption("grant"))
		e.wantErr(err, storage.ErrNotFound)
		_, err = e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.ok(err)
		_, err = e.store.RotateRefresh(e.ctx, issuerB, "grant", rotation("first", "n1"))
		e.wantErr(err, storage.ErrNotFound)
		_, err = e.store.RotateRefresh(e.ctx, issuerB, "grant", rotation("never issued", "n1"))
		e.wantErr(err, storage.ErrNotFound)
		e.ok(e.store.RevokeGrant(e.ctx, issuerB, "grant"))
		_, err = e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", "n1"))
		e.ok(err)
	},
	"unredeemed it ends with its code": func(e *env) {
		e.createGrant("grant")
		e.clock.Advance(time.Minute + time.Second)
		e.wantNoGrant(issuerA, "grant")
	},
	"redeemed it ends with its refresh token": func(e *env) {
		e.createLive("grant")
		e.clock.Advance(refreshTTL - time.Second)
		_, err := e.store.Grant(e.ctx, issuerA, "grant")
		e.ok(err)
		e.clock.Advance(2 * time.Second)
		e.wantNoGrant(issuerA, "grant")
	},
	"one without an end is never found": func(e *env) {
		g := NewGrant(issuerA, "grant", e.clock.Now())
		g.ExpiresAt = time.Time{}
		e.ok(e.store.CreateGrant(e.ctx, g))
		e.wantNoGrant(issuerA, "grant")
		_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.wantErr(err, storage.ErrNotFound)
	},
	"revoked it is gone for every verb": func(e *env) {
		e.createLive("grant")
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "grant"))
		e.wantGone("grant", "first")
	},
	"revoked before its code is redeemed it is gone": func(e *env) {
		e.createGrant("grant")
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "grant"))
		e.wantGone("grant", "first")
	},
	"revoking is idempotent": func(e *env) {
		e.createLive("grant")
		for range 3 {
			e.ok(e.store.RevokeGrant(e.ctx, issuerA, "grant"))
		}
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "never existed"))
	},
	"revoking one leaves the others": func(e *env) {
		e.createLive("one")
		e.createLive("two")
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "one"))
		_, err := e.store.Grant(e.ctx, issuerA, "two")
		e.ok(err)
	},
	// The user withdraws access while the client refreshes: whatever the order,
	// the grant does not come back.
	"a rotation does not bring back a revoked grant": func(e *env) {
		e.createLive("grant")
		race(func(i int) error {
			if i == Callers/2 {
				return e.store.RevokeGrant(e.ctx, issuerA, "grant")
			}
			_, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", "n"))
			return err
		})
		e.wantGone("grant", "first")
	},
}

func (e *env) createGrant(id string) {
	e.Helper()
	e.ok(e.store.CreateGrant(e.ctx, NewGrant(issuerA, id, e.clock.Now())))
}

// createLive creates a grant and redeems its code for the refresh secret "first".
func (e *env) createLive(id string) *storage.Grant {
	e.Helper()
	e.createGrant(id)
	g, err := e.store.RedeemCode(e.ctx, issuerA, id, NewRedemption(id))
	e.ok(err)
	return g
}

func (e *env) wantGrant(want *storage.Grant) {
	e.Helper()
	got, err := e.store.Grant(e.ctx, want.Issuer, want.ID)
	e.ok(err)
	e.same(got, want)
}

func (e *env) wantNoGrant(issuer, id string) {
	e.Helper()
	_, err := e.store.Grant(e.ctx, issuer, id)
	e.wantErr(err, storage.ErrNotFound)
}

// wantGone fails if any verb still finds a grant of issuerA, whichever refresh
// secret it is tried with.
func (e *env) wantGone(id string, secrets ...string) {
	e.Helper()
	e.wantNoGrant(issuerA, id)
	_, err := e.store.RedeemCode(e.ctx, issuerA, id, NewRedemption(id))
	e.wantErr(err, storage.ErrNotFound)
	for _, secret := range secrets {
		_, err = e.store.RotateRefresh(e.ctx, issuerA, id, rotation(secret, "nonce"))
		e.wantErr(err, storage.ErrNotFound)
	}
}
