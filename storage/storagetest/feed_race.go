// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const (
	feedReaders = 4
	feedWrites  = 4 // of every writer
	feedPatient = time.Minute
)

var feedRaceTests = map[string]func(*env){
	// The numbers of changes that are made at the same time are not given out in the
	// order in which they become visible. A reader that goes by numbers alone steps
	// over one that comes late, and a revoked grant lives on at its gateway.
	"a reader sees every change once and in order": func(e *env) {
		feed := e.feed()
		stores := []storage.Store{e.store, e.join()}
		from := e.head(feed)
		for i := range Callers {
			e.createGrant(fmt.Sprint("g", i))
		}
		var (
			readers sync.WaitGroup
			seen    [feedReaders][]string
		)
		for r := range seen {
			readers.Go(func() { seen[r] = e.read(feedOf(e, stores[r%2]), from, 1+3*r, Callers*feedWrites) })
		}
		e.wantWinners(race(func(i int) error { return e.writeChanges(stores[i%2], i) }), Callers, nil)
		readers.Wait()
		for _, got := range seen {
			e.wantEveryChange(got)
		}
		e.wantEveryChange(e.follow(feed, from, 7))
	},
	"an acknowledged change is there for every gateway": func(e *env) {
		feed := e.feed()
		stores := []storage.Store{e.store, e.join()}
		from := e.head(feed)
		e.wantWinners(race(func(i int) error {
			if err := stores[i%2].SaveAccount(e.ctx, NewAccount(fmt.Sprint(i), e.clock.Now())); err != nil {
				return err
			}
			changes, _, err := feedOf(e, stores[(i+1)%2]).Changes(e.ctx, from, 10*Callers)
			if err == nil && !slices.Contains(changes, storage.Change{Kind: storage.ChangeAccount, ID: fmt.Sprint("github:", i)}) {
				return fmt.Errorf("change %d is not among %d", i, len(changes))
			}
			return err
		}), Callers, nil)
	},
	// Of many who end one grant at once at least one says so. If a reader is told
	// twice it forgets what it has forgotten.
	"many who revoke one grant": func(e *env) {
		feed := e.feed()
		e.createLive("grant")
		from := e.head(feed)
		e.wantWinners(race(func(int) error { return e.store.RevokeGrant(e.ctx, issuerA, "grant") }), Callers, nil)
		got := e.changes(feed, from)
		e.same(slices.Compact(got), []string{"grant grant"})
	},
}

// writeChanges is a writer of one grant and of an account of its own: its changes
// are feedWrites, in an order of their own.
func (e *env) writeChanges(st storage.Store, i int) error {
	if err := st.RevokeGrant(e.ctx, issuerA, fmt.Sprint("g", i)); err != nil {
		return err
	}
	for j := 1; j < feedWrites; j++ {
		if err := st.SaveAccount(e.ctx, NewAccount(fmt.Sprintf("%d-%d", i, j), e.clock.Now())); err != nil {
			return err
		}
	}
	return nil
}

// read follows the feed until it has seen n changes.
func (e *env) read(feed storage.Feed, after uint64, limit, n int) []string {
	var all []string
	for start := time.Now(); len(all) < n && time.Since(start) < feedPatient; {
		changes, next, err := feed.Changes(e.ctx, after, limit)
		if err != nil {
			e.Error(err)
			return all
		}
		for _, c := range changes {
			all = append(all, string(c.Kind)+" "+c.ID)
		}
		if len(changes) == 0 {
			feed.Wait(e.ctx, next, 20*time.Millisecond)
		}
		after = next
	}
	return all
}

// wantEveryChange fails unless the changes of every writer are there once, in its
// order.
func (e *env) wantEveryChange(got []string) {
	e.Helper()
	if len(got) != Callers*feedWrites {
		e.Errorf("%d changes, want %d", len(got), Callers*feedWrites)
	}
	for i := range Callers {
		want := []string{fmt.Sprint("grant g", i)}
		for j := 1; j < feedWrites; j++ {
			want = append(want, fmt.Sprintf("account github:%d-%d", i, j))
		}
		var own []string
		for _, change := range got {
			if change == want[0] || strings.HasPrefix(change, fmt.Sprintf("account github:%d-", i)) {
				own = append(own, change)
			}
		}
		e.same(own, want)
	}
}
