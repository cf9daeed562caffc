// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// An export is one read transaction, so all of its records are of one moment. But
// while one is open the file cannot be mapped anew: a write that has to make it
// larger waits for the end, and with it every later one. So it is not left to
// whoever reads the export how long that is. The transaction belongs to a
// goroutine of its own, which gives up on a reader that does not come back.
const (
	exportBatch      = 256     // records handed over at once
	exportBatchBytes = 1 << 20 // or this many bytes of them
	exportPatience   = time.Minute
)

var errSlowReader = errors.New("the export was not read for too long")

// Export implements storage.Archive. All records are of the same moment. What
// cannot be read, which no verb serves either, is left out and told to the log.
// An export whose reader stops for a minute ends with an error.
func (s *Store) Export(ctx context.Context) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		x := &exporter{store: s, ctx: ctx, batches: make(chan []storage.Entry)}
		go x.run()
		defer func() {
			cancel()
			for range x.batches { // until it let go of the transaction
			}
		}()
		for batch := range x.batches {
			for _, entry := range batch {
				if !yield(entry, nil) {
					return
				}
			}
		}
		if x.err != nil {
			yield(storage.Entry{}, explain("export", x.err))
		}
	}
}

// exporter reads the records of one export.
type exporter struct {
	store   *Store
	ctx     context.Context //nolint:containedctx // of the export
	batches chan []storage.Entry
	err     error // once batches is closed

	batch  []storage.Entry
	size   int
	passed int // records that cannot be read
}

func (x *exporter) run() {
	defer close(x.batches)
	if x.err = x.ctx.Err(); x.err != nil {
		return
	}
	x.err = x.store.committer.view(func(tx *bbolt.Tx) error {
		for _, k := range kinds {
			if err := x.kind(tx, k); err != nil {
				return err
			}
		}
		return x.flush()
	})
	if x.passed > 0 {
		x.store.log.Warn("state file has records that cannot be read; the export is without them", "records", x.passed)
	}
}

func (x *exporter) kind(tx *bbolt.Tx, k kind) error {
	return tx.Bucket(k.bucket).ForEach(func(name, raw []byte) error {
		switch ended, err := k.ended(tx, name, x.store); {
		case err != nil:
			x.passed++
			return nil
		case ended:
			return nil
		}
		x.batch = append(x.batch, storage.Entry{Kind: k.name, Data: bytes.Clone(raw)})
		x.size += len(raw)
		if len(x.batch) < exportBatch && x.size < exportBatchBytes {
			return nil
		}
		return x.flush()
	})
}

// flush hands the batch over.
func (x *exporter) flush() error {
	patience := time.NewTimer(x.store.exportPatience)
	defer patience.Stop()
	select {
	case x.batches <- x.batch:
		x.batch, x.size = nil, 0
		return x.ctx.Err()
	case <-x.ctx.Done():
		return x.ctx.Err()
	case <-x.store.closing:
		return storage.ErrClosed
	case <-patience.C:
		return fmt.Errorf("%w: %v", errSlowReader, x.store.exportPatience)
	}
}
