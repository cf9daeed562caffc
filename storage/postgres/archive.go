// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"context"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Export implements storage.Archive. All records are of one moment, and they are
// read as they are yielded, not before. It has a connection of its own: neither
// sign-ins nor Close wait for who reads slowly.
func (s *Store) Export(ctx context.Context) iter.Seq2[storage.Entry, error] {
	const verb = "export"
	return func(yield func(storage.Entry, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.life, cancel)()
		stopped := false
		err := s.export(ctx, func(e storage.Entry) bool {
			stopped = !yield(e, nil)
			return !stopped
		})
		if err == nil || stopped {
			return
		}
		if s.life.Err() != nil {
			err = storage.ErrClosed
		}
		yield(storage.Entry{}, explain(ctx, verb, err))
	}
}

func (s *Store) export(ctx context.Context, yield func(storage.Entry) bool) error {
	if s.life.Err() != nil {
		return storage.ErrClosed
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer closeNow(ctx, conn)
	snapshot, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	var now time.Time
	if err := snapshot.QueryRow(ctx, timeSQL).Scan(&now); err != nil {
		return err
	}
	now = s.now(now)
	for _, c := range chests() {
		more, err := c.export(ctx, snapshot, s.sql.tables[c.name].export, now, yield)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// chest is a table of records of any kind, for the archive.
type chest struct {
	layout
	kind   storage.Kind
	export func(ctx context.Context, tx pgx.Tx, sql string, now time.Time, yield func(storage.Entry) bool) (more bool, err error)
	// values reads a record and returns the values of all columns.
	values func(data []byte) ([]any, error)
}

func chests() []chest {
	return []chest{
		chestOf(clients), chestOf(pendings), chestOf(accounts), chestOf(grants),
		chestOf(sessions), chestOf(consents), chestOf(usedIDs), chestOf(signingKeys),
	}
}

func chestOf[R storage.Record](t table[R]) chest {
	return chest{
		layout: t.layout, kind: t.kind,
		export: t.export,
		values: func(data []byte) ([]any, error) {
			rec, _, err := storage.Decode[R](data)
			if err != nil {
				return nil, err
			}
			return t.arguments(rec, bytes.Clone(data)), nil // the caller may use its memory again
		},
	}
}

// export yields the records that are not past their end.
func (t table[R]) export(ctx context.Context, tx pgx.Tx, sql string, now time.Time, yield func(storage.Entry) bool) (more bool, err error) {
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return false, err
		}
		rec, _, err := storage.Decode[R](raw)
		if err != nil {
			return false, err
		}
		if !t.expired(rec, now) && !yield(storage.Entry{Kind: t.kind, Data: raw}) {
			return false, nil
		}
	}
	return true, rows.Err()
}
