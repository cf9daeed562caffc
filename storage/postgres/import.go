// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// importStep is how many records are sent at once.
const importStep = 500

// Import implements storage.Archive. It is one transaction, so nothing of an
// import that failed is ever seen; gateways that write meanwhile wait, and begin anew
// when it ends.
func (s *Store) Import(ctx context.Context, entries iter.Seq2[storage.Entry, error]) error {
	const verb = "import"
	conn, err := s.acquire(ctx, s.pool)
	if err != nil {
		return explain(ctx, verb, err)
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return explain(ctx, verb, err)
	}
	fromCaller := error(nil)
	err = s.importIn(ctx, tx, entries, &fromCaller)
	if err == nil && fromCaller == nil {
		err = tx.Commit(ctx)
		return explain(ctx, verb, err)
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(undo) // or the server does, when the connection closes
	if fromCaller != nil {
		return fmt.Errorf("%s: %w", verb, fromCaller)
	}
	return explain(ctx, verb, err)
}

func (s *Store) importIn(ctx context.Context, tx pgx.Tx, entries iter.Seq2[storage.Entry, error], fromCaller *error) error {
	if err := s.lockEmpty(ctx, tx); err != nil {
		return err
	}
	in := newImporter(tx, s.sql)
	for entry, err := range entries {
		if err != nil {
			*fromCaller = err
			return nil
		}
		if err := in.add(ctx, entry); err != nil {
			return err
		}
	}
	if err := in.send(ctx); err != nil {
		return err
	}
	var unused int64
	if err := tx.QueryRow(ctx, s.sql.countUnused).Scan(&unused); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, s.sql.counterSet, unusedClients, unused); err != nil {
		return err
	}
	return s.beginFeed(ctx, tx)
}

// beginFeed has gateways that run meanwhile forget what they hold in memory.
func (s *Store) beginFeed(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, s.sql.feedBegin[0]); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, s.sql.feedBegin[1], randomHistory())
	return err
}

// lockEmpty keeps everybody from writing, and refuses a store with any record in
// it, expired or not. The counter comes first, as wherever clients are changed: who
// holds it and waits for the table would else be waited for at the end.
func (s *Store) lockEmpty(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, s.sql.counterLock, unusedClients); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, s.sql.lockAll); err != nil {
		return err
	}
	var anything bool
	if err := tx.QueryRow(ctx, s.sql.anything).Scan(&anything); err != nil {
		return err
	}
	if anything {
		return storage.ErrNotEmpty
	}
	return nil
}

// importer collects records until there are enough to send. Where one comes twice
// the later one counts.
type importer struct {
	tx     pgx.Tx
	sql    *statements
	chests map[storage.Kind]chest
	queue  *pgx.Batch
}

func newImporter(tx pgx.Tx, sql *statements) *importer {
	in := &importer{tx: tx, sql: sql, chests: map[storage.Kind]chest{}, queue: &pgx.Batch{}}
	for _, c := range chests() {
		in.chests[c.kind] = c
	}
	return in
}

func (in *importer) add(ctx context.Context, entry storage.Entry) error {
	c, known := in.chests[entry.Kind]
	if !known {
		return fmt.Errorf("%w: of a kind this version does not know", storage.ErrFormat)
	}
	values, err := c.values(entry.Data)
	if err != nil {
		return err
	}
	in.queue.Queue(in.sql.tables[c.name].put, values...)
	if in.queue.Len() < importStep {
		return nil
	}
	return in.send(ctx)
}

func (in *importer) send(ctx context.Context) error {
	batch := in.queue
	in.queue = &pgx.Batch{}
	return in.tx.SendBatch(ctx, batch).Close()
}
