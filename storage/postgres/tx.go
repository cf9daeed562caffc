// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tx is one short transaction. Statements wait in a queue until an answer is
// needed, so that most transactions take two round trips: begin and lock, then
// change and commit. They say so themselves to be READ COMMITTED and writable,
// whatever the role's defaults are: a row that was waited for is read as it is
// after the wait.
type tx struct {
	ctx   context.Context //nolint:containedctx // of the verb, which the tx does not outlive
	store *Store
	conn  *pgx.Conn
	queue *pgx.Batch
	open  bool // begin was sent
	// changed says that there is something to commit.
	changed bool
	// committing: from here on an error may hide a success.
	committing bool
	// now is the time of the transaction, read after its first locks were there.
	now time.Time
}

const (
	beginSQL = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
	// A gateway that is suspended in the middle must not hold a lock for ever.
	patienceSQL = "SET LOCAL idle_in_transaction_session_timeout = '10s'"
	timeSQL     = "SELECT clock_timestamp()"
	commitSQL   = "COMMIT"
	rollbackSQL = "ROLLBACK"

	rollbackTimeout = time.Second
)

// errRolledBack: the server answers a commit after a failed statement with success,
// and says what it did instead.
var errRolledBack = advice("the transaction was rolled back")

func newTx(ctx context.Context, s *Store, conn *pgx.Conn) *tx {
	w := &tx{ctx: ctx, store: s, conn: conn, queue: &pgx.Batch{}}
	w.queue.Queue(beginSQL)
	w.queue.Queue(patienceSQL)
	return w
}

// read queues a query. scan is called for every row during the next flush.
func (w *tx) read(sql string, args []any, scan func(pgx.Rows) error) {
	w.queue.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return nil
	})
}

// change queues a statement that changes something.
func (w *tx) change(sql string, args ...any) {
	w.changed = true
	w.queue.Queue(sql, args...)
}

// changeNow is change for a statement whose number of rows matters at once. With
// none there is nothing to commit on its account.
func (w *tx) changeNow(sql string, args ...any) (rows int64, err error) {
	w.queue.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		rows = tag.RowsAffected()
		return nil
	})
	err = w.flush()
	w.changed = w.changed || rows > 0
	return rows, err
}

// flush sends what is queued and waits for the answers.
func (w *tx) flush() error {
	if w.now.IsZero() {
		w.queue.Queue(timeSQL).QueryRow(func(row pgx.Row) error {
			var server time.Time
			err := row.Scan(&server)
			w.now = w.store.now(server)
			return err
		})
	}
	return w.send()
}

func (w *tx) send() error {
	batch := w.queue
	w.queue, w.open = &pgx.Batch{}, true
	return w.conn.SendBatch(w.ctx, batch).Close()
}

// commit sends what is queued with the commit after it. A statement that fails
// keeps those after it from being run.
func (w *tx) commit() error {
	w.queue.Queue(commitSQL).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != commitSQL {
			return errRolledBack
		}
		return nil
	})
	w.committing = true
	return w.send()
}

// rollback gives the connection back as it was. It is done for a caller that has
// left, too.
func (w *tx) rollback() {
	if !w.open || w.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), rollbackTimeout)
	defer cancel()
	// If it fails the connection is closed, and the server rolls back by itself.
	_, _ = w.conn.Exec(ctx, rollbackSQL)
}
