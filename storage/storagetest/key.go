// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const keyLife = 90 * 24 * time.Hour

var keyTests = map[string]func(*env){
	"comes back as it was created": func(e *env) {
		e.wantKeys(issuerA, e.createKey(issuerA, "2026-03"))
	},
	"of an issuer without any there are none": func(e *env) {
		e.createKey(issuerA, "2026-03")
		for _, issuer := range []string{issuerB, "", issuerA + "/", issuerA[:len(issuerA)-1]} {
			e.wantKeys(issuer)
		}
	},
	// Two gateways make the key of one period at the same time. If both kept theirs,
	// each would sign with a key the other does not publish.
	"of many creators of one id one succeeds": func(e *env) {
		now := e.clock.Now()
		errs := race(func(i int) error {
			k := NewKey(issuerA, "2026-03", now)
			k.KeyID, k.Private = fmt.Sprint("kid ", i), fmt.Sprint("sealed ", i)
			return e.store.CreateKey(e.ctx, k)
		})
		e.wantOneWinner(errs, storage.ErrExists)
		got, err := e.store.Keys(e.ctx, issuerA)
		e.ok(err)
		for i, err := range errs {
			if err == nil {
				want := NewKey(issuerA, "2026-03", now)
				want.KeyID, want.Private = fmt.Sprint("kid ", i), fmt.Sprint("sealed ", i)
				e.same(got, []*storage.Key{want})
			}
		}
	},
	"a taken id is refused and keeps its record": func(e *env) {
		k := e.createKey(issuerA, "2026-03")
		other := NewKey(issuerA, "2026-03", e.clock.Now())
		other.Private = "another"
		e.wantErr(e.store.CreateKey(e.ctx, other), storage.ErrExists)
		e.wantKeys(issuerA, k)
	},
	"two issuers have a key each under one id": func(e *env) {
		a, b := e.createKey(issuerA, "2026-03"), e.createKey(issuerB, "2026-03")
		e.wantKeys(issuerA, a)
		e.wantKeys(issuerB, b)
		b.Private = "sealed anew"
		e.ok(e.store.ReplaceKey(e.ctx, b))
		e.wantKeys(issuerA, a)
		e.wantKeys(issuerB, b)
	},
	"the oldest comes first, whatever the ids": func(e *env) {
		var want []*storage.Key
		for _, id := range []string{"b", "", "z", "a", "10", "9"} {
			want = append(want, e.createKey(issuerA, id))
			e.clock.Advance(time.Hour)
		}
		e.wantKeys(issuerA, want...)
		want[2].Private = "sealed anew"
		e.ok(e.store.ReplaceKey(e.ctx, want[2]))
		e.wantKeys(issuerA, want...)
	},
	"order is that of creation times, not of calls": func(e *env) {
		now := e.clock.Now()
		young, old := NewKey(issuerA, "a", now), NewKey(issuerA, "b", now.Add(-time.Hour))
		e.ok(e.store.CreateKey(e.ctx, young))
		e.ok(e.store.CreateKey(e.ctx, old))
		e.wantKeys(issuerA, old, young)
	},
	"is there until its end and not after": func(e *env) {
		k := e.createKey(issuerA, "2026-03")
		e.clock.Advance(keyLife - time.Second)
		e.wantKeys(issuerA, k)
		next := e.createKey(issuerA, "2026-06")
		e.clock.Advance(2 * time.Second)
		e.wantKeys(issuerA, next)
		e.wantErr(e.store.ReplaceKey(e.ctx, k), storage.ErrNotFound)
		e.wantKeys(issuerA, next)
	},
	"one without an end is never found": func(e *env) {
		k := NewKey(issuerA, "2026-03", e.clock.Now())
		k.ExpiresAt = time.Time{}
		e.ok(e.store.CreateKey(e.ctx, k))
		e.wantKeys(issuerA)
	},
	"an id is free again after the end of its key": func(e *env) {
		e.createKey(issuerA, "2026-03")
		e.clock.Advance(keyLife + time.Second)
		e.wantKeys(issuerA, e.createKey(issuerA, "2026-03"))
	},
	"replacing stores all of it": func(e *env) {
		k := e.createKey(issuerA, "2026-03")
		for i := range 3 {
			k.Private = fmt.Sprint("sealed with another master key ", i)
			k.ExpiresAt = k.ExpiresAt.Add(time.Hour)
			e.ok(e.store.ReplaceKey(e.ctx, k))
			e.wantKeys(issuerA, k)
		}
		e.clock.Advance(keyLife + 2*time.Hour)
		e.wantKeys(issuerA, k)
		e.clock.Advance(2 * time.Hour)
		e.wantKeys(issuerA)
	},
	"replacing what is not there is not found and makes nothing": func(e *env) {
		k := e.createKey(issuerA, "2026-03")
		e.wantErr(e.store.ReplaceKey(e.ctx, NewKey(issuerA, "2026-04", e.clock.Now())), storage.ErrNotFound)
		e.wantErr(e.store.ReplaceKey(e.ctx, NewKey(issuerB, "2026-03", e.clock.Now())), storage.ErrNotFound)
		e.wantKeys(issuerA, k)
		e.wantKeys(issuerB)
	},
	"hostile ids and issuers": func(e *env) {
		for name, text := range hostileTexts() {
			k := NewKey(text, text, e.clock.Now())
			k.KeyID, k.Public, k.Private = text, []byte(text), name
			e.ok(e.store.CreateKey(e.ctx, k))
			e.wantErr(e.store.CreateKey(e.ctx, k), storage.ErrExists)
		}
		for name, text := range hostileTexts() {
			want := NewKey(text, text, e.clock.Now())
			want.KeyID, want.Public, want.Private = text, []byte(text), name
			e.wantKeys(text, want)
		}
	},
	"it survives a restart": func(e *env) {
		a := e.createKey(issuerA, "a")
		e.clock.Advance(time.Second)
		b := e.createKey(issuerA, "b")
		b.Private = "sealed anew"
		e.ok(e.store.ReplaceKey(e.ctx, b))
		e.reopen()
		e.wantKeys(issuerA, a, b)
		e.wantErr(e.store.CreateKey(e.ctx, a), storage.ErrExists)
	},
}

func (e *env) createKey(issuer, id string) *storage.Key {
	e.Helper()
	k := NewKey(issuer, id, e.clock.Now())
	e.ok(e.store.CreateKey(e.ctx, k))
	return k
}

func (e *env) wantKeys(issuer string, want ...*storage.Key) {
	e.Helper()
	got, err := e.store.Keys(e.ctx, issuer)
	e.ok(err)
	e.same(got, want)
}
