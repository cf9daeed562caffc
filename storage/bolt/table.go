// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
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
	groups  []group[R]
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

// load returns the record at k, nil if there is none, and its stored form.
func (t table[R]) load(tx *bbolt.Tx, k key) (rec *R, form storage.Form[R], err error) {
	raw := tx.Bucket(t.bucket).Get(k[:])
	if raw == nil {
		return nil, form, nil
	}
	rec, form, err = storage.Decode[R](raw)
	if err != nil {
		return nil, form, fmt.Errorf("%s: %w", t.bucket, err)
	}
	if t.key(rec) != k {
		return nil, form, fmt.Errorf("%s: a record lies under another one's key: %w", t.bucket, ErrDamaged)
	}
	return rec, form, nil
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
	old, form, err := t.load(w.tx, k)
	if err != nil {
		return err
	}
	if old == nil {
		return t.insert(w, rec)
	}
	return t.rewrite(w, k, form, t.listings(old, k), rec)
}

// edit lets change alter the record at k, and stores it where that says so. It is
// for verbs that look at what they replace: reading a record costs more than most
// of what is done with it, and all writes wait for one another.
func (t table[R]) edit(w *writeTx, k key, change func(*R) (changed bool, err error)) (*R, error) {
	rec, form, err := t.load(w.tx, k)
	if err != nil {
		return nil, err
	}
	if rec == nil || t.expired(rec, w.now) {
		return nil, storage.ErrNotFound
	}
	before := t.listings(rec, k)
	changed, err := change(rec)
	if err == nil && changed {
		err = t.rewrite(w, k, form, before, rec)
	}
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// rewrite stores rec in place of the record at k that was stored as old.
func (t table[R]) rewrite(w *writeTx, k key, old storage.Form[R], listed []listing, rec *R) error {
	raw, err := old.Rewrite(rec)
	if err != nil {
		return err
	}
	w.changed = true
	if err := w.tx.Bucket(t.bucket).Put(k[:], raw); err != nil {
		return fmt.Errorf("%s: %w", t.bucket, err)
	}
	return relist(w.tx, listed, t.listings(rec, k))
}

// put stores a record where there is none.
func (t table[R]) put(w *writeTx, k key, rec *R, raw []byte) error {
	w.changed = true
	if err := w.tx.Bucket(t.bucket).Put(k[:], raw); err != nil {
		return fmt.Errorf("%s: %w", t.bucket, err)
	}
	for _, l := range t.listings(rec, k) {
		if err := l.add(w.tx); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes rec, which lies at k.
func (t table[R]) remove(w *writeTx, k key, rec *R) error {
	w.changed = true
	for _, l := range t.listings(rec, k) {
		if err := l.remove(w.tx); err != nil {
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
// cannot be read.
func (t table[R]) drop(w *writeTx, k key) error {
	rec, _, err := t.load(w.tx, k)
	if err != nil {
		return t.forget(w, k)
	}
	if rec == nil {
		return nil
	}
	return t.remove(w, k, rec)
}

// forget deletes the unreadable record at k. What it was listed under it does
// not say, so every list is walked: slow, but it happens to damaged files only,
// and an entry left behind would count for ever.
func (t table[R]) forget(w *writeTx, k key) error {
	w.changed = true
	for _, x := range t.indexes {
		n, err := deleteEntriesOf(w.tx, x.bucket, k)
		if err != nil {
			return err
		}
		if err := x.count(w.tx, -n); err != nil {
			return err
		}
	}
	for _, g := range t.groups {
		if _, err := deleteEntriesOf(w.tx, g.bucket, k); err != nil {
			return err
		}
	}
	if err := w.tx.Bucket(t.bucket).Delete(k[:]); err != nil {
		return fmt.Errorf("%s: %w", t.bucket, err)
	}
	return nil
}

// deleteEntriesOf deletes the entries of a list that end in k and returns how
// many there were.
func deleteEntriesOf(tx *bbolt.Tx, bucket []byte, k key) (int, error) {
	var found [][]byte
	b := tx.Bucket(bucket)
	cursor := b.Cursor()
	for entry, _ := cursor.First(); entry != nil; entry, _ = cursor.Next() {
		if bytes.HasSuffix(entry, k[:]) {
			found = append(found, bytes.Clone(entry))
		}
	}
	for _, entry := range found {
		if err := b.Delete(entry); err != nil {
			return 0, fmt.Errorf("%s: %w", bucket, err)
		}
	}
	return len(found), nil
}

func (t table[R]) buckets() [][]byte {
	names := [][]byte{t.bucket}
	for _, x := range t.indexes {
		names = append(names, x.bucket)
	}
	for _, g := range t.groups {
		names = append(names, g.bucket)
	}
	return names
}
