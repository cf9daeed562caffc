// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// feedDropped is an age at which an engine that keeps changes longer than
// FeedRetention has dropped them too.
const feedDropped = 48 * storage.FeedRetention

var feedTests = map[string]func(*env){
	"of a store where nothing happened has no changes": func(e *env) {
		feed := e.feed()
		e.wantChanges(feed, e.head(feed))
	},
	"revoking a grant appends it": func(e *env) {
		feed := e.feed()
		e.createLive("grant")
		from := e.head(feed)
		e.ok(e.store.RevokeGrant(e.ctx, issuerA, "grant"))
		e.wantChanges(feed, from, "grant grant")
	},
	"deleting a client appends each of its grants": func(e *env) {
		feed := e.feed()
		e.createLive("live")
		e.createLive("another")
		e.createGrant("unredeemed")
		from := e.head(feed)
		e.wantDeleted("client", "another", "live", "unredeemed")
		got := e.changes(feed, from)
		slices.Sort(got)
		e.same(got, []string{"grant another", "grant live", "grant unredeemed"})
	},
	// A refresh token was stolen and both parties used it: what every gateway still
	// lets through on this grant has to end.
	"reuse of a refresh secret appends the grant": func(e *env) {
		feed := e.feed()
		e.createLive("grant")
		from := e.head(feed)
		_, err := e.store.RotateRefresh(e.ctx, issuerA, "grant", rotation("stolen", "n"))
		e.wantErr(err, storage.ErrReuse)
		e.wantChanges(feed, from, "grant grant")
	},
	"storing an account appends it": func(e *env) {
		feed := e.feed()
		from := e.head(feed)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		a := NewAccount("1", e.clock.Now())
		a.Revision = 2
		e.ok(e.store.ReplaceAccount(e.ctx, a))
		e.wantChanges(feed, from, "account github:1", "account github:1", "account github:1")
	},
	// Sign-ins and refreshes are the many; if they were in the feed, every gateway
	// would read all of every other one's traffic.
	"what nobody holds in memory is not in it": func(e *env) {
		feed := e.feed()
		e.ok(e.store.SaveAccount(e.ctx, newAccount(e.clock.Now())))
		from := e.head(feed)
		e.ok(e.tryCreate("client"))
		e.ok(e.store.KeepClient(e.ctx, issuerA, "client"))
		e.createLive("grant")
		e.wantRotated("first", "n1", "first+n1")
		e.wantRepeat("first", "first+n1")
		e.createSession("cookie")
		e.ok(e.store.DeleteSessions(e.ctx, "github:583231"))
		e.saveConsent("decision", "github:583231")
		e.ok(e.store.DeleteConsents(e.ctx, issuerA, "github:583231"))
		e.wantOnce("jti", time.Minute)
		e.createKey(issuerA, "2026-03")
		stale := newAccount(e.clock.Now())
		stale.Revision = 7
		e.wantErr(e.store.ReplaceAccount(e.ctx, stale), storage.ErrChanged)
		e.wantErr(e.store.ReplaceAccount(e.ctx, NewAccount("none", e.clock.Now())), storage.ErrNotFound)
		e.wantChanges(feed, from)
	},
	"oldest first, a page at a time": func(e *env) {
		feed := e.feed()
		from := e.head(feed)
		var want []string
		for i := range 10 {
			e.ok(e.store.SaveAccount(e.ctx, NewAccount(fmt.Sprint(i), e.clock.Now())))
			want = append(want, fmt.Sprint("account github:", i))
		}
		for _, limit := range []int{1, 3, 9, 10, 11, 1000} {
			e.same(e.follow(feed, from, limit), want)
		}
	},
	"hostile ids": func(e *env) {
		feed := e.feed()
		from := e.head(feed)
		var want []string
		for _, text := range hostileTexts() {
			e.ok(e.store.CreateGrant(e.ctx, NewGrant(issuerA, text, e.clock.Now())))
			e.ok(e.store.RevokeGrant(e.ctx, issuerA, text))
			a := newAccount(e.clock.Now())
			a.Subject = text
			e.ok(e.store.SaveAccount(e.ctx, a))
			want = append(want, "grant "+text, "account "+text)
		}
		e.same(e.follow(feed, from, 3), want)
	},
	"positions outlive a restart": func(e *env) {
		feed := e.feed()
		from := e.head(feed)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		between := e.head(feed)
		e.reopen()
		feed = e.feed()
		e.same(e.head(feed), between)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("2", e.clock.Now())))
		e.wantChanges(feed, from, "account github:1", "account github:2")
		e.wantChanges(feed, between, "account github:2")
	},
	"changes stay for as long as they must": func(e *env) {
		feed := e.feed()
		from := e.head(feed)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		e.clock.Advance(storage.FeedRetention - time.Second)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("2", e.clock.Now())))
		e.sweep()
		e.wantChanges(feed, from, "account github:1", "account github:2")
	},
	// A gateway that was suspended for days wakes up. It must not believe that
	// nothing was revoked meanwhile.
	"who comes too late is told": func(e *env) {
		feed := e.feed()
		from := e.head(feed)
		for i := range 5 {
			e.ok(e.store.SaveAccount(e.ctx, NewAccount(fmt.Sprint(i), e.clock.Now())))
		}
		last := e.head(feed)
		e.clock.Advance(feedDropped)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("new", e.clock.Now())))
		e.sweep()
		for range 2 {
			changes, _, err := feed.Changes(e.ctx, from, 100)
			e.wantErr(err, storage.ErrMissed)
			e.same(len(changes), 0)
			e.reopen()
			feed = e.feed()
		}
		// Who had seen all that was dropped missed nothing.
		e.wantChanges(feed, last, "account github:new")
	},
	"with all changes dropped the head is where it was": func(e *env) {
		feed := e.feed()
		from := e.head(feed)
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		head := e.head(feed)
		e.clock.Advance(feedDropped)
		e.sweep()
		for range 2 {
			e.same(e.head(feed), head)
			e.wantChanges(feed, head)
			e.reopen()
			feed = e.feed()
		}
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("2", e.clock.Now())))
		e.wantChanges(feed, head, "account github:2")
		e.sweep()
		if changes, _, err := feed.Changes(e.ctx, from, 100); !errors.Is(err, storage.ErrMissed) && len(changes) != 2 {
			e.Fatalf("changes %v, error %v, want all or %v", changes, err, storage.ErrMissed)
		}
	},
	// The store lost its latest state, by a restore or a failover. Positions beyond
	// its head are of a past that is gone: whoever waits there would miss all that
	// happens until the head comes by.
	"a position after the head was missed": func(e *env) {
		feed := e.feed()
		e.ok(e.store.SaveAccount(e.ctx, NewAccount("1", e.clock.Now())))
		head := e.head(feed)
		for _, after := range []uint64{head + 1, head + 1000, head + 1<<40} {
			_, _, err := feed.Changes(e.ctx, after, 10)
			e.wantErr(err, storage.ErrMissed)
		}
	},
	"a context that is done and a closed store": func(e *env) {
		feed := e.feed()
		done, cancel := context.WithCancel(e.ctx)
		cancel()
		_, err := feed.Head(done)
		e.wantErr(err, context.Canceled)
		_, _, err = feed.Changes(done, 0, 1)
		e.wantErr(err, context.Canceled)
		e.ok(e.store.Close())
		_, err = feed.Head(e.ctx)
		e.wantErr(err, storage.ErrClosed)
		_, _, err = feed.Changes(e.ctx, 0, 1)
		e.wantErr(err, storage.ErrClosed)
	},
}

