// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"time"
)

var deleteSessionsTests = map[string]func(*env){
	// The provider says that there is no such user any more: nobody stays signed in
	// as that user, at no site of the server.
	"deleting ends those of a subject at all issuers": func(e *env) {
		for i := range 20 {
			e.createSessionOf(issuerA, fmt.Sprint("a", i), "github:1")
			e.createSessionOf(issuerB, fmt.Sprint("b", i), "github:1")
		}
		e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
		for i := range 20 {
			e.wantNoSession(issuerA, fmt.Sprint("a", i))
			e.wantNoSession(issuerB, fmt.Sprint("b", i))
		}
	},
	"deleting leaves those of others": func(e *env) {
		others := []string{"", "github:", "github:11", "gitlab:1", "GitHub:1", "github:1 ", "*"}
		for _, subject := range append(others, "github:1") {
			e.createSessionOf(issuerA, "of "+subject, subject)
		}
		e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
		e.wantNoSession(issuerA, "of github:1")
		for _, subject := range others {
			_, err := e.store.Session(e.ctx, issuerA, hash("of "+subject))
			e.ok(err)
		}
	},
	"deleting is idempotent": func(e *env) {
		e.createSessionOf(issuerA, "cookie", "github:1")
		for range 3 {
			e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
			e.wantNoSession(issuerA, "cookie")
		}
		e.ok(e.store.DeleteSessions(e.ctx, "nobody"))
		e.ok(e.store.DeleteSessions(e.ctx, ""))
		e.wantWinners(race(func(int) error { return e.store.DeleteSessions(e.ctx, "github:1") }), Callers, nil)
	},
	"one that is over, touched or ended before is no hindrance": func(e *env) {
		e.createSessionOf(issuerA, "over", "github:1")
		e.createSessionOf(issuerA, "touched", "github:1")
		e.createSessionOf(issuerA, "ended", "github:1")
		e.clock.Advance(sessionIdle / 2)
		e.ok(e.store.TouchSession(e.ctx, issuerA, hash("touched"), 2*sessionIdle))
		e.ok(e.store.DeleteSession(e.ctx, issuerA, hash("ended")))
		e.clock.Advance(sessionIdle)
		e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
		for _, cookie := range []string{"over", "touched", "ended"} {
			e.wantNoSession(issuerA, cookie)
		}
	},
	"the user can sign in again": func(e *env) {
		for range 2 {
			e.createSessionOf(issuerA, "cookie", "github:1")
			e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
			e.wantNoSession(issuerA, "cookie")
		}
	},
	// A cookie whose session ended is given to another user's session. Deleting the
	// first user's must not end the other's.
	"an id that changed hands is its last owner's": func(e *env) {
		e.createSessionOf(issuerA, "cookie", "github:1")
		e.clock.Advance(sessionLife + time.Second)
		e.createSessionOf(issuerA, "cookie", "github:2")
		e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
		_, err := e.store.Session(e.ctx, issuerA, hash("cookie"))
		e.ok(err)
		e.ok(e.store.DeleteSessions(e.ctx, "github:2"))
		e.wantNoSession(issuerA, "cookie")
	},
	"what was acknowledged before is gone, whatever is touched or created meanwhile": func(e *env) {
		for i := range Callers {
			e.createSessionOf(issuerA, fmt.Sprint(i), "github:1")
		}
		e.clock.Advance(sessionIdle / 2)
		now := e.clock.Now()
		race(func(i int) error {
			switch i % 8 {
			case 0:
				return e.store.DeleteSessions(e.ctx, "github:1")
			case 1:
				s := NewSession(issuerA, fmt.Sprint("new", i), now)
				s.Subject = "github:1"
				return e.store.CreateSession(e.ctx, s)
			default:
				return e.store.TouchSession(e.ctx, issuerA, hash(fmt.Sprint(i)), sessionIdle)
			}
		})
		for i := range Callers {
			e.wantNoSession(issuerA, fmt.Sprint(i))
		}
		e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
		for i := range Callers {
			e.wantNoSession(issuerA, fmt.Sprint("new", i))
		}
	},
	"hostile subjects": func(e *env) {
		for name, text := range hostileTexts() {
			e.createSessionOf(issuerA, name, text)
		}
		for name, text := range hostileTexts() {
			_, err := e.store.Session(e.ctx, issuerA, hash(name))
			e.ok(err)
			e.ok(e.store.DeleteSessions(e.ctx, text))
			e.wantNoSession(issuerA, name)
		}
	},
	"deleting survives a restart": func(e *env) {
		e.createSessionOf(issuerA, "cookie", "github:1")
		e.createSessionOf(issuerA, "other", "github:2")
		e.ok(e.store.DeleteSessions(e.ctx, "github:1"))
		e.reopen()
		e.wantNoSession(issuerA, "cookie")
		_, err := e.store.Session(e.ctx, issuerA, hash("other"))
		e.ok(err)
		e.ok(e.store.DeleteSessions(e.ctx, "github:2"))
		e.wantNoSession(issuerA, "other")
	},
}

func (e *env) createSessionOf(issuer, cookie, subject string) {
	e.Helper()
	s := NewSession(issuer, cookie, e.clock.Now())
	s.Subject = subject
	e.ok(e.store.CreateSession(e.ctx, s))
}
