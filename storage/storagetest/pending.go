// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var pendingTests = map[string]func(*env){
	"comes back as it was created, as often as asked": func(e *env) {
		p := NewPending(issuerA, "state", e.clock.Now())
		e.ok(e.store.CreatePending(e.ctx, p))
		for range 3 {
			got, err := e.store.Pending(e.ctx, issuerA, hash("state"))
			e.ok(err)
			e.same(got, p)
		}
	},
	"taken it comes back once": func(e *env) {
		p := NewPending(issuerA, "state", e.clock.Now())
		e.ok(e.store.CreatePending(e.ctx, p))
		got, err := e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.ok(err)
		e.same(got, p)
		_, err = e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
		_, err = e.store.Pending(e.ctx, issuerA, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
	},
	// The upstream's redirect is reloaded, or the address is opened in several
	// tabs: one callback goes on.
	"of many takers one receives it": func(e *env) {
		e.ok(e.store.CreatePending(e.ctx, NewPending(issuerA, "state", e.clock.Now())))
		e.wantOneWinner(race(func(int) error {
			_, err := e.store.TakePending(e.ctx, issuerA, hash("state"))
			return err
		}), storage.ErrNotFound)
	},
	"a loser receives no record": func(e *env) {
		got, err := e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
		if got != nil {
			e.Fatalf("got %v beside an error", got)
		}
	},
	"a taken id is refused and keeps its record": func(e *env) {
		p := NewPending(issuerA, "state", e.clock.Now())
		e.ok(e.store.CreatePending(e.ctx, p))
		other := NewPending(issuerA, "state", e.clock.Now())
		other.Browser = hash("cookie of the attacker")
		e.wantErr(e.store.CreatePending(e.ctx, other), storage.ErrExists)
		got, err := e.store.Pending(e.ctx, issuerA, hash("state"))
		e.ok(err)
		e.same(got, p)
	},
	"another issuer neither sees nor takes it": func(e *env) {
		e.ok(e.store.CreatePending(e.ctx, NewPending(issuerA, "state", e.clock.Now())))
		_, err := e.store.Pending(e.ctx, issuerB, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
		_, err = e.store.TakePending(e.ctx, issuerB, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
		_, err = e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.ok(err)
	},
	"is there until its end and not after": func(e *env) {
		e.ok(e.store.CreatePending(e.ctx, NewPending(issuerA, "state", e.clock.Now())))
		e.clock.Advance(10*time.Minute - time.Second)
		_, err := e.store.Pending(e.ctx, issuerA, hash("state"))
		e.ok(err)
		e.clock.Advance(2 * time.Second)
		_, err = e.store.Pending(e.ctx, issuerA, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
		_, err = e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
	},
	"one without an end is never found": func(e *env) {
		p := NewPending(issuerA, "state", e.clock.Now())
		p.ExpiresAt = time.Time{}
		e.ok(e.store.CreatePending(e.ctx, p))
		_, err := e.store.TakePending(e.ctx, issuerA, hash("state"))
		e.wantErr(err, storage.ErrNotFound)
	},
	"an id is free again after it was taken": func(e *env) {
		for range 2 {
			e.ok(e.store.CreatePending(e.ctx, NewPending(issuerA, "state", e.clock.Now())))
			_, err := e.store.TakePending(e.ctx, issuerA, hash("state"))
			e.ok(err)
		}
	},
}
