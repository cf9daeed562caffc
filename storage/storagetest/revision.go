// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var revisionTests = map[string]func(*env){
	"saving counts, whatever revision it is given": func(e *env) {
		for i, claimed := range []uint64{0, 0, 1, 999, 2, 1<<63 - 1} {
			a := newAccount(e.clock.Now())
			a.Revision = claimed
			e.ok(e.store.SaveAccount(e.ctx, a))
			e.wantAccount(a, uint64(i)+1)
		}
	},
	"accounts are counted apart": func(e *env) {
		for range 3 {
			e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		}
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("2", e.clock.Now())))
		e.wantAccount(NewAccount("1", e.clock.Now()), 3)
		e.wantAccount(NewAccount("2", e.clock.Now()), 1)
	},
	"replacing the revision that is there stores and counts": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		for i := range uint64(5) {
			a := newAccount(e.clock.Now())
			a.Revision, a.Token, a.Identity.Groups = i+1, fmt.Sprint("token ", i), []string{fmt.Sprint(i)}
			e.ok(e.store.ReplaceAccount(e.ctx, a))
			e.wantAccount(a, i+2)
		}
	},
	// A check that began before the user signed in again must not put the facts and
	// the token of before in place of the new ones.
	"replacing any other revision changes nothing": func(e *env) {
		for range 3 {
			e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		}
		for _, revision := range []uint64{0, 1, 2, 4, 1 << 32, 1<<63 - 1} {
			a := newAccount(e.clock.Now())
			a.Revision, a.Token = revision, "stale"
			e.wantErr(e.store.ReplaceAccount(e.ctx, a), storage.ErrChanged)
			e.wantAccount(newAccount(e.clock.Now()), 3)
		}
	},
	"replacing what is not there is not found and makes nothing": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		for _, revision := range []uint64{0, 1} {
			a := NewAccount("2", e.clock.Now())
			a.Revision = revision
			e.wantErr(e.store.ReplaceAccount(e.ctx, a), storage.ErrNotFound)
			_, err := e.store.Account(e.ctx, a.Subject)
			e.wantErr(err, storage.ErrNotFound)
		}
	},
	"of many that replace one revision one succeeds": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		for round := range uint64(5) {
			var winner atomic.Int64
			e.wantOneWinner(race(func(i int) error {
				a := newAccount(e.clock.Now())
				a.Revision, a.Token = round+1, fmt.Sprint(i)
				err := e.store.ReplaceAccount(e.ctx, a)
				if err == nil {
					winner.Store(int64(i))
				}
				return err
			}), storage.ErrChanged)
			want := newAccount(e.clock.Now())
			want.Token = fmt.Sprint(winner.Load())
			e.wantAccount(want, round+2)
		}
	},
	"a counter kept by read and replace loses nothing": func(e *env) {
		const each = 2
		a := newAccount(e.clock.Now())
		a.Token = "0"
		e.ok(e.store.SaveAccount(e.ctx, a))
		e.wantWinners(race(func(int) error {
			for range each {
				if err := e.increment(a.Subject); err != nil {
					return err
				}
			}
			return nil
		}), Callers, nil)
		a.Token = strconv.Itoa(each * Callers)
		e.wantAccount(a, 1+each*Callers)
	},
	"saves among replacements are counted all the same": func(e *env) {
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		var stored atomic.Uint64
		e.wantWinners(race(func(i int) error {
			a := newAccount(e.clock.Now())
			a.Revision = uint64(i)
			store := e.store.SaveAccount
			if i%2 == 0 {
				store = e.store.ReplaceAccount
			}
			err := store(e.ctx, a)
			if err == nil {
				stored.Add(1)
			}
			if errors.Is(err, storage.ErrChanged) {
				return nil
			}
			return err
		}), Callers, nil)
		e.wantAccount(newAccount(e.clock.Now()), 1+stored.Load())
	},
	"it survives a restart": func(e *env) {
		a := newAccount(e.clock.Now())
		e.ok(e.store.SaveAccount(e.ctx, a))
		a.Revision, a.Token = 1, "renewed"
		e.ok(e.store.ReplaceAccount(e.ctx, a))
		e.reopen()
		e.wantAccount(a, 2)
		e.wantErr(e.store.ReplaceAccount(e.ctx, a), storage.ErrChanged)
		a.Revision = 2
		e.ok(e.store.ReplaceAccount(e.ctx, a))
	},
}

// increment adds one to the number that an account's token is, however often
// others come first.
func (e *env) increment(subject string) error {
	for {
		a, err := e.store.Account(e.ctx, subject)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(a.Token)
		if err != nil {
			return err
		}
		a.Token = strconv.Itoa(n + 1)
		if err := e.store.ReplaceAccount(e.ctx, a); !errors.Is(err, storage.ErrChanged) {
			return err
		}
	}
}
