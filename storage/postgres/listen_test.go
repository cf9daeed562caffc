// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// listeners is how many sessions listen for the store's changes. They are known
// by their last statement.
func listeners(t *testing.T, s *Store, conn *pgx.Conn) []int64 {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT pid::bigint FROM pg_stat_activity WHERE query = $1 AND wait_event = 'ClientRead'", s.listener.sql)
	ok(t, err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	ok(t, err)
	return pids
}

// woken reports whether a wait for changes ends long before its limit when
// somebody else changes something.
func woken(t *testing.T, s, other *Store) bool {
	t.Helper()
	head, err := s.Head(t.Context())
	ok(t, err)
	began, done := time.Now(), make(chan time.Duration, 1)
	go func() {
		s.Wait(t.Context(), head, 3*time.Second)
		done <- time.Since(began)
	}()
	time.Sleep(20 * time.Millisecond) // mostly it waits by now; if not, it sees the change itself
	ok(t, other.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())))
	return <-done < 2*time.Second
}

// Gateways that are alone in their process have nobody to listen to, and should
// not hold a connection for it.
func TestNobodyListensUnasked(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn := connect(t, testpostgres.Shared(t))
	ok(t, s.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())))
	if pids := listeners(t, s, conn); len(pids) != 0 {
		t.Errorf("%d listen", len(pids))
	}
	head, err := s.Head(t.Context())
	ok(t, err)
	for range 3 {
		s.Wait(t.Context(), head, time.Millisecond)
	}
	eventually(t, "one listens", func() bool { return len(listeners(t, s, conn)) == 1 })
	ok(t, s.Close())
	eventually(t, "nobody listens", func() bool { return len(listeners(t, s, conn)) == 0 })
}

// The connection that listens is cut: by an administrator, a firewall, a restart.
func TestListenerReconnects(t *testing.T) {
	t.Parallel()
	s := open(t)
	schema := strings.Split(in(s, "x"), `"`)[1]
	other := openWith(t, Options{DSN: testpostgres.Shared(t).DSN(), Schema: schema})
	conn := connect(t, testpostgres.Shared(t))
	s.Wait(t.Context(), 1, time.Millisecond)
	for range 2 {
		eventually(t, "one listens", func() bool { return len(listeners(t, s, conn)) == 1 })
		if !woken(t, s, other) {
			t.Error("it was not woken")
		}
		var pid int64
		eventually(t, "it waits again", func() bool { // it was busy with what woke it
			pids := listeners(t, s, conn)
			if len(pids) == 1 {
				pid = pids[0]
			}
			return len(pids) == 1
		})
		exec(t, conn, "SELECT pg_terminate_backend($1::int)", pid)
		eventually(t, "the session ends", func() bool {
			return number(t, conn, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid) == 0
		})
		// Until it is back nothing is lost, only later.
		head, err := s.Head(t.Context())
		ok(t, err)
		ok(t, other.SaveAccount(t.Context(), storagetest.NewAccount("2", time.Now())))
		s.Wait(t.Context(), head, time.Second)
		changes, _, err := s.Changes(t.Context(), head, 10)
		ok(t, err)
		if len(changes) != 1 {
			t.Errorf("%d changes, want 1", len(changes))
		}
	}
}

// Other users of the database notify each other too, and other clusters of
// gateways do.
func TestOtherChannelsAreNotHeard(t *testing.T) {
	t.Parallel()
	s, other := open(t), open(t)
	conn := connect(t, testpostgres.Shared(t))
	s.Wait(t.Context(), 1, time.Millisecond)
	eventually(t, "one listens", func() bool { return len(listeners(t, s, conn)) == 1 })
	before := s.listener.next()
	ok(t, other.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())))
	exec(t, conn, "NOTIFY mcp_oauth")
	select {
	case <-before:
		t.Error("it heard of another schema")
	case <-time.After(100 * time.Millisecond):
	}
	ok(t, s.SaveAccount(t.Context(), storagetest.NewAccount("1", time.Now())))
	select {
	case <-before:
	case <-time.After(20 * time.Second):
		t.Error("it did not hear of its own")
	}
}

