// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"go.etcd.io/bbolt"
)

// format is the layout of the buckets. Records have a version of their own.
//
//	1  clients, pendings, grants, accounts
//	2  sessions, consents, used ids, signing keys; the grants of a client and of a
//	   subject
const format = 2

var keyFormat = []byte("format")

// bucketsOfFormat1 are spelled out: they are history, whatever the schema says.
var bucketsOfFormat1 = []string{
	"meta", "clients", "clients by end", "unused clients by age", "pendings", "pendings by end",
	"grants", "grants by end", "accounts",
}

// prepare makes the buckets of an empty file, brings an older layout up to date
// and refuses any other. That is one transaction: a crash leaves the file as it
// was or as it should be. A file that needs nothing is not written to.
func prepare(db *bbolt.DB, log *slog.Logger) error {
	var found uint64
	err := db.View(func(tx *bbolt.Tx) error {
		var err error
		found, err = checkFormat(tx)
		return err
	})
	if err != nil || found == format {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range bucketNames() {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("create bucket %q: %w", name, err)
			}
		}
		if found == 1 {
			if err := upgradeFrom1(tx, log); err != nil {
				return fmt.Errorf("upgrade from format 1: %w", err)
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, binary.BigEndian.AppendUint64(nil, format))
	})
}

// checkFormat returns the format of the file, 0 for an empty one.
func checkFormat(tx *bbolt.Tx) (uint64, error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		if first, _ := tx.Cursor().First(); first != nil {
			return 0, fmt.Errorf("%w: it belongs to another program", ErrForeign)
		}
		return 0, nil
	}
	raw := meta.Get(keyFormat)
	if len(raw) != 8 {
		return 0, fmt.Errorf("%w: it does not say its format", ErrForeign)
	}
	switch v := binary.BigEndian.Uint64(raw); v {
	case 1:
		var names [][]byte
		for _, name := range bucketsOfFormat1 {
			names = append(names, []byte(name))
		}
		return v, wantBuckets(tx, names)
	case format:
		return v, errors.Join(wantBuckets(tx, bucketNames()), wantWhole(tx))
	default:
		return 0, fmt.Errorf("%w: it has format %d, this version reads 1 to %d", ErrForeign, v, format)
	}
}

// wantBuckets refuses a file that lacks one of its buckets: made anew, an empty
// one would sign everyone out without a word.
func wantBuckets(tx *bbolt.Tx, names [][]byte) error {
	for _, name := range names {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w (bucket %q is missing)", ErrDamaged, name)
		}
	}
	return nil
}

// upgradeFrom1 lists the grants by client. One that cannot be read stays, as no
// verb serves it and a start must not fail for it, and is told to the operator.
func upgradeFrom1(tx *bbolt.Tx, log *slog.Logger) error {
	passed, err := grants.regroup(tx)
	if err != nil {
		return err
	}
	if passed > 0 {
		log.Warn("state file has grants that cannot be read; deleting their client will not delete them", "grants", passed)
	}
	return nil
}
