// SPDX-License-Identifier: Apache-2.0

// Package postgres keeps the state of any number of gateways in PostgreSQL.
//
// A verb that one statement can do is one statement. Every other one is a short
// transaction that locks its record, runs the step of package storage in Go, and
// writes what came of it: there is one implementation of each step for all
// engines, and fields that this version does not know are kept. It takes two
// round trips, see tx. READ COMMITTED is enough for that, and prepared statements
// are not needed, so a pooler in between may work per transaction.
//
// The clock is the server's. All gateways agree on it, however wrong their own is.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Store is a storage.Store, storage.Feed and storage.Archive in one schema of a
// PostgreSQL database.
type Store struct {
	pool      *pgxpool.Pool
	feedPool  *pgxpool.Pool // of one connection, for who reads the feed
	connect   connector
	login     *atomic.Pointer[login]
	sql       *statements
	clock     func() time.Time // nil: the server's
	log       *slog.Logger
	maxUnused int
	patience  time.Duration
	listener  *listener

	// life ends when Close begins.
	life       context.Context //nolint:containedctx // of the background work, not of a call
	end        context.CancelFunc
	closeOnce  sync.Once
	background sync.WaitGroup
}

var (
	_ storage.Store   = (*Store)(nil)
	_ storage.Feed    = (*Store)(nil)
	_ storage.Archive = (*Store)(nil)
)

// Open connects to the database, checks that it can keep what it acknowledges,
// and creates or updates the schema. A database that cannot be reached now is an
// error; one that goes away later fails the verbs called meanwhile and is used
// again as soon as it is back. No error says a password.
func Open(ctx context.Context, options Options) (*Store, error) {
	o := options.withDefaults()
	config, err := o.poolConfig()
	if err != nil {
		return nil, explainOpen(o, err)
	}
	current := new(atomic.Pointer[login])
	current.Store(o.login(config))
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { return current.Load().apply(c) }
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, explainOpen(o, err)
	}
	// Verbs that wait for each other, however many, do not keep revocations away.
	feedConfig := config.Copy()
	feedConfig.MaxConns, feedConfig.MinConns, feedConfig.MinIdleConns = 1, 0, 0
	feedPool, err := pgxpool.NewWithConfig(ctx, feedConfig)
	if err != nil {
		pool.Close()
		return nil, explainOpen(o, err)
	}
	s := &Store{
		pool: pool, feedPool: feedPool, login: current, sql: newStatements(o.Schema), clock: o.Now, log: o.Logger, maxUnused: o.MaxUnusedClients,
		patience: verbPatience,
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.connect = connectorOf(config)
	s.listener = newListener(s.connect, s.sql.channel, o.Logger)
	if err := s.prepare(ctx, o.Schema); err != nil {
		s.end()
		pool.Close()
		feedPool.Close()
		return nil, explainOpen(o, err)
	}
	s.startSweeper(o.SweepInterval)
	s.background.Go(func() { s.listener.run(s.life) })
	return s, nil
}

// prepare makes the database ready for use.
func (s *Store) prepare(ctx context.Context, schema string) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := checkServer(ctx, conn.Conn(), s.log); err != nil {
		return err
	}
	return migrate(ctx, conn.Conn(), schema, known())
}

// Close waits for the calls that are under way and closes all connections. A
// second Close answers storage.ErrClosed like every other later call.
func (s *Store) Close() error {
	err := storage.ErrClosed
	s.closeOnce.Do(func() {
		s.end()
		s.background.Wait()
		s.pool.Close()
		s.feedPool.Close()
		err = nil
	})
	return err
}

// now is the time a verb goes by, where the server's clock says server. Columns
// hold microseconds: with a finer clock they would disagree with the records.
func (s *Store) now(server time.Time) time.Time {
	if s.clock != nil {
		server = s.clock()
	}
	return server.Round(0).UTC().Truncate(time.Microsecond)
}

// moment is the argument of statements that take the server's time themselves
// unless they are given another one.
func (s *Store) moment() any {
	if s.clock == nil {
		return nil
	}
	return s.now(time.Time{})
}

// nothing is the result of verbs that have none.
type nothing struct{}

func explainOpen(o Options, err error) error {
	return fmt.Errorf("open PostgreSQL schema %q: %w", o.Schema, clean(err))
}
