// SPDX-License-Identifier: Apache-2.0

// Package bolt keeps the state of one machine in one bbolt file.
//
// Every verb is one transaction. Writing verbs that run at the same time share
// their commit, see committer. Expired records are invisible at once and leave
// the file by a sweeper in the background.
package bolt

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Options of Open. The zero value is right for production.
type Options struct {
	// Now is the clock, time.Now if nil.
	Now func() time.Time
	// Logger receives what has no caller to return it to. Nil discards it.
	Logger *slog.Logger
	// SweepInterval is the time between background sweeps, one minute if zero.
	// Negative means none: Sweep has to be called.
	SweepInterval time.Duration
	// MaxUnusedClients replaces storage.MaxUnusedClients where positive.
	MaxUnusedClients int
	// LockTimeout is how long Open waits for another process to let go of the
	// file, one second if zero.
	LockTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = time.Minute
	}
	if o.MaxUnusedClients <= 0 {
		o.MaxUnusedClients = storage.MaxUnusedClients
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	return o
}

// Store is a storage.Store in one file. Only one Store at a time can have the
// file open, on this machine or in this process.
type Store struct {
	db        *bbolt.DB
	committer *committer
	now       func() time.Time
	log       *slog.Logger
	maxUnused int

	// exportPatience is how long an export waits for its reader.
	exportPatience time.Duration
	// listRun is how many records an import lists together.
	listRun int

	closeOnce sync.Once
	closing   chan struct{}
	stopSweep context.CancelFunc
	swept     sync.WaitGroup
}

var _ storage.Store = (*Store)(nil)

// Open opens the file at path and makes it, with its directory, if there is
// none. The file is readable by its owner only. Errors say what the operator can
// do, see ErrInUse, ErrDamaged and ErrForeign.
func Open(path string, options Options) (*Store, error) {
	o := options.withDefaults()
	db, err := openFile(path, o)
	if err != nil {
		return nil, explainOpen(path, err)
	}
	s := &Store{
		db:        db,
		committer: newCommitter(db, o.Now, o.Logger),
		now:       o.Now,
		log:       o.Logger,
		maxUnused: o.MaxUnusedClients,

		exportPatience: exportPatience,
		listRun:        listRun,
		closing:        make(chan struct{}),
	}
	if err := s.committer.guarded(func() error { return prepare(db, o.Logger) }); err != nil {
		return nil, explainOpen(path, errors.Join(err, db.Close()))
	}
	s.startSweeper(o.SweepInterval)
	return s, nil
}

// Close waits for the calls that are under way, and releases the file. A second
// Close answers storage.ErrClosed like every other later call.
func (s *Store) Close() error {
	err := storage.ErrClosed
	s.closeOnce.Do(func() {
		close(s.closing) // exports end, which the file would wait for
		s.stopSweep()
		s.swept.Wait()
		err = s.committer.close()
	})
	return err
}

// write runs a verb that may change something. An error of the contract is an
// answer about the record: it comes back to the caller, and what the verb
// changed on the way to it stands. Any other error undoes the verb.
func write[T any](ctx context.Context, s *Store, verb string, fn func(*writeTx) (T, error)) (T, error) {
	var (
		result T
		answer error
	)
	err := s.committer.do(ctx, func(w *writeTx) error {
		result, answer = fn(w)
		if outcome(answer) {
			return nil
		}
		return answer
	})
	if err != nil {
		// fn may still be running, if ctx ended the wait: leave its results.
		var none T
		return none, explain(verb, err)
	}
	return result, answer
}

// read runs a verb that changes nothing.
func read[R storage.Record](ctx context.Context, s *Store, verb string, t table[R], k key) (*R, error) {
	if err := ctx.Err(); err != nil {
		return nil, explain(verb, err)
	}
	var rec *R
	err := s.committer.view(func(tx *bbolt.Tx) error {
		var err error
		rec, err = t.get(tx, k, s.now())
		return err
	})
	return rec, explain(verb, err)
}

// nothing is the result of verbs that have none.
type nothing struct{}
