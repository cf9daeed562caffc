// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// clusterTests are about two gateways on one state. A load balancer sends the
// requests of one client to either.
var clusterTests = map[string]func(*env){
	"what one has acknowledged the other finds": func(e *env) {
		other := e.cluster()
		e.seed()
		e.clock.Advance(time.Second)
		mine := e.snapshot()
		e.through(other, func() { e.same(e.snapshot(), mine) })
	},
	"of many at both one takes a request": func(e *env) {
		other := e.cluster()
		for i := range 5 {
			state := fmt.Sprint("state", i)
			e.ok(e.store.CreatePending(e.ctx, NewPending(issuerA, state, e.clock.Now())))
			e.wantOneWinner(e.raceAtBoth(other, func(st storage.Store, _ int) error {
				_, err := st.TakePending(e.ctx, issuerA, hash(state))
				return err
			}), storage.ErrNotFound)
		}
	},
	"of many at both one redeems a code": func(e *env) {
		other := e.cluster()
		for i := range 5 {
			id := fmt.Sprint("grant", i)
			e.createGrant(id)
			e.wantOneWinner(e.raceAtBoth(other, func(st storage.Store, _ int) error {
				_, err := st.RedeemCode(e.ctx, issuerA, id, NewRedemption(id))
				return err
			}), storage.ErrReplay)
		}
	},
	"of many at both one uses an id, one makes a key, one has a client's id": func(e *env) {
		other := e.cluster()
		now := e.clock.Now()
		e.wantOneWinner(e.raceAtBoth(other, func(st storage.Store, _ int) error {
			return st.RememberOnce(e.ctx, issuerA, hash("jti"), time.Minute)
		}), storage.ErrExists)
		e.wantOneWinner(e.raceAtBoth(other, func(st storage.Store, i int) error {
			k := NewKey(issuerA, "2026-03", now)
			k.KeyID = fmt.Sprint(i)
			return st.CreateKey(e.ctx, k)
		}), storage.ErrExists)
		e.wantOneWinner(e.raceAtBoth(other, func(st storage.Store, _ int) error {
			return st.CreateClient(e.ctx, NewClient(issuerA, "client", now))
		}), storage.ErrExists)
	},
	"of many at both one replaces a revision": func(e *env) {
		other := e.cluster()
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		for round := range uint64(5) {
			e.wantOneWinner(e.raceAtBoth(other, func(st storage.Store, _ int) error {
				a := newAccount(e.clock.Now())
				a.Revision = round + 1
				return st.ReplaceAccount(e.ctx, a)
			}), storage.ErrChanged)
		}
		e.wantAccount(newAccount(e.clock.Now()), 6)
	},
	// A client whose connections end at two machines refreshes on both.
	"parallel refreshes at both get the same successor": func(e *env) {
		other := e.cluster()
		e.createLive("grant")
		var (
			mu    sync.Mutex
			given = map[string]int{}
		)
		e.wantWinners(e.raceAtBoth(other, func(st storage.Store, i int) error {
			r, err := st.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", fmt.Sprint(i)))
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				given[string(r.Nonce)]++
			}
			return err
		}), Callers, nil)
		if len(given) != 1 {
			e.Fatalf("%d different successors", len(given))
		}
	},
	"what one revokes is gone at the other": func(e *env) {
		other := e.cluster()
		e.createLive("revoked")
		e.createLive("stolen")
		e.createSessionOf(issuerA, "cookie", "github:1")
		e.ok(other.RevokeGrant(e.ctx, issuerA, "revoked"))
		_, err := other.RotateRefresh(e.ctx, issuerA, "stolen", rotation("never current", "n"))
		e.wantErr(err, storage.ErrReuse)
		e.ok(other.DeleteSessions(e.ctx, "github:1"))
		e.wantGone("revoked", "first")
		e.wantGone("stolen", "first")
		e.wantNoSession(issuerA, "cookie")
		e.createLive("of client")
		named, err := other.DeleteClient(e.ctx, issuerA, "client")
		e.ok(err)
		e.same(named, []string{"of client"})
		e.wantGone("of client", "first")
	},
	"unused clients are counted together": func(e *env) {
		e.limit(4)
		other := e.cluster()
		e.createClients("a", 2)
		e.through(other, func() { e.createClients("b", 2) })
		e.wantErr(e.tryCreate("x"), storage.ErrFull)
		e.through(other, func() { e.wantErr(e.tryCreate("x"), storage.ErrFull) })
	},
	"closing one leaves the other": func(e *env) {
		other := e.cluster()
		e.seed()
		e.ok(other.Close())
		e.wantErr(other.RevokeGrant(e.ctx, issuerA, "grant"), storage.ErrClosed)
		e.createLive("after")
		e.wantRotatedOf("grant")
	},
}

// wantRotatedOf rotates the first secret of a grant.
func (e *env) wantRotatedOf(id string) {
	e.Helper()
	_, err := e.store.RotateRefresh(e.ctx, issuerA, id, rotation("first", "n"))
	e.ok(err)
}

// cluster opens the other gateway's store, where there can be one.
func (e *env) cluster() storage.Store {
	e.Helper()
	if e.harness.Join == nil {
		e.Skip("one process at a time has the state")
	}
	return e.harness.Join(e.T, e.store, e.config)
}

// through runs a part of a test at the other gateway.
func (e *env) through(other storage.Store, part func()) {
	own := e.store
	defer func() { e.store = own }()
	e.store = other
	part()
}

// raceAtBoth is race with every second caller at the other gateway.
func (e *env) raceAtBoth(other storage.Store, fn func(st storage.Store, i int) error) []error {
	stores := []storage.Store{e.store, other}
	return race(func(i int) error { return fn(stores[i%2], i) })
}
