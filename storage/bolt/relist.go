// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"
)

// listSome is kind.list.
func (t table[R]) listSome(w *writeTx, after []byte) (last []byte, err error) {
	lists := map[string][][]byte{}
	cursor := w.tx.Bucket(t.bucket).Cursor()
	name, _ := cursor.Seek(after)
	if bytes.Equal(name, after) {
		name, _ = cursor.Next()
	}
	for n := 0; name != nil && n < importLists; n++ {
		k := key(name)
		rec, _, err := t.load(w.tx, k)
		if err != nil {
			return nil, err
		}
		for bucket, entry := range t.entries(rec, k) {
			lists[bucket] = append(lists[bucket], entry)
		}
		last = bytes.Clone(name)
		name, _ = cursor.Next()
	}
	for bucket, entries := range lists {
		w.changed = true
		slices.SortFunc(entries, bytes.Compare)
		b := w.tx.Bucket([]byte(bucket))
		for _, entry := range entries {
			if err := b.Put(entry, nil); err != nil {
				return nil, fmt.Errorf("%s: %w", bucket, err)
			}
		}
	}
	return last, nil
}

// entries yields what a record is listed as, by bucket.
func (t table[R]) entries(rec *R, k key) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, x := range t.indexes {
			if at, listed := x.at(rec); listed && !yield(string(x.bucket), entryOf(at, k)) {
				return
			}
		}
		for _, g := range t.groups {
			if !yield(string(g.bucket), g.entry(rec, k)) {
				return
			}
		}
	}
}

func (t table[R]) recount(tx *bbolt.Tx) error {
	for _, x := range t.indexes {
		if err := x.recount(tx); err != nil {
			return err
		}
	}
	return nil
}
