// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// group lists the records of a table that belong to one other thing: the grants
// of a client. An entry is the thing's key and then the record's.
type group[R storage.Record] struct {
	bucket []byte
	of     func(*R) key
}

func (g group[R]) entry(rec *R, k key) []byte {
	owner := g.of(rec)
	return append(owner[:], k[:]...)
}

func (g group[R]) add(tx *bbolt.Tx, rec *R, k key) error {
	if err := tx.Bucket(g.bucket).Put(g.entry(rec, k), nil); err != nil {
		return fmt.Errorf("group %q: %w", g.bucket, err)
	}
	return nil
}

// members returns the keys that are listed for owner, limit of them at most where
// that is positive.
func (g group[R]) members(tx *bbolt.Tx, owner key, limit int) []key {
	var keys []key
	cursor := tx.Bucket(g.bucket).Cursor()
	for entry, _ := cursor.Seek(owner[:]); bytes.HasPrefix(entry, owner[:]); entry, _ = cursor.Next() {
		if limit > 0 && len(keys) == limit {
			break
		}
		if len(entry) == 2*len(owner) {
			keys = append(keys, key(entry[len(owner):]))
		}
	}
	return keys
}

// readGroup returns the records of owner that are not past their end. One that
// cannot be read is left out.
func readGroup[R storage.Record](ctx context.Context, s *Store, verb string, t table[R], g group[R], owner key) ([]*R, error) {
	if err := ctx.Err(); err != nil {
		return nil, explain(verb, err)
	}
	var recs []*R
	err := s.committer.view(func(tx *bbolt.Tx) error {
		now := s.now()
		for _, k := range g.members(tx, owner, 0) {
			// An entry whose record says that it belongs to another is no member.
			if rec, _, err := t.load(tx, k); err == nil && rec != nil && g.of(rec) == owner && !t.expired(rec, now) {
				recs = append(recs, rec)
			}
		}
		return nil
	})
	if err != nil {
		return nil, explain(verb, err)
	}
	return recs, nil
}

// dropGroup deletes every record of owner, expired ones and what cannot be read
// included, and calls each with those that could. An entry without a record, or
// whose record says that it belongs to another, goes and nothing else: the
// record counts.
func (t table[R]) dropGroup(w *writeTx, g group[R], owner key, each func(*R)) error {
	return t.dropMembers(w, g, owner, g.members(w.tx, owner, 0), each)
}

// dropMembers is dropGroup for some of its members.
func (t table[R]) dropMembers(w *writeTx, g group[R], owner key, members []key, each func(*R)) error {
	for _, k := range members {
		rec, _, err := t.load(w.tx, k)
		switch {
		case err != nil:
			err = t.forget(w, k)
		case rec == nil || g.of(rec) != owner:
			w.changed = true
			err = w.tx.Bucket(g.bucket).Delete(append(owner[:], k[:]...))
		default:
			each(rec)
			err = t.remove(w, k, rec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// regroup lists every record in the groups of its table, for a file from before
// there were groups. It returns how many could not be read.
func (t table[R]) regroup(tx *bbolt.Tx) (passed int, err error) {
	err = tx.Bucket(t.bucket).ForEach(func(name, _ []byte) error {
		if len(name) != len(key{}) {
			passed++
			return nil
		}
		k := key(name)
		rec, _, err := t.load(tx, k)
		if err != nil || rec == nil {
			passed++
			return nil //nolint:nilerr // counted
		}
		for _, g := range t.groups {
			if err := g.add(tx, rec, k); err != nil {
				return err
			}
		}
		return nil
	})
	return passed, err
}
