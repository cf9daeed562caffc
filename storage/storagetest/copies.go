// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// copyTests check that a record is the caller's alone: what a caller does to
// one it passed in or got back is seen by nobody else.
var copyTests = map[string]func(*env){
	"client": func(e *env) {
		c := NewClient(issuerA, "client", e.clock.Now())
		e.ok(e.store.CreateClient(e.ctx, c))
		spoil(c.RedirectURIs, c.GrantTypes)
		c.Name = "spoilt"
		want := NewClient(issuerA, "client", e.clock.Now())
		for range 2 {
			e.wantClient(issuerA, "client", want)
			got, err := e.store.Client(e.ctx, issuerA, "client")
			e.ok(err)
			spoil(got.RedirectURIs, got.GrantTypes)
			got.SecretHash[0]++
		}
	},
	"pending": func(e *env) {
		p := NewPending(issuerA, "state", e.clock.Now())
		e.ok(e.store.CreatePending(e.ctx, p))
		spoil(p.Request.Scopes)
		want := NewPending(issuerA, "state", e.clock.Now())
		for range 2 {
			got, err := e.store.Pending(e.ctx, issuerA, hash("state"))
			e.ok(err)
			e.same(got, want)
			spoil(got.Request.Scopes)
		}
	},
	"account": func(e *env) {
		a := newAccount(e.clock.Now())
		e.ok(e.store.SaveAccount(e.ctx, a))
		spoil(a.Identity.Groups)
		for range 2 {
			got, err := e.store.Account(e.ctx, a.Subject)
			e.ok(err)
			want := newAccount(e.clock.Now())
			want.Revision = 1
			e.same(got, want)
			spoil(got.Identity.Groups)
			got.Revision++
			page, _, err := e.store.Accounts(e.ctx, "", 1)
			e.ok(err)
			e.same(page, []*storage.Account{want})
			spoil(page[0].Identity.Groups)
		}
	},
	// The engine counts revisions, but not in the record of its caller, who may
	// pass it in again.
	"account that was passed in": func(e *env) {
		a := newAccount(e.clock.Now())
		e.ok(e.store.SaveAccount(e.ctx, a))
		e.same(a, newAccount(e.clock.Now()))
		a.Revision = 1
		e.ok(e.store.ReplaceAccount(e.ctx, a))
		e.same(a.Revision, uint64(1))
	},
	"key": func(e *env) {
		k := NewKey(issuerA, "2026-03", e.clock.Now())
		e.ok(e.store.CreateKey(e.ctx, k))
		k.Public[0]++
		for range 2 {
			got, err := e.store.Keys(e.ctx, issuerA)
			e.ok(err)
			e.same(got, []*storage.Key{NewKey(issuerA, "2026-03", e.clock.Now())})
			got[0].Public[0]++
			got[0].ID = "spoilt"
		}
	},
	"grants of a subject": func(e *env) {
		e.createGrant("grant")
		for range 2 {
			got, err := e.store.GrantsOf(e.ctx, "github:583231")
			e.ok(err)
			e.same(got, []*storage.Grant{NewGrant(issuerA, "grant", e.clock.Now())})
			spoil(got[0].Scopes, got[0].Identity.Groups)
		}
	},
	"grant": func(e *env) {
		g := NewGrant(issuerA, "grant", e.clock.Now())
		e.ok(e.store.CreateGrant(e.ctx, g))
		spoil(g.Scopes, g.Identity.Groups)
		for range 2 {
			got, err := e.store.Grant(e.ctx, issuerA, "grant")
			e.ok(err)
			e.same(got, NewGrant(issuerA, "grant", e.clock.Now()))
			spoil(got.Scopes, got.Identity.Groups)
		}
	},
	"session": func(e *env) {
		s := NewSession(issuerA, "cookie", e.clock.Now())
		e.ok(e.store.CreateSession(e.ctx, s))
		spoil(s.Identity.Groups)
		s.ExpiresAt = s.ExpiresAt.Add(time.Hour)
		for range 2 {
			got, err := e.store.Session(e.ctx, issuerA, hash("cookie"))
			e.ok(err)
			e.same(got, NewSession(issuerA, "cookie", e.clock.Now()))
			spoil(got.Identity.Groups)
			got.Subject = "spoilt"
		}
	},
	"consent": func(e *env) {
		c := NewConsent(issuerA, "decision", "github:1", e.clock.Now())
		e.ok(e.store.SaveConsent(e.ctx, c))
		c.Subject, c.ExpiresAt = "spoilt", c.ExpiresAt.Add(time.Hour)
		for range 2 {
			got, err := e.store.Consent(e.ctx, issuerA, hash("decision"))
			e.ok(err)
			e.same(got, NewConsent(issuerA, "decision", "github:1", e.clock.Now()))
			got.Subject = "spoilt"
		}
	},
	"redeemed and rotated grant": func(e *env) {
		live := e.createLive("grant")
		spoil(live.Scopes, live.Identity.Groups)
		r := rotation("first", "nonce")
		first, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", r)
		e.ok(err)
		e.spoilNonces(r.Nonce, first)
		for range 2 {
			repeat, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("first", "x"))
			e.ok(err)
			e.same(repeat.Grant.Scopes, []string{"mcp"})
			e.spoilNonces([]byte("nonce"), repeat)
		}
	},
	"two callers get two records": func(e *env) {
		e.createLive("grant")
		errs := race(func(i int) error {
			g, err := e.store.Grant(e.ctx, issuerA, "grant")
			if err == nil { // the race detector watches
				g.Subject = string(rune('a' + i))
				spoil(g.Scopes, g.Identity.Groups)
			}
			return err
		})
		e.wantWinners(errs, Callers, nil)
	},
	"nothing comes beside an error": func(e *env) {
		c, err := e.store.Client(e.ctx, issuerA, "x")
		e.wantErr(err, storage.ErrNotFound)
		p, err := e.store.Pending(e.ctx, issuerA, hash("x"))
		e.wantErr(err, storage.ErrNotFound)
		a, err := e.store.Account(e.ctx, "x")
		e.wantErr(err, storage.ErrNotFound)
		g, err := e.store.Grant(e.ctx, issuerA, "x")
		e.wantErr(err, storage.ErrNotFound)
		s, err := e.store.Session(e.ctx, issuerA, hash("x"))
		e.wantErr(err, storage.ErrNotFound)
		o, err := e.store.Consent(e.ctx, issuerA, hash("x"))
		e.wantErr(err, storage.ErrNotFound)
		for what, got := range map[string]bool{"client": c != nil, "pending": p != nil, "account": a != nil, "grant": g != nil, "session": s != nil, "consent": o != nil} {
			if got {
				e.Errorf("a %s came beside %v", what, storage.ErrNotFound)
			}
		}
	},
}

func spoil(lists ...[]string) {
	for _, list := range lists {
		for i := range list {
			list[i] = "spoilt"
		}
		_ = append(list, "spoilt")
	}
}

// spoilNonces overwrites the nonce a caller passed in and those it got back,
// one by one: memory that two of them share shows in the second.
func (e *env) spoilNonces(passed []byte, r *storage.Rotated) {
	e.Helper()
	for _, nonce := range [][]byte{passed, r.Nonce, r.Grant.Refresh.Retired[0].Nonce} {
		e.same(string(nonce), "nonce")
		copy(nonce, "spoil")
	}
	spoil(r.Grant.Scopes, r.Grant.Identity.Groups)
}
