// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// fill creates n records of every kind that ends.
func fill(t testing.TB, s *Store, now time.Time, n int, prefix string) {
	t.Helper()
	allOK(t, atOnce(16, func(worker int) error {
		for i := worker; i < n; i += 16 {
			id := fmt.Sprint(prefix, i)
			for _, create := range []func() error{
				func() error { return s.CreateClient(t.Context(), storagetest.NewClient(issuer, id, now)) },
				func() error { return s.CreatePending(t.Context(), storagetest.NewPending(issuer, id, now)) },
				func() error { return s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, id, now)) },
				func() error { return s.CreateSession(t.Context(), storagetest.NewSession(issuer, id, now)) },
				func() error { return s.SaveConsent(t.Context(), storagetest.NewConsent(issuer, id, "github:1", now)) },
				func() error { return s.CreateKey(t.Context(), storagetest.NewKey(issuer, id, now)) },
			} {
				if err := create(); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

// rows is how many records of kinds that end there are.
func rows(t testing.TB, s *Store, q queryer) (n int64) {
	t.Helper()
	for _, l := range layouts() {
		if l.ends() {
			n += number(t, q, "SELECT count(*) FROM "+in(s, l.name))
		}
	}
	return n
}

func TestSweep(t *testing.T) {
	t.Parallel()
	s, clock := openAt(t)
	conn := connect(t, testpostgres.Shared(t))
	fill(t, s, clock.Now(), 20, "old")
	ok(t, s.RememberOnce(t.Context(), issuer, storage.Hash{1}, time.Minute))
	ok(t, s.KeepClient(t.Context(), issuer, "old1"))
	clock.Advance(100 * 24 * time.Hour)
	fill(t, s, clock.Now(), 20, "new")
	n, err := s.Sweep(t.Context())
	ok(t, err)
	if want := 6*20 + 1 - 1; n != want {
		t.Errorf("swept %d, want %d", n, want)
	}
	if left := rows(t, s, conn); left != 6*20+1 {
		t.Errorf("%d records left, want %d", left, 6*20+1)
	}
	if n, err = s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept again: %d, %v", n, err)
	}
	checkCounter(t, s, conn)
}

// Every gateway sweeps. Together they delete everything that ended once, nothing
// else, and meanwhile people sign in.
func TestManyGatewaysSweep(t *testing.T) {
	t.Parallel()
	s, clock := openAt(t)
	conn := connect(t, testpostgres.Shared(t))
	schema := strings.Split(in(s, "x"), `"`)[1]
	gateways := []*Store{s}
	for range 3 {
		gateways = append(gateways, openWith(t, Options{DSN: testpostgres.Shared(t).DSN(), Schema: schema, Now: clock.Now, MaxConnections: 3}))
	}
	const each = 2*sweepStep + 10
	fill(t, s, clock.Now(), each, "old")
	clock.Advance(100 * 24 * time.Hour)
	var total atomic.Int64
	allOK(t, atOnce(2*len(gateways), func(i int) error {
		g := gateways[i%len(gateways)]
		if i < len(gateways) {
			n, err := g.Sweep(t.Context())
			total.Add(int64(n))
			return err
		}
		for j := range 30 {
			id := fmt.Sprint("new", i, "-", j)
			if err := g.CreateClient(t.Context(), storagetest.NewClient(issuer, id, clock.Now())); err != nil {
				return err
			}
			if err := g.CreateGrant(t.Context(), storagetest.NewGrant(issuer, id, clock.Now())); err != nil {
				return err
			}
		}
		return nil
	}))
	// One that met the locks of the others may have stopped early.
	n, err := s.Sweep(t.Context())
	ok(t, err)
	if total.Add(int64(n)) != 6*each {
		t.Errorf("swept %d records, want %d", total.Load(), 6*each)
	}
	if left, want := rows(t, s, conn), int64(2*30*len(gateways)); left != want {
		t.Errorf("%d records left, want %d", left, want)
	}
	checkCounter(t, s, conn)
}

// A grant is refreshed in the moment in which its end comes. The sweeper must not
// delete what it saw before it had to wait.
func TestSweepLeavesWhatWasExtendedMeanwhile(t *testing.T) {
	t.Parallel()
	s, clock := openAt(t)
	ok(t, s.CreateSession(t.Context(), storagetest.NewSession(issuer, "cookie", clock.Now())))
	ok(t, s.CreateSession(t.Context(), storagetest.NewSession(issuer, "held", clock.Now())))
	conn := connect(t, testpostgres.Shared(t))
	tx, err := conn.Begin(t.Context())
	ok(t, err)
	held := keyOf(issuer, string(storagetest.NewSession(issuer, "held", clock.Now()).ID[:]))
	_, err = tx.Exec(t.Context(), "UPDATE "+in(s, "sessions")+" SET expires_at = 'infinity' WHERE key = $1", held)
	ok(t, err)
	clock.Advance(24 * time.Hour)
	n, err := s.Sweep(t.Context()) // does not wait for the one that is held
	ok(t, err)
	if n != 1 {
		t.Errorf("swept %d, want 1", n)
	}
	ok(t, tx.Commit(t.Context()))
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, error %v: it had been extended", n, err)
	}
}

// An operator deletes clients with a console. Registration must not be refused for
// ever because of clients that are counted and not there.
func TestCounterIsPutRight(t *testing.T) {
	t.Parallel()
	var log journal
	s := openWith(t, Options{DSN: testpostgres.Shared(t).DSN(), Schema: testpostgres.NewSchema(), MaxUnusedClients: 3, Logger: log.logger()})
	conn := connect(t, testpostgres.Shared(t))
	for i := range 3 {
		ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, fmt.Sprint(i), time.Now())))
	}
	exec(t, conn, "DELETE FROM "+in(s, "clients"))
	wantErr(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, "x", time.Now())), storage.ErrFull)
	_, err := s.Sweep(t.Context())
	ok(t, err)
	checkCounter(t, s, conn)
	ok(t, s.CreateClient(t.Context(), storagetest.NewClient(issuer, "x", time.Now())))
	if !strings.Contains(log.String(), "off_by=3") {
		t.Errorf("log: %s", log.String())
	}
}

