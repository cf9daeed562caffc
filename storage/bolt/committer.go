// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// maxGroup bounds the calls of one transaction, hence its memory and how long
// the first of them waits for the last.
const maxGroup = 512

// committer runs the write calls of all callers. A commit is two syncs of the
// disk and costs milliseconds, so the calls that arrive during one share the
// next. bbolt's own Batch waits a fixed time for company: short, and callers
// queue up one sync each; long, and a lone caller waits for nobody. This one
// never waits: a lone call commits at once.
type committer struct {
	db  *bbolt.DB
	now func() time.Time
	log *slog.Logger

	// broken is set once bbolt panicked outside of a call; only run uses it, and
	// close after run has ended.
	broken error

	mu      sync.Mutex
	queue   []*call
	running bool // from the first call until close
	closed  bool
	changed sync.Cond // signalled when any of these changes
}

// call is one caller's function. It may run several times, as its transaction
// is undone when another call of the group fails, so it has to set all of its
// results every time.
type call struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the caller waits
	fn   func(*writeTx) error
	err  error // of the last run
	done chan error
}

func newCommitter(db *bbolt.DB, now func() time.Time, log *slog.Logger) *committer {
	c := &committer{db: db, now: now, log: log}
	c.changed.L = &c.mu
	return c
}

// do runs fn in a write transaction and returns once that is durable. An error
// of fn leaves nothing of it behind. Where fn changes nothing nothing is
// written, but do still returns only after every commit fn could see. A context
// that is done before fn ran keeps it from running; later, the outcome is open.
func (c *committer) do(ctx context.Context, fn func(*writeTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	own := &call{ctx: ctx, fn: fn, done: make(chan error, 1)}
	if !c.enqueue(own) {
		return storage.ErrClosed
	}
	select {
	case err := <-own.done:
		return err
	case <-ctx.Done():
	}
	select { // both may be ready, and then there is an outcome to tell
	case err := <-own.done:
		return err
	default:
		return ctx.Err()
	}
}

func (c *committer) enqueue(own *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.queue = append(c.queue, own)
	if !c.running {
		c.running = true
		go c.run()
	}
	c.changed.Signal()
	return true
}

// close refuses new calls, answers the accepted ones and closes the file.
func (c *committer) close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	for c.running {
		c.changed.Wait()
	}
	c.mu.Unlock()
	if c.broken == nil {
		return c.guarded(c.db.Close)
	}
	done := make(chan error, 1)
	go func() { done <- c.guarded(c.db.Close) }()
	select {
	case err := <-done:
		return errors.Join(c.broken, err)
	case <-time.After(time.Second): // the process has to end to let go of the file
		return c.broken
	}
}

// run commits until close. It is one goroutine for all calls: the stack that bbolt
// needs is not for a new one to grow into each time.
func (c *committer) run() {
	for {
		group := c.next()
		if group == nil {
			return
		}
		c.commit(group)
	}
}

// next waits for calls. It returns none when no more will come.
func (c *committer) next() []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 {
		c.queue = nil
		if c.closed {
			c.running = false
			c.changed.Broadcast()
			return nil
		}
		c.changed.Wait()
	}
	n := min(len(c.queue), maxGroup)
	group := slices.Clone(c.queue[:n])
	c.queue = c.queue[n:]
	return group
}

// commit answers every call of the group. A call that fails is taken out, and
// the others run again without it.
func (c *committer) commit(group []*call) {
	for {
		failed, err := c.attempt(group)
		if failed < 0 {
			for _, own := range group {
				own.done <- errors.Join(err, own.err)
			}
			return
		}
		group[failed].done <- err
		group = slices.Delete(group, failed, failed+1)
	}
}
