// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

const issuer = "https://a.example.com"

// open opens a store in a schema of its own on the shared server, without a
// sweeper, on the server's clock.
func open(t testing.TB) *Store {
	t.Helper()
	return openWith(t, Options{DSN: testpostgres.Shared(t).DSN(), Schema: testpostgres.NewSchema()})
}

// openAt is open on a clock that the test moves.
func openAt(t testing.TB) (*Store, *storagetest.Clock) {
	t.Helper()
	clock := storagetest.NewClock()
	return openWith(t, Options{DSN: testpostgres.Shared(t).DSN(), Schema: testpostgres.NewSchema(), Now: clock.Now}), clock
}

// openWith opens a store without a sweeper.
func openWith(t testing.TB, o Options) *Store {
	t.Helper()
	o.SweepInterval = -1
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// connect returns a connection of the superuser for looking over the shoulder.
func connect(t testing.TB, server *testpostgres.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// number is what a query for one number says.
func number(t testing.TB, q queryer, sql string, args ...any) (n int64) {
	t.Helper()
	if err := q.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// in names a table of the store.
func in(s *Store, table string) string {
	schema := strings.SplitN(s.sql.tables[clients.name].export, `"`, 3)[1]
	return pgx.Identifier{schema, table}.Sanitize()
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// eventually waits for a condition on the real clock.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// live creates a grant and redeems its code for the refresh secret "first".
func live(t testing.TB, s *Store, id string) {
	t.Helper()
	ok(t, s.CreateGrant(t.Context(), storagetest.NewGrant(issuer, id, s.now(time.Now()))))
	_, err := s.RedeemCode(t.Context(), issuer, id, storagetest.NewRedemption(id))
	ok(t, err)
}

// rotation exchanges a refresh secret for a successor.
func rotation(presented, successor storage.Hash) storage.Rotation {
	return storage.Rotation{
		Presented: presented, Successor: successor, Nonce: []byte("nonce"), TTL: time.Hour, Grace: time.Minute, UnusedGrace: time.Minute,
	}
}

// journal is a logger that tests read.
type journal struct {
	mu  sync.Mutex
	log strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// atOnce runs fn n times at the same time and returns the errors.
func atOnce(n int, fn func(i int) error) []error {
	var (
		errs  = make([]error, n)
		ready = make(chan struct{})
		wg    sync.WaitGroup
	)
	for i := range n {
		wg.Go(func() {
			<-ready
			errs[i] = fn(i)
		})
	}
	close(ready)
	wg.Wait()
	return errs
}

func allOK(t testing.TB, errs []error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("caller %d: %v", i, err)
		}
	}
}

// checkCounter fails unless the counter of unused clients is right.
func checkCounter(t testing.TB, s *Store, conn *pgx.Conn) {
	t.Helper()
	counted := number(t, conn, fmt.Sprintf("SELECT value FROM %s WHERE name = $1", in(s, "counters")), unusedClients)
	if there := number(t, conn, s.sql.countUnused); counted != there {
		t.Errorf("counted %d unused clients of %d", counted, there)
	}
}

// checkFeed fails unless the numbers of the positions in the feed have no gap and end at
// its head.
func checkFeed(t testing.TB, s *Store, conn *pgx.Conn) {
	t.Helper()
	head := number(t, conn, s.sql.feedHead)
	n := number(t, conn, "SELECT count(*) FROM "+in(s, "feed"))
	first := number(t, conn, "SELECT coalesce(min(position), 1) FROM "+in(s, "feed"))
	last := number(t, conn, "SELECT coalesce(max(position), 0) FROM "+in(s, "feed"))
	if n > 0 && (last != head || first>>historyBits+n-1 != last>>historyBits) {
		t.Errorf("%d changes from %d to %d, head %d", n, first, last, head)
	}
}

// positionOf is the position of the n-th change of a feed that was not trimmed yet.
func positionOf(t testing.TB, s *Store, conn *pgx.Conn, n int) uint64 {
	t.Helper()
	return uint64(number(t, conn, "SELECT position FROM "+in(s, "feed")+" ORDER BY position OFFSET $1 LIMIT 1", n-1))
}