// The number of unused clients is exact however registrations, sign-ins,
// deletions and sweeps meet.
func TestCounterUnderLoad(t *testing.T) {
	t.Parallel()
	s := openWith(t, Options{DSN: testpostgres.Shared(t).DSN(), Schema: testpostgres.NewSchema(), MaxUnusedClients: 20})
	conn := connect(t, testpostgres.Shared(t))
	const rounds = 12
	allOK(t, atOnce(24, func(i int) error {
		for j := range rounds {
			id := fmt.Sprint(i, "-", j)
			c := storagetest.NewClient(issuer, id, time.Now().Add(-time.Hour)) // old enough to be evicted
			if j%3 == 0 {
				c.ExpiresAt = time.Now().Add(time.Millisecond)
			}
			if err := s.CreateClient(t.Context(), c); err != nil {
				return err
			}
			var err error
			switch i % 4 {
			case 0:
				if err = s.KeepClient(t.Context(), issuer, id); errors.Is(err, storage.ErrNotFound) {
					err = nil // evicted meanwhile
				}
			case 1:
				_, err = s.DeleteClient(t.Context(), issuer, id)
			case 2:
				_, err = s.Sweep(t.Context())
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
	checkCounter(t, s, conn)
	if n := number(t, conn, s.sql.countUnused); n > 20 {
		t.Errorf("%d unused clients, at most 20 may be kept", n)
	}
}

// The store sweeps by itself, soon after it was opened.
func TestBackgroundSweep(t *testing.T) {
	t.Parallel()
	server := testpostgres.Shared(t)
	o := Options{DSN: server.DSN(), Schema: testpostgres.NewSchema()}
	s := openWith(t, o)
	fill(t, s, time.Now().Add(-1000*24*time.Hour), 5, "old")
	o.SweepInterval = 20 * time.Millisecond
	background, err := Open(t.Context(), o)
	ok(t, err)
	defer background.Close()
	conn := connect(t, server)
	eventually(t, "all is swept", func() bool { return rows(t, s, conn) == 0 })
	fill(t, s, time.Now().Add(-1000*24*time.Hour), 5, "later")
	eventually(t, "what came later is swept", func() bool { return rows(t, s, conn) == 0 })
	ok(t, background.Close())
}