// The database is away. Whoever waits for changes must not spin meanwhile.
func TestWaitDuringAnOutage(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	s := openWith(t, Options{DSN: server.DSN()})
	server.Stop(t)
	began := time.Now()
	for range 3 {
		s.Wait(t.Context(), 0, 200*time.Millisecond)
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("three waits took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	s.Wait(ctx, 0, time.Hour)
	server.Restart(t)
	eventually(t, "it is woken again", func() bool { return woken(t, s, s) })
}

// A revocation that is undone must not be told, and one that is not must be told
// together with all that was done before it.
func TestChangesAreOfTheirTransaction(t *testing.T) {
	t.Parallel()
	s := open(t)
	live(t, s, "grant")
	head, err := s.Head(t.Context())
	ok(t, err)
	conn := connect(t, testpostgres.Shared(t))
	exec(t, conn, "ALTER TABLE "+in(s, "feed")+" ADD CHECK (kind <> 'grant')")
	if err := s.RevokeGrant(t.Context(), issuer, "grant"); err == nil {
		t.Fatal("no error")
	}
	_, err = s.Grant(t.Context(), issuer, "grant")
	ok(t, err)
	exec(t, conn, "ALTER TABLE "+in(s, "feed")+" DROP CONSTRAINT feed_kind_check")
	ok(t, s.RevokeGrant(t.Context(), issuer, "grant"))
	changes, position, err := s.Changes(t.Context(), head, 10)
	ok(t, err)
	if len(changes) != 1 || changes[0] != (storage.Change{Kind: storage.ChangeGrant, ID: "grant"}) || position>>historyBits != head>>historyBits+1 {
		t.Errorf("changes %v up to %d", changes, position)
	}
	checkFeed(t, s, conn)
}

// The feed is trimmed up to the first change that is young, even if the clock was
// set back between changes: a reader must never step over a hole.
func TestTrimmingLeavesNoHole(t *testing.T) {
	t.Parallel()
	s, clock := openAt(t)
	conn := connect(t, testpostgres.Shared(t))
	save := func() { ok(t, s.SaveAccount(t.Context(), storagetest.NewAccount("1", clock.Now()))) }
	save()
	first := positionOf(t, s, conn, 1)
	clock.Advance(2 * storage.FeedRetention)
	save()
	clock.Advance(-2 * storage.FeedRetention)
	save()
	clock.Advance(2 * storage.FeedRetention)
	_, err := s.Sweep(t.Context())
	ok(t, err)
	checkFeed(t, s, conn)
	_, _, err = s.Changes(t.Context(), 0, 10)
	wantErr(t, err, storage.ErrMissed)
	changes, _, err := s.Changes(t.Context(), first, 10)
	ok(t, err)
	if len(changes) != 2 {
		t.Errorf("%d changes after the first, want 2", len(changes))
	}
}

// A cluster of days with many revocations is trimmed in steps, and no change of
// the last hour goes with the old ones.
func TestTrimmingInSteps(t *testing.T) {
	t.Parallel()
	s, clock := openAt(t)
	conn := connect(t, testpostgres.Shared(t))
	ids := make([]string, 2*sweepStep+7)
	for i := range ids {
		ids[i] = "old"
	}
	announce := func(ids ...string) {
		_, err := write(t.Context(), s, "announce", func(w *tx) (nothing, error) {
			w.announce(storage.ChangeGrant, ids...)
			return nothing{}, nil
		})
		ok(t, err)
	}
	announce(ids...)
	last, before := positionOf(t, s, conn, len(ids)), positionOf(t, s, conn, len(ids)-1)
	clock.Advance(storage.FeedRetention)
	announce("young")
	clock.Advance(time.Minute)
	_, err := s.Sweep(t.Context())
	ok(t, err)
	checkFeed(t, s, conn)
	changes, _, err := s.Changes(t.Context(), last, 10)
	ok(t, err)
	if len(changes) != 1 || changes[0].ID != "young" {
		t.Errorf("changes %v", changes)
	}
	_, _, err = s.Changes(t.Context(), before, 10)
	wantErr(t, err, storage.ErrMissed)
}
