// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Every kind of record has one bucket. Beside it lie indexes, ordered by time,
// whose entries point at records and are written in the same transaction.
var (
	bucketMeta = []byte("meta")

	clients = table[storage.Client]{
		bucket:  []byte("clients"),
		key:     func(c *storage.Client) key { return keyOf(c.Issuer, c.ID) },
		expired: (*storage.Client).Expired,
		indexes: []index[storage.Client]{
			{bucket: []byte("clients by end"), at: func(c *storage.Client) (time.Time, bool) { return c.ExpiresAt, c.Unused() }},
			{bucket: []byte("unused clients by age"), at: func(c *storage.Client) (time.Time, bool) { return c.CreatedAt, c.Unused() }, counted: true},
		},
	}
	pendings = table[storage.Pending]{
		bucket:  []byte("pendings"),
		key:     func(p *storage.Pending) key { return keyOf(p.Issuer, string(p.ID[:])) },
		expired: (*storage.Pending).Expired,
		indexes: []index[storage.Pending]{
			{bucket: []byte("pendings by end"), at: func(p *storage.Pending) (time.Time, bool) { return p.ExpiresAt, true }},
		},
	}
	grants = table[storage.Grant]{
		bucket:  []byte("grants"),
		key:     func(g *storage.Grant) key { return keyOf(g.Issuer, g.ID) },
		expired: (*storage.Grant).Expired,
		indexes: []index[storage.Grant]{
			{bucket: []byte("grants by end"), at: func(g *storage.Grant) (time.Time, bool) { return g.ExpiresAt, true }},
		},
	}
	accounts = table[storage.Account]{
		bucket:  []byte("accounts"),
		key:     func(a *storage.Account) key { return keyOf(a.Subject) },
		expired: func(*storage.Account, time.Time) bool { return false },
	}

	clientsByEnd = clients.indexes[0]
	clientsByAge = clients.indexes[1]
)

// format is the layout of the buckets. Records have a version of their own.
const format = 1

var keyFormat = []byte("format")

// prepare makes the buckets of an empty file and refuses a file of another
// layout. A file that needs nothing is not written to.
func prepare(db *bbolt.DB) error {
	current := false
	err := db.View(func(tx *bbolt.Tx) error {
		var err error
		current, err = checkFormat(tx)
		return err
	})
	if err != nil || current {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range bucketNames() {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("create bucket %q: %w", name, err)
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, binary.BigEndian.AppendUint64(nil, format))
	})
}

// checkFormat reports whether the buckets are all there; false is an empty file.
func checkFormat(tx *bbolt.Tx) (bool, error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		if first, _ := tx.Cursor().First(); first != nil {
			return false, fmt.Errorf("%w: it belongs to another program", ErrForeign)
		}
		return false, nil
	}
	raw := meta.Get(keyFormat)
	if len(raw) != 8 {
		return false, fmt.Errorf("%w: it does not say its format", ErrForeign)
	}
	if v := binary.BigEndian.Uint64(raw); v != format {
		return false, fmt.Errorf("%w: it has format %d, this version reads %d", ErrForeign, v, format)
	}
	for _, name := range bucketNames() {
		if tx.Bucket(name) == nil {
			return false, fmt.Errorf("%w (bucket %q is missing)", ErrDamaged, name)
		}
	}
	return true, nil
}

func bucketNames() [][]byte {
	names := [][]byte{bucketMeta}
	names = append(names, clients.buckets()...)
	names = append(names, pendings.buckets()...)
	names = append(names, grants.buckets()...)
	return append(names, accounts.buckets()...)
}
