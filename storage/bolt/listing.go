// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
)

// listing is the entry of one record in one index or group; without an entry the
// record is not listed there.
type listing struct {
	bucket []byte
	entry  []byte
	// early is where a version that knew nothing of lateBy listed the record, nil
	// where that makes no difference.
	early   []byte
	counted bool
}

// listings are the entries of rec, which lies at k: of the indexes and then of the
// groups, as many for every record of a table.
func (t table[R]) listings(rec *R, k key) []listing {
	all := make([]listing, 0, len(t.indexes)+len(t.groups))
	for _, x := range t.indexes {
		all = append(all, x.listing(rec, k))
	}
	for _, g := range t.groups {
		all = append(all, listing{bucket: g.bucket, entry: g.entry(rec, k)})
	}
	return all
}

func (l listing) add(tx *bbolt.Tx) error {
	if l.entry == nil {
		return nil
	}
	if err := tx.Bucket(l.bucket).Put(l.entry, nil); err != nil {
		return fmt.Errorf("%s: %w", l.bucket, err)
	}
	return l.count(tx, 1)
}

func (l listing) remove(tx *bbolt.Tx) error {
	if l.entry == nil {
		return nil
	}
	b := tx.Bucket(l.bucket)
	err := b.Delete(l.entry)
	if err == nil && l.early != nil {
		err = b.Delete(l.early)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.bucket, err)
	}
	return l.count(tx, -1)
}

func (l listing) count(tx *bbolt.Tx, delta int) error {
	if !l.counted {
		return nil
	}
	return setSize(tx, l.bucket, sizeOf(tx, l.bucket)+delta)
}

// listed reports whether the entry is where it should be. Asking writes nothing.
func (l listing) listed(tx *bbolt.Tx) bool {
	if l.entry == nil {
		return true
	}
	found, _ := tx.Bucket(l.bucket).Cursor().Seek(l.entry)
	return bytes.Equal(found, l.entry)
}

// relist moves a record from the entries it had to those it has now. What is in its
// place is left alone: a page that is not written is one less to wait for.
func relist(tx *bbolt.Tx, before, after []listing) error {
	for i, now := range after {
		if bytes.Equal(before[i].entry, now.entry) && now.listed(tx) {
			continue
		}
		if err := before[i].remove(tx); err != nil {
			return err
		}
		if err := now.add(tx); err != nil {
			return err
		}
	}
	return nil
}
