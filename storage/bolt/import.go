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

// An import has two phases. First come the records alone, in whatever order the
// archive has them: a page for each, as keys are hashes. Then all lists are made,
// each in its own order, so that a page is written for many entries. That leaves
// few free pages, too: every later commit sorts them. Bounds of one transaction of
// either phase:
const (
	importBatch      = 2000
	importBatchBytes = 8 << 20
	importLists      = 50_000 // entries
)

// keyImporting marks a file with an import that has not come to its end. Open
// refuses such a file: half of the users would be signed out, and of what was used
// once a part could be used again.
var keyImporting = []byte("importing")

var _ storage.Archive = (*Store)(nil)

// Import implements storage.Archive. After an error, a crash or a kill the file
// cannot be opened any more.
func (s *Store) Import(ctx context.Context, entries iter.Seq2[storage.Entry, error]) error {
	in := importer{
		run:  s.listRun,
		view: func(fn func(*bbolt.Tx) error) error { return explain("import", s.committer.view(fn)) },
		step: func(fn func(*writeTx) error) error {
			_, err := write(ctx, s, "import", func(w *writeTx) (nothing, error) { return nothing{}, fn(w) })
			return err
		},
	}
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
	if err := in.lists(); err != nil {
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
	for _, k := range kinds {
		if err := k.recount(w.tx); err != nil {
			return err
		}
	}
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
	run   int // see listRun
	view  func(func(*bbolt.Tx) error) error
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

// lists makes the lists of all records, listRun of one kind at a time.
func (in *importer) lists() error {
	for _, k := range kinds {
		for after, more := []byte{}, true; more; {
			var lists []*list
			err := in.view(func(tx *bbolt.Tx) (err error) {
				lists, after, err = k.collect(tx, after, in.run)
				return err
			})
			if err != nil {
				return err
			}
			for _, l := range lists {
				if err := in.list(l); err != nil {
					return err
				}
			}
			more = after != nil
		}
	}
	return nil
}

func (in *importer) list(l *list) error {
	for from := 0; from < len(l.entries); {
		n := 0
		err := in.step(func(w *writeTx) (err error) {
			n, err = l.put(w, from)
			return err
		})
		if err != nil {
			return err
		}
		from += n
	}
	return nil
}

// restore stores a record of an archive in exactly this form, in place of an
// earlier one of the same archive. One that is past its end is left out.
func (t table[R]) restore(w *writeTx, rec *R, raw []byte) error {
	if t.expired(rec, w.now) {
		return nil
	}
	w.changed = true
	k := t.key(rec)
	if err := w.tx.Bucket(t.bucket).Put(k[:], raw); err != nil {
		return fmt.Errorf("%s: %w", t.bucket, err)
	}
	return nil
}
