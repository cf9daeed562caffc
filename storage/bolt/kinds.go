// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// kind is a table as archives see it: records in their stored form.
type kind struct {
	name   storage.Kind
	bucket []byte
	// ended reports whether the record at a name is past its end, or an error where
	// it cannot be read.
	ended func(tx *bbolt.Tx, name []byte, s *Store) (bool, error)
	// parse reads a record and returns how to store exactly these bytes, which the
	// caller leaves alone from then on.
	parse func(data []byte) (func(*writeTx) error, error)
}

// kinds are all tables, in the order in which they are exported: who is named by
// others comes first.
var kinds = []kind{
	kindOf(storage.KindAccount, accounts), kindOf(storage.KindClient, clients), kindOf(storage.KindKey, signingKeys),
	kindOf(storage.KindGrant, grants), kindOf(storage.KindSession, sessions), kindOf(storage.KindConsent, consents),
	kindOf(storage.KindPending, pendings), kindOf(storage.KindOnce, usedIDs),
}

func kindNamed(name storage.Kind) (kind, error) {
	for _, k := range kinds {
		if k.name == name {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("%w: %.20q is no kind of record", storage.ErrFormat, name)
}

func kindOf[R storage.Record](name storage.Kind, t table[R]) kind {
	return kind{
		name:   name,
		bucket: t.bucket,
		ended: func(tx *bbolt.Tx, name []byte, s *Store) (bool, error) {
			if len(name) != len(key{}) {
				return false, ErrDamaged
			}
			_, err := t.get(tx, key(name), s.now())
			if errors.Is(err, storage.ErrNotFound) {
				return true, nil
			}
			return false, err
		},
		parse: func(data []byte) (func(*writeTx) error, error) {
			rec, err := storage.Decode[R](data)
			if err != nil {
				return nil, err
			}
			return func(w *writeTx) error { return t.restore(w, rec, data) }, nil
		},
	}
}

// restore stores a record of an archive in exactly this form, in place of an
// earlier one of the same archive. One that is past its end is left out.
func (t table[R]) restore(w *writeTx, rec *R, raw []byte) error {
	if t.expired(rec, w.now) {
		return nil
	}
	k := t.key(rec)
	old, _, err := t.load(w.tx, k)
	if err != nil {
		return err
	}
	if old != nil {
		if err := t.unlist(w, k, old); err != nil {
			return err
		}
	}
	return t.put(w, k, rec, raw)
}
