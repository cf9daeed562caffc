// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var onceTests = map[string]func(*env){
	// A client assertion is read off the wire or out of a log and sent again.
	"a second use is refused until the end and not after": func(e *env) {
		e.wantOnce("jti", time.Minute)
		e.wantUsed("jti", time.Minute)
		e.clock.Advance(time.Minute - time.Second)
		e.wantUsed("jti", time.Minute)
		e.clock.Advance(2 * time.Second)
		e.wantOnce("jti", time.Minute)
		e.wantUsed("jti", time.Minute)
	},
	"of many callers one succeeds": func(e *env) {
		e.wantOneWinner(race(func(int) error {
			return e.store.RememberOnce(e.ctx, issuerA, hash("jti"), time.Minute)
		}), storage.ErrExists)
	},
	"after the end of an earlier use one of many succeeds": func(e *env) {
		e.wantOnce("jti", time.Minute)
		e.clock.Advance(time.Minute + time.Second)
		e.wantOneWinner(race(func(int) error {
			return e.store.RememberOnce(e.ctx, issuerA, hash("jti"), time.Minute)
		}), storage.ErrExists)
	},
	"different ids do not concern each other": func(e *env) {
		e.wantWinners(race(func(i int) error {
			return e.store.RememberOnce(e.ctx, issuerA, hash(fmt.Sprint(i)), time.Minute)
		}), Callers, nil)
		e.ok(e.store.RememberOnce(e.ctx, issuerA, storage.Hash{}, time.Minute))
		e.wantErr(e.store.RememberOnce(e.ctx, issuerA, storage.Hash{}, time.Minute), storage.ErrExists)
	},
	// The jti of a client is unique at the issuer it was meant for, no further.
	"two issuers remember one id each": func(e *env) {
		e.wantOnce("jti", time.Minute)
		e.ok(e.store.RememberOnce(e.ctx, issuerB, hash("jti"), time.Hour))
		e.clock.Advance(time.Minute + time.Second)
		e.wantOnce("jti", time.Minute)
		e.wantErr(e.store.RememberOnce(e.ctx, issuerB, hash("jti"), time.Hour), storage.ErrExists)
	},
	"a refusal neither extends nor shortens": func(e *env) {
		e.wantOnce("jti", time.Minute)
		e.wantUsed("jti", time.Hour)
		e.wantUsed("jti", time.Second)
		e.clock.Advance(30 * time.Second)
		e.wantUsed("jti", time.Hour)
		e.clock.Advance(31 * time.Second)
		e.wantOnce("jti", time.Minute)
	},
	"where no time is left it refuses and notes nothing": func(e *env) {
		for _, ttl := range []time.Duration{0, -1, -time.Hour} {
			e.wantUsed("jti", ttl)
		}
		e.wantOnce("jti", time.Minute)
		e.wantUsed("jti", 0)
		e.wantUsed("jti", time.Minute)
	},
	"a long time is remembered": func(e *env) {
		e.wantOnce("jti", 100*365*24*time.Hour)
		e.clock.Advance(99 * 365 * 24 * time.Hour)
		e.wantUsed("jti", time.Minute)
	},
	"a clock set back forgets nothing": func(e *env) {
		e.wantOnce("jti", time.Minute)
		e.clock.Advance(-6 * time.Hour)
		e.wantUsed("jti", time.Minute)
	},
	"it survives a restart": func(e *env) {
		e.wantOnce("jti", time.Minute)
		e.reopen()
		e.wantUsed("jti", time.Minute)
		e.clock.Advance(time.Minute + time.Second)
		e.reopen()
		e.wantOnce("jti", time.Minute)
	},
}

func (e *env) wantOnce(id string, ttl time.Duration) {
	e.Helper()
	e.ok(e.store.RememberOnce(e.ctx, issuerA, hash(id), ttl))
}

func (e *env) wantUsed(id string, ttl time.Duration) {
	e.Helper()
	e.wantErr(e.store.RememberOnce(e.ctx, issuerA, hash(id), ttl), storage.ErrExists)
}
