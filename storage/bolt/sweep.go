// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// sweepStep is how many index entries one transaction of the sweeper looks at:
// few enough that a sign-in that comes meanwhile does not notice.
const sweepStep = 256

// Sweep deletes every expired record and returns how many there were. It is
// what the background sweeper does at each interval; nothing but the size of the
// file depends on it.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	var (
		total int
		errs  []error
	)
	for _, step := range []sweeper{
		clients.sweepStep, pendings.sweepStep, grants.sweepStep,
		sessions.sweepStep, consents.sweepStep, usedIDs.sweepStep, signingKeys.sweepStep,
	} {
		n, err := s.sweepTable(ctx, step)
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}

// progress is how far a sweep of one table has come.
type progress struct {
	after   []byte // the last index entry looked at
	deleted int
	failed  error // a record that could not be read
	more    bool
}

type sweeper func(w *writeTx, after []byte) (progress, error)

func (s *Store) sweepTable(ctx context.Context, step sweeper) (int, error) {
	total := 0
	var failed error
	for at := (progress{more: true}); at.more; {
		after := at.after
		next, err := write(ctx, s, "sweep", func(w *writeTx) (progress, error) { return step(w, after) })
		if err != nil {
			return total, err
		}
		at = next
		total += at.deleted
		if failed == nil {
			failed = at.failed
		}
	}
	return total, failed
}

// sweepStep deletes the expired ones of the next few records. A record that
// cannot be read stays, for a newer version may have written it, and is passed.
func (t table[R]) sweepStep(w *writeTx, after []byte) (progress, error) {
	p := progress{after: after}
	cursor := w.tx.Bucket(t.indexes[0].bucket).Cursor()
	entry, _ := cursor.Seek(after)
	if after != nil && bytes.Equal(entry, after) {
		entry, _ = cursor.Next()
	}
	var due [][]byte
	for ; entry != nil && len(due) < sweepStep; entry, _ = cursor.Next() {
		if _, ok := dueBy(entry, w.now); !ok {
			break
		}
		p.after = bytes.Clone(entry)
		due = append(due, p.after)
	}
	// Only now, for a cursor does not survive changes of its bucket.
	for _, entry := range due {
		if err := t.sweepEntry(w, entry, &p); err != nil {
			return progress{}, err
		}
	}
	p.more = len(due) == sweepStep
	return p, nil
}

func (t table[R]) sweepEntry(w *writeTx, entry []byte, p *progress) error {
	k := key(entry[stampSize:])
	rec, _, err := t.load(w.tx, k)
	switch {
	case err != nil:
		p.failed = err
		return nil
	case rec == nil: // of a damaged file; ours has none
		w.changed = true
		return w.tx.Bucket(t.indexes[0].bucket).Delete(entry)
	case !t.expired(rec, w.now):
		return t.correct(w, k, rec, entry)
	}
	p.deleted++
	return t.remove(w, k, rec)
}

// correct takes an entry out that is not the record's own, or every sweep would find
// it due again: a version that knows nothing of lateBy leaves such behind. The record
// counts, not the entry.
func (t table[R]) correct(w *writeTx, k key, rec *R, entry []byte) error {
	w.changed = true
	own := t.indexes[0].listing(rec, k)
	if err := w.tx.Bucket(own.bucket).Delete(entry); err != nil {
		return fmt.Errorf("%s: %w", own.bucket, err)
	}
	return relist(w.tx, []listing{own}, []listing{own})
}

// startSweeper sweeps at once, for a server that is restarted often would
// otherwise never, and then at every interval until Close.
func (s *Store) startSweeper(interval time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stopSweep = cancel
	if interval < 0 {
		return
	}
	s.swept.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			s.sweepAndLog(ctx)
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

func (s *Store) sweepAndLog(ctx context.Context) {
	n, err := s.Sweep(ctx)
	switch {
	case ctx.Err() != nil, errors.Is(err, storage.ErrClosed):
	case err != nil:
		s.log.Error("sweeping expired records failed", "deleted", n, "error", err)
	case n > 0:
		s.log.Debug("swept expired records", "deleted", n)
	}
}
