// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// table is one kind of record with its indexes. It keeps the two in step;
// nothing else writes to their buckets.
type table[R storage.Record] struct {
	bucket  []byte
	key     func(*R) key
	expired func(*R, time.Time) bool
	indexes []index[R]
}

// writeTx is one write transaction while it runs one call's function.
type writeTx struct {
	tx *bbolt.Tx
	// now is the time of this call.
	now time.Time
	// changed says that there is something to commit.
	changed bool
}

// get returns the record at k, storage.ErrNotFound if there is none or it is
// past its end.
func (t table[R]) get(tx *bbolt.Tx, k key, now time.Time) (*R, error) {
	rec, _, err := t.load(tx, k)
	if err != nil {
		return nil, err
	}
	if rec == nil || t.expired(rec, now) {
		return nil, storage.ErrNotFound
	}
	return rec, nil
}

// load returns the record at k with its stored form, both nil if there is none.
func (t table[R]) load(tx *bbolt.Tx, k key) (*R, []byte, error) {
	raw := tx.Bucket(t.bucket).Get(k[:])
	if raw == nil {
		return nil, nil, nil
	}
	rec, err := storage.Decode[R](raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.bucket, err)
	}
	if t.key(rec) != k {
		return nil, nil, fmt.Errorf("%s: a record lies under another one's key: %w", t.bucket, ErrDamaged)
	}
	return rec, raw, nil
}

// insert stores a new record, storage.ErrExists if its key is taken. One past
// its end does not hold the key.
func (t table[R]) insert(w *writeTx, rec *R) error {
	k := t.key(rec)
	old, _, err := t.load(w.tx, k)
	if err != nil {
		return err
	}
	if old != nil {
		if !t.expired(old, w.now) {
			return storage.ErrExists
		}
		if err := t.remove(w, k, old); err != nil {
			return err
		}
	}
	raw, err := storage.Encode(rec)
	if err != nil {
		return err
	}
	return t.put(w, k, rec, raw)
}

// replace stores rec in place of what lies at its key, if anything does.
func (t table[R]) replace(w *writeTx, rec *R) error {
	k := t.key(rec)
	old, oldRaw, err := t.load(w.tx, k)
	if err != nil {
		return err
	}
	if old == nil {
		return t.insert(w, rec)
	}
	raw, err := storage.Rewrite(oldRaw, rec)
	if err != nil {
		return err
	}
	for _, x := range t.indexes {
		if err := x.remove(w.tx, old, k); err != nil {
			return err
		}
	}
	return t.put(w, k, rec, raw)
}

func (t table[R]) put(w *writeTx, k key, rec *R, raw []byte) error {
	w.changed = true
	if err := w.tx.Bucket(t.bucket).Put(k[:], raw); err != nil {
		return fmt.Errorf("%s: %w", t.bucket, err)
	}
	for _, x := range t.indexes {
		if err := x.add(w.tx, rec, k); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes rec, which lies at k.
func (t table[R]) remove(w *writeTx, k key, rec *R) error {
	w.changed = true
	for _, x := range t.indexes {
		if err := x.remove(w.tx, rec, k); err != nil {
			return err
		}
	}
	if err := w.tx.Bucket(t.bucket).Delete(k[:]); err != nil {
		return fmt.Errorf("%s: %w", t.bucket, err)
	}
	return nil
}

// evict deletes the record an index named.
func (t table[R]) evict(w *writeTx, k key) error {
	rec, _, err := t.load(w.tx, k)
	if err != nil {
		return err
	}
	if rec == nil {
		return fmt.Errorf("%s: an index names a record that is not there: %w", t.bucket, ErrDamaged)
	}
	return t.remove(w, k, rec)
}

// drop deletes what lies at k, if anything does, expired or not, and even what
// cannot be read: its index entries then stay behind for the sweeper.
func (t table[R]) drop(w *writeTx, k key) error {
	rec, raw, err := t.load(w.tx, k)
	if err != nil {
		w.changed = true
		return w.tx.Bucket(t.bucket).Delete(k[:])
	}
	if raw == nil {
		return nil
	}
	return t.remove(w, k, rec)
}

func (t table[R]) buckets() [][]byte {
	names := [][]byte{t.bucket}
	for _, x := range t.indexes {
		names = append(names, x.bucket)
	}
	return names
}
