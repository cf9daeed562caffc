// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const consentLife = 30 * 24 * time.Hour

var consentTests = map[string]func(*env){
	"comes back as it was saved": func(e *env) {
		e.saveConsent("decision", "github:1")
		e.wantConsent("decision", "github:1")
	},
	// Whatever of a decision changes, its id is another one, and the user is asked.
	"unknown is not found": func(e *env) {
		e.saveConsent("decision", "github:1")
		for _, decision := range []string{"", "another", "decision "} {
			e.wantNoConsent(issuerA, decision)
		}
	},
	"saving again extends it": func(e *env) {
		e.saveConsent("decision", "github:1")
		e.clock.Advance(consentLife - time.Hour)
		e.saveConsent("decision", "github:1")
		e.clock.Advance(consentLife - time.Hour)
		_, err := e.store.Consent(e.ctx, issuerA, hash("decision"))
		e.ok(err)
	},
	"saving again may shorten it": func(e *env) {
		e.saveConsent("decision", "github:1")
		c := NewConsent(issuerA, "decision", "github:1", e.clock.Now())
		c.ExpiresAt = e.clock.Now().Add(time.Minute)
		e.ok(e.store.SaveConsent(e.ctx, c))
		e.clock.Advance(time.Minute + time.Second)
		e.wantNoConsent(issuerA, "decision")
	},
	"is there until its end and not after": func(e *env) {
		e.saveConsent("decision", "github:1")
		e.clock.Advance(consentLife - time.Second)
		_, err := e.store.Consent(e.ctx, issuerA, hash("decision"))
		e.ok(err)
		e.clock.Advance(2 * time.Second)
		e.wantNoConsent(issuerA, "decision")
		e.saveConsent("decision", "github:1")
		e.wantConsent("decision", "github:1")
	},
	"one without an end is never found": func(e *env) {
		c := NewConsent(issuerA, "decision", "github:1", e.clock.Now())
		c.ExpiresAt = time.Time{}
		e.ok(e.store.SaveConsent(e.ctx, c))
		e.wantNoConsent(issuerA, "decision")
	},
	// Who said yes at one site was not asked at the other.
	"another issuer neither finds nor deletes it": func(e *env) {
		e.saveConsent("decision", "github:1")
		e.wantNoConsent(issuerB, "decision")
		e.ok(e.store.DeleteConsents(e.ctx, issuerB, "github:1"))
		e.wantConsent("decision", "github:1")
		e.ok(e.store.SaveConsent(e.ctx, NewConsent(issuerB, "decision", "github:2", e.clock.Now())))
		e.wantConsent("decision", "github:1")
	},
	"deleting forgets all of a subject and nothing of others": func(e *env) {
		for i := range 20 {
			e.saveConsent(fmt.Sprint("one", i), "github:1")
			e.saveConsent(fmt.Sprint("eleven", i), "github:11")
		}
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:1"))
		for i := range 20 {
			e.wantNoConsent(issuerA, fmt.Sprint("one", i))
			e.wantConsent(fmt.Sprint("eleven", i), "github:11")
		}
	},
	"deleting is idempotent": func(e *env) {
		e.saveConsent("decision", "github:1")
		for range 3 {
			e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:1"))
			e.wantNoConsent(issuerA, "decision")
		}
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "nobody"))
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, ""))
		e.wantWinners(race(func(int) error { return e.store.DeleteConsents(e.ctx, issuerA, "github:1") }), Callers, nil)
	},
	"deleted it can be saved anew": func(e *env) {
		for range 2 {
			e.saveConsent("decision", "github:1")
			e.wantConsent("decision", "github:1")
			e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:1"))
			e.wantNoConsent(issuerA, "decision")
		}
	},
	"it belongs to the subject it was saved with last": func(e *env) {
		e.saveConsent("decision", "github:1")
		e.saveConsent("decision", "github:2")
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:1"))
		e.wantConsent("decision", "github:2")
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:2"))
		e.wantNoConsent(issuerA, "decision")
	},
	"expired ones are no hindrance": func(e *env) {
		e.saveConsent("old", "github:1")
		e.clock.Advance(consentLife + time.Hour)
		e.saveConsent("new", "github:1")
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:1"))
		e.wantNoConsent(issuerA, "old")
		e.wantNoConsent(issuerA, "new")
	},
	"what was acknowledged before is gone, whatever is saved meanwhile": func(e *env) {
		for i := range Callers {
			e.saveConsent(fmt.Sprint(i), "github:1")
		}
		now := e.clock.Now()
		e.wantWinners(race(func(i int) error {
			if i%8 == 0 {
				return e.store.DeleteConsents(e.ctx, issuerA, "github:1")
			}
			return e.store.SaveConsent(e.ctx, NewConsent(issuerA, fmt.Sprint("new", i), "github:1", now))
		}), Callers, nil)
		for i := range Callers {
			e.wantNoConsent(issuerA, fmt.Sprint(i))
		}
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:1"))
		for i := range Callers {
			e.wantNoConsent(issuerA, fmt.Sprint("new", i))
		}
	},
	"deleting survives a restart": func(e *env) {
		e.saveConsent("decision", "github:1")
		e.saveConsent("other", "github:2")
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:1"))
		e.reopen()
		e.wantNoConsent(issuerA, "decision")
		e.wantConsent("other", "github:2")
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:2"))
		e.wantNoConsent(issuerA, "other")
	},
}

func (e *env) saveConsent(decision, subject string) {
	e.Helper()
	e.ok(e.store.SaveConsent(e.ctx, NewConsent(issuerA, decision, subject, e.clock.Now())))
}

// wantConsent fails unless a consent saved at this time is there.
func (e *env) wantConsent(decision, subject string) {
	e.Helper()
	got, err := e.store.Consent(e.ctx, issuerA, hash(decision))
	e.ok(err)
	e.same(got, NewConsent(issuerA, decision, subject, e.clock.Now()))
}

func (e *env) wantNoConsent(issuer, decision string) {
	e.Helper()
	_, err := e.store.Consent(e.ctx, issuer, hash(decision))
	e.wantErr(err, storage.ErrNotFound)
}
