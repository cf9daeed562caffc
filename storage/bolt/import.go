// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Bounds of one transaction of an import.
const (
	importBatch      = 10_000
	importBatchBytes = 16 << 20
)

// keyImporting marks a file with an import that has not come to its end. Open
// refuses such a file: half of the users would be signed out, and of what was used
// once a part could be used again.
var keyImporting = []byte("importing")

var _ storage.Archive = (*Store)(nil)

// Import implements storage.Archive. After an error, a crash or a kill the file
// cannot be opened any more.
func (s *Store) Import(ctx context.Context, entries iter.Seq2[storage.Entry, error]) error {
	in := importer{step: func(fn func(*writeTx) error) error {
		_, err := write(ctx, s, "import", func(w *writeTx) (nothing, error) { return nothing{}, fn(w) })
		return err
	}}
	if err := in.step(beginImport); err != nil {
		return err
	}
	for entry, err := range entries {
		if err == nil {
			err = in.add(entry)
		}
		if err != nil {
			return explain("import", err)
		}
	}
	if err := in.flush(); err != nil {
		return err
	}
	return in.step(endImport)
}

// beginImport refuses a file with any record.
func beginImport(w *writeTx) error {
	for _, k := range kinds {
		if name, _ := w.tx.Bucket(k.bucket).Cursor().First(); name != nil {
			return storage.ErrNotEmpty
		}
	}
	w.changed = true
	return w.tx.Bucket(bucketMeta).Put(keyImporting, []byte{1})
}

func endImport(w *writeTx) error {
	w.changed = true
	return w.tx.Bucket(bucketMeta).Delete(keyImporting)
}

// wantWhole refuses a file with half an import.
func wantWhole(tx *bbolt.Tx) error {
	if tx.Bucket(bucketMeta).Get(keyImporting) != nil {
		return fmt.Errorf("%w (an import into it did not come to its end)", ErrDamaged)
	}
	return nil
}

// importer collects records for one transaction after the other.
type importer struct {
	step  func(func(*writeTx) error) error
	batch []func(*writeTx) error
	size  int
}

func (in *importer) add(entry storage.Entry) error {
	k, err := kindNamed(entry.Kind)
	if err != nil {
		return err
	}
	put, err := k.parse(bytes.Clone(entry.Data)) // whose bytes are the reader's
	if err != nil {
		return fmt.Errorf("%s: %w", entry.Kind, err)
	}
	in.batch = append(in.batch, put)
	in.size += len(entry.Data)
	if len(in.batch) < importBatch && in.size < importBatchBytes {
		return nil
	}
	return in.flush()
}

func (in *importer) flush() error {
	batch := in.batch
	in.batch, in.size = nil, 0
	if len(batch) == 0 {
		return nil
	}
	return in.step(func(w *writeTx) error {
		for _, put := range batch {
			if err := put(w); err != nil {
				return err
			}
		}
		return nil
	})
}
