// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var redeemTests = map[string]func(*env){
	"makes the grant live": func(e *env) {
		want := NewGrant(issuerA, "grant", e.clock.Now())
		e.ok(e.store.CreateGrant(e.ctx, want))
		e.clock.Advance(10 * time.Second)
		got, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.ok(err)
		want.Code.RedeemedAt = e.clock.Now()
		want.Refresh.Current = hash("first")
		want.ExpiresAt = e.clock.Now().Add(refreshTTL)
		e.same(got, want)
		e.wantGrant(want)
	},
	// A stolen code is tried while the client redeems it, or the client itself
	// sends its request twice: one token set comes of it.
	"of many callers one succeeds": func(e *env) {
		e.createGrant("grant")
		e.wantOneWinner(race(func(int) error {
			_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
			return err
		}), storage.ErrReplay)
	},
	"the winner's refresh secret is the one that holds": func(e *env) {
		e.createGrant("grant")
		won := make(chan string, Callers)
		race(func(i int) error {
			secret := string(rune('A' + i))
			r := NewRedemption("grant")
			r.Refresh = hash(secret)
			_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", r)
			if err == nil {
				won <- secret
			}
			return err
		})
		_, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation(<-won, "nonce"))
		e.ok(err)
	},
	"a replay changes nothing": func(e *env) {
		live := e.createLive("grant")
		e.clock.Advance(time.Second)
		r := NewRedemption("grant")
		r.Refresh = hash("of the attacker")
		_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", r)
		e.wantErr(err, storage.ErrReplay)
		e.wantGrant(live)
	},
	// A code turns up in a log a week later. Its replay has to be recognised as
	// long as there are tokens it could tell the thief of.
	"a replay is one until the grant ends": func(e *env) {
		e.createLive("grant")
		e.clock.Advance(time.Hour)
		e.wantReplay()
		_, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", "nonce"))
		e.ok(err)
		e.clock.Advance(refreshTTL - time.Minute)
		e.wantReplay()
		e.reopen()
		e.wantReplay()
		e.clock.Advance(2 * time.Minute)
		_, err = e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.wantErr(err, storage.ErrNotFound)
	},
	"a wrong code is not found and spoils nothing": func(e *env) {
		e.createGrant("grant")
		for _, wrong := range []storage.Hash{{}, hash("guess"), codeOf("another")} {
			r := NewRedemption("grant")
			r.Code = wrong
			_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", r)
			e.wantErr(err, storage.ErrNotFound)
		}
		_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.ok(err)
		r := NewRedemption("grant")
		r.Code = hash("guess")
		_, err = e.store.RedeemCode(e.ctx, issuerA, "grant", r)
		e.wantErr(err, storage.ErrNotFound) // and no replay: it is not the code
	},
	"an expired code is not found": func(e *env) {
		e.createGrant("grant")
		e.clock.Advance(time.Minute + time.Second)
		_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.wantErr(err, storage.ErrNotFound)
	},
	"an expired code of a longer grant is not found": func(e *env) {
		g := NewGrant(issuerA, "grant", e.clock.Now())
		g.ExpiresAt = e.clock.Now().Add(time.Hour)
		e.ok(e.store.CreateGrant(e.ctx, g))
		e.clock.Advance(time.Minute + time.Second)
		_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.wantErr(err, storage.ErrNotFound)
	},
	"just before its end it is good": func(e *env) {
		e.createGrant("grant")
		e.clock.Advance(time.Minute - time.Second)
		_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.ok(err)
	},
	"an unknown grant is not found": func(e *env) {
		_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.wantErr(err, storage.ErrNotFound)
	},
	"a life of nothing ends at once": func(e *env) {
		for _, ttl := range []time.Duration{0, -time.Hour} {
			e.createGrant("grant")
			r := NewRedemption("grant")
			r.TTL = ttl
			_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", r)
			e.ok(err)
			e.clock.Advance(time.Second)
			e.wantGone("grant", "first")
		}
	},
}

func (e *env) wantReplay() {
	e.Helper()
	_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
	e.wantErr(err, storage.ErrReplay)
}
