// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// Two gateways lock the same rows in opposite orders. No verb does, but operators
// with a console do; the server ends one of the two, whose caller need not know.
func TestDeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	names := []string{unusedClients, "feed head"}
	var attempts atomic.Int64
	first := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	allOK(t, atOnce(2, func(i int) error {
		begun := false
		_, err := write(t.Context(), s, "deadlock", func(w *tx) (nothing, error) {
			attempts.Add(1)
			w.lockCounter(names[i])
			if err := w.flush(); err != nil {
				return nothing{}, err
			}
			if !begun {
				begun = true
				close(first[i])
				<-first[1-i]
			}
			w.lockCounter(names[1-i])
			w.addTo(names[1-i], 1)
			return nothing{}, w.flush()
		})
		return err
	}))
	if n := attempts.Load(); n < 3 {
		t.Errorf("%d attempts: there was no deadlock", n)
	}
	conn := connect(t, testpostgres.Shared(t))
	if n := number(t, conn, "SELECT sum(value)::bigint FROM "+in(s, "counters")); n != 2 {
		t.Errorf("counters add up to %d, want 2: each change once", n)
	}
}

// Attempts are bounded: what never succeeds is a failure, not a loop.
func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, code := range []string{codeDeadlock, codeSerialization, codeUniqueViolation} {
		n := 0
		_, err := write(t.Context(), s, "verb", func(w *tx) (nothing, error) {
			n++
			return nothing{}, &pgconn.PgError{Code: code, Message: "no"}
		})
		if err == nil || n != maxAttempts || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %d attempts, error %v", code, n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	_, err := write(ctx, s, "verb", func(*tx) (nothing, error) {
		n++
		cancel()
		return nothing{}, &pgconn.PgError{Code: codeDeadlock}
	})
	wantErr(t, err, context.Canceled)
	if n != 1 {
		t.Errorf("%d attempts for a caller that left", n)
	}
}

// slowCommit makes every commit that changed a grant wait before it is done, as
// one that waits for a standby does.
func slowCommit(t *testing.T, s *Store, conn *pgx.Conn, seconds string) {
	t.Helper()
	name := in(s, "slow")
	exec(t, conn, "CREATE FUNCTION "+name+"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep("+seconds+"); RETURN NULL; END $$")
	exec(t, conn, "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE OR DELETE ON "+in(s, "grants")+
		" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "+name+"()")
}

// The caller's time is up while the commit is on its way. Nobody knows what came
// of it, so it is neither acknowledged nor tried again.
func TestContextThatEndsDuringCommit(t *testing.T) {
	t.Parallel()
	s := open(t)
	live(t, s, "grant")
	slowCommit(t, s, connect(t, testpostgres.Shared(t)), "1")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, err := s.RotateRefresh(ctx, issuer, "grant", rotation(storagetest.NewRedemption("grant").Refresh, storage.Hash{1}))
	wantErr(t, err, context.DeadlineExceeded)
	if r != nil {
		t.Errorf("rotated %v", r)
	}
	// Whole or not at all: the presented secret is answered either way.
	_, err = s.RotateRefresh(t.Context(), issuer, "grant", rotation(storagetest.NewRedemption("grant").Refresh, storage.Hash{2}))
	ok(t, err)
}

// The server ends the session in the middle of a commit. The transaction may have
// been done, so doing it again could do it twice.
func TestConnectionLostDuringCommit(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn := connect(t, testpostgres.Shared(t))
	live(t, s, "grant")
	slowCommit(t, s, conn, "5")
	var attempts, pid atomic.Int64
	done := make(chan error, 1)
	go func() {
		_, err := write(t.Context(), s, "verb", func(w *tx) (nothing, error) {
			attempts.Add(1)
			pid.Store(int64(w.conn.PgConn().PID()))
			grants.remove(w, keyOf(issuer, "grant"))
			return nothing{}, nil
		})
		done <- err
	}()
	eventually(t, "the commit waits", func() bool {
		return number(t, conn, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", pid.Load()) == 1
	})
	exec(t, conn, "SELECT pg_terminate_backend($1::int)", pid.Load())
	if err := <-done; err == nil || isAnswer(err) {
		t.Fatalf("error %v, want a failure", err)
	}
	if n := attempts.Load(); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

// A session that ends before the commit was sent has done nothing: the caller
// does not notice.
func TestConnectionLostBeforeCommit(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn := connect(t, testpostgres.Shared(t))
	live(t, s, "grant")
	attempts := 0
	_, err := write(t.Context(), s, "verb", func(w *tx) (nothing, error) {
		if attempts++; attempts == 1 {
			exec(t, conn, "SELECT pg_terminate_backend($1::int)", int64(w.conn.PgConn().PID()))
		}
		_, err := grants.get(w, keyOf(issuer, "grant"))
		if err == nil {
			grants.remove(w, keyOf(issuer, "grant"))
		}
		return nothing{}, err
	})
	ok(t, err)
	if attempts != 2 {
		t.Errorf("%d attempts, want 2", attempts)
	}
}

// Revocations take turns at the feed. Refreshes are a thousand times as many and
// must not.
func TestRotationDoesNotWaitForTheFeed(t *testing.T) {
	t.Parallel()
	s := open(t)
	live(t, s, "grant")
	live(t, s, "revoked")
	conn := connect(t, testpostgres.Shared(t))
	tx, err := conn.Begin(t.Context())
	ok(t, err)
	_, err = tx.Exec(t.Context(), "SELECT value FROM "+in(s, "counters")+" WHERE name = 'feed head' FOR UPDATE")
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	wantErr(t, s.RevokeGrant(ctx, issuer, "revoked"), context.DeadlineExceeded)
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = s.RotateRefresh(ctx, issuer, "grant", rotation(storagetest.NewRedemption("grant").Refresh, storage.Hash{1}))
	ok(t, err)
	ok(t, s.CreateGrant(ctx, storagetest.NewGrant(issuer, "another", time.Now())))
	_, err = s.RedeemCode(ctx, issuer, "another", storagetest.NewRedemption("another"))
	ok(t, err)
	ok(t, tx.Rollback(t.Context()))
	ok(t, s.RevokeGrant(t.Context(), issuer, "revoked"))
	checkFeed(t, s, conn)
}

// All connections are busy. Who waits for one leaves when its caller does.
func TestPoolExhaustionRespectsTheContext(t *testing.T) {
	t.Parallel()
	s := openWith(t, Options{DSN: testpostgres.Shared(t).DSN(), Schema: testpostgres.NewSchema(), MaxConnections: 1})
	conn, err := s.pool.Acquire(t.Context())
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, err := range atOnce(64, func(int) error { return s.CreateGrant(ctx, storagetest.NewGrant(issuer, "grant", time.Now())) }) {
		wantErr(t, err, context.DeadlineExceeded)
	}
	conn.Release()
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, "grant", time.Now())))
}