// feed is the store's feed; a store without one has nothing to test.
func (e *env) feed() storage.Feed {
	e.Helper()
	return feedOf(e, e.store)
}

func feedOf(e *env, st storage.Store) storage.Feed {
	e.Helper()
	feed, ok := st.(storage.Feed)
	if !ok {
		e.Skip("the store is no storage.Feed: one process has all of its state")
	}
	return feed
}

// join opens another gateway's store on the same state, or returns the one there
// is where there can be no other.
func (e *env) join() storage.Store {
	e.Helper()
	if e.harness.Join == nil {
		return e.store
	}
	return e.harness.Join(e.T, e.store, e.config)
}

func (e *env) sweep() {
	e.Helper()
	if e.harness.Sweep != nil {
		e.harness.Sweep(e.T, e.store)
	}
}

func (e *env) head(feed storage.Feed) uint64 {
	e.Helper()
	head, err := feed.Head(e.ctx)
	e.ok(err)
	return head
}

// changes returns what is in the feed after a position, as "kind id".
func (e *env) changes(feed storage.Feed, after uint64) []string {
	e.Helper()
	return e.follow(feed, after, 100)
}

func (e *env) wantChanges(feed storage.Feed, after uint64, want ...string) {
	e.Helper()
	e.same(e.changes(feed, after), want)
}

// follow reads the feed page by page up to its head.
func (e *env) follow(feed storage.Feed, after uint64, limit int) []string {
	e.Helper()
	var all []string
	for {
		changes, next, err := feed.Changes(e.ctx, after, limit)
		e.ok(err)
		if len(changes) > limit {
			e.Fatalf("%d changes on a page of at most %d", len(changes), limit)
		}
		if next < after || len(changes) > 0 && next == after {
			e.Fatalf("position %d after %d with %d changes", next, after, len(changes))
		}
		for _, c := range changes {
			all = append(all, strings.Join([]string{string(c.Kind), c.ID}, " "))
		}
		if len(changes) == 0 {
			return all
		}
		after = next
	}
}
