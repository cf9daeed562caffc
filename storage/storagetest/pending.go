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

var accountTests = map[string]func(*env){
	"comes back as it was saved": func(e *env) {
		a := newAccount(e.clock.Now())
		e.ok(e.store.SaveAccount(e.ctx, a))
		got, err := e.store.Account(e.ctx, a.Subject)
		e.ok(err)
		e.same(got, a)
	},
	"saving replaces it whole": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		e.clock.Advance(time.Hour)
		a := newAccount(e.clock.Now())
		a.Identity.Login, a.Identity.Email, a.Identity.EmailVerified, a.Identity.Groups = "renamed", "", false, nil
		e.ok(e.store.SaveAccount(e.ctx, a))
		got, err := e.store.Account(e.ctx, a.Subject)
		e.ok(err)
		e.same(got, a)
	},
	"unknown is not found": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		for _, subject := range []string{"", "github:58323", "github:5832311", "GitHub:583231", "github:583231\x00"} {
			_, err := e.store.Account(e.ctx, subject)
			e.wantErr(err, storage.ErrNotFound)
		}
	},
	"stays": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		e.clock.Advance(10 * 365 * 24 * time.Hour)
		_, err := e.store.Account(e.ctx, "github:583231")
		e.ok(err)
	},
	"concurrent saves leave one of them whole": func(e *env) {
		e.wantWinners(race(func(i int) error {
			a := newAccount(e.clock.Now())
			a.Identity.Login = string(rune('a' + i))
			a.Identity.Name = a.Identity.Login
			return e.store.SaveAccount(e.ctx, a)
		}), Callers, nil)
		got, err := e.store.Account(e.ctx, "github:583231")
		e.ok(err)
		if got.Identity.Login != got.Identity.Name {
			e.Fatalf("two saves are mixed: login %q, name %q", got.Identity.Login, got.Identity.Name)
		}
	},
}