// A gateway is suspended, or its network cable pulled, while it holds a lock. The
// server lets go of it after a while, and before that nobody waits for ever.
func TestSuspendedGatewayLetsGo(t *testing.T) {
	t.Parallel()
	s := open(t)
	live(t, s, "grant")
	_, err := write(t.Context(), s, "verb", func(w *tx) (nothing, error) {
		var patience string
		w.read("SHOW idle_in_transaction_session_timeout", nil, func(rows pgx.Rows) error { return rows.Scan(&patience) })
		if err := w.flush(); err != nil || patience != "10s" {
			t.Errorf("patience %q, error %v", patience, err)
		}
		return nothing{}, nil
	})
	ok(t, err)
	conn, err := s.pool.Acquire(t.Context())
	ok(t, err)
	defer conn.Release()
	var after string
	ok(t, conn.QueryRow(t.Context(), "SHOW idle_in_transaction_session_timeout").Scan(&after))
	if after != "0" {
		t.Errorf("the patience of a transaction stayed with its connection: %s", after)
	}
}

// Roles may have defaults of their own, which a verb does not go by.
func TestDefaultsOfTheRole(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t)
	admin := connect(t, server)
	exec(t, admin, "CREATE ROLE strict LOGIN SUPERUSER; ALTER ROLE strict SET default_transaction_isolation = 'serializable'; "+
		"ALTER ROLE strict SET search_path = 'nowhere'; ALTER ROLE strict SET timezone = 'Pacific/Apia'; "+
		"ALTER ROLE strict SET datestyle = 'SQL, DMY'; ALTER ROLE strict SET bytea_output = 'escape'; ALTER ROLE strict SET standard_conforming_strings = off")
	s := openWith(t, Options{DSN: server.DSNOf("strict", "")})
	everyVerb(t, s)
	live(t, s, "contested")
	var won atomic.Int64
	allOK(t, atOnce(32, func(i int) error {
		r, err := s.RotateRefresh(t.Context(), issuer, "contested", rotation(storagetest.NewRedemption("contested").Refresh, storage.Hash{byte(i + 1)}))
		if err == nil && !r.Repeat {
			won.Add(1)
		}
		return err
	}))
	if won.Load() != 1 {
		t.Errorf("%d rotations of one secret, want 1", won.Load())
	}
}

// After Close nothing is under way any more, and what was is done.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 10 {
		live(t, s, string(rune('a'+i)))
	}
	started, results := make(chan struct{}, 10), make(chan error, 10)
	for i := range 10 {
		go func() {
			started <- struct{}{}
			results <- s.RevokeGrant(context.Background(), issuer, string(rune('a'+i)))
		}()
	}
	for range 10 {
		<-started
	}
	ok(t, s.Close())
	wantErr(t, s.Close(), storage.ErrClosed)
	for range 10 {
		if err := <-results; err != nil && !errors.Is(err, storage.ErrClosed) {
			t.Errorf("a verb during close: %v", err)
		}
	}
	_, err := s.Grant(t.Context(), issuer, "a")
	wantErr(t, err, storage.ErrClosed)
}

// Somebody reads an export slowly, or has forgotten it. The server shuts down all
// the same.
func TestCloseDoesNotWaitForAnExport(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 3 {
		ok(t, s.SaveAccount(t.Context(), storagetest.NewAccount(string(rune('a'+i)), time.Now())))
	}
	n, last := 0, error(nil)
	for _, err := range s.Export(t.Context()) {
		if last = err; n == 0 {
			ok(t, s.Close()) // in the middle of it
		}
		n++
	}
	// What had been read is as good as before, but nobody may take it for all.
	if last != nil {
		wantErr(t, last, storage.ErrClosed)
	} else if n != 3 {
		t.Errorf("%d records and no error", n)
	}
}
