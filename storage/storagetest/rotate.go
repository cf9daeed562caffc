// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const (
	refreshTTL  = 90 * 24 * time.Hour
	grace       = time.Minute
	unusedGrace = 15 * time.Minute
)

// successor stands for what package token derives: a secret that follows from
// the presented one and the nonce.
func successor(presented, nonce string) string { return presented + "+" + nonce }

// rotation presents a secret with the default windows.
func rotation(presented, nonce string) storage.Rotation {
	return storage.Rotation{
		Presented: hash(presented), Successor: hash(successor(presented, nonce)), Nonce: []byte(nonce),
		TTL: refreshTTL, Grace: grace, UnusedGrace: unusedGrace,
	}
}

// rotate presents a secret of the grant "grant" and returns the successor the
// client is handed.
func (e *env) rotate(presented, nonce string) (next string, repeat bool) {
	e.Helper()
	r, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation(presented, nonce))
	e.ok(err)
	return successor(presented, string(r.Nonce)), r.Repeat
}

func (e *env) wantRotated(presented, nonce, want string) {
	e.Helper()
	if got, repeat := e.rotate(presented, nonce); got != want || repeat {
		e.Fatalf("rotating %q gave %q, repeat %v, want the new %q", presented, got, repeat, want)
	}
}

// wantRepeat fails unless presenting a retired secret yields want again and
// changes nothing.
func (e *env) wantRepeat(presented, want string) {
	e.Helper()
	before, err := e.store.Grant(e.ctx, issuerA, "grant")
	e.ok(err)
	if got, repeat := e.rotate(presented, "another nonce"); got != want || !repeat {
		e.Fatalf("repeating %q gave %q, repeat %v, want %q again", presented, got, repeat, want)
	}
	e.wantGrant(before)
}

var rotateTests = map[string]func(*env){
	"exchanges the current secret and extends the grant": func(e *env) {
		want := e.createLive("grant")
		e.clock.Advance(time.Hour)
		r, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", "n1"))
		e.ok(err)
		want.Refresh = storage.Refresh{
			Current: hash("first+n1"),
			Retired: []storage.Retired{{Hash: hash("first"), Nonce: []byte("n1"), RetiredAt: e.clock.Now()}},
		}
		want.ExpiresAt = e.clock.Now().Add(refreshTTL)
		e.same(r, &storage.Rotated{Grant: want, Nonce: []byte("n1")})
		e.wantGrant(want)
	},
	"used in time the grant never ends": func(e *env) {
		e.createLive("grant")
		secret := "first"
		for i := range 6 {
			e.clock.Advance(refreshTTL - time.Hour)
			secret, _ = e.rotate(secret, fmt.Sprint(i))
		}
	},
	"unused it ends": func(e *env) {
		e.createLive("grant")
		e.clock.Advance(refreshTTL + time.Second)
		e.wantGone("grant", "first")
	},
	// Several processes share one token file and all find it expired in the same
	// second. Each must get a token that works, and they must be the same one:
	// the last to write the file wins, and it must not matter who that is.
	"parallel refreshes get the same successor": func(e *env) {
		e.createLive("grant")
		var (
			mu     sync.Mutex
			given  = map[string]int{}
			firsts int
		)
		e.wantWinners(race(func(i int) error {
			r, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", fmt.Sprint(i)))
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			given[successor("first", string(r.Nonce))]++
			if !r.Repeat {
				firsts++
			}
			return nil
		}), Callers, nil)
		if len(given) != 1 || firsts != 1 {
			e.Fatalf("%d different successors from %d rotations, want one from one", len(given), firsts)
		}
		for token := range given {
			e.rotate(token, "next")
		}
	},
	// The answer was lost on the way and the laptop closed. Minutes later the
	// client has nothing but the old token.
	"a lost answer is given again while the successor is unused": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		for range 2 {
			e.clock.Advance(7 * time.Minute)
			e.wantRepeat("first", "first+n1")
		}
		e.wantRotated("first+n1", "n2", "first+n1+n2")
	},
	"within grace a repeat is answered though the successor was used": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.clock.Advance(20 * time.Second)
		e.wantRotated("first+n1", "n2", "first+n1+n2")
		e.clock.Advance(20 * time.Second)
		e.wantRepeat("first", "first+n1")
	},
	// A slow process of three comes back with a token that is three exchanges
	// old, all within the minute. It walks the chain to the current one.
	"three generations within grace are all answered": func(e *env) {
		e.createLive("grant")
		secrets := []string{"first"}
		for i := range 3 {
			next, _ := e.rotate(secrets[i], fmt.Sprint("n", i))
			secrets = append(secrets, next)
			e.clock.Advance(10 * time.Second)
		}
		for i := range 3 {
			e.wantRepeat(secrets[i], secrets[i+1])
		}
		e.wantRotated(secrets[3], "last", successor(secrets[3], "last"))
	},
	"after the clock was set back a repeat counts as just now": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.wantRotated("first+n1", "n2", "first+n1+n2")
		e.clock.Advance(-6 * time.Hour)
		e.wantRepeat("first", "first+n1")
		e.wantRepeat("first+n1", "first+n1+n2")
		e.wantRotated("first+n1+n2", "n3", "first+n1+n2+n3")
	},
	"without grace the newest is still answered": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.clock.Advance(time.Minute)
		r := rotation("first", "other")
		r.Grace = 0
		got, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", r)
		e.ok(err)
		e.same([]any{got.Repeat, string(got.Nonce)}, []any{true, "n1"})
	},
	"the record stays small however fast the client refreshes": func(e *env) {
		e.createLive("grant")
		secret, previous := "first", ""
		for i := range 5 * storage.MaxRetired {
			previous = secret
			r, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", storage.Rotation{
				Presented: hash(secret), Successor: hash(fmt.Sprint("s", i)), Nonce: fmt.Append(nil, i),
				TTL: refreshTTL, Grace: grace, UnusedGrace: unusedGrace,
			})
			e.ok(err)
			secret = fmt.Sprint("s", i)
			if n := len(r.Grant.Refresh.Retired); n > storage.MaxRetired {
				e.Fatalf("%d retired secrets after %d rotations, want at most %d", n, i+1, storage.MaxRetired)
			}
		}
		r, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation(previous, "x"))
		e.ok(err)
		if !r.Repeat {
			e.Fatal("the newest retired secret is not answered")
		}
	},
	"a grant whose code is not redeemed has no refresh secret": func(e *env) {
		e.createGrant("grant")
		for _, presented := range []storage.Hash{{}, hash("first"), codeOf("grant")} {
			r := rotation("", "n")
			r.Presented = presented
			_, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", r)
			e.wantErr(err, storage.ErrNotFound)
		}
		_, err := e.store.RedeemCode(e.ctx, issuerA, "grant", NewRedemption("grant"))
		e.ok(err)
	},
	"an unknown grant is not found": func(e *env) {
		_, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", "n"))
		e.wantErr(err, storage.ErrNotFound)
	},
	"a chain of rotations survives a restart": func(e *env) {
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.reopen()
		e.wantRepeat("first", "first+n1")
		e.wantRotated("first+n1", "n2", "first+n1+n2")
		e.reopen()
		e.wantRepeat("first", "first+n1")
		e.wantRepeat("first+n1", "first+n1+n2")
	},
}
