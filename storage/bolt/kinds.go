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
	// caller leaves alone from then on. What was stored so is in no list yet.
	parse func(data []byte) (func(*writeTx) error, error)
	// collect returns what some of the records after a name are listed as.
	collect func(tx *bbolt.Tx, after []byte, limit int) (lists []*list, last []byte, err error)
	// recount sets the counters of its indexes.
	recount func(*bbolt.Tx) error
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
			rec, _, err := storage.Decode[R](data)
			if err != nil {
				return nil, err
			}
			return func(w *writeTx) error { return t.restore(w, rec, data) }, nil
		},
		collect: t.collect,
		recount: t.recount,
	}
}
