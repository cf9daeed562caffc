// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

var archiveRaceTests = map[string]func(*env){
	// The nightly backup runs while people sign in.
	"an export while many write has all that was acknowledged before": func(e *env) {
		a := e.archive()
		var (
			writers      sync.WaitGroup
			stop         atomic.Bool
			acknowledged [Callers]atomic.Int64
			begun        = make(chan struct{}, Callers)
		)
		e.createLive("revoked")
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "revoked"))
		for i := range Callers {
			writers.Go(func() { e.signInUntil(&stop, i, &acknowledged[i], begun) })
		}
		for range Callers {
			<-begun
		}
		var before [Callers]int64
		for i := range before {
			before[i] = acknowledged[i].Load()
		}
		entries := e.collect(a.Export(e.ctx))
		stop.Store(true)
		writers.Wait()
		e.importInto(entries)
		for i, n := range before {
			for j := range n {
				e.wantSignIn(fmt.Sprint(i, "-", j))
			}
		}
		e.wantNoGrant(issuerA, "revoked")
	},
	"an export while records are taken has none of them twice or half": func(e *env) {
		a := e.archive()
		for i := range Callers {
			e.createLive(fmt.Sprint("g", i))
			e.createSession(fmt.Sprint("s", i))
		}
		var deletes sync.WaitGroup
		for i := range Callers {
			deletes.Go(func() {
				e.isErr(e.store.RevokeGrant(e.ctx, issuerA, fmt.Sprint("g", i)), nil)
				e.isErr(e.store.DeleteSession(e.ctx, issuerA, hash(fmt.Sprint("s", i))), nil)
			})
		}
		entries := e.collect(a.Export(e.ctx))
		deletes.Wait()
		e.same(len(e.export()), 0)
		e.importInto(entries)
		e.wantEntries(entries)
	},
	"two exports at once": func(e *env) {
		e.archive()
		want := e.entriesOfEveryKind()
		e.importInto(want)
		a := e.archive()
		sortEntries(want)
		e.wantWinners(race(func(int) error {
			var got []storage.Entry
			for entry, err := range a.Export(e.ctx) {
				if err != nil {
					return err
				}
				got = append(got, entry)
			}
			sortEntries(got)
			if !slices.EqualFunc(got, want, func(a, b storage.Entry) bool { return compareEntries(a, b) == 0 }) {
				return fmt.Errorf("%d entries, want %d", len(got), len(want))
			}
			return nil
		}), Callers, nil)
	},
}

// signInUntil creates an account and a grant again and again, and counts those
// that were acknowledged.
func (e *env) signInUntil(stop *atomic.Bool, i int, acknowledged *atomic.Int64, begun chan<- struct{}) {
	for j := 0; !stop.Load(); j++ {
		id := fmt.Sprint(i, "-", j)
		if err := e.store.SaveAccount(e.ctx, NewAccount(id, e.clock.Now())); err != nil {
			e.Error(err)
		}
		g := NewGrant(issuerA, id, e.clock.Now())
		g.Subject = "github:" + id
		if err := e.store.CreateGrant(e.ctx, g); err != nil {
			e.Error(err)
		}
		if _, err := e.store.RedeemCode(e.ctx, issuerA, id, NewRedemption(id)); err != nil {
			e.Error(err)
		}
		acknowledged.Add(1)
		if j == 0 {
			begun <- struct{}{}
		}
	}
}

// wantSignIn fails unless the account and the grant of one round are there.
func (e *env) wantSignIn(id string) {
	e.Helper()
	e.wantAccount(NewAccount(id, e.clock.Now()), 1)
	want := NewGrant(issuerA, id, e.clock.Now())
	want.Subject = "github:" + id
	e.ok(storage.Redeem(want, NewRedemption(id), e.clock.Now()))
	e.wantGrantsOf(want.Subject, want)
}
