// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// listRun is how many records of one kind are listed together, which takes about
// 200 bytes of memory for each. Within a run a list is written from its beginning
// to its end, every page once.
const listRun = 1_000_000

// list is a part of an index or a group: its entries in no order yet.
type list struct {
	bucket  []byte
	length  int // of an entry
	entries []listEntry
}

// listEntry has room for an entry of either.
type listEntry [2 * len(key{})]byte

func (l *list) add(entry []byte) {
	var e listEntry
	l.length = copy(e[:], entry)
	l.entries = append(l.entries, e)
}

func (l *list) sort() {
	slices.SortFunc(l.entries, func(a, b listEntry) int { return bytes.Compare(a[:], b[:]) })
}

// put stores the entries from one on, as many as one transaction should, and
// returns how many.
func (l *list) put(w *writeTx, from int) (n int, err error) {
	w.changed = true
	b := w.tx.Bucket(l.bucket)
	b.FillPercent = 0.9 // they come in order: a page that is full stays so
	end := min(from+importLists, len(l.entries))
	for _, e := range l.entries[from:end] {
		if err := b.Put(e[:l.length], nil); err != nil {
			return 0, fmt.Errorf("%s: %w", l.bucket, err)
		}
	}
	return end - from, nil
}

// collect returns the lists of up to limit records after a name, sorted, with the
// name of the last record, nil where there is none.
func (t table[R]) collect(tx *bbolt.Tx, after []byte, limit int) (lists []*list, last []byte, err error) {
	for _, name := range t.buckets()[1:] {
		lists = append(lists, &list{bucket: name})
	}
	cursor := tx.Bucket(t.bucket).Cursor()
	name, raw := cursor.Seek(after)
	if bytes.Equal(name, after) {
		name, raw = cursor.Next()
	}
	for n := 0; name != nil && n < limit; n++ {
		rec, _, err := storage.Decode[R](raw)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", t.bucket, err)
		}
		for i, l := range t.listings(rec, key(name)) {
			if l.entry != nil {
				lists[i].add(l.entry)
			}
		}
		last = bytes.Clone(name)
		name, raw = cursor.Next()
	}
	for _, l := range lists {
		l.sort()
	}
	return lists, last, nil
}

func (t table[R]) recount(tx *bbolt.Tx) error {
	for _, x := range t.indexes {
		if err := x.recount(tx); err != nil {
			return err
		}
	}
	return nil
}
