// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// reuseTests are about secrets that come back after their time. Whoever holds
// one is a thief, or the client is and a thief came first: the grant ends.
var reuseTests = map[string]func(*env){
	"after grace, with the successor used": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.wantRotated("first+n1", "n2", "first+n1+n2")
		e.clock.Advance(grace + time.Second)
		e.wantReuse("first", "first+n1", "first+n1+n2")
	},
	"long after, with the successor unused": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.clock.Advance(unusedGrace + time.Second)
		e.wantReuse("first", "first+n1")
	},
	// The unused window belongs to the newest retired secret only.
	"two generations back, minutes later": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.clock.Advance(5 * time.Minute)
		e.wantRotated("first+n1", "n2", "first+n1+n2")
		e.clock.Advance(time.Second)
		e.wantReuse("first", "first+n1", "first+n1+n2")
	},
	"of a secret the record no longer lists": func(e *env) {
		e.createLive("grant")
		secret := "first"
		for i := range 4 {
			e.clock.Advance(time.Hour)
			secret, _ = e.rotate(secret, fmt.Sprint(i))
		}
		e.wantReuse("first", secret)
	},
	"without any grace": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.clock.Advance(time.Second)
		r := rotation("first", "x")
		r.Grace, r.UnusedGrace = 0, 0
		_, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", r)
		e.wantErr(err, storage.ErrReuse)
		e.wantGone("grant", "first", "first+n1")
	},
	// The thief refreshes first, keeps refreshing, and then the client wakes up.
	"the client finds out about the thief": func(e *env) {
		e.createLive("grant")
		thief, _ := e.rotate("first", "thief")
		for i := range 3 {
			e.clock.Advance(time.Hour)
			thief, _ = e.rotate(thief, fmt.Sprint("thief", i))
		}
		e.wantReuse("first", thief)
	},
	"is answered once, then the grant is unknown": func(e *env) {
		e.createLive("grant")
		e.wantOneError(race(func(int) error {
			_, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("never current", "n"))
			return err
		}), storage.ErrReuse, storage.ErrNotFound)
		e.wantGone("grant", "first")
	},
	"the revocation survives a restart": func(e *env) {
		e.createLive("grant")
		e.wantReuse("never current", "first")
		e.reopen()
		e.wantGone("grant", "first")
	},
	"other grants live on": func(e *env) {
		e.createLive("other")
		e.createLive("grant")
		e.wantReuse("never current", "first")
		_, err := e.store.Grant(e.ctx, issuerA, "other")
		e.ok(err)
	},
	"after the end of the grant is not reuse": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.clock.Advance(refreshTTL + time.Second)
		e.wantGone("grant", "first", "first+n1")
	},
}

// wantReuse fails unless presenting a secret is reuse and ends the grant, also
// for the holders of the other secrets.
func (e *env) wantReuse(presented string, others ...string) {
	e.Helper()
	got, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation(presented, "late"))
	e.wantErr(err, storage.ErrReuse)
	if got != nil {
		e.Fatalf("got a result beside %v", err)
	}
	e.wantGone("grant", append(others, presented)...)
}

// wantOneError fails unless exactly one error is first and all others are rest.
func (e *env) wantOneError(errs []error, first, rest error) {
	e.Helper()
	n := 0
	for _, err := range errs {
		if errors.Is(err, first) {
			n++
		} else {
			e.wantErr(err, rest)
		}
	}
	if n != 1 {
		e.Fatalf("%d callers got %v, want one", n, first)
	}
}
