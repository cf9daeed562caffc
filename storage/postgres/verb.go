// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const (
	// maxAttempts bounds how often a verb is begun anew.
	maxAttempts = 8
	// retryPause is the longest pause before the second attempt; it doubles.
	retryPause = 4 * time.Millisecond
	// verbPatience bounds a verb whose caller would wait for ever.
	verbPatience = 15 * time.Second
)

// write runs a verb that takes several statements in a transaction. An error of
// the contract is an answer about the record: it comes back to the caller, and
// what the verb changed on the way to it stands. Any other error undoes the verb.
//
// It begins anew where nothing can have happened: after a deadlock, after a race
// for a key that was free, and where the connection was lost before the commit was
// sent. Once it was, and no answer came, the outcome is unknown and stays so.
func write[T any](ctx context.Context, s *Store, verb string, fn func(*tx) (T, error)) (T, error) {
	var result T
	err := s.again(ctx, s.pool, verb, func(ctx context.Context, conn *pgx.Conn) (outcome, error) {
		w := newTx(ctx, s, conn)
		var answer error
		result, answer = fn(w)
		switch {
		case answer != nil && !isAnswer(answer):
			w.rollback()
			return w.outcomeOf(answer), answer
		case !w.changed:
			w.rollback()
			return settled, answer
		}
		if err := w.commit(); err != nil {
			w.rollback()
			return w.outcomeOf(err), err
		}
		return settled, answer
	})
	if err != nil && !isAnswer(err) {
		var none T
		return none, err
	}
	return result, err
}

// once runs a verb that is one statement, which the server does whole or not at
// all. repeatable says that doing it twice is no harm.
func once(ctx context.Context, s *Store, verb string, repeatable bool, fn func(context.Context, *pgx.Conn) error) error {
	return onceOn(ctx, s, s.pool, verb, repeatable, fn)
}

func onceOn(
	ctx context.Context, s *Store, pool *pgxpool.Pool, verb string, repeatable bool, fn func(context.Context, *pgx.Conn) error,
) error {
	return s.again(ctx, pool, verb, func(ctx context.Context, conn *pgx.Conn) (outcome, error) {
		err := fn(ctx, conn)
		if err == nil || isAnswer(err) {
			return settled, err
		}
		return outcomeOf(err, !repeatable), err
	})
}

// attempt is one try of a verb on a connection of the pool.
type attempt func(context.Context, *pgx.Conn) (outcome, error)

// again makes attempts until the outcome of one is settled, or for too long: a
// network that swallows everything must not make requests hang.
func (s *Store) again(caller context.Context, pool *pgxpool.Pool, verb string, try attempt) error {
	ctx, cancel := context.WithTimeout(caller, s.patience)
	defer cancel()
	err := s.tryAgain(ctx, pool, try)
	if err != nil && !isAnswer(err) && ctx.Err() != nil && caller.Err() == nil {
		return fmt.Errorf("%s: no answer from PostgreSQL within %v", verb, s.patience)
	}
	return explain(caller, verb, err)
}

func (s *Store) tryAgain(ctx context.Context, pool *pgxpool.Pool, try attempt) error {
	for n := 1; ; n++ {
		conn, err := s.acquire(ctx, pool)
		if err != nil {
			return err
		}
		var o outcome
		o, err = runOn(ctx, conn, try)
		if o == settled || n == maxAttempts || ctx.Err() != nil || !s.pause(ctx, n) {
			return err
		}
	}
}

func (s *Store) acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	switch {
	case s.life.Err() != nil:
		return nil, storage.ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	conn, err := pool.Acquire(ctx)
	if err != nil && s.life.Err() != nil {
		return nil, storage.ErrClosed // before anything was asked for
	}
	return conn, err
}

func runOn(ctx context.Context, conn *pgxpool.Conn, try attempt) (outcome, error) {
	defer conn.Release() // closes it where it is not fit for use any more
	o, err := try(ctx, conn.Conn())
	if demoted(err) {
		closeNow(ctx, conn.Conn())
	}
	return o, err
}

// closeNow ends a connection to a server that is of no use, for a new one to find
// a better one.
func closeNow(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = conn.Close(ctx)
}

// pause waits a random time before another attempt, for those who met to miss
// each other. It reports whether the caller still waits.
func (s *Store) pause(ctx context.Context, n int) bool {
	longest := retryPause << min(n-1, 6)
	d, err := rand.Int(rand.Reader, big.NewInt(int64(longest)))
	if err != nil {
		return false
	}
	timer := time.NewTimer(time.Duration(d.Int64()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.life.Done():
		return false
	}
}

// create stores a new record of a kind that ends, storage.ErrExists if its key is
// taken.
func create[R storage.Record](ctx context.Context, s *Store, verb string, t table[R], rec *R) error {
	raw, err := storage.Encode(rec)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	args := append([]any{s.moment()}, t.arguments(rec, raw)...)
	return once(ctx, s, verb, false, func(ctx context.Context, conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, s.sql.tables[t.name].create, args...)
		if err == nil && tag.RowsAffected() == 0 {
			return storage.ErrExists
		}
		return err
	})
}

// read returns a record, storage.ErrNotFound if there is none.
func read[R storage.Record](ctx context.Context, s *Store, verb string, t table[R], key []byte) (*R, error) {
	return fetch(ctx, s, verb, true, t, s.sql.tables[t.name].get, key)
}

// fetch runs a statement that returns the record of a key and the time.
func fetch[R storage.Record](ctx context.Context, s *Store, verb string, repeatable bool, t table[R], sql string, key []byte) (*R, error) {
	rec, _, err := fetchWithTime(ctx, s, verb, repeatable, t, sql, key)
	return rec, err
}

func fetchWithTime[R storage.Record](
	ctx context.Context, s *Store, verb string, repeatable bool, t table[R], sql string, key []byte,
) (rec *R, now time.Time, err error) {
	err = once(ctx, s, verb, repeatable, func(ctx context.Context, conn *pgx.Conn) error {
		var raw []byte
		if err := conn.QueryRow(ctx, sql, key).Scan(&raw, &now); err != nil {
			return err
		}
		found, err := t.decode(key, raw)
		if err != nil {
			return err
		}
		now = s.now(now)
		rec, err = t.live(found, now)
		return err
	})
	return rec, now, err
}

// list returns the records of an owner that are not past their end. One that
// cannot be read is left out.
func list[R storage.Record](ctx context.Context, s *Store, verb string, t table[R], sql string, owner []byte) (all []*R, err error) {
	err = once(ctx, s, verb, true, func(ctx context.Context, conn *pgx.Conn) error {
		all = nil
		rows, err := conn.Query(ctx, sql, owner)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				key, raw []byte
				now      time.Time
			)
			if err := rows.Scan(&key, &raw, &now); err != nil {
				return err
			}
			found, err := t.decode(key, raw)
			if err != nil || t.expired(found.rec, s.now(now)) {
				continue
			}
			all = append(all, found.rec)
		}
		return rows.Err()
	})
	return all, err
}

// exec runs a verb that is one statement without an answer. All of them delete,
// which done twice is done once.
func (s *Store) exec(ctx context.Context, verb, sql string, args ...any) error {
	return once(ctx, s, verb, true, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, args...)
		return err
	})
}
