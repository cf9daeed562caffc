// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var accountTests = map[string]func(*env){
	"comes back as it was saved": func(e *env) {
		a := newAccount(e.clock.Now())
		e.ok(e.store.SaveAccount(e.ctx, a))
		e.wantAccount(a, 1)
	},
	// The sealed token is opaque to the store, whatever bytes it has.
	"its token comes back byte for byte": func(e *env) {
		for _, token := range []string{"v1.sealed", "", "\x00\xff\u2028", "v1." + strings.Repeat("x", 64<<10)} {
			a := newAccount(e.clock.Now())
			a.Token = token
			e.ok(e.store.SaveAccount(e.ctx, a))
			got, err := e.store.Account(e.ctx, a.Subject)
			e.ok(err)
			e.same(got.Token, token)
		}
	},
	"saving replaces it whole": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		e.clock.Advance(time.Hour)
		a := newAccount(e.clock.Now())
		a.Identity.Login, a.Identity.Email, a.Identity.EmailVerified, a.Identity.Groups = "renamed", "", false, nil
		a.Token = ""
		e.ok(e.store.SaveAccount(e.ctx, a))
		e.wantAccount(a, 2)
	},
	"unknown is not found": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		for _, subject := range []string{"", "github:58323", "github:5832311", "GitHub:583231", "github:583231\x00"} {
			_, err := e.store.Account(e.ctx, subject)
			e.wantErr(err, storage.ErrNotFound)
		}
	},
	"stays": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		e.clock.Advance(10 * 365 * 24 * time.Hour)
		_, err := e.store.Account(e.ctx, "github:583231")
		e.ok(err)
	},
	"concurrent saves leave one of them whole": func(e *env) {
		e.wantWinners(race(func(i int) error {
			a := newAccount(e.clock.Now())
			a.Identity.Login = string(rune('a' + i))
			a.Identity.Name = a.Identity.Login
			return e.store.SaveAccount(e.ctx, a)
		}), Callers, nil)
		got, err := e.store.Account(e.ctx, "github:583231")
		e.ok(err)
		if got.Identity.Login != got.Identity.Name {
			e.Fatalf("two saves are mixed: login %q, name %q", got.Identity.Login, got.Identity.Name)
		}
		if got.Revision != Callers {
			e.Fatalf("revision %d after %d saves", got.Revision, Callers)
		}
	},
	"it survives a restart": func(e *env) {
		a := newAccount(e.clock.Now())
		e.ok(e.store.SaveAccount(e.ctx, a))
		e.reopen()
		e.wantAccount(a, 1)
		e.ok(e.store.SaveAccount(e.ctx, a))
		e.reopen()
		e.wantAccount(a, 2)
	},
}

// wantAccount fails unless the account is as it was passed in, stored this many
// times.
func (e *env) wantAccount(want *storage.Account, revision uint64) {
	e.Helper()
	got, err := e.store.Account(e.ctx, want.Subject)
	e.ok(err)
	counted := *want
	counted.Revision = revision
	e.same(got, &counted)
}
