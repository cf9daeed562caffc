// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// layout is a table as statements see it: its name and its columns, of which the
// first is "key" and the last "data".
type layout struct {
	name    string
	columns []string
}

func (l layout) ends() bool { return slices.Contains(l.columns, "expires_at") }

// table is one kind of record.
type table[R storage.Record] struct {
	layout
	kind    storage.Kind
	key     func(*R) []byte
	expired func(*R, time.Time) bool
	// values are those of the columns between key and data.
	values func(*R) []any
}

// row is what a statement found of a record.
type row[R storage.Record] struct {
	rec  *R
	form storage.Form[R]
}

// errForeign: what lies under a key is another record. Nobody but a person with
// access to the database can have put it there.
var errForeign = errors.New("a record lies under another one's key")

// decode reads what was found under a key.
func (t table[R]) decode(key, raw []byte) (row[R], error) {
	rec, form, err := storage.Decode[R](raw)
	if err != nil {
		return row[R]{}, fmt.Errorf("%s: %w", t.name, err)
	}
	if !bytes.Equal(t.key(rec), key) {
		return row[R]{}, fmt.Errorf("%s: %w", t.name, errForeign)
	}
	return row[R]{rec: rec, form: form}, nil
}

// live returns the record if there is one that is not past its end.
func (t table[R]) live(found row[R], now time.Time) (*R, error) {
	if found.rec == nil || t.expired(found.rec, now) {
		return nil, storage.ErrNotFound
	}
	return found.rec, nil
}

// arguments are the values of all columns.
func (t table[R]) arguments(rec *R, raw []byte) []any {
	args := []any{t.key(rec)}
	if t.values != nil {
		args = append(args, t.values(rec)...)
	}
	return append(args, raw)
}

// lock queues the reading of a record that this transaction may change. Nobody
// else changes it before the transaction ends; a record that is not there is not
// held. The row is filled by the next flush.
func (t table[R]) lock(w *tx, key []byte) *row[R] {
	found := new(row[R])
	w.read(w.store.sql.tables[t.name].lock, []any{key}, func(rows pgx.Rows) error {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		var err error
		*found, err = t.decode(key, raw)
		return err
	})
	return found
}

// get is lock with what is there now, storage.ErrNotFound if nothing is.
func (t table[R]) get(w *tx, key []byte) (row[R], error) {
	found := t.lock(w, key)
	if err := w.flush(); err != nil {
		return row[R]{}, err
	}
	_, err := t.live(*found, w.now)
	return *found, err
}

// insert queues a new record. If the key is taken by the time it is there, the
// verb begins anew.
func (t table[R]) insert(w *tx, rec *R) error {
	raw, err := storage.Encode(rec)
	if err != nil {
		return err
	}
	w.change(w.store.sql.tables[t.name].insert, t.arguments(rec, raw)...)
	return nil
}

// replace queues rec in place of what lock found, if anything.
func (t table[R]) replace(w *tx, old row[R], rec *R) error {
	if old.rec == nil {
		return t.insert(w, rec)
	}
	raw, err := old.form.Rewrite(rec)
	if err != nil {
		return err
	}
	w.change(w.store.sql.tables[t.name].update, t.arguments(rec, raw)...)
	return nil
}

// remove queues the end of a record.
func (t table[R]) remove(w *tx, key []byte) { w.change(w.store.sql.tables[t.name].delete, key) }
