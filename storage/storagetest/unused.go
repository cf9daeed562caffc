// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var unusedClientTests = map[string]func(*env){
	// Registration is open to anyone. A flood of registrations must not grow the
	// store without end, and must not push out a client somebody is just about
	// to sign in with.
	"a flood is refused while all are young": func(e *env) {
		e.limit(3)
		e.createClients("c", 3)
		e.clock.Advance(storage.UnusedClientMinAge - 4*time.Second) // c0 is a second short of it
		e.wantErr(e.tryCreate("one too many"), storage.ErrFull)
		e.wantPresent("c0", "c1", "c2")
		e.wantAbsent("one too many")
	},
	"the oldest makes room": func(e *env) {
		e.limit(3)
		e.createClients("c", 3)
		e.clock.Advance(storage.UnusedClientMinAge)
		e.ok(e.tryCreate("d0"))
		e.wantAbsent("c0")
		e.wantPresent("c1", "c2", "d0")
		e.ok(e.tryCreate("d1"))
		e.wantAbsent("c0", "c1")
		e.wantPresent("c2", "d0", "d1")
	},
	"a kept client is neither counted nor evicted": func(e *env) {
		e.limit(3)
		e.createClients("c", 3)
		e.ok(e.store.KeepClient(e.ctx, issuerA, "c0"))
		e.ok(e.store.KeepClient(e.ctx, issuerA, "c0"))
		e.ok(e.tryCreate("d0")) // in the place of c0
		e.wantErr(e.tryCreate("d1"), storage.ErrFull)
		e.clock.Advance(storage.UnusedClientMinAge + time.Second)
		e.createClients("e", 3)
		e.wantPresent("c0", "e0", "e1", "e2")
		e.wantAbsent("c1", "c2", "d0")
	},
	"a client without an end needs no room": func(e *env) {
		e.limit(1)
		e.createClients("c", 1)
		c := NewClient(issuerA, "preregistered", e.clock.Now())
		c.ExpiresAt = time.Time{}
		e.ok(e.store.CreateClient(e.ctx, c))
		e.wantPresent("c0", "preregistered")
	},
	"one past its end makes room however young": func(e *env) {
		e.limit(2)
		short := NewClient(issuerA, "short", e.clock.Now())
		short.ExpiresAt = e.clock.Now().Add(time.Minute)
		e.ok(e.store.CreateClient(e.ctx, short))
		e.createClients("c", 1)
		e.wantErr(e.tryCreate("d"), storage.ErrFull)
		e.clock.Advance(2 * time.Minute)
		e.ok(e.tryCreate("d"))
		e.wantPresent("c0", "d")
	},
	"a taken id costs nobody their place": func(e *env) {
		e.limit(2)
		e.createClients("c", 2)
		e.clock.Advance(storage.UnusedClientMinAge + time.Minute)
		e.wantErr(e.tryCreate("c1"), storage.ErrExists)
		e.wantPresent("c0", "c1")
	},
	"the limit holds for all issuers together": func(e *env) {
		e.limit(2)
		e.createClients("c", 1)
		e.ok(e.store.CreateClient(e.ctx, NewClient(issuerB, "c1", e.clock.Now())))
		e.wantErr(e.tryCreate("d"), storage.ErrFull)
		e.wantErr(e.store.CreateClient(e.ctx, NewClient(issuerB, "d", e.clock.Now())), storage.ErrFull)
	},
	"the limit holds against a concurrent flood": func(e *env) {
		e.limit(10)
		now := e.clock.Now()
		e.wantWinners(race(func(i int) error {
			return e.store.CreateClient(e.ctx, NewClient(issuerA, fmt.Sprint("c", i), now))
		}), 10, storage.ErrFull)
	},
	"the limit holds after a restart": func(e *env) {
		e.limit(3)
		e.createClients("c", 3)
		e.ok(e.store.KeepClient(e.ctx, issuerA, "c2"))
		e.reopen()
		e.ok(e.tryCreate("d0"))
		e.wantErr(e.tryCreate("d1"), storage.ErrFull)
	},
	"a clock set back does not evict the young": func(e *env) {
		e.limit(2)
		e.createClients("c", 2)
		e.clock.Advance(-time.Hour)
		e.wantErr(e.tryCreate("d"), storage.ErrFull)
		e.wantPresent("c0", "c1")
	},
}

func (e *env) wantClient(issuer, id string, want *storage.Client) {
	e.Helper()
	got, err := e.store.Client(e.ctx, issuer, id)
	e.ok(err)
	e.same(got, want)
}

func (e *env) tryCreate(id string) error {
	return e.store.CreateClient(e.ctx, NewClient(issuerA, id, e.clock.Now()))
}

// createClients creates n clients, a second apart.
func (e *env) createClients(prefix string, n int) {
	e.Helper()
	for i := range n {
		e.ok(e.tryCreate(fmt.Sprint(prefix, i)))
		e.clock.Advance(time.Second)
	}
}

func (e *env) wantPresent(ids ...string) {
	e.Helper()
	for _, id := range ids {
		if _, err := e.store.Client(e.ctx, issuerA, id); err != nil {
			e.Fatalf("client %s: %v", id, err)
		}
	}
}

func (e *env) wantAbsent(ids ...string) {
	e.Helper()
	for _, id := range ids {
		_, err := e.store.Client(e.ctx, issuerA, id)
		e.wantErr(err, storage.ErrNotFound)
	}
}
