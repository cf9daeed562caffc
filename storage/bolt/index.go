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
	// late is true for records that are listed a little after their time, see
	// lateBy. Nil is true for none.
	late func(*R) bool
}

// listing is the entry of the record at k.
func (x index[R]) listing(rec *R, k key) listing {
	l := listing{bucket: x.bucket, counted: x.counted}
	t, listed := x.at(rec)
	switch {
	case !listed:
	case x.late != nil && x.late(rec):
		l.entry, l.early = entryOf(lateBy(t, k), k), entryOf(t, k)
	default:
		l.entry = entryOf(t, k)
	}
	return l
}

// period is how long a record that is listed late stays at one place of an index,
// and so the most by which it is late.
const period = 24 * time.Hour

// lateBy is the next of the points in time, a period apart, at which a record is
// listed that is listed late. Each record has its own, so that no more of them are
// due at one than at another.
func lateBy(t time.Time, k key) time.Time {
	const seconds = uint64(period / time.Second)
	own := time.Duration(uint64(binary.BigEndian.Uint32(k[:4]))*seconds>>32) * time.Second
	since := time.Duration(t.Unix()%int64(seconds))*time.Second + time.Duration(t.Nanosecond())
	return t.Add((own - since + 2*period) % period)
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
func (x index[R]) size(tx *bbolt.Tx) int { return sizeOf(tx, x.bucket) }

func (x index[R]) count(tx *bbolt.Tx, delta int) error {
	if !x.counted {
		return nil
	}
	return setSize(tx, x.bucket, x.size(tx)+delta)
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
	return setSize(tx, x.bucket, n)
}

func sizeOf(tx *bbolt.Tx, bucket []byte) int {
	raw := tx.Bucket(bucketMeta).Get(bucket)
	if len(raw) != 8 {
		return 0
	}
	return int(binary.BigEndian.Uint64(raw))
}

func setSize(tx *bbolt.Tx, bucket []byte, size int) error {
	n := uint64(size)
	if err := tx.Bucket(bucketMeta).Put(bucket, binary.BigEndian.AppendUint64(nil, n)); err != nil {
		return fmt.Errorf("count %q: %w", bucket, err)
	}
	return nil
}
