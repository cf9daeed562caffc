// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// index lists the records of a table in the order of one of their times.
type index[R storage.Record] struct {
	bucket []byte
	// at is the time a record is listed under; false leaves it out.
	at func(*R) (time.Time, bool)
	// counted keeps the number of entries, which bbolt can only tell by a walk.
	counted bool
}

func (x index[R]) add(tx *bbolt.Tx, rec *R, k key) error {
	t, listed := x.at(rec)
	if !listed {
		return nil
	}
	if err := tx.Bucket(x.bucket).Put(entryOf(t, k), nil); err != nil {
		return fmt.Errorf("index %q: %w", x.bucket, err)
	}
	return x.count(tx, 1)
}

func (x index[R]) remove(tx *bbolt.Tx, rec *R, k key) error {
	t, listed := x.at(rec)
	if !listed {
		return nil
	}
	if err := tx.Bucket(x.bucket).Delete(entryOf(t, k)); err != nil {
		return fmt.Errorf("index %q: %w", x.bucket, err)
	}
	return x.count(tx, -1)
}

// oldest returns the first record listed at or before t.
func (x index[R]) oldest(tx *bbolt.Tx, t time.Time) (key, bool) {
	first, _ := tx.Bucket(x.bucket).Cursor().First()
	return dueBy(first, t)
}

// dueBy returns the record an index entry points at if its time has come.
func dueBy(entry []byte, t time.Time) (key, bool) {
	if len(entry) != stampSize+len(key{}) || bytes.Compare(entry[:stampSize], stamp(t)) > 0 {
		return key{}, false
	}
	return key(entry[stampSize:]), true
}

// size is the number of entries of a counted index.
func (x index[R]) size(tx *bbolt.Tx) int {
	raw := tx.Bucket(bucketMeta).Get(x.bucket)
	if len(raw) != 8 {
		return 0
	}
	return int(binary.BigEndian.Uint64(raw))
}

func (x index[R]) count(tx *bbolt.Tx, delta int) error {
	if !x.counted {
		return nil
	}
	return x.setSize(tx, x.size(tx)+delta)
}

// recount sets the number of entries by a walk.
func (x index[R]) recount(tx *bbolt.Tx) error {
	if !x.counted {
		return nil
	}
	n := 0
	cursor := tx.Bucket(x.bucket).Cursor()
	for entry, _ := cursor.First(); entry != nil; entry, _ = cursor.Next() {
		n++
	}
	return x.setSize(tx, n)
}

func (x index[R]) setSize(tx *bbolt.Tx, size int) error {
	n := uint64(size)
	if err := tx.Bucket(bucketMeta).Put(x.bucket, binary.BigEndian.AppendUint64(nil, n)); err != nil {
		return fmt.Errorf("count %q: %w", x.bucket, err)
	}
	return nil
}
