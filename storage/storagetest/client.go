// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var clientTests = map[string]func(*env){
	"comes back as it was created": func(e *env) {
		c := NewClient(issuerA, "client", e.clock.Now())
		e.ok(e.store.CreateClient(e.ctx, c))
		e.wantClient(issuerA, "client", c)
	},
	"unknown is not found": func(e *env) {
		_, err := e.store.Client(e.ctx, issuerA, "nobody")
		e.wantErr(err, storage.ErrNotFound)
	},
	"a taken id is refused and keeps its record": func(e *env) {
		c := NewClient(issuerA, "client", e.clock.Now())
		e.ok(e.store.CreateClient(e.ctx, c))
		other := NewClient(issuerA, "client", e.clock.Now())
		other.RedirectURIs = []string{"https://attacker.example.com/"}
		e.wantErr(e.store.CreateClient(e.ctx, other), storage.ErrExists)
		e.wantClient(issuerA, "client", c)
	},
	"of many creators of one id one succeeds": func(e *env) {
		now := e.clock.Now()
		e.wantOneWinner(race(func(i int) error {
			c := NewClient(issuerA, "client", now)
			c.Name = fmt.Sprint(i)
			return e.store.CreateClient(e.ctx, c)
		}), storage.ErrExists)
	},
	"two issuers have a client each under one id": func(e *env) {
		a := NewClient(issuerA, "client", e.clock.Now())
		b := NewClient(issuerB, "client", e.clock.Now())
		b.Name = "another"
		e.ok(e.store.CreateClient(e.ctx, a))
		_, err := e.store.Client(e.ctx, issuerB, "client")
		e.wantErr(err, storage.ErrNotFound)
		e.wantErr(e.store.KeepClient(e.ctx, issuerB, "client"), storage.ErrNotFound)
		e.ok(e.store.CreateClient(e.ctx, b))
		e.wantClient(issuerA, "client", a)
		e.wantClient(issuerB, "client", b)
	},
	"is there until its end and not after": func(e *env) {
		c := NewClient(issuerA, "client", e.clock.Now())
		e.ok(e.store.CreateClient(e.ctx, c))
		e.clock.Advance(24*time.Hour - time.Second)
		e.wantClient(issuerA, "client", c)
		e.clock.Advance(2 * time.Second)
		_, err := e.store.Client(e.ctx, issuerA, "client")
		e.wantErr(err, storage.ErrNotFound)
		e.wantErr(e.store.KeepClient(e.ctx, issuerA, "client"), storage.ErrNotFound)
	},
	"an id is free again after the end of its client": func(e *env) {
		e.ok(e.store.CreateClient(e.ctx, NewClient(issuerA, "client", e.clock.Now())))
		e.clock.Advance(25 * time.Hour)
		c := NewClient(issuerA, "client", e.clock.Now())
		c.Name = "next"
		e.ok(e.store.CreateClient(e.ctx, c))
		e.wantClient(issuerA, "client", c)
	},
	"without an end it stays": func(e *env) {
		c := NewClient(issuerA, "client", e.clock.Now())
		c.ExpiresAt = time.Time{}
		e.ok(e.store.CreateClient(e.ctx, c))
		e.clock.Advance(20 * 365 * 24 * time.Hour)
		e.wantClient(issuerA, "client", c)
	},
	"kept it stays": func(e *env) {
		c := NewClient(issuerA, "client", e.clock.Now())
		e.ok(e.store.CreateClient(e.ctx, c))
		e.ok(e.store.KeepClient(e.ctx, issuerA, "client"))
		c.ExpiresAt = time.Time{}
		e.wantClient(issuerA, "client", c)
		e.clock.Advance(365 * 24 * time.Hour)
		e.wantClient(issuerA, "client", c)
	},
	"keeping is idempotent": func(e *env) {
		e.ok(e.store.CreateClient(e.ctx, NewClient(issuerA, "client", e.clock.Now())))
		for range 3 {
			e.ok(e.store.KeepClient(e.ctx, issuerA, "client"))
		}
		e.wantWinners(race(func(int) error { return e.store.KeepClient(e.ctx, issuerA, "client") }), Callers, nil)
	},
	"keeping an unknown one is not found": func(e *env) {
		e.wantErr(e.store.KeepClient(e.ctx, issuerA, "nobody"), storage.ErrNotFound)
	},
}
