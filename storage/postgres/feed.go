// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// A position is a number that goes up by one with each change, and behind it a random
// part. That tells histories apart: after a failover to a standby that lagged, or a
// restore, other changes get the numbers of those that were lost, and whoever has seen
// the lost ones must not go on as if nothing had happened.
const historyBits = 20

func randomHistory() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:]) & (1<<historyBits - 1))
}

// announce queues changes for the feed and the call that wakes who waits for them.
// It comes last in a transaction: from here to the commit everybody else who has
// something to announce waits.
func (w *tx) announce(kind storage.ChangeKind, ids ...string) {
	raw := make([][]byte, len(ids))
	for i, id := range ids {
		raw[i] = []byte(id)
	}
	if len(raw) == 0 {
		return
	}
	w.change(w.store.sql.feedAppend, string(kind), raw, w.store.moment(), randomHistory())
	w.queue.Queue("SELECT pg_notify($1, '')", w.store.sql.channel)
}

// Head implements storage.Feed.
func (s *Store) Head(ctx context.Context) (position uint64, err error) {
	err = onceOn(ctx, s, s.feedPool, "read head of feed", true, func(ctx context.Context, conn *pgx.Conn) error {
		var head int64
		err := conn.QueryRow(ctx, s.sql.feedHead).Scan(&head)
		position = uint64(head)
		return err
	})
	return position, err
}

// Changes implements storage.Feed. ErrMissed is also the answer to a position that this
// database never had, or has no more.
func (s *Store) Changes(ctx context.Context, after uint64, limit int) (changes []storage.Change, position uint64, err error) {
	if after > math.MaxInt64 {
		return nil, 0, storage.ErrMissed
	}
	err = onceOn(ctx, s, s.feedPool, "read feed", true, func(ctx context.Context, conn *pgx.Conn) error {
		changes, position = nil, after
		rows, err := conn.Query(ctx, s.sql.feedChanges, int64(after), max(limit, 1))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				known bool
				at    *int64
				kind  *string
				id    []byte
			)
			if err := rows.Scan(&known, &at, &kind, &id); err != nil {
				return err
			}
			if !known {
				return storage.ErrMissed
			}
			if at != nil {
				changes = append(changes, storage.Change{Kind: storage.ChangeKind(*kind), ID: string(id)})
				position = uint64(*at)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, 0, err
	}
	return changes, position, nil
}

// Wait implements storage.Feed. Where notifications do not come, behind a pooler
// that works per transaction for example, it returns at its limit.
func (s *Store) Wait(ctx context.Context, after uint64, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	woken := s.listener.next()
	// Only now, so that no change falls between the look and the wait.
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if head, err := s.Head(ctx); err == nil && head != after {
		return
	}
	select {
	case <-woken:
	case <-timer.C:
	case <-ctx.Done():
	case <-s.life.Done():
	}
}

// trimFeed drops changes that are older than they have to be kept, and remembers
// up to where.
func (s *Store) trimFeed(ctx context.Context) (int, error) {
	return write(ctx, s, "trim feed", func(w *tx) (int, error) {
		var dropped, last int64
		w.read(s.sql.feedTrim, []any{s.moment(), sweepStep, storage.FeedRetention}, func(rows pgx.Rows) error {
			return rows.Scan(&dropped, &last)
		})
		if err := w.flush(); err != nil {
			return 0, err
		}
		if dropped > 0 {
			w.change(s.sql.feedTrimmed, last)
		}
		return int(dropped), nil
	})
}
