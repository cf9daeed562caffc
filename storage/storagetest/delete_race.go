// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// deleteRaceTests delete a client in the middle of what it is doing. Whoever
// deletes it has to hear of every grant that is gone, and nothing of one that
// was there before may outlive it.
var deleteRaceTests = map[string]func(*env){
	"codes that are redeemed meanwhile": func(e *env) {
		for i := range Callers {
			e.createGrant(fmt.Sprint("grant", i))
		}
		named := e.deleteDuring(func(i int) error {
			id := fmt.Sprint("grant", i)
			_, err := e.store.RedeemCode(e.ctx, issuerA, id, NewRedemption(id))
			return err
		})
		e.wantAllGone(named, "first")
	},
	"secrets that are rotated meanwhile": func(e *env) {
		for i := range Callers {
			e.createLive(fmt.Sprint("grant", i))
		}
		named := e.deleteDuring(func(i int) error {
			_, err := e.store.RotateRefresh(e.ctx, issuerA, fmt.Sprint("grant", i), rotation("first", "n"))
			return err
		})
		e.wantAllGone(named, "first", "first+n")
	},
	// One grant under fire from all sides: no order of steps brings it back.
	"one grant that is redeemed and rotated over and over": func(e *env) {
		e.createLive("grant")
		named := e.deleteDuring(func(int) error {
			secret := "first"
			for range 10 {
				r, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation(secret, "n"))
				if err != nil {
					return err
				}
				secret = successor(secret, string(r.Nonce))
			}
			return nil
		})
		e.same(named, []string{"grant"})
		e.wantGone("grant", "first", "first+n", "first+n+n")
	},
	// A sign-in is completed in the same moment. Its grant is deleted and named,
	// or it is there and is not: never gone unheard of, never there and named.
	"grants that are created meanwhile": func(e *env) {
		now := e.clock.Now()
		named := e.deleteDuring(func(i int) error {
			return e.store.CreateGrant(e.ctx, NewGrant(issuerA, fmt.Sprint("grant", i), now))
		})
		var stayed []string
		for i := range Callers {
			id := fmt.Sprint("grant", i)
			switch _, err := e.store.Grant(e.ctx, issuerA, id); {
			case err == nil:
				stayed = append(stayed, id)
			default:
				e.wantErr(err, storage.ErrNotFound)
			}
			if slices.Contains(stayed, id) == slices.Contains(named, id) {
				e.Errorf("%s: there is %v, named is %v", id, slices.Contains(stayed, id), slices.Contains(named, id))
			}
		}
		slices.Sort(stayed)
		e.wantDeleted("client", stayed...)
	},
	"a client that is kept meanwhile is gone": func(e *env) {
		e.ok(e.tryCreate("client"))
		e.deleteDuring(func(int) error { return e.store.KeepClient(e.ctx, issuerA, "client") })
		e.wantAbsent("client")
	},
	"of many at the same time every grant is named by one": func(e *env) {
		e.ok(e.tryCreate("client"))
		for i := range Callers {
			e.createGrant(fmt.Sprint("grant", i))
		}
		var (
			mu  sync.Mutex
			all []string
		)
		e.wantWinners(race(func(int) error {
			named, err := e.store.DeleteClient(e.ctx, issuerA, "client")
			mu.Lock()
			defer mu.Unlock()
			all = append(all, named...)
			return err
		}), Callers, nil)
		slices.Sort(all)
		e.wantAllGone(slices.Compact(all), "first")
	},
}

// deleteDuring runs fn from many goroutines, deletes the client "client" in the
// middle and returns the grants that were named. fn may find its grant gone.
func (e *env) deleteDuring(fn func(i int) error) []string {
	e.Helper()
	var (
		named []string
		wg    sync.WaitGroup
		half  = make(chan struct{}, Callers)
	)
	wg.Go(func() {
		for range Callers / 4 {
			<-half
		}
		var err error
		if named, err = e.store.DeleteClient(e.ctx, issuerA, "client"); err != nil {
			e.Errorf("delete: %v", err)
		}
	})
	for i, err := range race(func(i int) error {
		defer func() { half <- struct{}{} }()
		return fn(i)
	}) {
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			e.Errorf("caller %d: %v", i, err)
		}
	}
	wg.Wait()
	return named
}

// wantAllGone fails unless exactly grant0, grant1 … were named and all are gone.
func (e *env) wantAllGone(named []string, secrets ...string) {
	e.Helper()
	var want []string
	for i := range Callers {
		want = append(want, fmt.Sprint("grant", i))
		e.wantGone(want[i], secrets...)
	}
	slices.Sort(want)
	slices.Sort(named)
	e.same(named, want)
}
