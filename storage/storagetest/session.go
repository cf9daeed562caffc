// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const (
	sessionIdle = time.Hour
	sessionLife = 8 * time.Hour
)

var sessionTests = map[string]func(*env){
	"comes back as it was created": func(e *env) {
		e.wantSession(e.createSession("cookie"))
	},
	"unknown is not found": func(e *env) {
		e.createSession("cookie")
		for _, cookie := range []string{"", "Cookie", "cookie "} {
			e.wantNoSession(issuerA, cookie)
		}
	},
	// Session fixation: an attacker must not put himself, or a victim, under an id
	// that is in use.
	"a taken id is refused and keeps its record": func(e *env) {
		s := e.createSession("cookie")
		other := NewSession(issuerA, "cookie", e.clock.Now())
		other.Subject = "github:666"
		e.wantErr(e.store.CreateSession(e.ctx, other), storage.ErrExists)
		e.wantSession(s)
	},
	"of many creators of one id one succeeds": func(e *env) {
		now := e.clock.Now()
		e.wantOneWinner(race(func(i int) error {
			s := NewSession(issuerA, "cookie", now)
			s.Subject = fmt.Sprint("github:", i)
			return e.store.CreateSession(e.ctx, s)
		}), storage.ErrExists)
	},
	// A cookie of one site says nothing at another one of the same server.
	"another issuer neither sees nor touches nor ends it": func(e *env) {
		s := e.createSession("cookie")
		e.wantNoSession(issuerB, "cookie")
		e.wantErr(e.store.TouchSession(e.ctx, issuerB, hash("cookie"), 2*sessionIdle), storage.ErrNotFound)
		e.ok(e.store.DeleteSession(e.ctx, issuerB, hash("cookie")))
		e.wantSession(s)
	},
	"two issuers have a session each under one id": func(e *env) {
		a := e.createSession("cookie")
		b := NewSession(issuerB, "cookie", e.clock.Now())
		b.Subject = "github:2"
		e.ok(e.store.CreateSession(e.ctx, b))
		e.wantSession(a)
		e.wantSession(b)
		e.ok(e.store.DeleteSession(e.ctx, issuerA, hash("cookie")))
		e.wantNoSession(issuerA, "cookie")
		e.wantSession(b)
	},
	"unused it ends at its idle end": func(e *env) {
		s := e.createSession("cookie")
		e.clock.Advance(sessionIdle - time.Second)
		e.wantSession(s)
		e.clock.Advance(2 * time.Second)
		e.wantNoSession(issuerA, "cookie")
	},
	"with an idle end beyond it ends at its absolute end": func(e *env) {
		s := NewSession(issuerA, "cookie", e.clock.Now())
		s.IdleAt = s.ExpiresAt.Add(time.Hour)
		e.ok(e.store.CreateSession(e.ctx, s))
		e.clock.Advance(sessionLife - time.Second)
		e.wantSession(s)
		e.clock.Advance(2 * time.Second)
		e.wantNoSession(issuerA, "cookie")
	},
	"one that lacks an end is never found": func(e *env) {
		idle := NewSession(issuerA, "no idle end", e.clock.Now())
		idle.IdleAt = time.Time{}
		absolute := NewSession(issuerA, "no absolute end", e.clock.Now())
		absolute.ExpiresAt = time.Time{}
		for _, s := range []*storage.Session{idle, absolute} {
			e.ok(e.store.CreateSession(e.ctx, s))
			_, err := e.store.Session(e.ctx, issuerA, s.ID)
			e.wantErr(err, storage.ErrNotFound)
			e.wantErr(e.store.TouchSession(e.ctx, issuerA, s.ID, sessionIdle), storage.ErrNotFound)
		}
	},
	"an id is free again after the end of its session": func(e *env) {
		e.createSession("cookie")
		e.clock.Advance(sessionIdle + time.Second)
		e.wantSession(e.createSession("cookie"))
		e.ok(e.store.DeleteSession(e.ctx, issuerA, hash("cookie")))
		e.wantSession(e.createSession("cookie"))
	},
	"deleted it is gone for every verb": func(e *env) {
		e.createSession("cookie")
		other := e.createSession("other")
		for range 3 {
			e.ok(e.store.DeleteSession(e.ctx, issuerA, hash("cookie")))
			e.wantNoSession(issuerA, "cookie")
		}
		e.ok(e.store.DeleteSession(e.ctx, issuerA, hash("never existed")))
		e.wantSession(other)
	},
	"deleting one that is over is no error": func(e *env) {
		e.createSession("cookie")
		e.clock.Advance(sessionLife + time.Second)
		e.ok(e.store.DeleteSession(e.ctx, issuerA, hash("cookie")))
		e.wantNoSession(issuerA, "cookie")
	},
	// The user signs out in one tab while pages load in the others.
	"a touch does not bring back a deleted one": func(e *env) {
		e.createSession("cookie")
		e.clock.Advance(sessionIdle / 2)
		for _, err := range race(func(i int) error {
			if i == Callers/2 {
				return e.store.DeleteSession(e.ctx, issuerA, hash("cookie"))
			}
			return e.store.TouchSession(e.ctx, issuerA, hash("cookie"), sessionIdle)
		}) {
			if err != nil {
				e.wantErr(err, storage.ErrNotFound)
			}
		}
		e.wantNoSession(issuerA, "cookie")
	},
}

func (e *env) createSession(cookie string) *storage.Session {
	e.Helper()
	s := NewSession(issuerA, cookie, e.clock.Now())
	e.ok(e.store.CreateSession(e.ctx, s))
	return s
}

func (e *env) wantSession(want *storage.Session) {
	e.Helper()
	got, err := e.store.Session(e.ctx, want.Issuer, want.ID)
	e.ok(err)
	e.same(got, want)
}

// wantNoSession fails if any verb still finds a session.
func (e *env) wantNoSession(issuer, cookie string) {
	e.Helper()
	_, err := e.store.Session(e.ctx, issuer, hash(cookie))
	e.wantErr(err, storage.ErrNotFound)
	e.wantErr(e.store.TouchSession(e.ctx, issuer, hash(cookie), sessionIdle), storage.ErrNotFound)
	_, err = e.store.Session(e.ctx, issuer, hash(cookie))
	e.wantErr(err, storage.ErrNotFound)
}
