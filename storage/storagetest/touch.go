// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var touchTests = map[string]func(*env){
	"moves the idle end and nothing else": func(e *env) {
		want := e.createSession("cookie")
		e.clock.Advance(sessionIdle / 2)
		e.touch("cookie", sessionIdle)
		want.IdleAt = e.clock.Now().Add(sessionIdle)
		e.wantSession(want)
	},
	"used in time a session lasts to its absolute end and no longer": func(e *env) {
		s := e.createSession("cookie")
		for e.clock.Now().Add(sessionIdle / 2).Before(s.ExpiresAt) {
			e.clock.Advance(sessionIdle / 2)
			e.touch("cookie", sessionIdle)
		}
		e.clock.Advance(s.ExpiresAt.Sub(e.clock.Now()) - time.Second)
		got, err := e.store.Session(e.ctx, issuerA, hash("cookie"))
		e.ok(err)
		if got.IdleAt.After(s.ExpiresAt) || !got.ExpiresAt.Equal(s.ExpiresAt) {
			e.Fatalf("a touch moved the ends to %v and %v, want at most %v", got.IdleAt, got.ExpiresAt, s.ExpiresAt)
		}
		e.touch("cookie", 100*sessionLife)
		e.clock.Advance(2 * time.Second)
		e.wantNoSession(issuerA, "cookie")
	},
	// A stolen cookie of a session that is over is worth nothing, however the thief
	// uses it.
	"one that is over is not revived": func(e *env) {
		e.createSession("cookie")
		e.clock.Advance(sessionIdle + time.Second)
		for range 2 {
			e.wantErr(e.store.TouchSession(e.ctx, issuerA, hash("cookie"), 2*sessionIdle), storage.ErrNotFound)
		}
		e.wantNoSession(issuerA, "cookie")
	},
	"an unknown one is not found": func(e *env) {
		e.wantErr(e.store.TouchSession(e.ctx, issuerA, hash("cookie"), sessionIdle), storage.ErrNotFound)
		e.wantNoSession(issuerA, "cookie")
	},
	// Pages load second by second, and no single one moves the end by much. What
	// is not written must not add up.
	"frequent touches end hardly too early": func(e *env) {
		for _, idle := range []time.Duration{sessionIdle, 5 * time.Minute, 20 * time.Second} {
			s := NewSession(issuerA, idle.String(), e.clock.Now())
			s.IdleAt = e.clock.Now().Add(idle)
			e.ok(e.store.CreateSession(e.ctx, s))
			for range 200 {
				e.clock.Advance(idle / 60)
				e.touch(idle.String(), idle)
				e.wantIdle(s.ID, idle)
			}
		}
	},
	"a shorter idle time shortens": func(e *env) {
		e.createSession("cookie")
		e.touch("cookie", sessionIdle/4)
		e.wantIdle(hash("cookie"), sessionIdle/4)
		e.clock.Advance(sessionIdle / 2)
		e.wantNoSession(issuerA, "cookie")
	},
	"an idle time of nothing ends it": func(e *env) {
		for _, idle := range []time.Duration{0, -time.Second, -sessionLife} {
			e.createSession("cookie")
			e.touch("cookie", idle)
			e.wantNoSession(issuerA, "cookie")
		}
	},
	"a clock set back does not lengthen": func(e *env) {
		e.createSession("cookie")
		e.clock.Advance(-30 * time.Minute)
		e.touch("cookie", sessionIdle)
		e.wantIdle(hash("cookie"), sessionIdle)
		e.clock.Advance(sessionIdle + time.Second)
		e.wantNoSession(issuerA, "cookie")
	},
	"of many at the same time all succeed": func(e *env) {
		e.createSession("cookie")
		e.clock.Advance(sessionIdle / 2)
		e.wantWinners(race(func(int) error {
			return e.store.TouchSession(e.ctx, issuerA, hash("cookie"), sessionIdle)
		}), Callers, nil)
		e.wantIdle(hash("cookie"), sessionIdle)
	},
	"it survives a restart": func(e *env) {
		e.createSession("cookie")
		e.clock.Advance(sessionIdle / 2)
		e.touch("cookie", sessionIdle)
		e.reopen()
		e.clock.Advance(sessionIdle - time.Second)
		_, err := e.store.Session(e.ctx, issuerA, hash("cookie"))
		e.ok(err)
	},
}

func (e *env) touch(cookie string, idle time.Duration) {
	e.Helper()
	e.ok(e.store.TouchSession(e.ctx, issuerA, hash(cookie), idle))
}

// wantIdle fails unless the idle end is idle from now, give or take what an
// engine need not write.
func (e *env) wantIdle(id storage.Hash, idle time.Duration) {
	e.Helper()
	s, err := e.store.Session(e.ctx, issuerA, id)
	e.ok(err)
	if off := s.IdleAt.Sub(e.clock.Now().Add(idle)).Abs(); off > storage.TouchSlack(idle) {
		e.Fatalf("the idle end is %v off, want at most %v", off, storage.TouchSlack(idle))
	}
}
